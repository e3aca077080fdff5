//! A song on its way through a level's network on the engine, piece by piece.

use super::vqvae::Level;
use crate::ModelError;
use orchestrion_engine::nearest::nearest;

/// Samples that go through the layers together: what a layer reads and writes stays in the last cache.
const PIECE: usize = 1 << 15;

/// Codes of a song, which has a multiple of the hop.
pub(super) fn encode(level: &Level, samples: &[f32], hop: usize) -> Result<Vec<u32>, ModelError> {
    let network = level.encoder_network()?;
    let (entries, width) = entries(level);
    let (mut stream, mut codes) = (network.begin(), Vec::with_capacity(samples.len() / hop));
    let pieces = samples.len().div_ceil(PIECE);
    for (index, piece) in samples.chunks(PIECE).enumerate() {
        let latents = stream.push(piece, index + 1 == pieces)?;
        codes.extend(nearest(&entries, &turned(&latents, width), width)?.0);
    }
    Ok(codes)
}

/// Sound of codes, which are all in the codebook; not clamped.
pub(super) fn decode(level: &Level, codes: &[u32], hop: usize) -> Result<Vec<f32>, ModelError> {
    let network = level.decoder_network()?;
    let (entries, width) = entries(level);
    let (mut stream, mut samples) = (network.begin(), Vec::with_capacity(codes.len() * hop));
    let piece = (PIECE / hop).max(1);
    let pieces = codes.len().div_ceil(piece);
    for (index, codes) in codes.chunks(piece).enumerate() {
        let rows: Vec<f32> =
            codes.iter().flat_map(|code| &entries[*code as usize * width..][..width]).copied().collect();
        samples.extend(stream.push(&turned(&rows, codes.len()), index + 1 == pieces)?);
    }
    Ok(samples)
}

/// The codebook as rows, and their width.
fn entries(level: &Level) -> (Vec<f32>, usize) {
    (level.codebook.k.to_data().iter().collect(), level.codebook.dims()[1])
}

/// The transpose of a table with so many rows.
fn turned(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    let mut turned = vec![0.0; values.len()];
    for (row, values) in values.chunks_exact(columns.max(1)).enumerate() {
        for (column, value) in values.iter().enumerate() {
            turned[column * rows + row] = *value;
        }
    }
    turned
}
