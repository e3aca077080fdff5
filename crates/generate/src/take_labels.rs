//! Who and what a take sounds like, what is sung in it, and where in the song it begins.

use std::collections::BTreeMap;

use orchestrion_data::lyrics::MAX_LYRICS;
use orchestrion_model::condition::Blend;
use serde::{Deserialize, Serialize};

use crate::RequestError;

/// What a take is told to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeLabels {
    /// Rows of the artist table.
    pub artist: Blend,
    /// Rows of the genre table.
    pub genre: Blend,
    /// Levels whose prior has tables of its own: their rows in place of the two above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<usize, LevelLabels>,
    /// Where in the song the take begins, in seconds: part of the timing label.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset_seconds: f64,
    /// The words of the whole song.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lyrics: Option<Lyrics>,
}

/// Rows of one level's tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelLabels {
    /// Rows of the artist table.
    pub artist: Blend,
    /// Rows of the genre table.
    pub genre: Blend,
}

/// Words of a song.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lyrics {
    /// As they were given.
    pub text: String,
    /// Their tokens in the model's vocabulary.
    pub tokens: Vec<u32>,
}

impl Default for TakeLabels {
    /// Unknown artist, unknown genre, no words, from the song's beginning.
    fn default() -> Self {
        let unknown = vec![(0, 1.0)];
        Self { artist: unknown.clone(), genre: unknown, levels: BTreeMap::new(), offset_seconds: 0.0, lyrics: None }
    }
}

impl TakeLabels {
    /// Artist and genre for the prior of a level.
    pub fn of_level(&self, level: usize) -> (&Blend, &Blend) {
        self.levels.get(&level).map_or((&self.artist, &self.genre), |rows| (&rows.artist, &rows.genre))
    }

    /// Checks what follows from the labels alone; `take` is for messages.
    pub(crate) fn validate(&self, take: usize, level_count: usize) -> Result<(), RequestError> {
        let of_levels = self.levels.values().map(|rows| (&rows.artist, &rows.genre));
        for (artist, genre) in std::iter::once((&self.artist, &self.genre)).chain(of_levels) {
            for (table, blend) in [("artist", artist), ("genre", genre)] {
                if blend.is_empty() || blend.iter().any(|(_, weight)| !weight.is_finite()) {
                    return Err(RequestError::Blend { take, table });
                }
            }
        }
        if let Some(&level) = self.levels.keys().find(|level| **level >= level_count) {
            return Err(RequestError::Level { level, count: level_count });
        }
        match &self.lyrics {
            Some(lyrics) if lyrics.tokens.is_empty() => Err(RequestError::NoLyrics),
            Some(lyrics) if lyrics.tokens.len().max(lyrics.text.chars().count()) > MAX_LYRICS => {
                Err(RequestError::LyricsTooLong)
            }
            _ => Ok(()),
        }
    }
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::{LevelShape, SampleRequest, Session, SongShape};

    #[test]
    fn a_prior_gets_the_labels_of_its_level_and_take() {
        let levels = [32, 128, 256].map(|hop_length| LevelShape { hop_length, codebook_size: 16 });
        let shape = SongShape { sample_rate: 1000, levels: levels.to_vec() };
        let mut request = SampleRequest::new(20.0, 3);
        request.takes = 2;
        request.labels = vec![TakeLabels { artist: vec![(7, 1.0)], ..TakeLabels::default() }; 2];
        request.labels[1] = TakeLabels {
            levels: [(0, LevelLabels { artist: vec![(3, 1.0)], genre: vec![(4, 1.0), (5, 1.0)] })].into(),
            offset_seconds: 6.4,
            lyrics: Some(Lyrics { text: "La".into(), tokens: vec![12, 27] }),
            ..request.labels[0].clone()
        };
        let session = Session::new(request, shape, "", None).unwrap();
        let top = session.labels(2, 1);
        assert_eq!((top.artist, top.genre), (vec![(7, 1.0)], vec![(0, 1.0)]));
        assert_eq!((top.total_length, top.offset, top.lyrics), (26_400, 6400, vec![12, 27]));
        let bottom = session.labels(0, 1);
        assert_eq!((bottom.artist, bottom.genre), (vec![(3, 1.0)], vec![(4, 1.0), (5, 1.0)]));
        let other = session.labels(0, 0);
        assert_eq!((other.artist, other.offset, other.lyrics), (vec![(7, 1.0)], 0, vec![]));
    }

    #[test]
    fn labels_without_words_are_written_as_they_were_before_there_were_words() {
        let text = serde_json::to_string(&TakeLabels::default()).unwrap();
        assert_eq!(text, r#"{"artist":[[0,1.0]],"genre":[[0,1.0]]}"#);
        assert_eq!(serde_json::from_str::<TakeLabels>(&text).unwrap(), TakeLabels::default());
    }

    #[test]
    fn words_and_levels_that_cannot_be_are_refused() {
        let words = |text: &str, count| Some(Lyrics { text: text.into(), tokens: vec![1; count] });
        let refused = |labels: TakeLabels| labels.validate(0, 3).unwrap_err();
        assert_eq!(refused(TakeLabels { lyrics: words("♫", 0), ..TakeLabels::default() }), RequestError::NoLyrics);
        let long = TakeLabels { lyrics: words("", MAX_LYRICS + 1), ..TakeLabels::default() };
        assert_eq!(refused(long), RequestError::LyricsTooLong);
        let rows = LevelLabels { artist: vec![(0, 1.0)], genre: vec![] };
        let bag = TakeLabels { levels: [(1, rows)].into(), ..TakeLabels::default() };
        assert_eq!(refused(bag), RequestError::Blend { take: 0, table: "genre" });
        let rows = LevelLabels { artist: vec![(0, 1.0)], genre: vec![(0, 1.0)] };
        let fourth = TakeLabels { levels: [(3, rows)].into(), ..TakeLabels::default() };
        assert_eq!(refused(fourth), RequestError::Level { level: 3, count: 3 });
    }
}
