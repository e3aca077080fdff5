//! Sound files and what can be measured in them, with no tensors in sight.
//!
//! A [`Clip`] is sound in memory: planar `f32` samples, one vector a channel, and a sample rate in hertz.
//!
//! | module | what it does |
//! |---|---|
//! | [`clip`] | the clip, down-mixing and slicing |
//! | [`read`](mod@read) | any sound file -> clip, with limits; what a file's header tells |
//! | [`tags`] | title, artist and the like: their names, and reading them from a file |
//! | [`write`](mod@write) | clip -> 16-bit WAV or FLAC with tags, in memory or as a file that is whole or absent |
//! | [`resample`](mod@resample) | clip -> clip at another sample rate |
//! | [`loudness`] | integrated loudness, peak, RMS, silence, clipping |
//! | [`spectrum`] | STFT, mel, distances between spectra, chroma, onsets |
//! | [`low_pass`](mod@low_pass) | a linear-phase low-pass filter |
//! | [`peaks`] | the waveform overview a page draws |
//!
//! Every error is an [`AudioError`]. Files are untrusted: whatever their bytes, reading returns sound or an
//! error that names the file.

pub mod clip;
mod decode;
pub mod error;
pub mod loudness;
pub mod low_pass;
pub mod peaks;
pub mod read;
pub mod resample;
mod riff_info;
pub mod spectrum;
pub mod tags;
pub mod write;

pub use clip::Clip;
pub use error::AudioError;
pub use loudness::{Loudness, measure_loudness};
pub use low_pass::low_pass;
pub use peaks::{Peak, waveform_peaks};
pub use read::{AudioInfo, Limits, ReadOptions, probe, read};
pub use resample::resample;
pub use tags::{Tags, read_tags};
pub use write::{encode_flac, encode_wav, write};
