//! How loud a clip is: ITU-R BS.1770-4 (EBU R 128) integrated loudness, peak, RMS, silence and clipping.

use std::f64::consts::PI;

use crate::Clip;

/// Length of a gating block and the step between blocks, in seconds (BS.1770-4, annex 1).
const BLOCK_SECONDS: f64 = 0.4;
const STEP_SECONDS: f64 = 0.1;
/// Gates, in LUFS and in LU below the loudness of what passes the first.
const ABSOLUTE_GATE: f64 = -70.0;
const RELATIVE_GATE: f64 = -10.0;
/// Length of a frame that is counted as silent or not, in seconds, and the RMS below which it is (-60 dBFS).
const FRAME_SECONDS: f64 = 0.05;
const SILENCE_RMS: f64 = 1e-3;
/// The highest 16-bit sample; anything at it or above was clipped.
const FULL_SCALE: f32 = 32_767.0 / 32_768.0;

/// Measures of one clip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Integrated loudness in LUFS; `None` if no 400 ms block is above -70 LUFS.
    pub integrated_lufs: Option<f64>,
    /// Largest absolute sample.
    pub peak: f32,
    /// Root of the mean square of all samples.
    pub rms: f32,
    /// Share of 50 ms frames with an RMS below -60 dBFS, in `[0, 1]`.
    pub silent_share: f32,
    /// Number of samples at or beyond full scale.
    pub clipped_samples: usize,
}

/// Measures `clip`; an empty clip is silent.
pub fn measure_loudness(clip: &Clip) -> Loudness {
    let samples = || clip.channels.iter().flat_map(|channel| channel.iter().copied());
    let count = samples().count().max(1);
    let energy: f64 = samples().map(|sample| f64::from(sample).powi(2)).sum();
    Loudness {
        integrated_lufs: integrated(clip),
        peak: samples().fold(0.0, |peak, sample| peak.max(sample.abs())),
        rms: (energy / count as f64).sqrt() as f32,
        silent_share: silent_share(clip),
        clipped_samples: samples().filter(|sample| sample.abs() >= FULL_SCALE).count(),
    }
}

fn frames_of(seconds: f64, clip: &Clip) -> usize {
    ((seconds * f64::from(clip.sample_rate)).round() as usize).max(1)
}

fn silent_share(clip: &Clip) -> f32 {
    let length = frames_of(FRAME_SECONDS, clip);
    let frames = clip.len().div_ceil(length);
    let silent = (0..frames).filter(|frame| {
        let part = clip.slice(frame * length, (frame + 1) * length);
        let energy: f64 = part.channels.iter().flatten().map(|sample| f64::from(*sample).powi(2)).sum();
        energy < SILENCE_RMS * SILENCE_RMS * (part.len() * part.channels.len()) as f64
    });
    if frames == 0 { 1.0 } else { silent.count() as f32 / frames as f32 }
}

/// Gated loudness over blocks of 400 ms that start every 100 ms (BS.1770-4, equations 4 to 7).
fn integrated(clip: &Clip) -> Option<f64> {
    let steps_per_block = (BLOCK_SECONDS / STEP_SECONDS).round() as usize;
    let step = frames_of(STEP_SECONDS, clip);
    let mut step_power = vec![0.0; clip.len() / step];
    for (index, channel) in clip.channels.iter().enumerate() {
        let weight = channel_weight(index, clip.channels.len());
        let mut weighted = k_weighted(channel, f64::from(clip.sample_rate));
        for power in &mut step_power {
            *power += weight * weighted.by_ref().take(step).map(|sample| sample * sample).sum::<f64>() / step as f64;
        }
    }
    let blocks = step_power.windows(steps_per_block).map(|steps| steps.iter().sum::<f64>() / steps_per_block as f64);
    let audible: Vec<f64> = blocks.filter(|power| lufs(*power) > ABSOLUTE_GATE).collect();
    let gate = lufs(mean(&audible)?) + RELATIVE_GATE;
    let kept: Vec<f64> = audible.into_iter().filter(|power| lufs(*power) > gate).collect();
    mean(&kept).map(lufs)
}

fn lufs(power: f64) -> f64 {
    -0.691 + 10.0 * power.log10()
}

fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

/// BS.1770-4, table 3, in the usual order of channels: surround counts more, the bass channel not at all.
fn channel_weight(index: usize, channels: usize) -> f64 {
    match (channels, index) {
        (6.., 3) => 0.0,
        (5, 3..) | (6.., 4..) => 1.41,
        _ => 1.0,
    }
}

