//! A linear-phase low-pass filter.

use std::f64::consts::{PI, TAU};

use crate::Clip;

/// A Blackman window's main lobe, in taps times normalised width: the width of the edge of the filter.
const BLACKMAN_EDGE: f64 = 5.5;
/// The edge is this part of the cutoff wide, centred on it.
const EDGE_WIDTH: f64 = 0.05;
/// Bounds the work per sample where the cutoff is tiny.
const MAX_HALF_TAPS: usize = 8192;
/// Samples that are filtered at a time.
const BLOCK: usize = 2048;

/// Removes what lies above `cutoff` hertz by a windowed-sinc filter (Blackman, about 74 dB down), with no delay.
///
/// A cutoff at or above half the sample rate changes nothing; one of 0, or not a number, gives silence.
pub fn low_pass(clip: &Clip, cutoff: f64) -> Clip {
    let rate = f64::from(clip.sample_rate);
    if cutoff >= rate / 2.0 {
        return clip.clone();
    }
    if cutoff.is_nan() || cutoff <= 0.0 {
        return Clip::silence(clip.channels.len(), clip.len(), clip.sample_rate);
    }
    let taps = design(cutoff / rate);
    let channels = clip.channels.iter().map(|channel| filter(channel, &taps));
    Clip { channels: channels.collect(), sample_rate: clip.sample_rate }
}

/// Symmetric taps with a gain of 1 at 0 Hz; `cutoff` in cycles per sample.
fn design(cutoff: f64) -> Vec<f32> {
    let half = ((BLACKMAN_EDGE / (cutoff * EDGE_WIDTH) / 2.0).ceil() as usize).clamp(1, MAX_HALF_TAPS);
    let taps: Vec<f64> = (0..=2 * half)
        .map(|tap| {
            let time = tap as f64 - half as f64;
            let sinc = if time == 0.0 { 2.0 * cutoff } else { (TAU * cutoff * time).sin() / (PI * time) };
            let phase = TAU * (tap as f64 + 1.0) / (2 * half + 2) as f64;
            sinc * (0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos())
        })
        .collect();
    let gain: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / gain) as f32).collect()
}

fn filter(samples: &[f32], taps: &[f32]) -> Vec<f32> {
    let half = taps.len() / 2;
    let mut padded = vec![0.0; half];
    padded.extend_from_slice(samples);
    padded.resize(samples.len() + 2 * half, 0.0);
    let mut filtered = vec![0.0; samples.len()];
    // Tap by tap over a block that stays in the cache: a sum along samples is vectorised, one along taps is not.
    for (block, outputs) in filtered.chunks_mut(BLOCK).enumerate() {
        for (tap, weight) in taps.iter().enumerate() {
            let inputs = padded.get(block * BLOCK + tap..).unwrap_or_default();
            for (output, input) in outputs.iter_mut().zip(inputs) {
                *output += weight * input;
            }
        }
    }
    filtered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64) -> Clip {
        let samples = (0..8192).map(|n| (TAU * hertz * n as f64 / 22_050.0).sin() as f32).collect();
        Clip::from_mono(samples, 22_050)
    }

    #[test]
    fn keeps_what_is_below_in_place_and_removes_what_is_above() {
        let kept = low_pass(&sine(3_000.0), 4_000.0);
        let gone = low_pass(&sine(5_000.0), 4_000.0);
        assert_eq!(kept.len(), 8192);
        for n in 1_000..7_000 {
            assert!((kept.channels[0][n] - sine(3_000.0).channels[0][n]).abs() < 1e-3, "sample {n} moved");
            assert!(gone.channels[0][n].abs() < 1e-3, "sample {n} leaks");
        }
    }

    #[test]
    fn odd_cutoffs_have_a_meaning() {
        assert_eq!(low_pass(&sine(100.0), 11_025.0), sine(100.0));
        for cutoff in [0.0, -1.0, f64::NAN] {
            assert_eq!(low_pass(&sine(100.0), cutoff), Clip::silence(1, 8192, 22_050));
        }
    }
}
