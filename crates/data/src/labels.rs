//! Label tables: artists and genres as numbers.

use crate::near::nearest;
use crate::{DataError, Manifest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Name of row 0 of both tables: what has no label.
pub const UNKNOWN: &str = "unknown";

/// Lower case, without space around, every other space single: the form in which names are compared and kept.
#[must_use]
pub fn normalise(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Names of artists and genres; the index of a name is its row in a model's embedding table. Row 0 is "unknown".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelTable {
    /// Artists, normalised.
    pub artists: Vec<String>,
    /// Genres, normalised.
    pub genres: Vec<String>,
}

impl Default for LabelTable {
    /// A table that knows nobody.
    fn default() -> Self {
        Self { artists: vec![UNKNOWN.into()], genres: vec![UNKNOWN.into()] }
    }
}

impl LabelTable {
    /// The names of a data set's training tracks, in alphabetical order after "unknown". Names that only tracks
    /// held back for validation or test have are left out: a model could not learn them.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let train = || manifest.entries.iter().filter(|entry| entry.is_train());
        Self {
            artists: numbered(train().filter_map(|entry| entry.artist.as_deref())),
            genres: numbered(train().flat_map(|entry| entry.genre.iter().map(String::as_str))),
        }
    }

    /// Checks a table that was read from a file.
    ///
    /// # Errors
    /// [`DataError::Request`] if a list does not begin with "unknown", or has a name twice or not normalised.
    pub fn check(&self) -> Result<(), DataError> {
        for (kind, names) in [("artist", &self.artists), ("genre", &self.genres)] {
            let refuse = |what: String| {
                DataError::request(
                    format!("table of {kind}s: {what}"),
                    "a table begins with `unknown`; its names are lower case and differ",
                )
            };
            if names.first().is_none_or(|name| name != UNKNOWN) {
                return Err(refuse(format!("the first name is not `{UNKNOWN}`")));
            }
            let mut seen = BTreeSet::new();
            for name in names {
                if *name != normalise(name) || name.is_empty() || !seen.insert(name) {
                    return Err(refuse(format!("`{name}` is there twice or not normalised")));
                }
            }
        }
        Ok(())
    }

    /// Row of an artist.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`], with the nearest names.
    pub fn artist(&self, name: &str) -> Result<u32, DataError> {
        find("artist", &self.artists, name)
    }

    /// Row of a genre.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`], with the nearest names.
    pub fn genre(&self, name: &str) -> Result<u32, DataError> {
        find("genre", &self.genres, name)
    }

    /// Rows of the artists of a blend such as `a:0.7,b:0.3`, with weights of sum 1. See [`LabelTable::genre_blend`].
    ///
    /// # Errors
    /// [`DataError::Blend`] if the text can't be read, [`DataError::UnknownLabel`] with the nearest names.
    pub fn artist_blend(&self, text: &str) -> Result<Vec<(u32, f32)>, DataError> {
        blend("artist", &self.artists, text)
    }

    /// Rows of the genres of a blend such as `a:0.7,b:0.3`, with weights of sum 1.
    ///
    /// A single name has weight 1, and so has, before weights are brought to a sum of 1, every name without a
    /// weight. Text that as a whole is a name of the table is that name, colons and commas included.
    ///
    /// # Errors
    /// [`DataError::Blend`] if the text can't be read, [`DataError::UnknownLabel`] with the nearest names.
    pub fn genre_blend(&self, text: &str) -> Result<Vec<(u32, f32)>, DataError> {
        blend("genre", &self.genres, text)
    }

    /// Row of a track's artist; 0 if it has none or the table does not know it.
    #[must_use]
    pub fn artist_or_unknown(&self, name: Option<&str>) -> u32 {
        name.and_then(|name| position(&self.artists, name)).unwrap_or(0)
    }

    /// Rows of a track's genres that the table knows; `[0]` if there is none.
    #[must_use]
    pub fn genres_or_unknown(&self, names: &[String]) -> Vec<u32> {
        let mut rows: Vec<u32> = names.iter().filter_map(|name| position(&self.genres, name)).collect();
        rows.sort_unstable();
        rows.dedup();
        if rows.is_empty() {
            rows.push(0);
        }
        rows
    }
}

fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let known: BTreeSet<String> = names.map(normalise).filter(|name| !name.is_empty() && name != UNKNOWN).collect();
    std::iter::once(UNKNOWN.to_string()).chain(known).collect()
}

