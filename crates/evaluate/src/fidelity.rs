//! How near one signal is to another, in seven numbers.

use crate::EvaluateError;
use crate::stft_distance::stft_distance;
use orchestrion_audio::spectrum::{chroma, log_mel_distance, onset_strength, spectral_convergence};
use orchestrion_audio::{Clip, measure_loudness};
use serde::Serialize;

/// Differences of a signal from a reference; for several pairs their means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Fidelity {
    /// Mean absolute difference of log10 mel magnitudes.
    pub log_mel: f64,
    /// Spectral convergence plus log magnitude difference, over three resolutions.
    pub stft: f64,
    /// Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019).
    pub si_sdr: f64,
    /// Norm of the difference of magnitude spectrograms over that of the reference's.
    pub convergence: f64,
    /// Loudness difference in LU.
    pub loudness: f64,
    /// Share of frames whose strongest pitch class is the reference's.
    pub chroma: f64,
    /// Correlation of onset strengths.
    pub onset: f64,
}

impl Fidelity {
    /// Compares mono samples with a reference at the same rate; the longer is cut to the shorter.
    ///
    /// # Errors
    /// If the sample rate is none at which spectra can be taken.
    pub fn measure(reference: &[f32], other: &[f32], sample_rate: u32) -> Result<Self, EvaluateError> {
        let n = reference.len().min(other.len());
        let (reference, other) = (&reference[..n], &other[..n]);
        let loudness =
            |x: &[f32]| measure_loudness(&Clip::from_mono(x.to_vec(), sample_rate)).integrated_lufs.unwrap_or(-70.0);
        let (a, b) = (chroma(reference, sample_rate)?, chroma(other, sample_rate)?);
        let strongest = |f: &[f32]| (0..f.len()).max_by(|&i, &j| f[i].total_cmp(&f[j]));
        let frames = a.frames.min(b.frames);
        let agree = (0..frames).filter(|&f| strongest(a.frame(f)) == strongest(b.frame(f))).count();
        Ok(Self {
            log_mel: log_mel_distance(reference, other, sample_rate)?,
            stft: stft_distance(reference, other)?,
            si_sdr: si_sdr(reference, other),
            convergence: spectral_convergence(reference, other)?,
            loudness: loudness(other) - loudness(reference),
            chroma: agree as f64 / frames.max(1) as f64,
            onset: correlation(&onset_strength(reference, sample_rate)?, &onset_strength(other, sample_rate)?),
        })
    }

    fn values(&mut self) -> [&mut f64; 7] {
        let Self { log_mel, stft, si_sdr, convergence, loudness, chroma, onset } = self;
        [log_mel, stft, si_sdr, convergence, loudness, chroma, onset]
    }

    /// Means over pairs; zeros without one.
    #[must_use]
    pub fn mean(mut all: Vec<Self>) -> Self {
        let (mut mean, n) = (Self::default(), all.len() as f64);
        for one in &mut all {
            mean.values().into_iter().zip(one.values()).for_each(|(mean, value)| *mean += *value / n);
        }
        mean
    }
}

/// Scale-invariant signal-to-distortion ratio in dB, without taking means away.
fn si_sdr(reference: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let scale = dot(reference, other) / dot(reference, reference).max(1e-12);
    let signal = scale * scale * dot(reference, reference);
    let distortion: f64 =
        reference.iter().zip(other).map(|(r, o)| (f64::from(*o) - scale * f64::from(*r)).powi(2)).sum();
    10.0 * (signal.max(1e-12) / distortion.max(1e-12)).log10()
}

/// Pearson's.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len().min(b.len()).max(1) as f64;
    let mean = |x: &[f32]| x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - ma, f64::from(*y) - mb);
        (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
    }
    ab / (aa * bb).sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_copy_has_no_distortion_and_noise_of_equal_power_has_0_db() {
        let x: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.1).sin()).collect();
        let double: Vec<f32> = x.iter().map(|v| v * 2.0).collect();
        assert!(si_sdr(&x, &double) > 60.0);
        let noisy: Vec<f32> = x.iter().enumerate().map(|(i, v)| v + (i as f32 * 0.1).cos()).collect();
        assert!(si_sdr(&x, &noisy).abs() < 0.5, "{}", si_sdr(&x, &noisy));
        assert!((correlation(&x, &double) - 1.0).abs() < 1e-9);
    }
}
