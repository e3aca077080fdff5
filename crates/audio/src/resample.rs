//! A [`Clip`] at another sample rate.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use crate::{AudioError, Clip};

/// Frames of the slower rate in one transform: enough for a steep filter, few enough for little pre-echo.
const FRAMES_PER_TRANSFORM: usize = 1024;
/// Transforms grow with the rates when these share no divisor; this bounds them.
const MAX_RATE: u32 = 1_536_000;

/// Resamples by a band-limited transform, with no delay: the result has `round(len * sample_rate / old)` frames.
///
/// A clip that already has the rate is copied.
///
/// # Errors
/// One of the two rates is 0 or above 1.536 MHz.
pub fn resample(clip: &Clip, sample_rate: u32) -> Result<Clip, AudioError> {
    let refuse =
        |detail| AudioError::BadClip { action: "resampled", detail, hint: "use a rate such as 22050 or 44100" };
    if clip.sample_rate == sample_rate && sample_rate > 0 {
        return Ok(clip.clone());
    }
    if let Some(rate) = [clip.sample_rate, sample_rate].into_iter().find(|rate| !(1..=MAX_RATE).contains(rate)) {
        return Err(refuse(format!("{rate} Hz is not usable as a sample rate")));
    }
    let (frames, channels) = (clip.len(), clip.channels.len());
    if frames == 0 {
        return Ok(Clip::silence(channels, 0, sample_rate));
    }
    let expected = expected_frames(frames, clip.sample_rate, sample_rate);
    let mut resampler = Fft::<f32>::new_custom(
        clip.sample_rate as usize,
        sample_rate as usize,
        frames_per_transform(clip.sample_rate as usize, sample_rate as usize),
        1,
        channels,
        WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .map_err(|error| refuse(error.to_string()))?;
    let input =
        SequentialSliceOfVecs::new(&clip.channels, channels, frames).map_err(|error| refuse(error.to_string()))?;
    let interleaved =
        resampler.process_all(&input, frames, None).map_err(|error| refuse(error.to_string()))?.take_data();
    let resampled = (0..channels).map(|channel| {
        let mut samples: Vec<f32> =
            interleaved.iter().skip(channel).step_by(channels).take(expected).copied().collect();
        samples.resize(expected, 0.0);
        samples
    });
    Ok(Clip { channels: resampled.collect(), sample_rate })
}

/// Input frames of one transform: an even number of the shortest stretches that are whole at both rates. Half a
/// transform is the filter's delay, and it is taken off in whole frames: an odd one would leave half a frame.
fn frames_per_transform(from: usize, to: usize) -> usize {
    let divisor = greatest_common_divisor(from, to);
    let stretches = FRAMES_PER_TRANSFORM.div_ceil(from.min(to) / divisor).next_multiple_of(2);
    stretches * (from / divisor)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn expected_frames(frames: usize, from: u32, to: u32) -> usize {
    let (frames, from, to) = (frames as u128, u128::from(from), u128::from(to));
    ((frames * to + from / 2) / from) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn sine(hertz: f64, frames: usize, rate: u32) -> Vec<f32> {
        (0..frames).map(|n| (0.5 * (std::f64::consts::TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    #[test]
    fn a_sine_stays_the_same_sine_with_no_delay() {
        for (from, to) in [(44_100, 22_050), (48_000, 22_050), (22_050, 44_100), (8_000, 22_050), (44_100, 44_101)] {
            let clip = Clip { channels: vec![sine(997.0, 20_000, from), sine(440.0, 20_000, from)], sample_rate: from };
            let got = resample(&clip, to).unwrap();
            assert_eq!(got.len(), expected_frames(20_000, from, to), "{from} to {to}");
            assert_eq!((got.channels.len(), got.sample_rate), (2, to));
            for (channel, hertz) in got.channels.iter().zip([997.0, 440.0]) {
                let ideal = sine(hertz, channel.len(), to);
                let middle = 2_000..channel.len() - 2_000;
                let worst = middle.map(|n| (channel[n] - ideal[n]).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-4, "{from} to {to}, {hertz} Hz: off by {worst}");
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        let high = Clip::from_mono(sine(15_000.0, 20_000, 44_100), 44_100);
        let got = resample(&high, 22_050).unwrap();
        let middle = &got.channels[0][1_000..9_000];
        assert!(middle.iter().all(|sample| sample.abs() < 1e-4));
    }

    #[test]
    fn short_clips_have_the_exact_length_and_bad_rates_are_errors() {
        for frames in [0, 1, 7, 1023, 1025] {
            let clip = Clip::silence(1, frames, 48_000);
            assert_eq!(resample(&clip, 22_050).unwrap().len(), expected_frames(frames, 48_000, 22_050));
        }
        for (from, to) in [(0, 22_050), (22_050, 0), (0, 0), (22_050, u32::MAX)] {
            let error = resample(&Clip::silence(1, 5, from), to).unwrap_err().to_string();
            assert!(error.contains("resampled") && error.contains("hint:"), "{error}");
        }
    }
}
