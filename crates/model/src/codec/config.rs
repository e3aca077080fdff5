//! Sizes of a hierarchical VQ-VAE and weights of its losses.

use crate::ModelError;
use crate::nn::resnet::ResnetConfig;
use orchestrion_engine::spectral::{PAPER, Resolution, magnitudes};
use serde::{Deserialize, Serialize};

/// Sizes of a hierarchical VQ-VAE (Jukebox, section 3 and appendix B).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqVaeConfig {
    /// Samples a second.
    pub sample_rate: u32,
    /// Strides of the down-sampling steps that each level adds to those of the level below it (all even). The paper's
    /// hops of 8, 32 and 128 are `[[2, 2, 2], [2, 2], [2, 2]]`.
    pub strides: Vec<Vec<usize>>,
    /// Channels of a latent vector.
    pub embedding_width: usize,
    /// Entries of each level's codebook.
    pub codebook_size: usize,
    /// Channels of the residual stacks.
    pub width: usize,
    /// Residual stacks.
    pub resnet: ResnetConfig,
    /// Factor on both width and depth for each level.
    pub multipliers: Vec<usize>,
    /// Whether the decoder's stacks have their dilations in reverse order.
    #[serde(default = "yes")]
    pub reverse_decoder_dilation: bool,
}

fn yes() -> bool {
    true
}

impl VqVaeConfig {
    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.strides.len()
    }

    /// Samples for one token of a level.
    pub fn hop_length(&self, level: usize) -> usize {
        self.strides.iter().take(level + 1).flatten().product()
    }

    /// Checks that the sizes can be built.
    ///
    /// # Errors
    /// Names the first field that cannot.
    pub fn validate(&self) -> Result<(), ModelError> {
        let bad = |field, what: String| Err(ModelError::Config { field, what });
        if self.strides.is_empty() || self.strides.len() > 8 {
            return bad(
                "strides",
                format!("{} levels; hint: give one list of strides for each of 1 to 8 levels", self.levels()),
            );
        }
        for stride in self.strides.iter().flatten() {
            if *stride == 0 || stride % 2 != 0 || *stride > 256 {
                return bad("strides", format!("{stride} is no even number from 2 to 256"));
            }
        }
        if self.strides.iter().any(|s| s.is_empty() || s.len() > 12) || self.hop_length(self.levels() - 1) > 1 << 20 {
            return bad("strides", "every level needs 1 to 12 strides, with a product of at most 1048576".into());
        }
        if self.multipliers.len() != self.levels() || self.multipliers.iter().any(|m| *m == 0 || *m > 64) {
            return bad("multipliers", format!("need one number from 1 to 64 for each of {} levels", self.levels()));
        }
        for (field, n, most) in [
            ("width", self.width, 1 << 14),
            ("embedding_width", self.embedding_width, 1 << 14),
            ("codebook_size", self.codebook_size, 1 << 20),
            ("resnet.depth", self.resnet.depth, 256),
            ("resnet.dilation_growth", self.resnet.dilation_growth, 16),
            ("sample_rate", self.sample_rate as usize, 1 << 20),
        ] {
            if n == 0 || n > most {
                return bad(field, format!("{n} is out of range; hint: use a number from 1 to {most}"));
            }
        }
        self.resnet.validate(self.multipliers.iter().copied().max().unwrap_or(1))?;
        let channels = self.resnet.hidden * self.width as f64;
        if !(1.0..=(1 << 20) as f64).contains(&channels) {
            return bad(
                "resnet.hidden",
                format!("{} of {} channels is none, or too many", self.resnet.hidden, self.width),
            );
        }
        Ok(())
    }
}

/// Statistics of the data that bring the losses of different data sets to one scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// Mean absolute sample.
    pub l1: f32,
    /// Variance of the samples.
    pub l2: f32,
    /// Mean Frobenius norm of a crop's magnitude spectrogram (2048 points, hop 256, window 1536).
    pub spectral: f32,
}

/// Resolution of the spectral norm in [`Bandwidth`].
pub const BANDWIDTH_RESOLUTION: Resolution = Resolution { n_fft: 2048, hop: 256, window: 1536 };

/// Weights of the reconstruction losses (Jukebox, section 3.2; the values of its program are the defaults).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of the mean absolute error.
    pub l1: f32,
    /// Weight of the mean square error.
    pub l2: f32,
    /// Weight of the mean of the largest square errors.
    pub linf: f32,
    /// How many errors of a clip count as largest.
    pub linf_k: usize,
    /// Weight of the spectral loss at three resolutions.
    pub multispectral: f32,
    /// Weight of the commitment loss.
    pub commit: f32,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { l1: 0.0, l2: 1.0, linf: 0.02, linf_k: 2048, multispectral: 1.0, commit: 0.02 }
    }
}

/// The three resolutions of the spectral loss.
pub const RESOLUTIONS: [Resolution; 3] = PAPER;

impl Bandwidth {
    /// Statistics over items, each a list of channels of equal length (the paper's program takes stereo crops).
    ///
    /// # Errors
    /// If there is no item, or one is too short for a spectrogram.
    pub fn measure(items: &[Vec<Vec<f32>>]) -> Result<Self, ModelError> {
        let (mut count, mut sum, mut square, mut absolute, mut norms) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
        for item in items {
            for sample in item.iter().flatten().map(|s| f64::from(*s)) {
                count += 1.0;
                sum += sample;
                square += sample * sample;
                absolute += sample.abs();
            }
            let length = item.iter().map(Vec::len).min().unwrap_or(0);
            let scale = 1.0 / item.len().max(1) as f32;
            let mean: Vec<f32> = (0..length).map(|t| item.iter().map(|c| c[t]).sum::<f32>() * scale).collect();
            let magnitudes = magnitudes(&mean, BANDWIDTH_RESOLUTION)?;
            norms += magnitudes.iter().map(|m| f64::from(*m).powi(2)).sum::<f64>().sqrt();
        }
        if count == 0.0 {
            return Err(ModelError::Request("no audio to measure".into()));
        }
        let mean = sum / count;
        // Silence would make the losses infinite: it counts as noise at -100 dB.
        Ok(Self {
            l1: (absolute / count).max(1e-5) as f32,
            l2: (square / count - mean * mean).max(1e-10) as f32,
            spectral: (norms / items.len() as f64).max(1e-5) as f32,
        })
    }
}
