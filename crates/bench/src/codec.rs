//! The finest level of the paper's codec: width 64, depth 8, hop 8, 2,048 entries, 44.1 kHz.

use crate::{BenchError, Of, Row, median};
use burn::tensor::Device;
use orchestrion_model::codec::{Codec, VqVae, VqVaeConfig};
use orchestrion_model::nn::Random;
use orchestrion_model::nn::resnet::ResnetConfig;

const WIDTH: usize = 64;
const DEPTH: usize = 8;
const ENTRIES: usize = 2048;

/// Samples that are encoded and decoded: ten seconds.
const CLIP: usize = 441_000;

/// Its sizes.
pub(crate) fn paper() -> VqVaeConfig {
    VqVaeConfig {
        sample_rate: 44_100,
        strides: vec![vec![2, 2, 2]],
        embedding_width: WIDTH,
        codebook_size: ENTRIES,
        width: WIDTH,
        resnet: resnet(DEPTH, None),
        multipliers: vec![1],
        reverse_decoder_dilation: true,
    }
}

/// A residual stack as the paper's.
pub(crate) fn resnet(depth: usize, dilation_cycle: Option<usize>) -> ResnetConfig {
    ResnetConfig { depth, hidden: 1.0, dilation_growth: 3, dilation_cycle, residual_scale: false }
}

/// Fills the codebook with noise, each entry counting as `count` latents.
pub(crate) fn fill(codec: &mut VqVae, random: &mut Random, count: f32) {
    let entries = (0..ENTRIES * WIDTH).map(|_| random.normal()).collect();
    codec.levels[0].codebook.fill(entries, count);
}

/// Multiply-adds of one sample.
pub(crate) struct Work {
    pub encoder: f64,
    pub decoder: f64,
    /// Finding the nearest entry.
    pub nearest: f64,
}

impl Work {
    /// Residual stacks at a half, a quarter and an eighth of the rate, strided convolutions (the first one of a single
    /// channel), and those at both ends of encoder and decoder.
    pub(crate) fn of_a_sample() -> Self {
        let stack = (DEPTH * 4 * WIDTH * WIDTH) as f64;
        let rates = 0.5 + 0.25 + 0.125;
        let strided = (4 * WIDTH * WIDTH) as f64;
        Self {
            encoder: stack * rates + 0.5 * (4 * WIDTH) as f64 + strided * (0.25 + 0.125) + strided * 0.75 * 0.125,
            decoder: stack * rates + strided * rates + strided * 0.75 * 0.125 + (3 * WIDTH) as f64,
            nearest: (ENTRIES * WIDTH) as f64 / 8.0,
        }
    }
}

fn codec() -> Result<(VqVae, Random), BenchError> {
    let mut random = Random::new(1);
    let mut codec = paper().init(&mut random, &Device::flex())?;
    fill(&mut codec, &mut random, 1.0);
    Ok((codec, random))
}

/// Ten seconds of sound to codes.
///
/// # Errors
/// None that a build of this program should meet.
pub(crate) fn encode() -> Result<Row, BenchError> {
    let (codec, mut random) = codec()?;
    let samples: Vec<f32> = (0..CLIP).map(|_| 0.1 * random.normal()).collect();
    codec.encode(&samples, 0)?;
    let seconds = median(|| drop(codec.encode(&samples, 0)));
    let work = Work::of_a_sample();
    Ok(Row::of(Of::Products, "s/10 s of sound", seconds, 2e-9 * CLIP as f64 * (work.encoder + work.nearest)))
}

/// Ten seconds of codes to sound.
///
/// # Errors
/// None that a build of this program should meet.
pub(crate) fn decode() -> Result<Row, BenchError> {
    let (codec, mut random) = codec()?;
    let codes: Vec<u32> = (0..CLIP / 8).map(|_| (random.uniform() * ENTRIES as f32) as u32 % ENTRIES as u32).collect();
    codec.decode(&codes, 0)?;
    let seconds = median(|| drop(codec.decode(&codes, 0)));
    Ok(Row::of(Of::Products, "s/10 s of sound", seconds, 2e-9 * CLIP as f64 * Work::of_a_sample().decoder))
}
