//! Decoded tracks in memory: decoding a song anew for every crop would be slower than training.

use crate::DataError;
use orchestrion_audio::{ReadOptions, read, resample};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Full scale of a 16-bit sample.
const FULL_SCALE: f32 = 32_768.0;

/// A decoded track as 16-bit samples: half the memory of f32, and as fine as nearly every recording. Tracks pass
/// through it whether they are kept or not, so what is in memory can't change a crop.
pub(crate) struct Pcm {
    left: Vec<i16>,
    /// Absent if the track, or what is wanted of it, has one channel.
    right: Option<Vec<i16>>,
}

impl Pcm {
    /// Frames.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    fn bytes(&self) -> u64 {
        let right = self.right.as_ref().map_or(0, Vec::len);
        (self.left.len() + right) as u64 * 2
    }

    /// Writes frames from `start` on as `mix * left + (1 - mix) * right`, in `[-1, 1]`. Past the end of the track
    /// `crop` stays as it is.
    pub fn mix_into(&self, crop: &mut [f32], start: usize, mix: f32) {
        let left = self.left.get(start..).unwrap_or_default();
        match &self.right {
            None => {
                for (sample, &left) in crop.iter_mut().zip(left) {
                    *sample = f32::from(left) / FULL_SCALE;
                }
            }
            Some(right) => {
                let right = right.get(start..).unwrap_or_default();
                for ((sample, &left), &right) in crop.iter_mut().zip(left).zip(right) {
                    let mixed = mix * f32::from(left) + (1.0 - mix) * f32::from(right);
                    *sample = mixed / FULL_SCALE;
                }
            }
        }
    }
}

/// Tracks at one sample rate, decoded when first asked for, and kept as long as they fit the memory limit.
pub(crate) struct DecodedTracks {
    paths: Vec<PathBuf>,
    sample_rate: u32,
    stereo: bool,
    memory_limit: u64,
    kept: Mutex<Kept>,
}

struct Kept {
    tracks: Vec<Option<Arc<Pcm>>>,
    bytes: u64,
}

impl DecodedTracks {
    pub fn new(paths: Vec<PathBuf>, sample_rate: u32, stereo: bool, memory_limit: u64) -> Self {
        let kept = Kept { tracks: vec![None; paths.len()], bytes: 0 };
        Self { paths, sample_rate, stereo, memory_limit, kept: Mutex::new(kept) }
    }

    /// A decoded track, and whether it is kept in memory.
    pub fn get(&self, track: usize) -> Result<(Arc<Pcm>, bool), DataError> {
        if let Some(Some(pcm)) = self.kept().tracks.get(track) {
            return Ok((pcm.clone(), true));
        }
        let path = self.paths.get(track).map(PathBuf::as_path);
        let pcm = Arc::new(self.decode(path.unwrap_or(Path::new("")))?);
        let mut kept = self.kept();
        let bytes = kept.bytes.saturating_add(pcm.bytes());
        let fits = bytes <= self.memory_limit;
        // Another thread may have decoded the same track meanwhile.
        if let Some(place @ None) = kept.tracks.get_mut(track)
            && fits
        {
            *place = Some(pcm.clone());
            kept.bytes = bytes;
        }
        Ok((pcm, fits))
    }

    /// Bytes of decoded sound that are kept.
    pub fn bytes(&self) -> u64 {
        self.kept().bytes
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it holds the lock; if it did, the tracks would still be sound.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode(&self, path: &Path) -> Result<Pcm, DataError> {
        let mut clip = read(path, &ReadOptions::default())?;
        if !(self.stereo && clip.channels.len() == 2) {
            clip.channels = vec![clip.mono()];
        }
        let clip = resample(&clip, self.sample_rate)?;
        let mut channels = clip.channels.iter().map(|channel| to_16_bit(channel));
        Ok(Pcm { left: channels.next().unwrap_or_default(), right: channels.next() })
    }
}

fn to_16_bit(samples: &[f32]) -> Vec<i16> {
    // The cast saturates: a sample of 1.0 becomes the largest 16-bit one.
    samples.iter().map(|sample| (sample * FULL_SCALE).round() as i16).collect()
}
