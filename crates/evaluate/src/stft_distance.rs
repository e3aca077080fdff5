//! Distance of two signals at three resolutions of time and frequency.

use crate::EvaluateError;
use orchestrion_audio::spectrum::{Stft, StftSettings};

/// The resolutions of Parallel WaveGAN (Yamamoto, Song and Kim 2020, table 1).
const RESOLUTIONS: [StftSettings; 3] = [
    StftSettings { n_fft: 512, hop: 50, window_length: 240 },
    StftSettings { n_fft: 1024, hop: 120, window_length: 600 },
    StftSettings { n_fft: 2048, hop: 240, window_length: 1200 },
];

/// Magnitudes below count as this before the logarithm.
const FLOOR: f32 = 1e-5;

/// Mean over three resolutions of spectral convergence plus mean absolute difference of the natural logarithms of the
/// magnitudes: 0 for equal signals. Signals of equal length; against a silent reference the convergence counts as 0.
///
/// # Errors
/// None for these settings; the transform's own are passed on.
pub fn stft_distance(reference: &[f32], other: &[f32]) -> Result<f64, EvaluateError> {
    let mut sum = 0.0;
    for settings in RESOLUTIONS {
        let stft = Stft::new(settings)?;
        let (a, b) = (stft.magnitude(reference), stft.magnitude(other));
        let (mut difference, mut energy, mut logarithms) = (0.0, 0.0, 0.0);
        for (a, b) in a.values.iter().zip(&b.values) {
            let (a, b) = (a.max(FLOOR), b.max(FLOOR));
            difference += f64::from(a - b).powi(2);
            energy += f64::from(a).powi(2);
            logarithms += f64::from((a.ln() - b.ln()).abs());
        }
        if energy > 0.0 {
            sum += (difference / energy).sqrt() + logarithms / a.values.len() as f64;
        }
    }
    Ok(sum / RESOLUTIONS.len() as f64)
}
