//! Label tables of the paper's models: from the files that their users have to those of a model folder, and to names.

use crate::blend::blend;
use crate::near::nearest;
use crate::whole_file::{read_limited, write_whole};
use crate::{DataError, UNKNOWN};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest table file, read or written.
const BYTES: usize = 16 << 20;

/// Files of artists and of genres that each of [`PublishedNames::FILES`] is made of.
const SOURCES: [[&str; 2]; 2] = [["v2_artist_ids.txt", "v2_genre_ids.txt"], ["v3_artist_ids.txt", "v3_genre_ids.txt"]];

/// How a model's label names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedNames {
    /// Lower case, every run of other characters than letters and digits one `_`; a genre is a bag of at most
    /// `genre_words` words (the paper's 5b models and upsamplers).
    V2 {
        /// Words of a genre that the model reads.
        genre_words: usize,
    },
    /// Lower case; a genre is one name (the paper's 1b model).
    V3,
}

impl PublishedNames {
    /// The tables' files in a model folder.
    pub const FILES: [&str; 2] = ["labels.v2.json", "labels.v3.json"];

    /// A name as the tables write it.
    #[must_use]
    pub fn normalise(self, name: &str) -> String {
        let lower = name.to_lowercase();
        if self == Self::V3 {
            return lower;
        }
        let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        words.join("_")
    }

    /// The table's file in a model folder.
    #[must_use]
    pub fn file(self) -> &'static str {
        let [v2, v3] = Self::FILES;
        if self == Self::V3 { v3 } else { v2 }
    }
}

/// Names of artists and genres with their rows. Several names may share a row; row 0 is the unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedLabels {
    names: PublishedNames,
    /// Artists and genres; `None` without a table, when rows are named by their number.
    tables: Option<(Table, Table)>,
}

type Table = BTreeMap<String, u32>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    artists: Vec<(String, u32)>,
    genres: Vec<(String, u32)>,
}

fn within_limit(path: &Path, json: &[u8]) -> Result<(), DataError> {
    match json.len() > BYTES {
        false => Ok(()),
        true => Err(DataError::Limit {
            path: path.to_path_buf(),
            what: "the table of labels in bytes",
            size: json.len() as u64,
            limit: BYTES as u64,
            hint: "import the model with the files that lie beside the published program",
        }),
    }
}

