//! What a codec hears, second by second: the feature vectors of every distance here.

use crate::EvaluateError;
use orchestrion_model::codec::{Codec, VqVae};

/// Seconds of a window.
pub const WINDOW_SECONDS: f64 = 1.0;

/// The codebook of one level as an embedding of sound.
///
/// A song's tokens become their codebook vectors, each channel in units of its deviation over the codebook; every second
/// of them gives one feature vector, the mean of each channel and its standard deviation less 1. It needs no
/// download, and tokens of a cache are as good as sound. Its values say nothing beside those of another codec or of
/// VGGish: it is always named with model and level.
#[derive(Debug, Clone, PartialEq)]
pub struct CodecFeatures {
    level: usize,
    /// Tokens of a window.
    tokens: usize,
    width: usize,
    /// `[size, width]`, every channel with mean 0 and deviation 1.
    table: Vec<f32>,
}

/// The windows of one song, in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows {
    width: usize,
    values: Vec<f32>,
}

impl Windows {
    /// Feature vectors of `width` values each, one after the other; a rest is dropped.
    #[must_use]
    pub fn new(width: usize, values: Vec<f32>) -> Self {
        Self { width, values }
    }

    /// The feature vectors.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Whether the song was shorter than a window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mean vector; zeros without a window.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / self.len() as f64);
        }
        mean
    }
}

impl CodecFeatures {
    /// The embedding of a level.
    ///
    /// # Errors
    /// If the codec has no such level.
    pub fn new(codec: &VqVae, level: usize) -> Result<Self, EvaluateError> {
        let spec = codec.spec();
        let (Some(stream), Some(network)) = (spec.streams.get(level), codec.levels.get(level)) else {
            return Err(EvaluateError::Nothing(format!(
                "the codec has no level {level}; hint: its levels are 0 to {}",
                spec.streams.len().saturating_sub(1)
            )));
        };
        let [size, width] = network.codebook.dims();
        let all: Vec<usize> = (0..size).collect();
        // One clip of all entries, `[1, width, size]`, turned to rows.
        let entries = network.codebook.lookup(&all, [1, size]).swap_dims(1, 2);
        let mut table: Vec<f32> = entries.into_data().iter::<f32>().collect();
        standardise(&mut table, width);
        let tokens = (WINDOW_SECONDS * f64::from(spec.sample_rate) / stream.hop_length as f64).round().max(1.0);
        Ok(Self { level, tokens: tokens as usize, width, table })
    }

    /// The level whose codebook it is.
    #[must_use]
    pub fn level(&self) -> usize {
        self.level
    }

    /// Windows of a song's tokens at this level; a rest shorter than a window is dropped, tokens that the codebook does
    /// not have count as zeros.
    #[must_use]
    pub fn windows(&self, codes: &[u32]) -> Windows {
        let width = 2 * self.width;
        let mut values = Vec::with_capacity(codes.len() / self.tokens * width);
        let (mut sum, mut square) = (vec![0.0_f64; self.width], vec![0.0_f64; self.width]);
        for window in codes.chunks_exact(self.tokens) {
            sum.fill(0.0);
            square.fill(0.0);
            for code in window {
                let start = *code as usize * self.width;
                let entry = self.table.get(start..start + self.width).unwrap_or_default();
                for ((sum, square), x) in sum.iter_mut().zip(&mut square).zip(entry) {
                    let x = f64::from(*x);
                    *sum += x;
                    *square += x * x;
                }
            }
            let n = window.len() as f64;
            values.extend(sum.iter().map(|s| (s / n) as f32));
            let deviation = |(s, q): (&f64, &f64)| ((q / n - (s / n).powi(2)).max(0.0).sqrt() - 1.0) as f32;
            values.extend(sum.iter().zip(&square).map(deviation));
        }
        Windows { width, values }
    }
}

/// Brings every channel of rows to mean 0 and deviation 1; one that does not vary becomes 0.
fn standardise(rows: &mut [f32], width: usize) {
    let count = (rows.len() / width.max(1)).max(1) as f64;
    for channel in 0..width {
        let values = || rows.iter().skip(channel).step_by(width).map(|x| f64::from(*x));
        let mean = values().sum::<f64>() / count;
        let deviation = (values().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
        rows.iter_mut().skip(channel).step_by(width).for_each(|x| *x = ((f64::from(*x) - mean) * scale) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_mean_and_deviation_of_its_entries() {
        let features = CodecFeatures { level: 0, tokens: 4, width: 1, table: vec![-1.0, 3.0] };
        let windows = features.windows(&[0, 1, 0, 1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(windows.rows().collect::<Vec<_>>(), [&[1.0, 1.0], &[3.0, -1.0]]);
        assert_eq!(windows.mean(), [2.0, 0.0]);
        assert!(features.windows(&[0, 1]).is_empty());
        let mut rows = [1.0, 5.0, 3.0, 5.0];
        standardise(&mut rows, 2);
        assert_eq!(rows, [-1.0, 0.0, 1.0, 0.0]);
    }
}
