//! Whether a song goes somewhere and comes back: its similarity to itself, and how its sound keeps through time.

use crate::EvaluateError;
use orchestrion_audio::spectrum::{chroma, log_mel};
use serde::Serialize;

/// Seconds of a frame of the self-similarity.
pub const FRAME_SECONDS: f64 = 0.5;
/// Frames on each side of the boundary that novelty looks at: four seconds.
const KERNEL: usize = 8;
/// Shortest time after which coming back counts, in frames: four seconds.
const SHORTEST_LAG: usize = 8;
/// Seconds of a stretch whose sound is compared with the beginning's.
const STRETCH_SECONDS: f64 = 5.0;

/// Large-scale structure of one song.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Structure {
    /// Seconds measured.
    pub seconds: f64,
    /// How much more alike frames are at the song's best lag of four seconds or more (up to half of the song) than on
    /// average: what recurs.
    pub repetition: f64,
    /// That lag in seconds.
    pub repetition_seconds: f64,
    /// Mean absolute novelty: how much what comes differs from what was, at the scale of four seconds.
    pub novelty: f64,
    /// Correlation of the spectrum of every five seconds with the first five: how the sound keeps. One value a stretch,
    /// the first 1.
    pub coherence: Vec<f64>,
    /// Mean of the above over the second half of the song.
    pub late_coherence: f64,
}

/// Pitch similarity of every half second with every other, `[frames, frames]`, -1 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfSimilarity {
    /// Frames on each side.
    pub frames: usize,
    /// Row after row.
    pub values: Vec<f64>,
}

impl SelfSimilarity {
    /// Cosines between half-second means of chroma, the song's mean taken away (Foote 1999).
    ///
    /// # Errors
    /// If the sample rate is none at which spectra can be taken.
    pub fn of(samples: &[f32], sample_rate: u32) -> Result<Self, EvaluateError> {
        let pitch = chroma(samples, sample_rate)?;
        let n_fft = (sample_rate / 6).max(1).next_power_of_two();
        let a_second = f64::from(sample_rate) / f64::from((n_fft / 4).max(1));
        Ok(Self::new(&pooled(pitch.values.chunks_exact(pitch.bins.max(1)), FRAME_SECONDS * a_second)))
    }

