//! Onset strength: where notes begin.

use super::StftSettings;
use super::mel::mel_magnitudes;
use crate::AudioError;

/// Samples between two values of [`onset_strength`].
pub const ONSET_HOP: usize = 256;

const SETTINGS: StftSettings = StftSettings { n_fft: 1024, hop: ONSET_HOP, window_length: 1024 };
const BANDS: usize = 40;
/// Loudness is compressed as `ln(1 + 10 x)`, so that soft onsets count and silence stays 0.
const COMPRESSION: f32 = 10.0;

/// How much louder each of 40 mel bands gets from frame to frame, falls ignored, averaged over the bands: one value
/// every [`ONSET_HOP`] samples, the first 0 (spectral flux; Bello et al. 2005, "A Tutorial on Onset Detection").
///
/// # Errors
/// The sample rate is 0.
pub fn onset_strength(samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, AudioError> {
    let mut mel = mel_magnitudes(samples, sample_rate, SETTINGS, BANDS)?;
    for value in &mut mel.values {
        *value = (COMPRESSION * *value).ln_1p();
    }
    let rise = |index: usize| {
        let (now, before) = (mel.frame(index), mel.frame(index.saturating_sub(1)));
        now.iter().zip(before).map(|(now, before)| (now - before).max(0.0)).sum::<f32>() / BANDS as f32
    };
    Ok((0..mel.frames).map(rise).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::sine;
    use super::*;

    #[test]
    fn onsets_stand_out_where_notes_begin() {
        let mut samples = vec![0.0; 22_050];
        let note = sine(600.0, 4_000, 22_050);
        for start in [5_120, 12_800] {
            samples[start..start + 4_000].copy_from_slice(&note);
        }
        let strength = onset_strength(&samples, 22_050).unwrap();
        assert_eq!(strength.len(), 1 + 22_050 / ONSET_HOP);
        for start in [5_120, 12_800] {
            let frame = start / ONSET_HOP;
            let near = strength[frame - 2..=frame + 2].iter().copied().fold(0.0, f32::max);
            assert!(near > 0.05, "no onset at {start}: {near}");
        }
        assert_eq!(strength[0], 0.0);
        assert!(strength[40..46].iter().all(|value| *value == 0.0));
    }
}
