//! Audio fingerprints: whether two recordings share a stretch of the very same sound (Chromaprint).

use crate::EvaluateError;
use orchestrion_audio::Clip;
use rusty_chromaprint::{Configuration, Fingerprinter, match_fingerprints};
use serde::Serialize;

/// Bits of a code of 32 that differ, on average, in a stretch that counts as the same sound. Unrelated music differs in
/// half of them.
const MOST_DIFFERENT: f64 = 10.0;

/// The fingerprint of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<u32>);

/// A stretch that two recordings share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shared {
    /// Second of the first.
    pub at: f64,
    /// Second of the second.
    pub other_at: f64,
    /// Length in seconds.
    pub seconds: f64,
    /// Mean number of different bits of 32: 0 for the same sound.
    pub different_bits: f64,
}

fn configuration() -> Configuration {
    Configuration::preset_test2()
}

impl Fingerprint {
    /// Takes the fingerprint of a clip.
    ///
    /// # Errors
    /// If it has a sample rate below 1 kHz, or too many channels.
    pub fn of(clip: &Clip) -> Result<Self, EvaluateError> {
        let mut printer = Fingerprinter::new(&configuration());
        printer.start(clip.sample_rate, 1).map_err(|e| {
            EvaluateError::Nothing(format!("no fingerprint at {} Hz: {e}; hint: use 8000 Hz or more", clip.sample_rate))
        })?;
        let samples: Vec<i16> = clip.mono().iter().map(|x| (32767.0 * x.clamp(-1.0, 1.0)) as i16).collect();
        printer.consume(&samples);
        printer.finish();
        Ok(Self(printer.fingerprint().to_vec()))
    }

    /// Stretches that sound the same in another recording, the longest first.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Vec<Shared> {
        let configuration = configuration();
        // Refuses only fingerprints of more than 49 hours.
        let found = match_fingerprints(&self.0, &other.0, &configuration).unwrap_or_default();
        let mut found: Vec<Shared> = found
            .iter()
            .filter(|segment| segment.score < MOST_DIFFERENT)
            .map(|segment| Shared {
                at: f64::from(segment.start1(&configuration)),
                other_at: f64::from(segment.start2(&configuration)),
                seconds: f64::from(segment.duration(&configuration)),
                different_bits: segment.score,
            })
            .collect();
        found.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use orchestrion_data::Draw;

    fn tune(seed: u64, seconds: u32) -> Clip {
        let rate = 11_025;
        let mut samples = Vec::new();
        for beat in 0..4 * seconds {
            let mut draw = Draw::new("tune", seed, u64::from(beat), 0);
            let notes: Vec<f64> = (0..3).map(|_| 220.0 * 2f64.powf(draw.below(24) as f64 / 12.0)).collect();
            let sine = |i: u32, hertz: &f64| (std::f64::consts::TAU * hertz * f64::from(i) / f64::from(rate)).sin();
            samples.extend((0..rate / 4).map(|i| 0.2 * notes.iter().map(|hertz| sine(i, hertz)).sum::<f64>() as f32));
        }
        Clip::from_mono(samples, rate)
    }

    #[test]
    fn a_stretch_of_another_song_is_found_with_its_place_though_noise_lies_over_it() {
        let (song, other) = (tune(1, 30), tune(2, 30));
        let mut mixed = other.channels[0].clone();
        let rate = other.sample_rate as usize;
        let mut draw = Draw::new("hiss", 0, 0, 0);
        for (to, from) in mixed[10 * rate..22 * rate].iter_mut().zip(&song.channels[0][5 * rate..17 * rate]) {
            *to = 0.7 * from + 0.02 * (draw.unit() as f32 - 0.5);
        }
        let of = |clip: &Clip| Fingerprint::of(clip).unwrap();
        let shared = of(&Clip::from_mono(mixed, other.sample_rate)).shared(&of(&song));
        let first = shared.first().unwrap();
        assert!(first.seconds > 6.0 && (first.at - first.other_at - 5.0).abs() < 1.0, "{shared:?}");
        let chance = of(&other).shared(&of(&song));
        assert!(chance.iter().all(|s| s.seconds < first.seconds / 2.0), "{chance:?}");
    }
}
