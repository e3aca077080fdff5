//! How likely a prior finds known tokens: as it is trained, or as it samples.

use orchestrion_model::ModelError;
use orchestrion_model::prior::{Prior, PriorConfig, PriorDecoder, TokenModel, Window, token_tensor};

/// A prior that says how likely known tokens are.
pub trait Scores {
    /// Sizes of the prior.
    fn config(&self) -> &PriorConfig;
    /// Bits of every token of a window of one row.
    ///
    /// # Errors
    /// If the window does not fit the prior, or a token is outside the codebook.
    fn bits(&mut self, window: &Window<'_>, codes: &[u32]) -> Result<Vec<f64>, ModelError>;
}

/// In f32, as in training.
impl Scores for Prior {
    fn config(&self) -> &PriorConfig {
        self.config()
    }

    fn bits(&mut self, window: &Window<'_>, codes: &[u32]) -> Result<Vec<f64>, ModelError> {
        let conditions = self.conditions(window.labels, window.start, window.length, window.upper)?;
        let bits = Prior::bits(self, token_tensor(&[codes], &self.device()), &conditions);
        Ok(bits.into_data().iter().collect())
    }
}

/// As it samples: with the weights, and to the bit the logits, that tokens are drawn with.
impl Scores for PriorDecoder {
    fn config(&self) -> &PriorConfig {
        self.config()
    }

    fn bits(&mut self, window: &Window<'_>, codes: &[u32]) -> Result<Vec<f64>, ModelError> {
        let logits = self.scores(window, &[codes])?;
        logits.chunks_exact(self.codebook_size()).zip(codes).map(|(logits, code)| bits_of(logits, *code)).collect()
    }
}

/// Bits that logits give to a token.
fn bits_of(logits: &[f32], token: u32) -> Result<f64, ModelError> {
    let Some(own) = logits.get(token as usize) else {
        let what = format!("token {token} is outside the codebook of {}", logits.len());
        return Err(ModelError::Request(format!("{what}; hint: the tokens belong to another codec or level")));
    };
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    Ok((sum.ln() + largest - f64::from(*own)) / std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn equal_logits_give_the_bits_of_a_fair_die() {
        assert!((bits_of(&[700.0; 8], 3).unwrap() - 3.0).abs() < 1e-12);
        assert!((bits_of(&[0.0, 1.0], 1).unwrap() - (1.0 + (-1.0f64).exp()).log2()).abs() < 1e-12);
        assert!(bits_of(&[0.0; 8], 8).unwrap_err().to_string().contains("outside the codebook of 8"));
    }
}
