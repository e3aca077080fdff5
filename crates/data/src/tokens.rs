//! Tokens: what a codec makes of sound, as plain integers.

use crate::DataError;
use serde_json::{Map, Value};

/// Largest codebook of any stream: every code fits a signed 32-bit integer with room to spare.
const LARGEST_CODEBOOK: usize = 1 << 24;
/// Streams that one song may have. Jukebox has three.
const MOST_STREAMS: usize = 16;

/// One level of discrete codes, for one or more clips of equal length.
///
/// The fields are plain data; [`TokenStream::new`] and [`Tokens::new`] check them, and so do saving and loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStream {
    /// Level: 0 is the finest.
    pub level: usize,
    /// Samples of audio that one time step stands for.
    pub hop_length: usize,
    /// Entries of each codebook: codes are below it.
    pub codebook_size: usize,
    /// Clips (takes).
    pub batch: usize,
    /// Codebooks that describe one time step together: 1 for Jukebox, more for residual quantizers.
    pub codebooks: usize,
    /// Time steps.
    pub time: usize,
    /// Codes, row-major `[batch, codebook, time]`.
    pub codes: Vec<u32>,
}

impl TokenStream {
    /// Makes a stream of `[batch, codebook, time]` codes.
    ///
    /// # Errors
    /// [`DataError::Tokens`] if a size is 0 (except `time`), if the number of codes is not
    /// `batch * codebooks * time`, or if a code is outside the codebook.
    pub fn new(
        level: usize,
        hop_length: usize,
        codebook_size: usize,
        [batch, codebooks, time]: [usize; 3],
        codes: Vec<u32>,
    ) -> Result<Self, DataError> {
        let stream = Self { level, hop_length, codebook_size, batch, codebooks, time, codes };
        stream.check()?;
        Ok(stream)
    }

    /// Makes a stream of one codebook from one row of codes a clip.
    ///
    /// # Errors
    /// As [`TokenStream::new`], and if the rows differ in length.
    pub fn from_rows<R: AsRef<[u32]>>(
        level: usize,
        hop_length: usize,
        codebook_size: usize,
        rows: &[R],
    ) -> Result<Self, DataError> {
        let time = rows.first().map_or(0, |row| row.as_ref().len());
        if rows.iter().any(|row| row.as_ref().len() != time) {
            return Err(DataError::Tokens(format!("rows of level {level} differ in length")));
        }
        let codes = rows.iter().flat_map(|row| row.as_ref()).copied().collect();
        Self::new(level, hop_length, codebook_size, [rows.len(), 1, time], codes)
    }

    /// Codes of one codebook of one clip, `time` of them; `None` if there is no such clip or codebook.
    #[must_use]
    pub fn row(&self, batch: usize, codebook: usize) -> Option<&[u32]> {
        if batch >= self.batch || codebook >= self.codebooks {
            return None;
        }
        let start = (batch * self.codebooks + codebook) * self.time;
        self.codes.get(start..start + self.time)
    }

    /// Length of each clip in samples: `time * hop_length`.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.time as u64 * self.hop_length as u64
    }

    pub(crate) fn check(&self) -> Result<(), DataError> {
        let level = self.level;
        self.check_sizes()?;
        let expected = self.batch.checked_mul(self.codebooks).and_then(|rows| rows.checked_mul(self.time));
        if expected != Some(self.codes.len()) {
            return Err(DataError::Tokens(format!(
                "level {level} has {} codes for a shape of [{}, {}, {}]",
                self.codes.len(),
                self.batch,
                self.codebooks,
                self.time
            )));
        }
        if let Some(at) = self.codes.iter().position(|&code| code as usize >= self.codebook_size) {
            return Err(DataError::Tokens(format!(
                "level {level} has code {} at position {at}, outside its codebook of {}",
                self.codes.get(at).copied().unwrap_or_default(),
                self.codebook_size
            )));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), DataError> {
        let sizes = [
            ("hop length", self.hop_length, u32::MAX as usize),
            ("codebook size", self.codebook_size, LARGEST_CODEBOOK),
            ("batch", self.batch, u32::MAX as usize),
            ("number of codebooks", self.codebooks, u32::MAX as usize),
        ];
        for (name, size, most) in sizes {
            if size == 0 || size > most {
                return Err(DataError::Tokens(format!(
                    "level {} has a {name} of {size}, not in 1..={most}",
                    self.level
                )));
            }
        }
        Ok(())
    }
}

