//! How much memory a model takes, without reading its weights.

use super::{Dtype, ModelConfig, ModelFolder, Shape};
use crate::ModelError;
use crate::nn::attention::AttnFunc;
use crate::nn::transformer::TransformerConfig;
use crate::prior::PriorConfig;
use std::collections::BTreeMap;

/// Bytes of a number in memory.
const F32: u64 = 4;

/// What sampling holds at once: the codec and one prior, the largest. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingMemory {
    /// Level of the prior that needs most; none if the model has no priors.
    pub level: Option<usize>,
    /// Its weights: the matrices of its transformer and the output's table in the type asked for, all else as f32.
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

/// Weights of a prior that samples on the CPU.
fn weights(prior: &PriorConfig, dtype: Dtype) -> u64 {
    let (tokens, width) = (prior.vocabulary(), prior.transformer.width);
    // Packed for the output, whether it has a table of its own or shares the input's.
    let head = match dtype {
        Dtype::F32 => F32,
        Dtype::Bf16 => 2,
        Dtype::Int8 => 1,
    } * (tokens * width) as u64;
    let of = |(name, shape): &Shape| match name.as_str() {
        "prior.x_out.weight" => 0,
        name if name.starts_with("prior.transformer.") && name.ends_with(".w") => dtype.bytes(name, shape),
        name => Dtype::F32.bytes(name, shape),
    };
    head + super::prior_shapes(prior).iter().map(of).sum::<u64>()
}

impl ModelFolder {
    /// What sampling so many takes at once needs, with weights of a type; none: as they are stored.
    ///
    /// # Errors
    /// If it is not known how they are stored.
    pub fn sampling_memory(&self, takes: usize, dtype: Option<Dtype>) -> Result<SamplingMemory, ModelError> {
        let config = self.config();
        let stored =
            config.priors.keys().map(|level| Ok((*level, dtype.map_or_else(|| self.stored_dtype(*level), Ok)?)));
        let stored = stored.collect::<Result<BTreeMap<usize, Dtype>, ModelError>>()?;
        Ok(config.sampling_memory(takes, |level| stored.get(&level).copied().unwrap_or_default()))
    }
}

impl ModelConfig {
    /// What sampling so many takes at once needs, with the weights of each level in a type.
    pub fn sampling_memory(&self, takes: usize, dtype: impl Fn(usize) -> Dtype) -> SamplingMemory {
        let takes = takes as u64;
        let widest = self.codec.width * self.codec.multipliers.iter().max().copied().unwrap_or(1);
        let stride = self.codec.strides.first().and_then(|s| s.first()).copied().unwrap_or(1).max(1);
        // Chunks of half a million samples; six tensors of the widest stack at once.
        let decoding = (1 << 19) / stride as u64 * widest as u64 * F32 * 6;
        let codec = F32 * parameter_count(&super::codec_shapes(&self.codec)) + decoding;
        let none = SamplingMemory { level: None, weights: 0, cache: 0, conditions: 0, codec };
        let of = |(level, prior): (&usize, &PriorConfig)| SamplingMemory {
            level: Some(*level),
            weights: weights(prior, dtype(*level)),
            cache: F32 * takes * cache(prior),
            conditions: F32 * takes * 2 * (prior.transformer.width * prior.transformer.context) as u64,
            codec,
        };
        self.priors.iter().map(of).max_by_key(SamplingMemory::total).unwrap_or(none)
    }
}
