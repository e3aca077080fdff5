//! Random crops of sound: what a codec sees in training.

use crate::decoded::DecodedTracks;
use crate::parallel::in_parallel;
use crate::token_windows::too_short;
use crate::track_choice::{Candidate, TrackChoice};
use crate::{Balance, DataError, Draw, Entry, Manifest, ShortTracks, Split, normalise};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How stereo becomes mono.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downmix {
    /// The mean of left and right.
    Mean,
    /// `mix * left + (1 - mix) * right` with a mix drawn uniformly from `[0, 1)` for every crop: the augmentation
    /// that Jukebox's codec was trained with. Sound of more than two channels is averaged.
    Random,
}

/// Which crops to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CropSettings {
    /// Samples a second of the crops; tracks are resampled to it.
    pub sample_rate: u32,
    /// Samples in a crop.
    pub length: usize,
    /// Crops of one training step.
    pub batch: usize,
    /// Part of the data set.
    pub split: Split,
    /// Seed of the random crops.
    pub seed: u64,
    /// How tracks are drawn.
    pub balance: Balance,
    /// How stereo becomes mono.
    pub downmix: Downmix,
    /// What becomes of tracks that, by the manifest, are shorter than a crop.
    pub short: ShortTracks,
    /// Bytes of decoded sound to keep in memory; other tracks are decoded for every crop. A minute takes
    /// `120 * sample_rate` bytes, twice that if it is stereo and the down-mix is random.
    pub memory_limit: u64,
}

/// Random crops of the tracks of one split.
pub struct Crops {
    settings: CropSettings,
    sources: Vec<PathBuf>,
    dropped: Vec<PathBuf>,
    padded: usize,
    choice: TrackChoice,
    tracks: DecodedTracks,
}

impl Crops {
    /// Prepares crops of a data set. No sound is decoded yet.
    ///
    /// # Errors
    /// [`DataError::Request`] if the length, the batch or the sample rate is 0, if a track is too short and that is
    /// refused, or if no track is left; [`DataError::Io`] if a sound file is not there.
    pub fn open(manifest: &Manifest, settings: CropSettings) -> Result<Self, DataError> {
        if settings.length == 0 || settings.batch == 0 || settings.sample_rate == 0 {
            return Err(DataError::request(
                format!("{} crops of {} samples at {} Hz", settings.batch, settings.length, settings.sample_rate),
                "choose a batch, a length and a sample rate of at least 1",
            ));
        }
        let seconds = settings.length as f64 / f64::from(settings.sample_rate);
        let is_short = |entry: &&Entry| settings.short != ShortTracks::Use && entry.duration < seconds;
        let of_split = manifest.of_split(settings.split);
        let (short, entries): (Vec<&Entry>, Vec<&Entry>) = of_split.partition(is_short);
        let dropped: Vec<PathBuf> = short.iter().map(|entry| entry.path.clone()).collect();
        if settings.short == ShortTracks::Refuse && !dropped.is_empty() {
            return Err(too_short(&dropped, &format!("crop of {seconds:.2} s")));
        }
        let choice = TrackChoice::new(&candidates(&entries), settings.balance, settings.split, dropped.len())?;
        let paths: Vec<PathBuf> = entries.iter().map(|entry| manifest.audio_path(entry)).collect();
        for path in &paths {
            std::fs::metadata(path).map_err(|source| DataError::io(path, source))?;
        }
        let stereo = settings.downmix == Downmix::Random;
        Ok(Self {
            tracks: DecodedTracks::new(paths, settings.sample_rate, stereo, settings.memory_limit),
            sources: entries.iter().map(|entry| entry.path.clone()).collect(),
            padded: entries.iter().filter(|entry| entry.duration < seconds).count(),
            settings,
            dropped,
            choice,
        })
    }

