//! Manifests: the list of a data set's sound files, one JSON object a line (jsonl).
//!
//! Field names are the field's usual ones (`path`, `duration`, `sample_rate`, `amplitude`, `weight`, `info_path`),
//! so that manifests can be exchanged with other training programs; `file`, `seconds`, `sr` and `license` are
//! read as other names of `path`, `duration`, `sample_rate` and `licence`. Fields that are not listed at
//! [`Entry`] are ignored for the same reason; the price is that a misspelt optional field goes unnoticed.

use crate::DataError;
use crate::lyrics::MAX_LYRICS;
use crate::whole_file::{open_regular, write_whole};
use serde::{Deserialize, Deserializer, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line, in bytes. A line of a whole song's lyrics has some thousand.
const LONGEST_LINE: usize = 1 << 20;
/// Most lines of a manifest: well above the largest public music sets.
const MOST_LINES: u64 = 10_000_000;
/// Broken lines of which the place and reason are kept; the others are only counted.
const BROKEN_KEPT: usize = 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Which part of the data set a track belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Models learn from it.
    Train,
    /// Looked at during training, to choose and to stop.
    Valid,
    /// Looked at once, at the end.
    Test,
}

impl Split {
    /// Its name in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// One sound file of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The sound file, relative to the manifest's folder, or absolute.
    #[serde(alias = "file")]
    pub path: PathBuf,
    /// Length in seconds.
    #[serde(alias = "seconds")]
    pub duration: f64,
    /// The file's own samples a second.
    #[serde(alias = "sr")]
    pub sample_rate: u32,
    /// Largest absolute sample, where somebody measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplitude: Option<f32>,
    /// How often to draw the track, relative to others of its length; 1 where missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// A file that tells more about the track. Kept for other programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info_path: Option<PathBuf>,
    /// Who made the music.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// What kind of music it is; in the file one name or a list of names.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub genre: Vec<String>,
    /// Title of the track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Words that are sung.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lyrics: Option<String>,
    /// Part of the data set; a split, once written, is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Terms under which the recording may be used.
    #[serde(default, alias = "license", skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Whom to name when something is made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
}

impl Entry {
    /// An entry about which nothing but place, length and rate is known.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, duration: f64, sample_rate: u32) -> Self {
        Self {
            path: path.into(),
            duration,
            sample_rate,
            amplitude: None,
            weight: None,
            info_path: None,
            artist: None,
            genre: Vec::new(),
            title: None,
            lyrics: None,
            split: None,
            licence: None,
            attribution: None,
        }
    }

    /// Whether models may learn from the track: it is not held back for validation or test.
    #[must_use]
    pub fn is_train(&self) -> bool {
        matches!(self.split, None | Some(Split::Train))
    }

    /// Whether the track belongs to a split. Tracks without one belong to [`Split::Train`].
    #[must_use]
    pub fn is_in(&self, split: Split) -> bool {
        self.split.unwrap_or(Split::Train) == split
    }

    fn check(&self) -> Result<(), String> {
        if self.path.as_os_str().is_empty() {
            return Err("`path` is empty".into());
        }
        if !(self.duration.is_finite() && self.duration > 0.0) {
            return Err(format!("`duration` is {}, not above 0", self.duration));
        }
        if self.sample_rate == 0 {
            return Err("`sample_rate` is 0".into());
        }
        if let Some(weight) = self.weight
            && !(weight.is_finite() && weight >= 0.0)
        {
            return Err(format!("`weight` is {weight}, not 0 or more"));
        }
        if self.lyrics.as_ref().is_some_and(|words| words.chars().nth(MAX_LYRICS).is_some()) {
            return Err(format!("`lyrics` has more than the limit of {MAX_LYRICS} characters"));
        }
        Ok(())
    }
}

/// A line that could not be read as an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenLine {
    /// Number of the line; the first is 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// A data set: its entries, and the folder that their paths start from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// Folder that relative paths start from: the one that holds the manifest.
    pub folder: PathBuf,
    /// The tracks, in the order of the file.
    pub entries: Vec<Entry>,
    /// Number of lines that were left out because they could not be read.
    pub broken_count: u64,
    /// Where and why, for the first 20 of them.
    pub broken: Vec<BrokenLine>,
}

