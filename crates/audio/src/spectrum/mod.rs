//! What a signal holds, by frequency and time.
//!
//! Everything here takes one channel of samples and gives a [`Spectrogram`] or a number.

mod chroma;
mod distance;
mod mel;
mod onset;
mod stft;

pub use chroma::chroma;
pub use distance::{log_mel_distance, spectral_convergence};
pub use mel::{LOG_MEL_FLOOR, MelFilterbank, log_mel};
pub use onset::{ONSET_HOP, onset_strength};
pub use stft::{Spectrogram, Stft, StftSettings};

#[cfg(test)]
pub(crate) fn sine(hertz: f64, frames: usize, rate: u32) -> Vec<f32> {
    (0..frames).map(|n| (std::f64::consts::TAU * hertz * n as f64 / f64::from(rate)).sin() as f32).collect()
}
