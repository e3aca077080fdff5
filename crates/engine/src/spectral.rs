//! Distance between magnitude spectrograms, with its gradient: the spectral loss of Jukebox (section 3.2 of the paper).
//!
//! For one clip and one resolution the distance is the Frobenius norm of the difference of the two magnitude
//! spectrograms. Both spectra come from one real FFT a frame; the gradient is the adjoint of that chain.

use crate::EngineError;
use rayon::prelude::*;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex32;
use std::sync::Arc;

/// One resolution of a spectrogram: centred frames, reflected edges, periodic Hann window in the middle of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Points of the Fourier transform.
    pub n_fft: usize,
    /// Samples between frames.
    pub hop: usize,
    /// Samples of the window, at most `n_fft`.
    pub window: usize,
}

impl Resolution {
    /// The window, with zeros around it up to `n_fft` values.
    pub fn window_values(&self) -> Vec<f32> {
        let mut padded = vec![0.0; self.n_fft];
        let left = self.n_fft.saturating_sub(self.window) / 2;
        for (i, w) in padded.iter_mut().skip(left).take(self.window).enumerate() {
            *w = 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / self.window as f32).cos();
        }
        padded
    }
}

/// The paper's three resolutions.
pub const PAPER: [Resolution; 3] = [
    Resolution { n_fft: 2048, hop: 240, window: 1200 },
    Resolution { n_fft: 1024, hop: 120, window: 600 },
    Resolution { n_fft: 512, hop: 50, window: 240 },
];

/// A planned resolution for clips of one length.
struct Plan {
    resolution: Resolution,
    window: Vec<f32>,
    forward: Arc<dyn realfft::RealToComplex<f32>>,
    inverse: Arc<dyn realfft::ComplexToReal<f32>>,
    length: usize,
}

impl Plan {
    fn new(resolution: Resolution, length: usize) -> Result<Self, EngineError> {
        let Resolution { n_fft, hop, window } = resolution;
        if n_fft < 2 || n_fft % 2 != 0 || hop == 0 || window == 0 || window > n_fft {
            return Err(EngineError::Request(format!("a spectrogram cannot have {resolution:?}")));
        }
        if length <= n_fft / 2 {
            return Err(EngineError::Request(format!(
                "a clip of {length} samples is too short for a spectrogram of {n_fft} points; hint: use at least {} samples",
                n_fft / 2 + 1
            )));
        }
        let mut planner = RealFftPlanner::new();
        Ok(Self {
            resolution,
            window: resolution.window_values(),
            forward: planner.plan_fft_forward(n_fft),
            inverse: planner.plan_fft_inverse(n_fft),
            length,
        })
    }

    fn frames(&self) -> usize {
        self.length / self.resolution.hop + 1
    }

    fn bins(&self) -> usize {
        self.resolution.n_fft / 2 + 1
    }

    /// Sample of the clip that stands at place `i` of frame `frame`, reflected at the edges (which are not repeated).
    fn source(&self, frame: usize, i: usize) -> usize {
        let at = (frame * self.resolution.hop + i) as isize - (self.resolution.n_fft / 2) as isize;
        let last = self.length as isize - 1;
        let at = at.abs();
        (if at > last { 2 * last - at } else { at }) as usize
    }

    /// One-sided spectra of all frames, `[frames, bins]`.
    fn spectrum(&self, clip: &[f32]) -> Vec<Complex32> {
        let mut out = vec![Complex32::default(); self.frames() * self.bins()];
        let mut frame = self.forward.make_input_vec();
        let mut scratch = self.forward.make_scratch_vec();
        for (f, out) in out.chunks_exact_mut(self.bins()).enumerate() {
            for (i, (x, w)) in frame.iter_mut().zip(&self.window).enumerate() {
                *x = if *w == 0.0 { 0.0 } else { clip[self.source(f, i)] * w };
            }
            // Lengths are the plan's own, so this cannot fail.
            let _ = self.forward.process_with_scratch(&mut frame, out, &mut scratch);
        }
        out
    }

    /// Adds to `grad` what a gradient of all spectra (in place of `spectrum`'s result) means for the samples.
    fn spectrum_adjoint(&self, spectra: &mut [Complex32], grad: &mut [f32]) {
        let mut frame = self.inverse.make_output_vec();
        let mut scratch = self.inverse.make_scratch_vec();
        let bins = self.bins();
        for (f, spectrum) in spectra.chunks_exact_mut(bins).enumerate() {
            // The inverse transform counts every inner bin twice, and takes the outer ones as real.
            for bin in &mut spectrum[1..bins - 1] {
                *bin *= 0.5;
            }
            spectrum[0].im = 0.0;
            spectrum[bins - 1].im = 0.0;
            let _ = self.inverse.process_with_scratch(spectrum, &mut frame, &mut scratch);
            for (i, (g, w)) in frame.iter().zip(&self.window).enumerate() {
                if *w != 0.0 {
                    grad[self.source(f, i)] += g * w;
                }
            }
        }
    }
}

