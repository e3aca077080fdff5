//! The label tables of a model's levels: names to rows and back. The levels of a published model differ in their tables.

use std::collections::BTreeMap;
use std::path::Path;

use orchestrion_data::{DataError, LabelTable, PublishedLabels, PublishedNames, UNKNOWN};
use orchestrion_model::condition::{Blend, LabelsConfig, Naming};
use orchestrion_model::store::ModelFolder;

use crate::{GenerateError, LevelLabels, TakeLabels};

/// Tables of artists and genres, by level.
#[derive(Debug, Clone)]
pub struct LabelTables {
    top: Table,
    /// Levels below that have other tables than the top.
    others: BTreeMap<usize, Table>,
}

#[derive(Debug, Clone, PartialEq)]
enum Table {
    /// Names in the model's configuration.
    Own(LabelTable),
    /// Names in a file of the paper's form, and how many artists and genres the model has.
    Published(PublishedLabels, [usize; 2]),
}

impl LabelTables {
    /// Reads the tables of a model.
    ///
    /// # Errors
    /// If a table's file cannot be read.
    pub fn open(folder: &ModelFolder) -> Result<Self, GenerateError> {
        let config = folder.config();
        let labelled = config.priors.iter().filter_map(|(&level, prior)| Some((level, prior.labels.as_ref()?)));
        let mut tables = labelled
            .map(|(level, labels)| Ok((level, Table::open(folder, level, labels)?)))
            .collect::<Result<BTreeMap<usize, Table>, GenerateError>>()?;
        let top = match tables.pop_last() {
            Some((_, top)) => top,
            None => Table::own(folder),
        };
        tables.retain(|_, table| *table != top);
        Ok(Self { top, others: tables })
    }

    /// Rows of an artist and a genre, each a name or a blend such as `a:0.7,b:0.3`; `None` is the unknown.
    ///
    /// The top level's tables must have the names. Levels that have other tables and lack a name take the unknown: the
    /// second value says so in words.
    ///
    /// # Errors
    /// If the top level's tables lack a name, or a blend cannot be read.
    pub fn rows(&self, artist: Option<&str>, genre: Option<&str>) -> Result<(TakeLabels, Vec<String>), DataError> {
        let unknown = || vec![(0, 1.0)];
        let find = |table: &Table, kind: Kind, text: Option<&str>| text.map_or(Ok(unknown()), |t| table.rows(kind, t));
        let mut labels = TakeLabels {
            artist: find(&self.top, Kind::Artist, artist)?,
            genre: find(&self.top, Kind::Genre, genre)?,
            ..TakeLabels::default()
        };
        let mut lacking = Vec::new();
        for (&level, table) in &self.others {
            let mut lower = |kind: Kind, word, text: Option<&str>| {
                // A number is a row of the top's table. Here it would be somebody else.
                let found = if table.is_by_number() { None } else { find(table, kind, text).ok() };
                found.unwrap_or_else(|| {
                    if let Some(text) = text {
                        lacking.push(format!(
                            "level {level} has other tables, without the {word} `{text}`: unknown there"
                        ));
                    }
                    unknown()
                })
            };
            let rows = LevelLabels {
                artist: lower(Kind::Artist, "artist", artist),
                genre: lower(Kind::Genre, "genre", genre),
            };
            labels.levels.insert(level, rows);
        }
        Ok((labels, lacking))
    }

    /// Artist and genre of the top level in words.
    pub fn names(&self, labels: &TakeLabels) -> (String, String) {
        (self.top.words(Kind::Artist, &labels.artist), self.top.words(Kind::Genre, &labels.genre))
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Artist,
    Genre,
}

impl Table {
    fn own(folder: &ModelFolder) -> Self {
        let config = folder.config();
        Self::Own(LabelTable { artists: config.artists.clone(), genres: config.genres.clone() })
    }

    fn open(folder: &ModelFolder, level: usize, labels: &LabelsConfig) -> Result<Self, GenerateError> {
        let names = match labels.naming {
            Naming::Own => return Ok(Self::own(folder)),
            Naming::V2 => PublishedNames::V2 { genre_words: labels.genre_words },
            Naming::V3 => PublishedNames::V3,
        };
        let json = folder.file(names.file()).map_err(|source| GenerateError::Model { level, source })?;
        let table = match json {
            Some(json) => PublishedLabels::parse(names, Path::new(&folder.place(names.file())), &json)?,
            None => PublishedLabels::by_number(names),
        };
        Ok(Self::Published(table, [labels.artists, labels.genres]))
    }

