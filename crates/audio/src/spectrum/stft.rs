//! The short-time Fourier transform.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use crate::AudioError;

/// Longest transform.
const MAX_N_FFT: usize = 1 << 20;

/// `[frames, bins]` of values, one row a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// Number of frames in time.
    pub frames: usize,
    /// Number of bins in frequency (or mel bands, or pitch classes).
    pub bins: usize,
    /// `frames * bins` values, frame after frame.
    pub values: Vec<f32>,
}

impl Spectrogram {
    /// The values of one frame; empty beyond the last.
    pub fn frame(&self, index: usize) -> &[f32] {
        let start = index.saturating_mul(self.bins);
        self.values.get(start..start.saturating_add(self.bins)).unwrap_or_default()
    }
}

/// The sizes of a short-time Fourier transform, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StftSettings {
    /// Length of the transform.
    pub n_fft: usize,
    /// Step between frames.
    pub hop: usize,
    /// Length of the window, at most `n_fft`; a shorter one is centred in the frame.
    pub window_length: usize,
}

/// A planned transform with a periodic Hann window. Frames are centred: frame `i` looks at sample `i * hop`, and the
/// signal is reflected at its ends. A signal of `n` samples has `1 + n / hop` frames of `n_fft / 2 + 1` bins.
pub struct Stft {
    settings: StftSettings,
    window: Vec<f32>,
    transform: Arc<dyn RealToComplex<f32>>,
}

impl Stft {
    /// Plans the transform.
    ///
    /// # Errors
    /// `n_fft` is not 2 to 2^20, `hop` is 0, or the window is empty or longer than `n_fft`.
    pub fn new(settings: StftSettings) -> Result<Self, AudioError> {
        let bad = |name, value: usize, rule| Err(AudioError::BadSetting { name, value: value as f64, rule });
        let StftSettings { n_fft, hop, window_length } = settings;
        if !(2..=MAX_N_FFT).contains(&n_fft) {
            return bad("n_fft", n_fft, "use 2 to 1048576");
        }
        if hop == 0 {
            return bad("hop", hop, "use at least 1");
        }
        if !(1..=n_fft).contains(&window_length) {
            return bad("window length", window_length, "use 1 to n_fft");
        }
        let mut window = vec![0.0; n_fft];
        let start = (n_fft - window_length) / 2;
        for (n, value) in window.iter_mut().skip(start).take(window_length).enumerate() {
            *value = (0.5 - 0.5 * (TAU * n as f64 / window_length as f64).cos()) as f32;
        }
        let transform = RealFftPlanner::new().plan_fft_forward(n_fft);
        Ok(Self { settings, window, transform })
    }

    /// Absolute values `|STFT|`, not normalised; no frame for no samples.
    pub fn magnitude(&self, samples: &[f32]) -> Spectrogram {
        let (frames, bins) = (self.frames(samples.len()), self.settings.n_fft / 2 + 1);
        let mut values = Vec::with_capacity(frames * bins);
        self.each_frame(samples, |frame| values.extend_from_slice(frame));
        Spectrogram { frames, bins, values }
    }

    /// Frames of so many samples.
    pub(super) fn frames(&self, samples: usize) -> usize {
        if samples == 0 { 0 } else { 1 + samples / self.settings.hop }
    }

    /// Shows the absolute values of each frame, in order.
    pub(super) fn each_frame(&self, samples: &[f32], mut show: impl FnMut(&[f32])) {
        let StftSettings { n_fft, hop, .. } = self.settings;
        let mut values = vec![0.0; n_fft / 2 + 1];
        let mut frame = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        let mut scratch = self.transform.make_scratch_vec();
        for index in 0..self.frames(samples.len()) {
            let start = (index * hop) as isize - (n_fft / 2) as isize;
            for (n, (value, weight)) in frame.iter_mut().zip(&self.window).enumerate() {
                *value = weight * reflected(samples, start + n as isize);
            }
            // The buffers come from the plan, so their lengths fit and this cannot fail.
            let _ = self.transform.process_with_scratch(&mut frame, &mut spectrum, &mut scratch);
            for (value, bin) in values.iter_mut().zip(&spectrum) {
                *value = bin.norm();
            }
            show(&values);
        }
    }
}

/// The signal mirrored at its first and last sample, as often as needed.
fn reflected(samples: &[f32], index: isize) -> f32 {
    let last = samples.len() as isize - 1;
    let index = if (0..=last).contains(&index) || last <= 0 {
        index.clamp(0, last.max(0))
    } else {
        let folded = index.rem_euclid(2 * last);
        folded.min(2 * last - folded)
    };
    samples.get(index as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::sine;
    use super::*;

    #[test]
    fn a_sine_peaks_in_its_bin_with_half_the_windows_sum() {
        let stft = Stft::new(StftSettings { n_fft: 1024, hop: 256, window_length: 1024 }).unwrap();
        let spectrogram = stft.magnitude(&sine(64.0 * 22_050.0 / 1024.0, 8_000, 22_050));
        assert_eq!((spectrogram.frames, spectrogram.bins), (1 + 8_000 / 256, 513));
        for index in 2..28 {
            let frame = spectrogram.frame(index);
            let peak = frame.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
            assert_eq!(peak.0, 64, "frame {index}");
            assert!((peak.1 - 256.0).abs() < 0.05, "frame {index}: {}", peak.1);
            assert!(frame[70] < 0.01, "frame {index} leaks {}", frame[70]);
        }
    }

    #[test]
    fn agrees_with_the_transform_written_out_at_the_reflected_start() {
        let samples: Vec<f32> = (0..40).map(|n| ((n * n) % 17) as f32 - 8.0).collect();
        let stft = Stft::new(StftSettings { n_fft: 16, hop: 5, window_length: 12 }).unwrap();
        let got = stft.magnitude(&samples);
        for frame in 0..got.frames {
            for bin in 0..got.bins {
                let (mut real, mut imaginary) = (0.0, 0.0);
                for n in 2..14 {
                    let mut at = (frame * 5 + n) as i64 - 8;
                    at = if at < 0 { -at } else { at };
                    at = if at > 39 { 78 - at } else { at };
                    let hann = 0.5 - 0.5 * (TAU * (n - 2) as f64 / 12.0).cos();
                    let phase = TAU * (bin * n) as f64 / 16.0;
                    real += hann * f64::from(samples[at as usize]) * phase.cos();
                    imaginary -= hann * f64::from(samples[at as usize]) * phase.sin();
                }
                let ideal = real.hypot(imaginary);
                let value = f64::from(got.frame(frame)[bin]);
                assert!((value - ideal).abs() < 1e-3, "frame {frame}, bin {bin}: {value} is not {ideal}");
            }
        }
    }

    #[test]
    fn short_signals_and_bad_settings_are_safe() {
        let stft = Stft::new(StftSettings { n_fft: 64, hop: 16, window_length: 64 }).unwrap();
        assert_eq!(stft.magnitude(&[]).frames, 0);
        for length in 1..5 {
            let constant = stft.magnitude(&vec![1.0; length]);
            assert_eq!(constant.frames, 1);
            assert!((constant.frame(0)[0] - 32.0).abs() < 1e-3);
        }
        for (n_fft, hop, window_length) in [(1, 1, 1), (64, 0, 64), (64, 16, 65), (64, 16, 0), (1 << 21, 1, 1)] {
            assert!(Stft::new(StftSettings { n_fft, hop, window_length }).is_err());
        }
    }
}
