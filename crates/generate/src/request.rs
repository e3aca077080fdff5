//! What to make: lengths, takes, labels, and how each level is sampled.

use orchestrion_model::condition::Labels;
use orchestrion_model::store::Dtype;
use serde::{Deserialize, Serialize};

use crate::{RequestError, SamplerSettings, SongShape, TakeLabels};

/// Longest song unless the request raises the limit, in seconds.
pub const DEFAULT_LIMIT_SECONDS: f64 = 3600.0;
/// Most takes of one request.
pub const MAX_TAKES: usize = 64;
/// Most tokens of a session, all takes and levels together: 1 GB, just below the limit of a token file.
pub const MAX_TOKENS: u64 = 250_000_000;

/// How one level is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelRequest {
    /// How a token is chosen.
    pub sampler: SamplerSettings,
    /// Distance of window starts as a share of the prior's context, in `(0, 1]`. Smaller means more context for each
    /// new token and more work.
    pub hop_fraction: f64,
}

/// Takes of a song to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRequest {
    /// Length to make, prompt included, in seconds; rounded down to whole top-level tokens.
    pub seconds: f64,
    /// Length of the song that the takes pretend to begin: the timing label. `None`: as long as what is made.
    pub song_seconds: Option<f64>,
    /// Longest `seconds` and `song_seconds` that are accepted.
    pub limit_seconds: f64,
    /// How many variants to make, 1 to [`MAX_TAKES`].
    pub takes: usize,
    /// Everything random follows from it.
    pub seed: u64,
    /// How each level is sampled, index = level; one entry for every level of the codec.
    pub sampling: Vec<LevelRequest>,
    /// Levels to make, in any order. A level needs the one above: made too, or given whole.
    pub levels: Vec<usize>,
    /// One entry for all takes, or one a take.
    pub labels: Vec<TakeLabels>,
    /// Most takes that run through a prior at once. Changes memory and speed, never the tokens.
    pub max_batch: usize,
    /// Numbers in which the priors' matrices are held; none: as the model stores them. Other numbers, other tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Dtype>,
}

impl SampleRequest {
    /// One take of every level with Jukebox's settings: temperature 0.99, hop fraction 0.125 at the top, 0.5 below.
    pub fn new(seconds: f64, level_count: usize) -> Self {
        let sampling = (0..level_count).map(|level| LevelRequest {
            sampler: SamplerSettings::default(),
            hop_fraction: if level + 1 == level_count { 0.125 } else { 0.5 },
        });
        Self {
            seconds,
            song_seconds: None,
            limit_seconds: DEFAULT_LIMIT_SECONDS,
            takes: 1,
            seed: 0,
            sampling: sampling.collect(),
            levels: (0..level_count).rev().collect(),
            labels: vec![TakeLabels::default()],
            max_batch: 16,
            weights: None,
        }
    }

    /// Checks every field against its range and against the codec's levels.
    ///
    /// # Errors
    /// A [`RequestError`] that names the field.
    pub fn validate(&self, shape: &SongShape) -> Result<(), RequestError> {
        shape.validate()?;
        self.validate_length(shape)?;
        if self.takes == 0 || self.takes > MAX_TAKES {
            return Err(RequestError::Takes(self.takes));
        }
        if self.max_batch == 0 {
            return Err(RequestError::MaxBatch);
        }
        self.validate_levels(shape.levels.len())?;
        self.validate_labels()?;
        // In floating point, because a raised limit may be anything.
        let rate: f64 = shape.levels.iter().map(|level| f64::from(shape.sample_rate) / level.hop_length as f64).sum();
        let tokens = self.seconds * rate * self.takes as f64;
        if tokens > MAX_TOKENS as f64 { Err(RequestError::TooManyTokens(tokens)) } else { Ok(()) }
    }

    /// Labels of a take for the prior of a level, with the timing in samples.
    pub(crate) fn model_labels(&self, shape: &SongShape, level: usize, take: usize) -> Labels {
        let take = self.take_labels(take);
        let (artist, genre) = take.of_level(level);
        Labels {
            artist: artist.clone(),
            genre: genre.clone(),
            total_length: shape.samples(self.song_seconds.unwrap_or(take.offset_seconds + self.seconds)),
            offset: shape.samples(take.offset_seconds),
            lyrics: take.lyrics.map(|lyrics| lyrics.tokens).unwrap_or_default(),
        }
    }

    /// Labels of a take. Takes beyond the last labels share the first.
    pub fn take_labels(&self, take: usize) -> TakeLabels {
        self.labels.get(take).or(self.labels.first()).cloned().unwrap_or_default()
    }

