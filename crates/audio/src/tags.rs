//! Tags: what a sound file says about its music, under the same names whatever the format.

use std::path::Path;

use symphonia::core::meta::{MetadataRevision, RawValue, StandardTag, Tag};

use crate::AudioError;
use crate::decode::{guarded, open};

/// Names and values in order. Names are upper case when written and read: `TITLE`, `ARTIST`, `GENRE`, `COMMENT`,
/// `SOFTWARE`, and any others.
pub type Tags = Vec<(String, String)>;

/// Names that RIFF INFO has an identifier for (Microsoft and IBM, "Multimedia Programming Interface and Data
/// Specifications 1.0", 1991, section 2).
pub(crate) const INFO_NAMES: [(&str, &str); 4] =
    [("TITLE", "INAM"), ("ARTIST", "IART"), ("GENRE", "IGNR"), ("SOFTWARE", "ISFT")];

/// RIFF INFO's comment: free text, and after it one `NAME=value` line for each tag without an identifier.
pub(crate) const INFO_COMMENT: &str = "ICMT";

/// Whether every format can hold this name (the rule of Vorbis comments).
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (0x20..=0x7d).contains(&byte) && byte != b'=')
}

/// Reads the tags of a file, without decoding its sound.
///
/// Where a file is tagged in several ways (ID3v2 and ID3v1), the first that has a name decides it.
///
/// # Errors
/// The file is missing, not a plain file, empty or not sound.
pub fn read_tags(path: &Path) -> Result<Tags, AudioError> {
    guarded(path, || {
        let mut opened = open(path)?;
        let mut log = opened.format.metadata();
        let mut tags = Tags::new();
        loop {
            if let Some(revision) = log.current() {
                collect(revision, &mut tags);
            }
            if log.pop().is_none() {
                return Ok(tags);
            }
        }
    })
}

fn collect(revision: &MetadataRevision, tags: &mut Tags) {
    let earlier = tags.len();
    let of_tracks = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
    for (name, value) in revision.media.tags.iter().chain(of_tracks).flat_map(named) {
        let known = tags.iter().take(earlier).any(|(taken, _)| *taken == name);
        let entry = (name, value);
        if !known && !entry.1.is_empty() && !tags.contains(&entry) {
            tags.push(entry);
        }
    }
}

/// The common names and values of one stored tag.
fn named(tag: &Tag) -> Tags {
    if matches!(tag.raw.value, RawValue::Binary(_)) {
        return Tags::new();
    }
    let stored = tag.raw.value.to_string();
    if tag.raw.key == INFO_COMMENT {
        return split_comment(&stored);
    }
    let (name, value) = match &tag.std {
        Some(StandardTag::TrackTitle(value)) => ("TITLE".to_owned(), value.to_string()),
        Some(StandardTag::Artist(value)) => ("ARTIST".to_owned(), value.to_string()),
        Some(StandardTag::Genre(value)) => ("GENRE".to_owned(), value.to_string()),
        Some(StandardTag::Comment(value)) => ("COMMENT".to_owned(), value.to_string()),
        Some(StandardTag::Encoder(value)) => ("SOFTWARE".to_owned(), value.to_string()),
        _ => (tag.raw.key.to_uppercase(), stored),
    };
    vec![(name, trimmed(&value).to_owned())]
}

fn split_comment(text: &str) -> Tags {
    let mut tags = Tags::new();
    let mut comment = Vec::new();
    for line in trimmed(text).lines() {
        match line.split_once('=') {
            Some((name, value)) if is_name(name) && !name.contains(' ') => {
                tags.push((name.to_uppercase(), value.to_owned()));
            }
            _ => comment.push(line),
        }
    }
    if !comment.is_empty() {
        tags.insert(0, ("COMMENT".to_owned(), comment.join("\n")));
    }
    tags
}

fn trimmed(value: &str) -> &str {
    value.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace())
}