/// Token streams of a song or of several takes of it, one stream a level, and what is known about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// Samples a second of the audio that the tokens stand for.
    pub sample_rate: u32,
    /// Streams in ascending order of level. Levels may be missing, as before upsampling.
    pub streams: Vec<TokenStream>,
    /// What made the tokens: labels, seed, settings.
    pub metadata: Map<String, Value>,
}

impl Tokens {
    /// Puts streams together.
    ///
    /// # Errors
    /// [`DataError::Tokens`] if there is no stream, if two have the same level or they are not in ascending order,
    /// if they differ in batch, or if a stream contradicts itself.
    pub fn new(sample_rate: u32, streams: Vec<TokenStream>, metadata: Map<String, Value>) -> Result<Self, DataError> {
        let tokens = Self { sample_rate, streams, metadata };
        tokens.check()?;
        Ok(tokens)
    }

    /// The stream of a level, if there is one.
    #[must_use]
    pub fn level(&self, level: usize) -> Option<&TokenStream> {
        self.streams.iter().find(|stream| stream.level == level)
    }

    /// Clips (takes) in every stream.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.streams.first().map_or(0, |stream| stream.batch)
    }

    pub(crate) fn check(&self) -> Result<(), DataError> {
        if self.sample_rate == 0 {
            return Err(DataError::Tokens("the sample rate is 0".into()));
        }
        if self.streams.is_empty() || self.streams.len() > MOST_STREAMS {
            return Err(DataError::Tokens(format!("{} streams, not 1 to {MOST_STREAMS}", self.streams.len())));
        }
        for (lower, upper) in self.streams.iter().zip(self.streams.iter().skip(1)) {
            if upper.level <= lower.level {
                return Err(DataError::Tokens(format!(
                    "level {} stands after level {}; levels ascend and differ",
                    upper.level, lower.level
                )));
            }
            if upper.batch != lower.batch {
                return Err(DataError::Tokens(format!(
                    "level {} has a batch of {}, level {} of {}",
                    lower.level, lower.batch, upper.level, upper.batch
                )));
            }
        }
        self.streams.iter().try_for_each(TokenStream::check)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn rows_follow_the_layout() {
        let stream = TokenStream::new(0, 8, 12, [2, 2, 3], (0..12).collect()).unwrap();
        assert_eq!(stream.row(0, 1).unwrap(), [3, 4, 5]);
        assert_eq!(stream.row(1, 0).unwrap(), [6, 7, 8]);
        assert_eq!(stream.row(2, 0), None);
        assert_eq!(stream.row(0, 2), None);
        assert_eq!(stream.samples(), 24);
        let rows = TokenStream::from_rows(1, 8, 12, &[[1, 2], [3, 4]]).unwrap();
        assert_eq!((rows.batch, rows.time, rows.row(1, 0).unwrap()), (2, 2, &[3, 4][..]));
    }

    #[test]
    fn contradictions_are_refused() {
        let stream = |level, size, shape, codes: &[u32]| TokenStream::new(level, 8, size, shape, codes.to_vec());
        stream(0, 4, [1, 1, 2], &[0, 4]).unwrap_err();
        stream(0, 4, [1, 1, 3], &[0, 1]).unwrap_err();
        stream(0, 0, [1, 1, 0], &[]).unwrap_err();
        stream(0, 4, [0, 1, 0], &[]).unwrap_err();
        stream(0, 4, [u32::MAX as usize, u32::MAX as usize, 2], &[]).unwrap_err();
        let good = |level, batch| stream(level, 4, [batch, 1, 1], &vec![0; batch]).unwrap();
        let tokens = |streams| Tokens::new(22_050, streams, Map::new());
        tokens(vec![]).unwrap_err();
        tokens(vec![good(1, 1), good(0, 1)]).unwrap_err();
        tokens(vec![good(1, 1), good(1, 1)]).unwrap_err();
        tokens(vec![good(0, 1), good(1, 2)]).unwrap_err();
        let both = tokens(vec![good(0, 2), good(2, 2)]).unwrap();
        assert_eq!((both.batch(), both.level(2).unwrap().level), (2, 2));
        assert!(both.level(1).is_none());
    }
}
