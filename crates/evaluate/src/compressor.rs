//! Tokens through a general compressor: the baseline that knows nothing of music, and nothing of the training set.

use crate::EvaluateError;
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;

/// Bits a token of each stream by DEFLATE at its best level, of tokens as two bytes, low byte first. Streams are
/// compressed one by one.
///
/// # Errors
/// If a token does not fit two bytes.
pub fn compressed_bits(stream: &[u32]) -> Result<f64, EvaluateError> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    for token in stream {
        let token = u16::try_from(*token).map_err(|_| {
            EvaluateError::Nothing(format!("token {token} has no two bytes; hint: use a smaller codebook"))
        })?;
        // Writing to memory cannot fail.
        let _ = encoder.write_all(&token.to_le_bytes());
    }
    let bytes = encoder.finish().map_or(0, |bytes| bytes.len());
    Ok(8.0 * bytes as f64 / stream.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_recurs_costs_less_than_noise() {
        let mut draw = orchestrion_data::Draw::new("tokens", 0, 0, 0);
        let noise: Vec<u32> = (0..4000).map(|_| draw.below(1024) as u32).collect();
        let again: Vec<u32> = noise[..400].repeat(10);
        let (noise, again) = (compressed_bits(&noise).unwrap(), compressed_bits(&again).unwrap());
        assert!(noise > 10.0 && noise < 16.0 && again < 2.0, "{noise} {again}");
        assert!(compressed_bits(&[70_000]).is_err());
    }
}
