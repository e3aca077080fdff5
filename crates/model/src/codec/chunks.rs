//! The codec over clips of any length: on the CPU piece by piece on the engine, elsewhere layer by layer, in chunks with
//! enough context that the result is that of the whole.

use super::vqvae::VqVae;
use super::{Codec, CodecSpec, StreamSpec, stream};
use crate::ModelError;
use crate::nn::ops::has_kernels;
use burn::tensor::{Tensor, TensorData};

/// Samples of a chunk, context not counted.
const CHUNK: usize = 1 << 19;

impl VqVae {
    fn level(&self, level: usize) -> Result<(&super::vqvae::Level, usize), ModelError> {
        let hop = self.config().hop_length(level);
        self.levels.get(level).map(|l| (l, hop)).ok_or_else(|| {
            let levels = self.levels.len();
            ModelError::Request(format!(
                "the codec has no level {level}; hint: its levels are 0 to {}",
                levels.saturating_sub(1)
            ))
        })
    }

    /// Samples of a chunk where there are no kernels.
    fn chunk(&self, level: usize) -> Result<Option<usize>, ModelError> {
        let (network, _) = self.level(level)?;
        Ok((!has_kernels(&network.codebook.k.device())).then_some(CHUNK))
    }

    /// With a chunk's length layer by layer, else piece by piece.
    fn encode_in(&self, samples: &[f32], level: usize, chunk: Option<usize>) -> Result<Vec<u32>, ModelError> {
        let (network, hop) = self.level(level)?;
        let total = samples.len() / hop;
        if total == 0 {
            return Err(ModelError::Request(format!(
                "a clip of {} samples is shorter than one token of level {level}; hint: give at least {hop} samples",
                samples.len()
            )));
        }
        let Some(chunk) = chunk else { return stream::encode(network, &samples[..total * hop], hop) };
        let context = network.encoder_radius().div_ceil(hop);
        let device = network.codebook.k.device();
        let mut codes = Vec::with_capacity(total);
        for (from, to, left, right) in chunks(total, (chunk / hop).max(1), context) {
            let part = samples[left * hop..right * hop].to_vec();
            let clip = Tensor::<3>::from_data(TensorData::new(part, [1, 1, (right - left) * hop]), &device);
            let latents = network.encode(clip).narrow(2, from - left, to - from);
            let width = latents.dims()[1];
            let rows = latents.swap_dims(1, 2).reshape([to - from, width]);
            codes.extend(network.codebook.nearest(rows).0.into_iter().map(|c| c as u32));
        }
        Ok(codes)
    }

    fn decode_in(&self, codes: &[u32], level: usize, chunk: Option<usize>) -> Result<Vec<f32>, ModelError> {
        let (network, hop) = self.level(level)?;
        let size = network.codebook.dims()[0];
        if let Some(code) = codes.iter().find(|c| **c as usize >= size) {
            return Err(ModelError::Request(format!(
                "code {code} is outside the codebook of {size} entries of level {level}"
            )));
        }
        let Some(chunk) = chunk else {
            let mut samples = stream::decode(network, codes, hop)?;
            samples.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
            return Ok(samples);
        };
        let context = network.decoder_radius();
        let mut samples = Vec::with_capacity(codes.len() * hop);
        for (from, to, left, right) in chunks(codes.len(), (chunk / hop).max(1), context) {
            let part: Vec<usize> = codes[left..right].iter().map(|c| *c as usize).collect();
            let latents = network.codebook.lookup(&part, [1, part.len()]);
            let audio = network.decode(latents).narrow(2, (from - left) * hop, (to - from) * hop);
            samples.extend(audio.into_data().iter::<f32>().map(|s| s.clamp(-1.0, 1.0)));
        }
        Ok(samples)
    }
}

/// Stretches `from .. to` that cover `0 .. total`, each with what it is computed from, `left .. right`.
fn chunks(total: usize, chunk: usize, context: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..total).step_by(chunk).map(move |from| {
        let to = (from + chunk).min(total);
        (from, to, from.saturating_sub(context), (to + context).min(total))
    })
}

impl Codec for VqVae {
    fn spec(&self) -> CodecSpec {
        let config = self.config();
        CodecSpec {
            sample_rate: config.sample_rate,
            channels: 1,
            streams: (0..config.levels())
                .map(|l| StreamSpec {
                    hop_length: config.hop_length(l),
                    codebooks: 1,
                    codebook_size: config.codebook_size,
                })
                .collect(),
            causal: false,
        }
    }

    fn encode(&self, samples: &[f32], level: usize) -> Result<Vec<u32>, ModelError> {
        self.encode_in(samples, level, self.chunk(level)?)
    }

    fn decode(&self, codes: &[u32], level: usize) -> Result<Vec<f32>, ModelError> {
        self.decode_in(codes, level, self.chunk(level)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::VqVaeConfig;
    use crate::nn::Random;
    use crate::nn::resnet::ResnetConfig;
    use burn::tensor::Device;

    #[test]
    fn pieces_and_chunks_equal_the_whole() {
        let config = VqVaeConfig {
            sample_rate: 8000,
            strides: vec![vec![2, 4], vec![2]],
            embedding_width: 8,
            codebook_size: 16,
            width: 6,
            resnet: ResnetConfig {
                depth: 4,
                hidden: 1.0,
                dilation_growth: 3,
                dilation_cycle: None,
                residual_scale: false,
            },
            multipliers: vec![1, 1],
            reverse_decoder_dilation: true,
        };
        let mut random = Random::new(7);
        let mut codec = config.init(&mut random, &Device::flex()).unwrap();
        for level in &mut codec.levels {
            level.codebook.fill((0..16 * 8).map(|_| random.normal() * 0.2).collect(), 1.0);
        }
        let samples: Vec<f32> = (0..40_000).map(|_| random.normal() * 0.3).collect();
        for level in 0..2 {
            let whole = codec.encode_in(&samples, level, Some(40_000)).unwrap();
            assert_eq!(whole.len(), 40_000 / config.hop_length(level));
            assert_eq!(codec.encode_in(&samples, level, Some(700)).unwrap(), whole, "chunks of level {level}");
            assert_eq!(codec.encode(&samples, level).unwrap(), whole, "pieces of level {level}");
            let sound = codec.decode_in(&whole, level, Some(40_000)).unwrap();
            for made in [codec.decode_in(&whole, level, Some(500)).unwrap(), codec.decode(&whole, level).unwrap()] {
                assert_eq!(made.len(), sound.len());
                for (a, b) in made.iter().zip(&sound) {
                    assert!((a - b).abs() < 1e-6, "decoding level {level}: {a} for {b}");
                }
            }
        }
        assert!(codec.encode(&samples[..7], 1).unwrap_err().to_string().contains("hint"));
        assert!(codec.decode(&[16], 0).unwrap_err().to_string().contains("outside the codebook"));
        assert!(codec.decode(&[1], 2).unwrap_err().to_string().contains("no level 2"));
    }
}