fn position(names: &[String], name: &str) -> Option<u32> {
    let name = normalise(name);
    let row = names.iter().position(|known| *known == name)?;
    u32::try_from(row).ok()
}

fn find(kind: &'static str, names: &[String], name: &str) -> Result<u32, DataError> {
    position(names, name).ok_or_else(|| DataError::UnknownLabel {
        kind,
        name: name.trim().to_string(),
        near: nearest(&normalise(name), names.iter()),
    })
}

fn blend(kind: &'static str, names: &[String], text: &str) -> Result<Vec<(u32, f32)>, DataError> {
    let whole = position(names, text).map(|row| vec![row]);
    crate::blend::blend(text, whole, |name| Ok(vec![find(kind, names, name)?]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::{Entry, Split};

    fn table() -> LabelTable {
        let mut manifest = Manifest::default();
        let artists = [" Miles  Davis", "Obsidian Shell", "AC:DC", "Tyler, The Creator", "miles davis", "Nina"];
        for artist in artists {
            let mut entry = Entry::new("x", 1.0, 8000);
            entry.artist = Some(artist.into());
            entry.genre = vec!["Jazz".into(), "Rock".into(), " ".into()];
            manifest.entries.push(entry);
        }
        manifest.entries[5].split = Some(Split::Test);
        LabelTable::from_manifest(&manifest)
    }

    #[test]
    fn tables_are_numbered_in_order_of_names() {
        let table = table();
        let expected = ["unknown", "ac:dc", "miles davis", "obsidian shell", "tyler, the creator"];
        assert_eq!(table.artists, expected);
        assert_eq!(table.genres, ["unknown", "jazz", "rock"]);
        table.check().unwrap();
        assert_eq!(table.artist("MILES DAVIS ").unwrap(), 2);
        assert_eq!(table.genre("unknown").unwrap(), 0);
        assert_eq!(table.artist_or_unknown(Some("Nina")), 0);
        assert_eq!(table.genres_or_unknown(&["rock".into(), "polka".into(), "ROCK".into()]), [2]);
        assert_eq!(table.genres_or_unknown(&[]), [0]);
    }

    #[test]
    fn an_unknown_name_is_told_with_its_neighbours() {
        for (asked, meant) in [("mile davis", "miles davis"), ("Davis", "miles davis"), ("obsidian", "obsidian shell")]
        {
            let Err(DataError::UnknownLabel { near, .. }) = table().artist(asked) else {
                panic!("`{asked}` was found")
            };
            assert_eq!((near[0].as_str(), near.len()), (meant, 3));
        }
        let message = table().genre_blend("jaz:0.5,rock").unwrap_err().to_string();
        assert_eq!(message, "no genre `jaz`; hint: near names are `jazz`, `rock`, `unknown`");
    }

    #[test]
    fn blends_sum_to_one() {
        let table = table();
        assert_eq!(table.genre_blend(" Jazz ").unwrap(), [(1, 1.0)]);
        assert_eq!(table.genre_blend("jazz:3, rock:1").unwrap(), [(1, 0.75), (2, 0.25)]);
        assert_eq!(table.genre_blend("jazz,rock").unwrap(), [(1, 0.5), (2, 0.5)]);
        assert_eq!(table.genre_blend("jazz:1,JAZZ:3").unwrap(), [(1, 1.0)]);
        assert_eq!(table.artist_blend("Tyler, the Creator").unwrap(), [(4, 1.0)]);
        assert_eq!(table.artist_blend("AC:DC:1,miles davis:1").unwrap(), [(1, 0.5), (2, 0.5)]);
        for wrong in ["", ",", "jazz,", "jazz:0", "jazz:-1", "jazz:nan", "jazz:inf", "jazz:3e38,rock:3e38"] {
            let message = table.genre_blend(wrong).unwrap_err().to_string();
            assert!(message.contains("; hint: "), "{wrong}: {message}");
        }
    }

    #[test]
    fn damaged_tables_are_refused() {
        for artists in [vec![], vec!["x"], vec![UNKNOWN, "a", "a"], vec![UNKNOWN, "A"], vec![UNKNOWN, ""]] {
            let artists = artists.into_iter().map(String::from).collect();
            LabelTable { artists, ..LabelTable::default() }.check().unwrap_err();
        }
    }
}