/// Tables on their way from files of lines `name;id` to those of a model folder.
#[derive(Debug)]
pub struct PublishedTables(Vec<(&'static str, Vec<u8>)>);

impl PublishedTables {
    /// Reads `v2_artist_ids.txt`, `v2_genre_ids.txt`, and those of v3, as far as they are in a folder.
    ///
    /// # Errors
    /// If there is none of the files, one of a pair is missing, a line is no `name;id`, or a table is too large.
    pub fn read(from: &Path) -> Result<Self, DataError> {
        let mut tables = Vec::new();
        for (file, sources) in PublishedNames::FILES.into_iter().zip(SOURCES) {
            let [artists, genres] = sources.map(|source| from.join(source));
            if artists.exists() || genres.exists() {
                let table = File { artists: rows(&artists)?, genres: rows(&genres)? };
                let json = serde_json::to_vec(&table)
                    .map_err(|error| DataError::format(&artists, error.to_string(), "check the file"))?;
                within_limit(&artists, &json)?;
                tables.push((file, json));
            }
        }
        if tables.is_empty() {
            let files: Vec<String> = SOURCES.iter().flatten().map(|file| format!("`{file}`")).collect();
            return Err(DataError::request(
                format!("`{}` holds no label tables: none of {}", from.display(), files.join(", ")),
                "give the folder with these files",
            ));
        }
        Ok(Self(tables))
    }

    /// Writes them into a model folder; gives the names of the files.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<&'static str>, DataError> {
        self.0.iter().map(|(file, json)| write_whole(&folder.join(file), json).map(|()| *file)).collect()
    }
}

/// Names with their rows.
fn rows(path: &Path) -> Result<Vec<(String, u32)>, DataError> {
    const HINT: &str = "a line is `name;id`, as in the files beside the published program";
    let text = String::from_utf8(read_limited(path, BYTES as u64, HINT)?)
        .map_err(|_| DataError::format(path, "it is not UTF-8", HINT))?;
    let row = |(i, line): (usize, &str)| {
        let row = line.rsplit_once(';').and_then(|(name, id)| Some((name.to_owned(), id.trim().parse().ok()?)));
        row.ok_or_else(|| DataError::format(path, format!("line {} has no name and number", i + 1), HINT))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

impl PublishedLabels {
    /// No table: a row is named by its number.
    #[must_use]
    pub fn by_number(names: PublishedNames) -> Self {
        Self { names, tables: None }
    }

    /// Whether rows are named by their number alone.
    #[must_use]
    pub fn is_by_number(&self) -> bool {
        self.tables.is_none()
    }

    /// Name of an artist's row: the first in alphabetical order that has it, or its number.
    #[must_use]
    pub fn artist_name(&self, row: u32) -> String {
        name(self.tables.as_ref().map(|tables| &tables.0), row)
    }

    /// Name of a genre's row.
    #[must_use]
    pub fn genre_name(&self, row: u32) -> String {
        name(self.tables.as_ref().map(|tables| &tables.1), row)
    }

    /// Reads a table's JSON, `{"artists": [["name", row], ..], "genres": [["name", row], ..]}`. `path` is for messages.
    ///
    /// # Errors
    /// If it is too large or is no such table.
    pub fn parse(names: PublishedNames, path: &Path, json: &[u8]) -> Result<Self, DataError> {
        within_limit(path, json)?;
        let file: File = serde_json::from_slice(json).map_err(|error| {
            DataError::format(path, format!("no table of labels: {error}"), "import the model again with `--labels`")
        })?;
        let table = |rows: Vec<(String, u32)>| rows.into_iter().map(|(name, row)| (names.normalise(&name), row));
        Ok(Self { names, tables: Some((table(file.artists).collect(), table(file.genres).collect())) })
    }

    /// Rows of the artists of a blend such as `a:0.7,b:0.3`, with weights of sum 1.
    ///
    /// # Errors
    /// [`DataError::Blend`] if the text can't be read, [`DataError::UnknownLabel`] with the nearest names,
    /// [`DataError::Request`] if there is no table and a name is no number.
    pub fn artist_blend(&self, text: &str) -> Result<Vec<(u32, f32)>, DataError> {
        let find = |name: &str| Ok(vec![self.row("artist", &self.names.normalise(name.trim()))?]);
        blend(text, find(text).ok(), find)
    }

    /// Rows of the genres of a blend; the names' weights sum to 1. A name of several words has a row for each, all with
    /// the name's weight: the model adds them up.
    ///
    /// # Errors
    /// As [`PublishedLabels::artist_blend`].
    pub fn genre_blend(&self, text: &str) -> Result<Vec<(u32, f32)>, DataError> {
        let find = |name: &str| match self.names {
            PublishedNames::V3 => Ok(vec![self.row("genre", &self.names.normalise(name.trim()))?]),
            PublishedNames::V2 { genre_words } => {
                let name = self.names.normalise(name);
                name.split('_').take(genre_words.max(1)).map(|word| self.row("genre", word)).collect()
            }
        };
        // A bag of words has no order and no commas: `jazz,rock` is a blend of two genres, not one of two words.
        let may_be_whole = self.names == PublishedNames::V3 || !text.contains(',');
        blend(text, may_be_whole.then(|| find(text).ok()).flatten(), find)
    }

    /// Row of a normalised name.
    fn row(&self, kind: &'static str, name: &str) -> Result<u32, DataError> {
        let Some((artists, genres)) = &self.tables else {
            let row = if name == UNKNOWN { Ok(0) } else { name.parse() };
            return row.map_err(|_| {
                DataError::request(
                    format!("`{name}` is no number, and this model has no table with the name of the {kind}"),
                    "give the row of the table as a number, or import the model with `--labels`",
                )
            });
        };
        let table = if kind == "artist" { artists } else { genres };
        match table.get(name) {
            Some(&row) => Ok(row),
            None if name == UNKNOWN => Ok(0),
            None => Err(DataError::UnknownLabel { kind, name: name.to_string(), near: nearest(name, table.keys()) }),
        }
    }
}

fn name(table: Option<&Table>, row: u32) -> String {
    let known = |table: &Table| table.iter().find(|(_, known)| **known == row).map(|(name, _)| name.clone());
    match row {
        0 => UNKNOWN.to_string(),
        row => table.and_then(known).unwrap_or_else(|| row.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const V2: PublishedNames = PublishedNames::V2 { genre_words: 5 };
    const JSON: &str = r#"{"artists": [["unknown", 0], ["various", 0], ["", 0], ["Miles Davis", 3], ["ac_dc", 4]],
        "genres": [["unknown", 0], ["jazz", 1], ["rock", 2], ["blues", 5], ["jazz fusion", 6], ["r&b", 7]]}"#;

    fn table(names: PublishedNames) -> PublishedLabels {
        PublishedLabels::parse(names, Path::new("labels.json"), JSON.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_found_as_each_table_writes_them() {
        let (v2, v3) = (table(V2), table(PublishedNames::V3));
        assert_eq!(v2.artist_blend("AC/DC").unwrap(), [(4, 1.0)]);
        assert_eq!(v2.artist_blend("Various").unwrap(), [(0, 1.0)]);
        assert_eq!(v2.artist_blend("miles davis:3, AC/DC").unwrap(), [(3, 0.75), (4, 0.25)]);
        assert_eq!(v2.genre_blend("Blues-Rock").unwrap(), [(5, 1.0), (2, 1.0)], "words add up");
        assert_eq!(v2.genre_blend("Blues Rock:1,jazz:3").unwrap(), [(5, 0.25), (2, 0.25), (1, 0.75)]);
        assert_eq!(v2.genre_blend("jazz,rock").unwrap(), [(1, 0.5), (2, 0.5)]);
        let one_word = table(PublishedNames::V2 { genre_words: 1 });
        assert_eq!(one_word.genre_blend("blues rock").unwrap(), [(5, 1.0)]);
        assert_eq!(v3.genre_blend("Jazz Fusion").unwrap(), [(6, 1.0)]);
        assert_eq!(v3.genre_blend("R&B:1,rock:1").unwrap(), [(7, 0.5), (2, 0.5)]);
        assert_eq!(v3.artist_blend("unknown").unwrap(), [(0, 1.0)]);
        assert_eq!([v2.artist_name(3), v3.artist_name(3), v3.genre_name(0)], ["miles_davis", "miles davis", "unknown"]);
        assert_eq!([v3.genre_name(99), PublishedLabels::by_number(V2).artist_name(3)], ["99", "3"]);
    }

    #[test]
    fn tables_come_from_their_files() {
        let (from, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| std::fs::write(from.path().join(name), text).unwrap();
        let refusal = || PublishedTables::read(from.path()).unwrap_err().to_string();
        assert!(refusal().contains("`v2_artist_ids.txt`"));
        put("v2_artist_ids.txt", "unknown;0\n;0\nac_dc;4\na;b;5\n");
        assert!(refusal().contains("v2_genre_ids.txt"));
        put("v2_genre_ids.txt", "jazz;1\nrock\n");
        let message = refusal();
        assert!(message.contains("line 2") && message.contains("v2_genre_ids.txt"), "{message}");
        put("v2_genre_ids.txt", "jazz;1\n\nrock;2\n");
        assert_eq!(PublishedTables::read(from.path()).unwrap().write(out.path()).unwrap(), ["labels.v2.json"]);
        let json = std::fs::read(out.path().join("labels.v2.json")).unwrap();
        let table = PublishedLabels::parse(V2, Path::new(V2.file()), &json).unwrap();
        assert_eq!([table.artist_name(4), table.artist_name(5), table.genre_name(2)], ["ac_dc", "a_b", "rock"]);

        // What is written can be read: each file is within the limit, both in one are not.
        for name in ["v2_artist_ids.txt", "v2_genre_ids.txt"] {
            put(name, &format!("{};1\n", "x".repeat(BYTES / 2)));
        }
        assert!(refusal().contains("more than the limit"));
    }

    #[test]
    fn what_is_not_in_a_table_is_told() {
        let message = |result: Result<Vec<(u32, f32)>, DataError>| result.unwrap_err().to_string();
        assert_eq!(
            message(table(V2).genre_blend("jaz rock")),
            "no genre `jaz`; hint: near names are `jazz`, `jazz_fusion`, `blues`"
        );
        assert!(message(table(PublishedNames::V3).artist_blend("Mile Davis:1")).contains("`miles davis`"));
        let none = PublishedLabels::by_number(V2);
        assert_eq!(none.artist_blend("17:1,4:1").unwrap(), [(17, 0.5), (4, 0.5)]);
        assert_eq!(none.genre_blend("7").unwrap(), [(7, 1.0)]);
        assert!(message(none.artist_blend("Nina")).contains("`nina` is no number"));
        for json in ["{}", "[]", r#"{"artists": [["a", -1]], "genres": []}"#] {
            let error = PublishedLabels::parse(V2, Path::new("labels.v2.json"), json.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("`labels.v2.json`: "), "{error}");
        }
    }
}