    /// Cosines between rows of equal width, their mean taken away.
    #[must_use]
    pub fn new(rows: &[Vec<f64>]) -> Self {
        let frames = rows.len();
        let width = rows.first().map_or(0, Vec::len);
        let mean: Vec<f64> = (0..width).map(|i| rows.iter().map(|r| r[i]).sum::<f64>() / frames as f64).collect();
        let centred: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| {
                let row: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| x - m).collect();
                let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                row.iter().map(|x| if norm > 1e-9 { x / norm } else { 0.0 }).collect()
            })
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        Self { frames, values: centred.iter().flat_map(|a| centred.iter().map(move |b| dot(a, b))).collect() }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.frames + j]
    }

    /// Mean similarity of frames that are `lag` apart.
    #[must_use]
    pub fn at_lag(&self, lag: usize) -> f64 {
        let count = self.frames.saturating_sub(lag);
        (0..count).map(|i| self.at(i, i + lag)).sum::<f64>() / count.max(1) as f64
    }

    /// Gain of the best lag over the mean of all pairs, and that lag.
    fn repetition(&self) -> (f64, usize) {
        let pairs = self.frames * self.frames.saturating_sub(1);
        let off: f64 = self.values.iter().sum::<f64>() - (0..self.frames).map(|i| self.at(i, i)).sum::<f64>();
        let mean = off / pairs.max(1) as f64;
        let lags = SHORTEST_LAG..=self.frames / 2;
        let best = lags.map(|lag| (self.at_lag(lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or((0.0, 0), |(gain, lag)| (gain - mean, lag))
    }

    /// Checkerboard novelty (Foote 2000) at every frame that has four seconds on each side.
    #[must_use]
    pub fn novelty(&self) -> Vec<f64> {
        let square = |i: usize, j: usize| {
            (i..i + KERNEL).flat_map(|a| (j..j + KERNEL).map(move |b| (a, b))).map(|(a, b)| self.at(a, b)).sum::<f64>()
        };
        (KERNEL..(self.frames + 1).saturating_sub(KERNEL))
            .map(|t| {
                let (before, after, across) = (square(t - KERNEL, t - KERNEL), square(t, t), square(t - KERNEL, t));
                (before + after - 2.0 * across) / (4 * KERNEL * KERNEL) as f64
            })
            .collect()
    }
}

/// Means of rows over stretches of `rows_each`, the rest dropped.
fn pooled<'a>(rows: impl Iterator<Item = &'a [f32]>, rows_each: f64) -> Vec<Vec<f64>> {
    let rows: Vec<&[f32]> = rows.collect();
    let width = rows.first().map_or(0, |r| r.len());
    let edge = |i: usize| (i as f64 * rows_each).round() as usize;
    let stretches = (0..).map(|i| (edge(i), edge(i + 1))).take_while(|(from, to)| to > from && *to <= rows.len());
    let mean = |(from, to): (usize, usize)| {
        (0..width).map(|i| rows[from..to].iter().map(|r| f64::from(r[i])).sum::<f64>() / (to - from) as f64).collect()
    };
    stretches.map(mean).collect()
}

/// Measures one song.
///
/// # Errors
/// If the sample rate is none at which spectra can be taken.
pub fn structure(samples: &[f32], sample_rate: u32) -> Result<Structure, EvaluateError> {
    let similarity = SelfSimilarity::of(samples, sample_rate)?;
    let (repetition, lag) = similarity.repetition();
    let novelty = similarity.novelty();
    let mel = log_mel(samples, sample_rate)?;
    let frames_each = STRETCH_SECONDS * f64::from(sample_rate) / 512.0;
    let spectra = pooled(mel.values.chunks_exact(mel.bins.max(1)), frames_each);
    let coherence: Vec<f64> =
        spectra.iter().map(|s| spectra.first().map_or(0.0, |first| correlation(first, s))).collect();
    let late = &coherence[coherence.len() / 2..];
    Ok(Structure {
        seconds: samples.len() as f64 / f64::from(sample_rate.max(1)),
        repetition,
        repetition_seconds: lag as f64 * FRAME_SECONDS,
        novelty: novelty.iter().fold(0.0, |sum, n| sum + n.abs()) / novelty.len().max(1) as f64,
        late_coherence: late.iter().sum::<f64>() / late.len().max(1) as f64,
        coherence,
    })
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        (ab, aa, bb) = (ab + (x - ma) * (y - mb), aa + (x - ma).powi(2), bb + (y - mb).powi(2));
    }
    ab / (aa * bb).sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use orchestrion_data::Draw;

    const RATE: u32 = 11_025;

    /// Eight seconds of random notes of half a second, `times` times, or new notes every time.
    fn song(times: usize, again: bool) -> Vec<f32> {
        let mut out = Vec::new();
        for time in 0..times {
            let mut draw = Draw::new("notes", 3, if again { 0 } else { time as u64 }, 0);
            for _ in 0..16 {
                let hertz = 220.0 * 2f64.powf(draw.below(12) as f64 / 12.0);
                let note =
                    (0..RATE / 2).map(|i| (std::f64::consts::TAU * hertz * f64::from(i) / f64::from(RATE)).sin());
                out.extend(note.map(|x| 0.5 * x as f32));
            }
        }
        out
    }

    #[test]
    fn what_recurs_is_found_with_its_lag() {
        let again = structure(&song(3, true), RATE).unwrap();
        let never = structure(&song(3, false), RATE).unwrap();
        assert!((again.repetition_seconds - 8.0).abs() < 0.6, "{again:?}");
        assert!(again.repetition > 2.0 * never.repetition, "{} {}", again.repetition, never.repetition);
        assert!(again.late_coherence > 0.95, "{again:?}");
    }

    #[test]
    fn a_change_of_sound_is_new_and_loses_coherence() {
        let mut song = song(2, true);
        let half = song.len() / 2;
        let mut draw = Draw::new("noise", 0, 0, 0);
        song[half..].iter_mut().for_each(|x| *x = 0.3 * (draw.unit() as f32 - 0.5));
        let changed = structure(&song, RATE).unwrap();
        assert!(changed.late_coherence < 0.5, "{changed:?}");
        assert!(structure(&[], RATE).unwrap().coherence.is_empty());
    }
}