/// The two filters of BS.1770-4, figures 2 and 4, for any sample rate: the tables there are for 48 kHz, so the
/// analogue prototypes behind them are transformed anew.
fn k_weighted(samples: &[f32], rate: f64) -> impl Iterator<Item = f64> {
    let mut head = Biquad::high_shelf(rate, 1_681.974_450_955_533, 3.999_843_853_973_347, 0.707_175_236_955_419_6);
    let mut low_cut = Biquad::high_pass(rate, 38.135_470_876_024_44, 0.500_327_037_323_877_3);
    samples.iter().map(move |sample| low_cut.next(head.next(f64::from(*sample))))
}

/// A second-order filter in transposed direct form II.
struct Biquad {
    forward: [f64; 3],
    feedback: [f64; 2],
    state: [f64; 2],
}

impl Biquad {
    fn high_shelf(rate: f64, hertz: f64, decibels: f64, quality: f64) -> Self {
        let warped = (PI * hertz / rate).tan();
        let high = 10_f64.powf(decibels / 20.0);
        // The exponent fits the band gain of the prototype to the standard's table.
        let band = high.powf(0.499_666_774_154_541_6);
        let norm = 1.0 + warped / quality + warped * warped;
        Self {
            forward: [
                (high + band * warped / quality + warped * warped) / norm,
                2.0 * (warped * warped - high) / norm,
                (high - band * warped / quality + warped * warped) / norm,
            ],
            feedback: [2.0 * (warped * warped - 1.0) / norm, (1.0 - warped / quality + warped * warped) / norm],
            state: [0.0; 2],
        }
    }

    fn high_pass(rate: f64, hertz: f64, quality: f64) -> Self {
        let warped = (PI * hertz / rate).tan();
        let norm = 1.0 + warped / quality + warped * warped;
        Self {
            forward: [1.0, -2.0, 1.0],
            feedback: [2.0 * (warped * warped - 1.0) / norm, (1.0 - warped / quality + warped * warped) / norm],
            state: [0.0; 2],
        }
    }

    fn next(&mut self, input: f64) -> f64 {
        let output = self.forward[0] * input + self.state[0];
        self.state[0] = self.forward[1] * input - self.feedback[0] * output + self.state[1];
        self.state[1] = self.forward[2] * input - self.feedback[1] * output;
        output
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn sine(decibels: f64, seconds: f64, rate: u32) -> Vec<f32> {
        let gain = 10_f64.powf(decibels / 20.0);
        (0..(seconds * f64::from(rate)) as usize)
            .map(|n| (gain * (2.0 * PI * 997.0 * n as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    fn lufs_of(clip: &Clip) -> f64 {
        measure_loudness(clip).integrated_lufs.unwrap()
    }

    #[test]
    fn a_full_scale_997_hz_sine_in_one_channel_is_3_01_lufs_below_full_scale() {
        for rate in [22_050, 44_100, 48_000, 96_000] {
            let got = lufs_of(&Clip::from_mono(sine(0.0, 3.0, rate), rate));
            assert!((got + 3.01).abs() < 0.04, "{got} LUFS at {rate} Hz");
        }
    }

    /// EBU Tech 3341, test cases 1 and 3: stereo at -23 dBFS is -23 LUFS; quiet stretches are gated out.
    #[test]
    fn the_ebu_test_signals_give_minus_23_lufs() {
        let plain = sine(-23.0, 5.0, 48_000);
        let got = lufs_of(&Clip { channels: vec![plain.clone(), plain.clone()], sample_rate: 48_000 });
        assert!((got + 23.0).abs() < 0.1, "{got}");
        let quiet = sine(-36.0, 5.0, 48_000);
        let gated = [quiet.as_slice(), &plain, &plain, &plain, &quiet].concat();
        let got = lufs_of(&Clip { channels: vec![gated.clone(), gated], sample_rate: 48_000 });
        assert!((got + 23.0).abs() < 0.1, "{got}");
    }

    #[test]
    fn levels_silence_and_clipping_are_counted() {
        let mut samples = sine(-6.0206, 1.0, 48_000);
        samples.extend(vec![0.0; 48_000]);
        samples.extend([1.0, -1.0, 2.0]);
        let got = measure_loudness(&Clip::from_mono(samples, 48_000));
        assert_eq!((got.peak, got.clipped_samples), (2.0, 3));
        assert!((got.rms - 0.25).abs() < 1e-3, "{}", got.rms);
        assert!((got.silent_share - 20.0 / 41.0).abs() < 1e-6, "{}", got.silent_share);
        let silent = measure_loudness(&Clip::silence(2, 48_000, 48_000));
        assert_eq!((silent.integrated_lufs, silent.silent_share), (None, 1.0));
        assert_eq!(measure_loudness(&Clip::silence(1, 0, 0)).silent_share, 1.0);
    }
}
