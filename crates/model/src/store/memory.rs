//! How much memory a model takes, without reading its weights.

use super::write::Dtype;
use super::{ModelConfig, Shape};
use crate::nn::attention::AttnFunc;
use crate::nn::transformer::TransformerConfig;
use crate::prior::PriorConfig;

/// Bytes of a number in memory.
const F32: u64 = 4;

/// What sampling holds at once: the codec and one prior, the largest. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingMemory {
    /// Level of the prior that needs most; none if the model has no priors.
    pub level: Option<usize>,
    /// Its weights, which are computed with as f32 however they are stored.
    pub weights: u64,
    /// Keys and values of all takes.
    pub cache: u64,
    /// Condition vectors of all takes.
    pub conditions: u64,
    /// The codec's weights, and what decoding a chunk takes.
    pub codec: u64,
}

impl SamplingMemory {
    /// The sum.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.conditions + self.codec
    }
}

/// Numbers in tensors.
pub fn parameter_count(shapes: &[Shape]) -> u64 {
    shapes.iter().map(|(_, shape)| shape.iter().map(|d| *d as u64).product::<u64>()).sum()
}

/// Bytes of tensors as they are stored.
pub fn stored_bytes(shapes: &[Shape], dtype: Dtype) -> u64 {
    shapes.iter().map(|(name, shape)| dtype.bytes(name, shape)).sum()
}

/// Positions whose keys and values a layer keeps.
fn kept(config: &TransformerConfig, layer: usize, lyrics: usize) -> usize {
    let block = config.context / config.blocks.max(1);
    match config.func(layer) {
        Ok(AttnFunc::Block) => block,
        Ok(AttnFunc::PreviousBlock) => 2 * block,
        Ok(AttnFunc::Encoder) => lyrics,
        Ok(AttnFunc::Prime) => config.prime_keys(),
        _ => config.context,
    }
}

/// Keys and values of one take, in numbers.
fn cache(prior: &PriorConfig) -> u64 {
    let (config, lyrics) = (&prior.transformer, prior.lyrics.as_ref().map_or(0, |l| l.tokens));
    (0..config.depth).map(|d| 2 * (config.state() * kept(config, d, lyrics)) as u64).sum()
}

impl ModelConfig {
    /// What sampling so many takes at once needs.
    pub fn sampling_memory(&self, takes: usize) -> SamplingMemory {
        let takes = takes as u64;
        let widest = self.codec.width * self.codec.multipliers.iter().max().copied().unwrap_or(1);
        let stride = self.codec.strides.first().and_then(|s| s.first()).copied().unwrap_or(1).max(1);
        // Chunks of half a million samples; six tensors of the widest stack at once.
        let decoding = (1 << 19) / stride as u64 * widest as u64 * F32 * 6;
        let codec = F32 * parameter_count(&super::codec_shapes(&self.codec)) + decoding;
        let none = SamplingMemory { level: None, weights: 0, cache: 0, conditions: 0, codec };
        let of = |(level, prior): (&usize, &PriorConfig)| SamplingMemory {
            level: Some(*level),
            weights: F32 * parameter_count(&super::prior_shapes(prior)),
            cache: F32 * takes * cache(prior),
            conditions: F32 * takes * 2 * (prior.transformer.width * prior.transformer.context) as u64,
            codec,
        };
        self.priors.iter().map(of).max_by_key(SamplingMemory::total).unwrap_or(none)
    }
}