    fn is_by_number(&self) -> bool {
        matches!(self, Self::Published(table, _) if table.is_by_number())
    }

    fn rows(&self, kind: Kind, text: &str) -> Result<Blend, DataError> {
        match (self, kind) {
            (Self::Own(table), Kind::Artist) => table.artist_blend(text),
            (Self::Own(table), Kind::Genre) => table.genre_blend(text),
            (Self::Published(table, [artists, _]), Kind::Artist) => within(table.artist_blend(text)?, *artists, text),
            (Self::Published(table, [_, genres]), Kind::Genre) => within(table.genre_blend(text)?, *genres, text),
        }
    }

    fn words(&self, kind: Kind, blend: &Blend) -> String {
        let name = |row: u32| match (self, kind) {
            (Self::Own(table), Kind::Artist) => own_name(&table.artists, row),
            (Self::Own(table), Kind::Genre) => own_name(&table.genres, row),
            (Self::Published(table, _), Kind::Artist) => table.artist_name(row),
            (Self::Published(table, _), Kind::Genre) => table.genre_name(row),
        };
        let word = |(row, weight): &(u32, f32)| match *weight {
            1.0 => name(*row),
            weight => format!("{}:{weight:.2}", name(*row)),
        };
        blend.iter().map(word).collect::<Vec<_>>().join(",")
    }
}

/// Rows that the model has.
fn within(blend: Blend, rows: usize, text: &str) -> Result<Blend, DataError> {
    match blend.iter().find(|(row, _)| *row as usize >= rows) {
        None => Ok(blend),
        Some((row, _)) => Err(DataError::Request {
            what: format!("`{text}` is row {row}, but the model has {rows}"),
            hint: "the table of labels belongs to another model, or the number is too large",
        }),
    }
}

fn own_name(names: &[String], row: u32) -> String {
    names.get(row as usize).map_or(UNKNOWN, String::as_str).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const V2: PublishedNames = PublishedNames::V2 { genre_words: 5 };

    fn table(names: PublishedNames, json: &str) -> Table {
        Table::Published(PublishedLabels::parse(names, Path::new("labels"), json.as_bytes()).unwrap(), [20, 20])
    }

    fn tables(top: Table, lower: Table) -> LabelTables {
        LabelTables { top, others: [(0, lower.clone()), (1, lower)].into() }
    }

    #[test]
    fn every_level_gets_rows_of_its_own_tables() {
        let top =
            table(PublishedNames::V3, r#"{"artists": [["nina simone", 9]], "genres": [["soul jazz", 3], ["dub", 4]]}"#);
        let lower = table(V2, r#"{"artists": [["nina_simone", 2]], "genres": [["soul", 7], ["jazz", 8]]}"#);
        let both = tables(top.clone(), lower);
        let (labels, lacking) = both.rows(Some("Nina Simone"), Some("Soul Jazz")).unwrap();
        assert_eq!((&labels.artist, &labels.genre), (&vec![(9, 1.0)], &vec![(3, 1.0)]));
        let upsampler = LevelLabels { artist: vec![(2, 1.0)], genre: vec![(7, 1.0), (8, 1.0)] };
        assert_eq!(labels.levels, [(0, upsampler.clone()), (1, upsampler)].into());
        assert!(lacking.is_empty(), "{lacking:?}");
        assert_eq!(both.names(&labels), ("nina simone".to_owned(), "soul jazz".to_owned()));

        let (labels, lacking) = both.rows(None, Some("dub")).unwrap();
        assert_eq!(labels.levels[&1], LevelLabels { artist: vec![(0, 1.0)], genre: vec![(0, 1.0)] });
        assert_eq!(lacking[1], "level 1 has other tables, without the genre `dub`: unknown there");
        both.rows(Some("Nina"), None).unwrap_err();

        let numbers = tables(
            Table::Published(PublishedLabels::by_number(PublishedNames::V3), [20, 20]),
            Table::Published(PublishedLabels::by_number(V2), [20, 20]),
        );
        let (labels, lacking) = numbers.rows(Some("17"), None).unwrap();
        assert_eq!((labels.artist, &labels.levels[&0].artist), (vec![(17, 1.0)], &vec![(0, 1.0)]));
        assert_eq!(lacking.len(), 2);
        let message = numbers.rows(Some("20"), None).unwrap_err().to_string();
        assert!(message.starts_with("`20` is row 20, but the model has 20; hint: "), "{message}");
    }
}
