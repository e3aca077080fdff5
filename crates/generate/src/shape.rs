//! The levels of a song: hop lengths, codebooks, and lengths in whole tokens.

use orchestrion_model::codec::CodecSpec;
use serde::{Deserialize, Serialize};

use crate::RequestError;

/// One level's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelShape {
    /// Samples of audio for one token.
    pub hop_length: usize,
    /// Number of different tokens.
    pub codebook_size: usize,
}

/// What a codec's tokens are, as far as making them goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SongShape {
    /// Samples a second.
    pub sample_rate: u32,
    /// Levels, finest first: index = level, the last is the top.
    pub levels: Vec<LevelShape>,
}

impl SongShape {
    /// Shape of a codec's streams.
    ///
    /// # Errors
    /// If a stream has more than one codebook, or as [`SongShape::validate`].
    pub fn of(spec: &CodecSpec) -> Result<Self, RequestError> {
        if let Some(level) = spec.streams.iter().position(|stream| stream.codebooks != 1) {
            return Err(RequestError::Shape(format!("level {level} has several codebooks for a time step")));
        }
        let levels =
            spec.streams.iter().map(|s| LevelShape { hop_length: s.hop_length, codebook_size: s.codebook_size });
        let shape = Self { sample_rate: spec.sample_rate, levels: levels.collect() };
        shape.validate()?;
        Ok(shape)
    }

    /// Checks that the levels nest.
    ///
    /// # Errors
    /// If there is no level, a rate or size is 0, a codebook is beyond 2^32, or a hop length is no multiple of the
    /// next finer one.
    pub fn validate(&self) -> Result<(), RequestError> {
        let wrong = |what: String| Err(RequestError::Shape(what));
        if self.sample_rate == 0 || self.levels.is_empty() {
            return wrong("it has no sample rate or no level".into());
        }
        for (level, shape) in self.levels.iter().enumerate() {
            if shape.hop_length == 0 || shape.codebook_size == 0 || u32::try_from(shape.codebook_size).is_err() {
                let LevelShape { hop_length, codebook_size } = shape;
                return wrong(format!("level {level} has hop length {hop_length} and codebook size {codebook_size}"));
            }
        }
        for (level, pair) in self.levels.windows(2).enumerate() {
            if let [fine, coarse] = pair
                && (coarse.hop_length <= fine.hop_length || !coarse.hop_length.is_multiple_of(fine.hop_length))
            {
                return wrong(format!(
                    "the hop length {} of level {} is no multiple of the {} of level {level}",
                    coarse.hop_length,
                    level + 1,
                    fine.hop_length
                ));
            }
        }
        Ok(())
    }

    /// Tokens of `level` for one of the level above; `None` for the top level and beyond.
    pub fn ratio(&self, level: usize) -> Option<usize> {
        let (fine, coarse) = (self.levels.get(level)?, self.levels.get(level + 1)?);
        Some(coarse.hop_length / fine.hop_length)
    }

    /// Samples of `seconds` of audio, to the nearest.
    pub fn samples(&self, seconds: f64) -> u64 {
        (seconds * f64::from(self.sample_rate)).round() as u64
    }

    /// Samples of `seconds` of audio, rounded down to whole top-level tokens: then every level has whole tokens, and
    /// every token of an upper level has all of its finer ones.
    pub fn whole_samples(&self, seconds: f64) -> u64 {
        let hop = self.levels.last().map_or(1, |top| top.hop_length as u64);
        self.samples(seconds) / hop * hop
    }

    /// Seconds of audio for `tokens` of `level`.
    pub fn seconds(&self, level: usize, tokens: usize) -> f64 {
        let hop = self.levels.get(level).map_or(0, |shape| shape.hop_length);
        hop as f64 * tokens as f64 / f64::from(self.sample_rate)
    }
}
