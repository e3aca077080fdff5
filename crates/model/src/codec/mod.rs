//! Codecs: sound to tokens and back.

mod chunks;
mod config;
pub mod loss;
mod quantize;
mod stream;
mod vqvae;

pub use config::{BANDWIDTH_RESOLUTION, Bandwidth, LossConfig, RESOLUTIONS, VqVaeConfig};
pub use quantize::{Codebook, CodebookSums, CodebookUpdate, EmaUpdate, Quantized, Usage, perplexity};
pub(crate) use vqvae::DecoderBlock;
pub use vqvae::{Level, VqVae};

use crate::ModelError;

/// One token stream of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSpec {
    /// Samples of audio for one token.
    pub hop_length: usize,
    /// Codebooks that describe one time step together (1 for Jukebox).
    pub codebooks: usize,
    /// Entries of each codebook.
    pub codebook_size: usize,
}

/// What a codec takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecSpec {
    /// Samples a second.
    pub sample_rate: u32,
    /// Audio channels.
    pub channels: usize,
    /// Token streams, finest first: index = level.
    pub streams: Vec<StreamSpec>,
    /// Whether a token depends on past samples only.
    pub causal: bool,
}

/// Sound to tokens and back, one clip at a time. Plain slices: no tensors outside this crate.
pub trait Codec {
    /// Rates, sizes and hop lengths.
    fn spec(&self) -> CodecSpec;
    /// Encodes mono samples in `[-1, 1]` at one level to `samples.len() / hop_length` codes (a rest shorter
    /// than a hop is dropped). Works piece by piece, so memory does not grow with the song; the codes are those of the whole.
    ///
    /// # Errors
    /// If the level does not exist or the clip is shorter than one hop.
    fn encode(&self, samples: &[f32], level: usize) -> Result<Vec<u32>, ModelError>;
    /// Decodes the codes of one level to `codes.len() * hop_length` samples, clamped to `[-1, 1]`.
    ///
    /// # Errors
    /// If the level does not exist or a code is outside the codebook.
    fn decode(&self, codes: &[u32], level: usize) -> Result<Vec<f32>, ModelError>;
}
