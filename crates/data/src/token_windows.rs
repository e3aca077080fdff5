//! Windows of cached tokens: what a prior sees in training and evaluation.

use crate::lyrics::Vocabulary;
use crate::track_choice::{Candidate, TrackChoice};
use crate::{Balance, DataError, Draw, ShortTracks, Split, TokenCache};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tracks that a message names; the others are counted.
const NAMED: usize = 5;

/// Which windows to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSettings {
    /// Level of the tokens to predict.
    pub level: usize,
    /// Tokens in a window: the prior's context.
    pub context: usize,
    /// Part of the data set.
    pub split: Split,
    /// Seed of the random windows.
    pub seed: u64,
    /// How tracks are drawn.
    pub balance: Balance,
    /// What becomes of tracks shorter than a window.
    pub short: ShortTracks,
    /// Characters in which windows have the words of their tracks; `None`: no words are asked for.
    pub vocabulary: Option<Vocabulary>,
}

/// A window of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWindow {
    /// Index of the track in the cache.
    pub track: usize,
    /// First token, counted from the start of the track. A multiple of the ratio to the level above.
    pub start: usize,
    /// The tokens, `context` of them, or all of a shorter track.
    pub codes: Vec<u32>,
    /// How many of the first tokens an earlier window of [`TokenWindows::sequential`] had already: 0 except
    /// in the last window of a track, which is moved back to end with the track.
    pub seen: usize,
    /// Codes of the level above over exactly the same stretch of audio; `None` for the top level.
    pub upper: Option<Vec<u32>>,
    /// Row of the track's artist.
    pub artist: u32,
    /// Rows of the track's genres.
    pub genres: Vec<u32>,
    /// Length of the track in samples.
    pub total_length: u64,
    /// Where the window begins, in samples from the start of the track.
    pub offset: u64,
    /// Tokens of all words of the track, which its windows share; none where it has none or none were asked for.
    pub lyrics: Arc<[u32]>,
}

struct Track {
    index: usize,
    source: PathBuf,
    codes: Vec<u32>,
    upper: Vec<u32>,
    artist: u32,
    genres: Vec<u32>,
    total_length: u64,
    weight: f64,
    lyrics: Arc<[u32]>,
}

/// All tokens of one level, and of the one above, of one split of a cache, in memory.
pub struct TokenWindows {
    settings: WindowSettings,
    hop_length: usize,
    upper_ratio: Option<usize>,
    tracks: Vec<Track>,
    choice: TrackChoice,
    dropped: Vec<PathBuf>,
}

impl TokenWindows {
    /// Reads the tokens of a split.
    ///
    /// # Errors
    /// [`DataError::Request`] if the codec has no such level, if the context is 0 or no multiple of the ratio to the
    /// level above, if a track of the split is not encoded yet, if a track is too short and that is refused, or if
    /// no track is left. Otherwise as [`TokenCache::read`].
    pub fn load(cache: &TokenCache, settings: WindowSettings) -> Result<Self, DataError> {
        let (hop_length, upper_ratio) = hop_and_ratio(cache, &settings)?;
        refuse_unfinished(cache, settings.split)?;
        let mut tracks = Vec::new();
        let mut dropped = Vec::new();
        for (index, known) in cache.tracks().iter().enumerate() {
            if known.split != settings.split {
                continue;
            }
            let (tokens, total_length) = cache.read(index)?;
            let row = |level| {
                let stream = tokens.level(level).and_then(|stream| stream.row(0, 0));
                stream.unwrap_or_default().to_vec()
            };
            let mut codes = row(settings.level);
            let mut upper = Vec::new();
            if let Some(ratio) = upper_ratio {
                upper = row(settings.level + 1);
                // The rest that has no upper code can't be conditioned on one.
                codes.truncate(upper.len() * ratio);
                upper.truncate(codes.len() / ratio);
                codes.truncate(upper.len() * ratio);
            }
            let too_short = codes.len() < settings.context;
            if codes.is_empty() || (too_short && settings.short != ShortTracks::Use) {
                dropped.push(known.source.clone());
                continue;
            }
            tracks.push(Track {
                index,
                source: known.source.clone(),
                codes,
                upper,
                artist: known.artist,
                genres: known.genres.clone(),
                total_length,
                weight: known.weight,
                lyrics: match (settings.vocabulary, &known.lyrics) {
                    (Some(vocabulary), Some(words)) => vocabulary.tokenise(words).into(),
                    _ => Arc::default(),
                },
            });
        }
        if settings.short == ShortTracks::Refuse && !dropped.is_empty() {
            return Err(too_short(&dropped, &format!("window of {} tokens", settings.context)));
        }
        let candidates: Vec<Candidate> = tracks
            .iter()
            .map(|track| Candidate { weight: track.codes.len() as f64 * track.weight, artist: u64::from(track.artist) })
            .collect();
        Ok(Self {
            choice: TrackChoice::new(&candidates, settings.balance, settings.split, dropped.len())?,
            settings,
            hop_length,
            upper_ratio,
            tracks,
            dropped,
        })
    }

