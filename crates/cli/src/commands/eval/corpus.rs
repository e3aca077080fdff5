//! The tokens of a training set, and of what was held back from it, in memory.

use crate::failure::Failure;
use orchestrion_data::{CachedStream, Split, TokenCache};
use orchestrion_evaluate::features::{CodecFeatures, Windows};
use orchestrion_model::store::ModelFolder;
use std::path::Path;

/// A token cache with the tokens of all its training and test tracks.
pub struct Corpus {
    /// The cache.
    pub cache: TokenCache,
    /// Numbers of the tracks that models learnt from.
    pub train: Vec<usize>,
    /// Numbers of those that were held back for the test.
    pub test: Vec<usize>,
    /// `[track][level]`; empty for tracks of no interest.
    codes: Vec<Vec<Vec<u32>>>,
}

impl Corpus {
    /// Reads the tokens, which a codec of the model's sizes must have made. A codec with other weights is only noted: the
    /// same one stored as bf16 has another identity and makes almost the same tokens.
    pub fn open(path: &Path, folder: &ModelFolder) -> Result<Self, Failure> {
        let cache = TokenCache::open(path)?;
        let (known, config) = (cache.codec(), &folder.config().codec);
        let fits =
            |s: &CachedStream| s.hop_length == config.hop_length(s.level) && s.codebook_size == config.codebook_size;
        if known.sample_rate != config.sample_rate
            || known.streams.len() != config.levels()
            || !known.streams.iter().all(fits)
        {
            return Err(Failure::usage(format!(
                "the tokens of `{}` are of another codec; hint: encode the recordings with `orchestrion data tokenize`",
                path.display()
            )));
        }
        if known.fingerprint != folder.codec_fingerprint()? {
            eprintln!(
                "note: the tokens were made by a codec of the same sizes with other weights (f32 and bf16 of one differ)"
            );
        }
        let of = |split| (0..cache.tracks().len()).filter(|&t| cache.tracks()[t].split == split).collect();
        let (train, test): (Vec<usize>, Vec<usize>) = (of(Split::Train), of(Split::Test));
        if train.is_empty() || test.is_empty() {
            return Err(Failure::usage(format!(
                "`{}` has {} training and {} test tracks; hint: both are needed, see `orchestrion data scan --test`",
                path.display(),
                train.len(),
                test.len()
            )));
        }
        let mut codes = vec![Vec::new(); cache.tracks().len()];
        for &track in train.iter().chain(&test) {
            let (tokens, _) = cache.read(track)?;
            let row = |level| tokens.level(level).and_then(|s| s.row(0, 0)).unwrap_or_default().to_vec();
            codes[track] = (0..cache.codec().streams.len()).map(row).collect();
        }
        Ok(Self { cache, train, test, codes })
    }

    /// Tokens of a track.
    pub fn codes(&self, track: usize, level: usize) -> &[u32] {
        self.codes.get(track).and_then(|levels| levels.get(level)).map_or(&[], Vec::as_slice)
    }

    /// The training tracks with their numbers.
    pub fn training(&self, level: usize) -> impl Iterator<Item = (usize, &[u32])> {
        self.train.iter().map(move |&t| (t, self.codes(t, level)))
    }

    /// Feature windows of tracks.
    pub fn windows(&self, tracks: &[usize], features: &CodecFeatures) -> Vec<Windows> {
        tracks.iter().map(|&t| features.windows(self.codes(t, features.level()))).collect()
    }

    /// Tokens of `seconds` at a level.
    pub fn tokens_of(&self, seconds: f64, level: usize) -> usize {
        let codec = self.cache.codec();
        let hop = codec.streams.get(level).map_or(1, |s| s.hop_length);
        (seconds * f64::from(codec.sample_rate) / hop as f64) as usize
    }

    /// At most `seconds` from the middle of a track.
    pub fn middle(&self, track: usize, level: usize, seconds: f64) -> &[u32] {
        let (codes, wanted) = (self.codes(track, level), self.tokens_of(seconds, level));
        let start = codes.len().saturating_sub(wanted) / 2;
        codes.get(start..codes.len().min(start + wanted)).unwrap_or_default()
    }

    /// At most `count` of the tracks, spread evenly.
    pub fn spread(tracks: &[usize], count: usize) -> Vec<usize> {
        tracks.iter().step_by(tracks.len().div_ceil(count.max(1)).max(1)).copied().collect()
    }

    /// Artist and title of a track, as far as they are known.
    pub fn name(&self, track: usize) -> String {
        let source = self.cache.tracks().get(track).map(|t| t.source.clone()).unwrap_or_default();
        source.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}
