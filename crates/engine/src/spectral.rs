//! Distance between magnitude spectrograms, with its gradient: the spectral loss of Jukebox (section 3.2 of the paper).
//!
//! For one clip and one resolution the distance is the Frobenius norm of the difference of the two magnitude
//! spectrograms. A frame goes through once: a real FFT of either clip, the difference, and one inverse FFT for the
//! gradient, which is the adjoint of that chain and needs the distance itself only as a factor at the end.

use crate::EngineError;
use rayon::prelude::*;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

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
        for (padded, w) in padded.iter_mut().skip(left).zip(hann(self.window)) {
            *padded = w;
        }
        padded
    }
}

/// The periodic Hann window.
fn hann(length: usize) -> Vec<f32> {
    (0..length).map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / length as f32).cos()).collect()
}

/// The paper's three resolutions.
pub const PAPER: [Resolution; 3] = [
    Resolution { n_fft: 2048, hop: 240, window: 1200 },
    Resolution { n_fft: 1024, hop: 120, window: 600 },
    Resolution { n_fft: 512, hop: 50, window: 240 },
];

/// Transforms by size, planned once for the whole program.
static PLANNER: LazyLock<Mutex<RealFftPlanner<f32>>> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));

/// A planned resolution for clips of one length.
struct Plan {
    resolution: Resolution,
    /// The window without the zeros around it.
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
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
        // A planner that another thread left in a panic is still a planner.
        let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Self {
            resolution,
            window: hann(window),
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

    /// Where the window stands in a frame, and where its begin falls in the clip: before it if negative.
    fn place(&self, frame: usize) -> (usize, isize) {
        let Resolution { n_fft, hop, window } = self.resolution;
        let left = (n_fft - window) / 2;
        (left, (frame * hop + left) as isize - (n_fft / 2) as isize)
    }

    /// The samples under the window of a frame that begins at `begin`, unless some are beyond the clip's edges.
    fn inside(&self, begin: isize) -> Option<Range<usize>> {
        let begin = usize::try_from(begin).ok()?;
        let end = begin + self.window.len();
        (end <= self.length).then_some(begin..end)
    }

    /// The sample that stands at `at`, reflected at the edges (which are not repeated).
    fn reflected(&self, at: isize) -> usize {
        let (at, last) = (at.unsigned_abs(), self.length - 1);
        if at > last { 2 * last - at } else { at }
    }

    /// One-sided spectrum of one frame.
    fn spectrum(&self, clip: &[f32], frame: usize, work: &mut Work, spectrum: &mut [Complex32]) {
        let (left, begin) = self.place(frame);
        work.samples.fill(0.0);
        let samples = work.samples[left..].iter_mut().zip(&self.window);
        if let Some(inside) = self.inside(begin) {
            for ((sample, w), x) in samples.zip(&clip[inside]) {
                *sample = x * w;
            }
        } else {
            for ((sample, w), at) in samples.zip(begin..) {
                *sample = clip[self.reflected(at)] * w;
            }
        }
        // Lengths are the plan's own, so this cannot fail.
        let _ = self.forward.process_with_scratch(&mut work.samples, spectrum, &mut work.scratch);
    }

    /// Adds to `grad` what a gradient of a frame's spectrum (which is used up) means for the samples.
    fn spectrum_adjoint(&self, spectrum: &mut [Complex32], frame: usize, work: &mut Work, grad: &mut [f32]) {
        // The inverse transform counts every inner bin twice, and takes the outer ones as real.
        let last = spectrum.len() - 1;
        for bin in &mut spectrum[1..last] {
            *bin *= 0.5;
        }
        spectrum[0].im = 0.0;
        spectrum[last].im = 0.0;
        let _ = self.inverse.process_with_scratch(spectrum, &mut work.samples, &mut work.scratch);
        let (left, begin) = self.place(frame);
        let samples = work.samples[left..].iter().zip(&self.window);
        if let Some(inside) = self.inside(begin) {
            for ((g, w), grad) in samples.zip(&mut grad[inside]) {
                *grad += g * w;
            }
        } else {
            for ((g, w), at) in samples.zip(begin..) {
                grad[self.reflected(at)] += g * w;
            }
        }
    }

    /// Distance of a clip to another; its gradient is added to `grad`.
    fn distance(&self, x: &[f32], y: &[f32], grad: &mut [f32]) -> f32 {
        let mut work = Work::new(self);
        let (mut ours, mut theirs) = (self.forward.make_output_vec(), self.forward.make_output_vec());
        let mut square = 0.0;
        for frame in 0..self.frames() {
            self.spectrum(x, frame, &mut work, &mut ours);
            self.spectrum(y, frame, &mut work, &mut theirs);
            for (a, b) in ours.iter_mut().zip(&theirs) {
                let magnitude = a.norm_sqr().sqrt();
                let difference = magnitude - b.norm_sqr().sqrt();
                square += f64::from(difference * difference);
                *a *= if magnitude > 0.0 { difference / magnitude } else { 0.0 };
            }
            self.spectrum_adjoint(&mut ours, frame, &mut work, grad);
        }
        // The gradient of the square's half, so far.
        let distance = square.sqrt() as f32;
        let scale = if distance > 0.0 { 1.0 / distance } else { 0.0 };
        for grad in grad {
            *grad *= scale;
        }
        distance
    }
}

/// Room for one transform.
struct Work {
    samples: Vec<f32>,
    scratch: Vec<Complex32>,
}

impl Work {
    fn new(plan: &Plan) -> Self {
        let scratch = plan.forward.get_scratch_len().max(plan.inverse.get_scratch_len());
        Self { samples: plan.forward.make_input_vec(), scratch: vec![Complex32::default(); scratch] }
    }
}

/// Magnitude spectrogram `[frames, bins]` of one clip, with `length / hop + 1` frames and `n_fft / 2 + 1` bins.
///
/// # Errors
/// If the clip is not longer than half a frame, or the resolution makes no sense.
pub fn magnitudes(clip: &[f32], resolution: Resolution) -> Result<Vec<f32>, EngineError> {
    let plan = Plan::new(resolution, clip.len())?;
    let mut work = Work::new(&plan);
    let mut spectrum = plan.forward.make_output_vec();
    let mut magnitudes = vec![0.0; plan.frames() * plan.bins()];
    for (frame, magnitudes) in magnitudes.chunks_exact_mut(plan.bins()).enumerate() {
        plan.spectrum(clip, frame, &mut work, &mut spectrum);
        for (magnitude, bin) in magnitudes.iter_mut().zip(&spectrum) {
            *magnitude = bin.norm_sqr().sqrt();
        }
    }
    Ok(magnitudes)
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
    let clips = x.par_chunks(length).zip(y.par_chunks(length)).zip(grad.par_chunks_mut(length));
    let distances = clips.map(|((x, y), grad)| plan.distance(x, y, grad)).collect();
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