    fn validate_length(&self, shape: &SongShape) -> Result<(), RequestError> {
        let limit = self.limit_seconds;
        let acceptable = |seconds: f64| seconds > 0.0 && seconds <= limit && seconds.is_finite();
        if !acceptable(self.seconds) {
            return Err(RequestError::Seconds { given: self.seconds, limit });
        }
        if shape.whole_samples(self.seconds) == 0 {
            let shortest = shape.seconds(shape.levels.len() - 1, 1);
            return Err(RequestError::TooShort { given: self.seconds, shortest });
        }
        for TakeLabels { offset_seconds: offset, .. } in &self.labels {
            let end = offset + self.seconds;
            if !(*offset >= 0.0 && end <= limit) {
                return Err(RequestError::Offset { given: *offset, end, limit });
            }
            match self.song_seconds {
                Some(given) if !acceptable(given) || given < end => {
                    return Err(RequestError::SongSeconds { given, end, limit });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn validate_levels(&self, count: usize) -> Result<(), RequestError> {
        if self.sampling.len() != count {
            return Err(RequestError::Sampling { given: self.sampling.len(), levels: count });
        }
        for (level, LevelRequest { sampler, hop_fraction }) in self.sampling.iter().enumerate() {
            sampler.validate().map_err(|source| RequestError::Sampler { level, source })?;
            if !(*hop_fraction > 0.0 && *hop_fraction <= 1.0) {
                return Err(RequestError::HopFraction { level, given: *hop_fraction });
            }
        }
        if self.levels.is_empty() {
            return Err(RequestError::NoLevels);
        }
        match self.levels.iter().enumerate().find(|(i, level)| **level >= count || self.levels[..*i].contains(level)) {
            Some((_, &level)) => Err(RequestError::Level { level, count }),
            None => Ok(()),
        }
    }

    fn validate_labels(&self) -> Result<(), RequestError> {
        if self.labels.len() != 1 && self.labels.len() != self.takes {
            return Err(RequestError::Labels { given: self.labels.len(), takes: self.takes });
        }
        self.labels.iter().enumerate().try_for_each(|(take, labels)| labels.validate(take, self.sampling.len()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::LevelShape;

    fn shape() -> SongShape {
        let levels = [32, 128, 256].map(|hop_length| LevelShape { hop_length, codebook_size: 16 });
        SongShape { sample_rate: 22_050, levels: levels.to_vec() }
    }

    fn refusal(change: impl FnOnce(&mut SampleRequest)) -> RequestError {
        let mut request = SampleRequest::new(20.0, 3);
        request.validate(&shape()).unwrap();
        change(&mut request);
        let error = request.validate(&shape()).unwrap_err();
        assert!(error.to_string().contains("; hint: "), "no hint in: {error}");
        error
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        for seconds in [0.0, -1.0, f64::NAN, 1e9, f64::INFINITY, 3600.1] {
            assert!(matches!(refusal(|r| r.seconds = seconds), RequestError::Seconds { .. }), "{seconds} s");
        }
        assert!(matches!(refusal(|r| r.seconds = 0.01), RequestError::TooShort { .. }));
        for offset in [-1.0, f64::NAN, 3590.0] {
            let error = refusal(|r| r.labels[0].offset_seconds = offset);
            assert!(matches!(error, RequestError::Offset { .. }), "{offset} s");
        }
        let late = |r: &mut SampleRequest| (r.labels[0].offset_seconds, r.song_seconds) = (15.0, Some(30.0));
        assert!(matches!(refusal(late), RequestError::SongSeconds { end: 35.0, .. }));
        for song in [19.0, f64::NAN, 1e9] {
            assert!(matches!(refusal(|r| r.song_seconds = Some(song)), RequestError::SongSeconds { .. }), "{song} s");
        }
        let endless = |r: &mut SampleRequest| (r.seconds, r.limit_seconds) = (1e300, 1e300);
        assert!(matches!(refusal(endless), RequestError::TooManyTokens(_)));
    }

    #[test]
    fn counts_levels_and_labels_out_of_range_are_refused() {
        for takes in [0, 65, usize::MAX] {
            assert_eq!(refusal(|r| r.takes = takes), RequestError::Takes(takes));
        }
        assert_eq!(refusal(|r| r.max_batch = 0), RequestError::MaxBatch);
        assert_eq!(refusal(|r| r.levels.clear()), RequestError::NoLevels);
        assert_eq!(refusal(|r| r.levels = vec![3]), RequestError::Level { level: 3, count: 3 });
        assert_eq!(refusal(|r| r.levels = vec![2, 1, 2]), RequestError::Level { level: 2, count: 3 });
        assert!(matches!(refusal(|r| r.sampling.truncate(2)), RequestError::Sampling { given: 2, levels: 3 }));
        for fraction in [0.0, 1.01, f64::NAN] {
            let error = refusal(|r| r.sampling[1].hop_fraction = fraction);
            assert!(matches!(error, RequestError::HopFraction { level: 1, .. }));
        }
        assert!(matches!(refusal(|r| r.sampling[2].sampler.top_k = Some(0)), RequestError::Sampler { level: 2, .. }));
        assert!(matches!(refusal(|r| r.labels.clear()), RequestError::Labels { given: 0, takes: 1 }));
        let weightless = |r: &mut SampleRequest| r.labels[0].genre[0].1 = f32::NAN;
        assert_eq!(refusal(weightless), RequestError::Blend { take: 0, table: "genre" });
    }

    #[test]
    fn lengths_are_whole_top_tokens() {
        let shape = shape();
        assert_eq!(shape.whole_samples(20.0), 1722 * 256);
        // Seconds computed from tokens must come back to as many tokens.
        for tokens in 1..5000 {
            assert_eq!(shape.whole_samples(shape.seconds(2, tokens)), tokens as u64 * 256);
        }
    }
}