    /// Tracks in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether no track is in use; never so after [`TokenWindows::load`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Sound files of the tracks in use.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        self.tracks.iter().map(|track| track.source.as_path())
    }

    /// Sound files of the tracks that were too short and are left out.
    #[must_use]
    pub fn dropped(&self) -> &[PathBuf] {
        &self.dropped
    }

    /// Tracks in use that have words in the vocabulary asked for.
    #[must_use]
    pub fn sung(&self) -> usize {
        self.tracks.iter().filter(|track| !track.lyrics.is_empty()).count()
    }

    /// Tokens of all tracks in use together, at the level to predict.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tracks.iter().map(|t| t.codes.len() as u64).sum()
    }

    /// Tokens of this level for one of the level above; `None` for the top level.
    #[must_use]
    pub fn upper_ratio(&self) -> Option<usize> {
        self.upper_ratio
    }

    /// A random window: a pure function of the settings' seed, the training step and the row of the batch.
    #[must_use]
    pub fn window(&self, step: u64, row: u64) -> TokenWindow {
        let mut draw = Draw::new("token window", self.settings.seed, step, row);
        // Always inside: the choice has one candidate a track.
        let track = &self.tracks[self.choice.draw(&mut draw)];
        let stride = self.upper_ratio.unwrap_or(1);
        let places = track.codes.len().saturating_sub(self.settings.context) / stride + 1;
        let start = draw.below(places as u64) as usize * stride;
        self.cut(track, start, 0)
    }

    /// The windows of one training step: rows `0 .. batch`.
    #[must_use]
    pub fn batch(&self, step: u64, batch: usize) -> Vec<TokenWindow> {
        (0..batch as u64).map(|row| self.window(step, row)).collect()
    }

    /// All tokens of all tracks, window after window, for evaluation. With [`TokenWindow::seen`] every token can
    /// be counted once.
    pub fn sequential(&self) -> impl Iterator<Item = TokenWindow> {
        let context = self.settings.context;
        self.tracks.iter().flat_map(move |track| {
            let last = track.codes.len().saturating_sub(context);
            (0..track.codes.len()).step_by(context).map(move |wanted| {
                let start = wanted.min(last);
                self.cut(track, start, wanted - start)
            })
        })
    }

    fn cut(&self, track: &Track, start: usize, seen: usize) -> TokenWindow {
        let end = (start + self.settings.context).min(track.codes.len());
        let upper = self.upper_ratio.map(|ratio| {
            let upper = track.upper.get(start / ratio..end / ratio);
            upper.unwrap_or_default().to_vec()
        });
        TokenWindow {
            track: track.index,
            start,
            codes: track.codes.get(start..end).unwrap_or_default().to_vec(),
            seen,
            upper,
            artist: track.artist,
            genres: track.genres.clone(),
            total_length: track.total_length,
            offset: start as u64 * self.hop_length as u64,
            lyrics: Arc::clone(&track.lyrics),
        }
    }
}

/// The level's hop length, and how many of its tokens stand for one of the level above.
fn hop_and_ratio(cache: &TokenCache, settings: &WindowSettings) -> Result<(usize, Option<usize>), DataError> {
    let level = settings.level;
    let hop = |level| {
        let streams = &cache.codec().streams;
        let stream = streams.iter().find(|stream| stream.level == level);
        stream.map(|stream| stream.hop_length)
    };
    let hop_length = hop(level).ok_or_else(|| {
        DataError::request(format!("the token cache has no level {level}"), "0 is the finest level of a codec")
    })?;
    let upper = hop(level + 1);
    if upper.is_some_and(|upper| !upper.is_multiple_of(hop_length)) {
        return Err(DataError::request(
            format!(
                "hop {} of level {} is no multiple of hop {hop_length} of level {level}",
                upper.unwrap_or_default(),
                level + 1
            ),
            "choose a codec whose hops divide each other",
        ));
    }
    let ratio = upper.map(|upper| upper / hop_length);
    let context = settings.context;
    if context == 0 || !context.is_multiple_of(ratio.unwrap_or(1)) {
        return Err(DataError::request(
            format!(
                "a context of {context} tokens at level {level}, where {} stand for one of the level above",
                ratio.unwrap_or(1)
            ),
            "choose a context that is a multiple of that, above 0",
        ));
    }
    Ok((hop_length, ratio))
}

fn refuse_unfinished(cache: &TokenCache, split: Split) -> Result<(), DataError> {
    let missing = cache.missing();
    let mut of_split =
        missing.iter().filter_map(|&index| cache.tracks().get(index)).filter(|track| track.split == split);
    if let Some(first) = of_split.next() {
        return Err(DataError::request(
            format!("{} tracks are not encoded yet, the first is `{}`", of_split.count() + 1, first.source.display()),
            "finish the token cache with `orchestrion data tokenize`",
        ));
    }
    Ok(())
}

/// The error for tracks that are shorter than what is cut of them.
pub(crate) fn too_short(tracks: &[PathBuf], than: &str) -> DataError {
    let names: Vec<String> = tracks.iter().take(NAMED).map(|path| format!("`{}`", path.display())).collect();
    let more = match tracks.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    DataError::request(
        format!("too short for a {than}: {}{more}", names.join(", ")),
        "remove them from the manifest, allow short tracks, or choose a shorter length",
    )
}

#[cfg(test)]
mod tests;
