//! Any sound file to a [`Clip`], within limits.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::decode::{decode, guarded, open};
use crate::{AudioError, Clip};

/// What a file may ask of this machine before it is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest sound to decode, in seconds.
    pub max_seconds: f64,
    /// Largest file, and largest decoded sound in memory (4 bytes a sample), in bytes.
    pub max_bytes: u64,
    /// Most channels.
    pub max_channels: usize,
    /// Sample rates, in hertz.
    pub sample_rates: RangeInclusive<u32>,
}

impl Default for Limits {
    /// 6 hours, 2 GiB, 16 channels, 1 kHz to 384 kHz.
    fn default() -> Self {
        Self { max_seconds: 6.0 * 3600.0, max_bytes: 2 << 30, max_channels: 16, sample_rates: 1_000..=384_000 }
    }
}

/// Which part of a file to read, and its limits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadOptions {
    /// Where to start, in seconds from the first sample.
    pub offset: f64,
    /// How many seconds to read; all that is left if `None`.
    pub duration: Option<f64>,
    /// What to refuse.
    pub limits: Limits,
}

impl ReadOptions {
    /// `duration` seconds from `offset`, with the default limits.
    pub fn part(offset: f64, duration: f64) -> Self {
        Self { offset, duration: Some(duration), limits: Limits::default() }
    }
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AudioInfo {
    /// Length in seconds. A file that was cut short may claim more than it holds.
    pub duration_seconds: f64,
    /// Frames per second.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: usize,
}

/// Decodes a file, or the part of it that `options` names.
///
/// The part starts and ends on exact samples; only it and a short run-in are decoded where the container can be
/// searched. A file that breaks off gives the sound up to there; packets that cannot be decoded are left out.
/// Samples that are not numbers become 0. The part may be shorter than asked for when the file ends.
///
/// # Errors
/// Every error names the file: it is missing, not a plain file, empty, not sound, holds no sound, is mostly
/// damaged, ends before `offset`, or goes beyond a limit; or `offset` or `duration` is not usable.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Clip, AudioError> {
    let bad_range = |name, value, rule| Err(AudioError::BadRange { path: path.to_owned(), name, value, rule });
    if !(options.offset.is_finite() && options.offset >= 0.0) {
        return bad_range("offset", options.offset, "of at least 0");
    }
    if let Some(duration) = options.duration.filter(|duration| !(duration.is_finite() && *duration > 0.0)) {
        return bad_range("duration", duration, "above 0");
    }
    guarded(path, || decode(path, options))
}

/// What the file's header says, without decoding it; where the header does not tell the length, the packets are
/// counted. Limits do not apply.
///
/// # Errors
/// As for [`read`].
pub fn probe(path: &Path) -> Result<AudioInfo, AudioError> {
    guarded(path, || {
        let mut opened = open(path)?;
        let stated = opened.stated_spec();
        let duration_seconds = match opened.stated_seconds() {
            Some(seconds) if seconds > 0.0 => seconds,
            _ => opened.count_seconds(),
        };
        if duration_seconds <= 0.0 {
            return Err(AudioError::NoSound { path: path.to_owned(), detail: "its length is 0".to_owned() });
        }
        let (sample_rate, channels) = match stated {
            Some(spec) => spec,
            None => {
                let start = decode(path, &ReadOptions::part(0.0, 0.1))?;
                (start.sample_rate, start.channels.len())
            }
        };
        Ok(AudioInfo { duration_seconds, sample_rate, channels })
    })
}