/// Magnitude spectrogram `[frames, bins]` of one clip, with `length / hop + 1` frames and `n_fft / 2 + 1` bins.
///
/// # Errors
/// If the clip is not longer than half a frame, or the resolution makes no sense.
pub fn magnitudes(clip: &[f32], resolution: Resolution) -> Result<Vec<f32>, EngineError> {
    let plan = Plan::new(resolution, clip.len())?;
    Ok(plan.spectrum(clip).iter().map(|c| c.norm()).collect())
}

/// Distance of each clip of `x` to that of `y` at one resolution, `[batch]`, and its gradient with respect to `x`,
/// `[batch, length]`. The gradient of a magnitude that is zero is taken as zero.
///
/// # Errors
/// If the slices differ in length, are no whole number of clips, or the clips are not longer than half a frame.
pub fn distance(
    x: &[f32],
    y: &[f32],
    length: usize,
    resolution: Resolution,
) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
    let plan = Plan::new(resolution, length)?;
    if x.len() != y.len() || !x.len().is_multiple_of(length) {
        return Err(EngineError::Length { name: "spectrogram target".into(), expected: x.len(), found: y.len() });
    }
    let mut grad = vec![0.0; x.len()];
    let distances = x
        .par_chunks(length)
        .zip(y.par_chunks(length))
        .zip(grad.par_chunks_mut(length))
        .map(|((x, y), grad)| {
            let mut ours = plan.spectrum(x);
            let theirs = plan.spectrum(y);
            let square: f64 = ours.iter().zip(&theirs).map(|(a, b)| f64::from(a.norm() - b.norm()).powi(2)).sum();
            let distance = square.sqrt() as f32;
            for (a, b) in ours.iter_mut().zip(&theirs) {
                let magnitude = a.norm();
                let slope = if magnitude > 0.0 && distance > 0.0 {
                    (magnitude - b.norm()) / (distance * magnitude)
                } else {
                    0.0
                };
                *a *= slope;
            }
            plan.spectrum_adjoint(&mut ours, grad);
            distance
        })
        .collect();
    Ok((distances, grad))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// In double precision first, like the numbers compared with: the slopes tell clips apart that differ by 1e-4.
    fn clip(n: usize, step: f64) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * step).sin() * 0.3 + ((i * i) as f64 * step).cos() * 0.5) as f32).collect()
    }

    #[test]
    fn gradient_is_the_slope_of_the_distance() {
        let resolution = Resolution { n_fft: 64, hop: 10, window: 40 };
        let n = 200;
        let (x, y) = (clip(n, 0.21), clip(n, 0.33));
        let (_, grad) = distance(&x, &y, n, resolution).unwrap();
        // Slopes by central differences of 1e-5 in double precision, with NumPy's FFT.
        let slopes =
            [(0, 0.542_990), (1, 0.295_043), (7, -0.348_856), (100, 0.050_574), (198, -0.946_741), (199, -0.138_692)];
        for (at, slope) in slopes {
            assert!((grad[at] - slope).abs() < 2e-4, "at {at}: {} for {slope}", grad[at]);
        }
    }

    #[test]
    fn a_sine_peaks_in_its_bin() {
        let n = 4096;
        let x: Vec<f32> = (0..n).map(|i| (std::f32::consts::TAU * i as f32 * 8.0 / 64.0).sin()).collect();
        let m = magnitudes(&x, Resolution { n_fft: 64, hop: 16, window: 64 }).unwrap();
        let frame = &m[100 * 33..101 * 33];
        let peak = (0..33).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
        assert_eq!(peak, 8);
        assert!((frame[8] - 16.0).abs() < 1e-3, "a full-scale sine through a Hann window of 64: {}", frame[8]);
    }

    #[test]
    fn equal_clips_have_no_distance_and_short_ones_are_refused() {
        let x = clip(600, 0.1);
        let (d, g) = distance(&x, &x, 600, PAPER[2]).unwrap();
        assert_eq!(d, [0.0]);
        assert!(g.iter().all(|g| *g == 0.0));
        assert!(distance(&x, &x, 600, PAPER[0]).unwrap_err().to_string().contains("hint"));
    }

    /// `cargo test -p orchestrion-engine spectral_speed -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement, not a check"]
    fn spectral_speed() {
        let (x, y) = (clip(4 * 8192, 0.21), clip(4 * 8192, 0.33));
        for resolution in PAPER {
            let seconds = |_| {
                let begun = std::time::Instant::now();
                distance(&x, &y, 8192, resolution).unwrap();
                begun.elapsed().as_secs_f64()
            };
            let best = (0..60).map(seconds).fold(f64::MAX, f64::min);
            let frames = 4 * (8192 / resolution.hop + 1);
            println!("{resolution:?}: {:.2} ms, {:.1} us a frame", best * 1e3, best * 1e6 / frames as f64);
        }
    }
}