impl Manifest {
    /// Reads a manifest. Blank lines, a byte order mark and Windows line ends are no matter.
    ///
    /// Up to 1 % of broken lines are left out and told in [`Manifest::broken`].
    ///
    /// # Errors
    /// [`DataError::Io`] if the file can't be read; [`DataError::Format`], with the first broken line, if more
    /// than 1 % are broken, or if no track is left; [`DataError::Limit`] if it has more than ten million lines.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let mut lines = Lines::open(path)?;
        let mut manifest = Self { folder: folder_of(path), ..Self::default() };
        while let Some(line) = lines.next_filled()? {
            match line {
                Line::Text(text) => match parse_line(text) {
                    Ok(entry) => manifest.entries.push(entry),
                    Err(what) => manifest.note_broken(lines.number, what),
                },
                Line::TooLong => {
                    manifest.note_broken(lines.number, format!("longer than the limit of {LONGEST_LINE} bytes"))
                }
            }
        }
        manifest.check(path)?;
        Ok(manifest)
    }

    /// Writes the manifest, whole or not at all. Written to another folder than [`Manifest::folder`], relative
    /// paths are rewritten so that they still name the same files.
    ///
    /// # Errors
    /// [`DataError::Io`] if the file can't be written; [`DataError::Format`] if an entry contradicts itself or its
    /// path is not Unicode.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let target = folder_of(path);
        let mut text = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let refuse = |what: String| {
                let place = format!("track {} (`{}`): {what}", index + 1, entry.path.display());
                DataError::format(path, place, "rename the file or correct the entry")
            };
            entry.check().map_err(refuse)?;
            let mut entry = entry.clone();
            if target != self.folder {
                entry.path = rebase(&self.folder.join(&entry.path), &target)?;
                entry.info_path = match entry.info_path {
                    Some(info) => Some(rebase(&self.folder.join(info), &target)?),
                    None => None,
                };
            }
            serde_json::to_writer(&mut text, &entry).map_err(|error| refuse(error.to_string()))?;
            text.push(b'\n');
        }
        write_whole(path, &text)
    }

    /// Where the sound file of an entry lies.
    #[must_use]
    pub fn audio_path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(&entry.path)
    }

    /// The entries of one split. Entries without a split belong to [`Split::Train`].
    pub fn of_split(&self, split: Split) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.is_in(split))
    }

    fn note_broken(&mut self, line: u64, what: String) {
        self.broken_count += 1;
        if self.broken.len() < BROKEN_KEPT {
            self.broken.push(BrokenLine { line, what });
        }
    }

    fn check(&self, path: &Path) -> Result<(), DataError> {
        let filled = self.broken_count + self.entries.len() as u64;
        match self.broken.first() {
            Some(first) if self.broken_count * 100 > filled => Err(DataError::format(
                path,
                format!(
                    "{} of {filled} lines are broken; the first is line {}: {}",
                    self.broken_count, first.line, first.what
                ),
                "a manifest has one JSON object a line with `path`, `duration` and `sample_rate`; \
                 `orchestrion data scan` makes one of a folder",
            )),
            _ if self.entries.is_empty() => Err(DataError::format(
                path,
                "the manifest holds no track",
                "`orchestrion data scan` makes a manifest of a folder of sound files",
            )),
            _ => Ok(()),
        }
    }
}

fn parse_line(line: &[u8]) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    entry.check()?;
    Ok(entry)
}

/// A genre may be missing, null, a name or a list of names.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`genre` is neither a name nor a list of names")]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Names>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Names::One(name)) => vec![name],
        Some(Names::Many(names)) => names,
    })
}

pub(crate) fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The same file seen from another folder: relative where it lies inside, else absolute.
fn rebase(file: &Path, folder: &Path) -> Result<PathBuf, DataError> {
    let absolute = |path: &Path| {
        // `std::path::absolute` refuses the empty path, which here means the current folder.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        std::path::absolute(path).map_err(|source| DataError::io(path, source))
    };
    let file = absolute(file)?;
    Ok(match file.strip_prefix(absolute(folder)?) {
        Ok(inside) => inside.to_path_buf(),
        Err(_) => file,
    })
}

enum Line<'a> {
    Text(&'a [u8]),
    TooLong,
}

/// Reads lines without ever holding more than the longest allowed one.
struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        Ok(Self { path, reader: BufReader::new(open_regular(path)?), buffer: Vec::new(), number: 0 })
    }

    /// The next line that is not blank.
    fn next_filled(&mut self) -> Result<Option<Line<'_>>, DataError> {
        loop {
            self.buffer.clear();
            let read = (&mut self.reader)
                .take(LONGEST_LINE as u64 + 1)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| DataError::io(self.path, source))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.number > MOST_LINES {
                return Err(DataError::Limit {
                    path: self.path.to_path_buf(),
                    what: "the number of lines",
                    size: self.number,
                    limit: MOST_LINES,
                    hint: "split the data set",
                });
            }
            if read > LONGEST_LINE && !self.buffer.ends_with(b"\n") {
                self.skip_line()?;
                return Ok(Some(Line::TooLong));
            }
            if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Line::Text(self.buffer.trim_ascii())))
    }

    fn skip_line(&mut self) -> Result<(), DataError> {
        self.reader.skip_until(b'\n').map(|_| ()).map_err(|source| DataError::io(self.path, source))
    }
}

#[cfg(test)]
mod tests;
