//! Tags: what a sound file says about its music, under the same names whatever the format.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use symphonia::core::meta::{MetadataRevision, RawValue, StandardTag, Tag};

use crate::decode::{guarded, open};
use crate::{AudioError, riff_info};

/// Names and values in order. Names are upper case when written and read: `TITLE`, `ARTIST`, `GENRE`, `COMMENT`,
/// `SOFTWARE`, and any others.
pub type Tags = Vec<(String, String)>;

/// Whether every format can hold this name (the rule of Vorbis comments).
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (0x20..=0x7d).contains(&byte) && byte != b'=')
}

/// Tags as the formats store them: names checked and in upper case, values without NUL.
pub(crate) fn storable_tags(tags: &[(String, String)]) -> Result<Tags, AudioError> {
    let storable = tags.iter().map(|(name, value)| {
        let stored = (name.to_uppercase(), value.replace('\0', " "));
        if is_name(name) { Ok(stored) } else { Err(AudioError::BadTag { key: name.clone() }) }
    });
    storable.collect()
}

/// Reads the tags of a file, without decoding its sound.
///
/// Where a file is tagged in several ways (ID3v2 and ID3v1), the first that has a name decides it. A WAV file's
/// comment lines of the form `NAME=value` are tags of their own, as [`encode_wav`](crate::encode_wav) writes them.
///
/// # Errors
/// The file is missing, not a plain file, empty or not sound.
pub fn read_tags(path: &Path) -> Result<Tags, AudioError> {
    guarded(path, || {
        let mut opened = open(path)?;
        let io_error = |source| AudioError::Io { action: "read", path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(io_error)?);
        let mut tags = riff_info::read(&mut file).map_err(io_error)?.unwrap_or_default();
        let mut log = opened.format.metadata();
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
    for entry in revision.media.tags.iter().chain(of_tracks).filter_map(named) {
        let known = tags.iter().take(earlier).any(|(taken, _)| *taken == entry.0);
        if !known && !entry.1.is_empty() && !tags.contains(&entry) {
            tags.push(entry);
        }
    }
}

/// The common name and the value of one stored tag.
fn named(tag: &Tag) -> Option<(String, String)> {
    let (name, value) = match &tag.std {
        Some(StandardTag::TrackTitle(value)) => ("TITLE".to_owned(), value.to_string()),
        Some(StandardTag::Artist(value)) => ("ARTIST".to_owned(), value.to_string()),
        Some(StandardTag::Genre(value)) => ("GENRE".to_owned(), value.to_string()),
        Some(StandardTag::Comment(value)) => ("COMMENT".to_owned(), value.to_string()),
        Some(StandardTag::Encoder(value)) => ("SOFTWARE".to_owned(), value.to_string()),
        _ if matches!(tag.raw.value, RawValue::Binary(_)) => return None,
        _ => (tag.raw.key.to_uppercase(), tag.raw.value.to_string()),
    };
    let value = value.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace());
    Some((name, value.to_owned()))
}
