//! Chroma: how much of each of the twelve pitch classes sounds.

use super::{Spectrogram, Stft, StftSettings};
use crate::AudioError;

const CLASSES: usize = 12;
/// Below, neighbouring semitones share a bin; above, there are hardly any fundamentals.
const LOW_HERTZ: f64 = 110.0;
const HIGH_HERTZ: f64 = 5_000.0;
/// MIDI's number of the A of 440 Hz.
const CONCERT_PITCH: f64 = 69.0;

/// Energy per pitch class, C first, scaled so that the strongest of each frame is 1: `[frames, 12]`.
///
/// Frames are about 0.19 s long (a power of two of samples) and start every quarter of that. Tuning is A = 440 Hz in
/// equal temperament; frames of silence are all 0.
///
/// # Errors
/// The sample rate is below 12 Hz or so high that a frame has no transform.
pub fn chroma(samples: &[f32], sample_rate: u32) -> Result<Spectrogram, AudioError> {
    let n_fft = (sample_rate / 6).max(1).checked_next_power_of_two().unwrap_or(u32::MAX) as usize;
    let stft = Stft::new(StftSettings { n_fft, hop: (n_fft / 4).max(1), window_length: n_fft })?;
    let magnitudes = stft.magnitude(samples);
    let bin_width = f64::from(sample_rate) / n_fft as f64;
    let classes: Vec<Option<usize>> = (0..magnitudes.bins).map(|bin| pitch_class(bin as f64 * bin_width)).collect();
    let mut values = Vec::with_capacity(magnitudes.frames * CLASSES);
    for index in 0..magnitudes.frames {
        let mut energies = [0.0_f32; CLASSES];
        for (magnitude, class) in magnitudes.frame(index).iter().zip(&classes) {
            if let Some(energy) = class.and_then(|class| energies.get_mut(class)) {
                *energy += magnitude * magnitude;
            }
        }
        let strongest = energies.iter().copied().fold(0.0, f32::max);
        let scale = if strongest > 0.0 { strongest } else { 1.0 };
        values.extend(energies.iter().map(|energy| energy / scale));
    }
    Ok(Spectrogram { frames: magnitudes.frames, bins: CLASSES, values })
}

fn pitch_class(hertz: f64) -> Option<usize> {
    if !(LOW_HERTZ..=HIGH_HERTZ).contains(&hertz) {
        return None;
    }
    let note = (CONCERT_PITCH + 12.0 * (hertz / 440.0).log2()).round();
    Some(note as usize % CLASSES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::sine;
    use super::*;

    #[test]
    fn notes_land_in_their_class_whatever_the_octave_or_rate() {
        for rate in [22_050, 44_100] {
            for (hertz, class) in [(440.0, 9), (880.0, 9), (261.63, 0), (1_046.5, 0), (329.63, 4), (185.0, 6)] {
                let got = chroma(&sine(hertz, rate as usize, rate), rate).unwrap();
                let frame = got.frame(got.frames / 2);
                assert_eq!(frame[class], 1.0, "{hertz} Hz at {rate}: {frame:?}");
                assert!(frame.iter().sum::<f32>() < 1.2, "{hertz} Hz at {rate}: {frame:?}");
            }
        }
    }

    #[test]
    fn silence_has_no_pitch() {
        assert!(chroma(&[0.0; 9_000], 22_050).unwrap().values.iter().all(|value| *value == 0.0));
        assert!(chroma(&[0.0; 10], 0).is_err());
        assert!(chroma(&[0.0; 10], u32::MAX).is_err());
    }
}