    /// Tracks in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether no track is in use; never so after [`Crops::open`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Sound files of the tracks in use, as the manifest names them.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(PathBuf::as_path)
    }

    /// Sound files of the tracks that were too short and are left out.
    #[must_use]
    pub fn dropped(&self) -> &[PathBuf] {
        &self.dropped
    }

    /// Tracks in use that, by the manifest, are shorter than a crop: silence follows them.
    #[must_use]
    pub fn padded(&self) -> usize {
        self.padded
    }

    /// Bytes of decoded sound in memory.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.tracks.bytes()
    }

    /// Decodes tracks ahead, on all cores, until all are in memory or the limit is reached. `progress` gets the
    /// number of decoded tracks and of all. Without it, tracks are decoded when a crop first needs them.
    ///
    /// # Errors
    /// [`DataError::Audio`] if a track can't be decoded.
    pub fn preload(&self, mut progress: impl FnMut(usize, usize)) -> Result<(), DataError> {
        let (mut decoded, mut outcome) = (0, Ok(()));
        let decode = |track| self.tracks.get(track).map(|(_, kept)| kept);
        in_parallel(self.len(), decode, |_, result| match result {
            Ok(kept) => {
                decoded += 1;
                progress(decoded, self.len());
                kept
            }
            Err(error) => {
                outcome = Err(error);
                false
            }
        });
        outcome
    }

    /// The crops of one training step, row-major `[batch, samples]`, in `[-1, 1]`. Tracks shorter than a crop are
    /// followed by silence.
    ///
    /// Every crop is a pure function of the settings' seed, the step and the row: whatever steps came before and
    /// whatever is in memory. (It is so for one data set, split and set of settings.)
    ///
    /// # Errors
    /// [`DataError::Audio`] if a track can't be decoded.
    pub fn batch(&self, step: u64) -> Result<Vec<f32>, DataError> {
        // Rows by track: a track that is not kept in memory is decoded once for all of its rows.
        let mut rows_of: BTreeMap<usize, Vec<(usize, Draw)>> = BTreeMap::new();
        for row in 0..self.settings.batch {
            let mut draw = Draw::new("audio crop", self.settings.seed, step, row as u64);
            let track = self.choice.draw(&mut draw);
            rows_of.entry(track).or_default().push((row, draw));
        }
        let jobs: Vec<_> = rows_of.into_iter().collect();
        let mut crops = vec![0.0; self.settings.batch * self.settings.length];
        let mut outcome = Ok(());
        let cut = |job: usize| self.cut(&jobs[job]);
        in_parallel(jobs.len(), cut, |_, result| match result {
            Ok(rows) => {
                for (row, crop) in rows {
                    let start = row * self.settings.length;
                    crops[start..start + self.settings.length].copy_from_slice(&crop);
                }
                true
            }
            Err(error) => {
                outcome = Err(error);
                false
            }
        });
        outcome.map(|()| crops)
    }

    /// The rows that were drawn from one track.
    fn cut(&self, (track, rows): &(usize, Vec<(usize, Draw)>)) -> Result<Vec<(usize, Vec<f32>)>, DataError> {
        let (pcm, _) = self.tracks.get(*track)?;
        let places = pcm.len().saturating_sub(self.settings.length) + 1;
        let cut = |(row, draw): &(usize, Draw)| {
            let mut draw = draw.clone();
            let start = draw.below(places as u64) as usize;
            let mix = draw.unit() as f32;
            let mut crop = vec![0.0; self.settings.length];
            pcm.mix_into(&mut crop, start, mix);
            (*row, crop)
        };
        Ok(rows.iter().map(cut).collect())
    }
}

fn candidates(entries: &[&Entry]) -> Vec<Candidate> {
    let mut artists: BTreeMap<String, u64> = BTreeMap::new();
    let candidate = |entry: &&Entry| {
        let name = entry.artist.as_deref().map(normalise).unwrap_or_default();
        let next = artists.len() as u64;
        Candidate { weight: entry.duration * entry.weight.unwrap_or(1.0), artist: *artists.entry(name).or_insert(next) }
    };
    entries.iter().map(candidate).collect()
}

#[cfg(test)]
mod tests;
