//! How far apart two signals sound.

use super::{Stft, StftSettings, log_mel};
use crate::AudioError;

const CONVERGENCE: StftSettings = StftSettings { n_fft: 1024, hop: 256, window_length: 1024 };

/// Mean absolute difference of the two signals' [`log_mel`] spectra, in decades of magnitude (1 is 20 dB).
///
/// The longer signal is cut to the shorter; two signals of which one is empty are 0 apart.
///
/// # Errors
/// The sample rate is 0.
pub fn log_mel_distance(a: &[f32], b: &[f32], sample_rate: u32) -> Result<f64, AudioError> {
    let (a, b) = same_length(a, b);
    let (a, b) = (log_mel(a, sample_rate)?, log_mel(b, sample_rate)?);
    let sum: f64 = a.values.iter().zip(&b.values).map(|(a, b)| f64::from((a - b).abs())).sum();
    Ok(sum / a.values.len().max(1) as f64)
}

/// `‖|STFT(reference)| - |STFT(other)|‖ / ‖|STFT(reference)|‖` in the Frobenius norm (n_fft and window 1024, hop 256):
/// 0 for equal spectra, 1 for silence (Arik, Jun and Diamos 2019, "Fast Spectrogram Inversion").
///
/// The longer signal is cut to the shorter. Against a silent reference it is 0 for silence, else infinite.
///
/// # Errors
/// None for these settings; the transform's own are passed on.
pub fn spectral_convergence(reference: &[f32], other: &[f32]) -> Result<f64, AudioError> {
    let (reference, other) = same_length(reference, other);
    let stft = Stft::new(CONVERGENCE)?;
    let (reference, other) = (stft.magnitude(reference), stft.magnitude(other));
    let pairs = || reference.values.iter().zip(&other.values).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let difference: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    let energy: f64 = pairs().map(|(a, _)| a * a).sum();
    Ok(if difference == 0.0 { 0.0 } else { (difference / energy).sqrt() })
}

fn same_length<'a>(a: &'a [f32], b: &'a [f32]) -> (&'a [f32], &'a [f32]) {
    let length = a.len().min(b.len());
    (a.get(..length).unwrap_or_default(), b.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::sine;
    use super::*;

    #[test]
    fn equal_signals_are_0_apart_and_a_tenth_of_the_level_is_1() {
        // Clicks fill all bands, far above the floor.
        let clicks: Vec<f32> = (0..22_050).map(|n| if n % 300 == 0 { 0.9 } else { 0.0 }).collect();
        let quiet: Vec<f32> = clicks.iter().map(|sample| sample / 10.0).collect();
        assert_eq!(log_mel_distance(&clicks, &clicks, 22_050).unwrap(), 0.0);
        let apart = log_mel_distance(&clicks, &quiet, 22_050).unwrap();
        assert!((apart - 1.0).abs() < 0.01, "{apart}");
        assert_eq!(log_mel_distance(&[], &clicks, 22_050).unwrap(), 0.0);
        assert!(log_mel_distance(&clicks, &quiet, 0).is_err());
    }

    #[test]
    fn convergence_is_relative_to_the_reference() {
        let tone = sine(440.0, 8_000, 22_050);
        let half: Vec<f32> = tone.iter().map(|sample| sample / 2.0).collect();
        let silence = vec![0.0; 8_000];
        assert_eq!(spectral_convergence(&tone, &tone).unwrap(), 0.0);
        assert!((spectral_convergence(&tone, &half).unwrap() - 0.5).abs() < 1e-4);
        assert!((spectral_convergence(&tone, &silence).unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(spectral_convergence(&silence, &silence).unwrap(), 0.0);
        assert!(spectral_convergence(&silence, &tone).unwrap().is_infinite());
    }
}
