//! The LIST INFO chunk of a WAV file: tags as four-letter identifiers (Microsoft and IBM, "Multimedia Programming
//! Interface and Data Specifications 1.0", 1991, chapter 2).
//!
//! It has a reader of its own because the decoding library stops at the samples and drops what it finds before them.

use std::io::{Read, Seek, SeekFrom};

use crate::Tags;
use crate::tags::is_name;

const IDENTIFIERS: [(&str, &[u8; 4]); 4] =
    [("TITLE", b"INAM"), ("ARTIST", b"IART"), ("GENRE", b"IGNR"), ("SOFTWARE", b"ISFT")];
/// The comment: free text, then one `NAME=value` line for each tag without an identifier.
const COMMENT: &[u8; 4] = b"ICMT";
/// Longest list that is read, in bytes.
const MAX_LIST_BYTES: u32 = 16 << 20;
/// Most chunks that are looked at.
const MAX_CHUNKS: usize = 10_000;

/// The whole chunk; nothing where there are no tags. Lines break a value only in `COMMENT`.
pub(crate) fn encode(tags: &[(String, String)]) -> Vec<u8> {
    if tags.is_empty() {
        return Vec::new();
    }
    let mut list = b"INFO".to_vec();
    let (mut comment, mut lines) = (Vec::new(), Vec::new());
    for (name, value) in tags {
        match IDENTIFIERS.iter().find(|(known, _)| known == name) {
            Some((_, identifier)) => push(&mut list, identifier, value),
            None if name == "COMMENT" => comment.push(value.clone()),
            None => lines.push(format!("{name}={}", value.replace(['\n', '\r'], " "))),
        }
    }
    comment.append(&mut lines);
    if !comment.is_empty() {
        push(&mut list, COMMENT, &comment.join("\n"));
    }
    [b"LIST".as_slice(), &(list.len() as u32).to_le_bytes(), &list].concat()
}

fn push(list: &mut Vec<u8>, identifier: &[u8; 4], value: &str) {
    list.extend_from_slice(identifier);
    list.extend_from_slice(&(value.len() as u32 + 1).to_le_bytes());
    list.extend_from_slice(value.as_bytes());
    list.push(0);
    if list.len() % 2 == 1 {
        list.push(0);
    }
}

/// The tags of a WAV file, wherever in it the list stands; `None` where the file is not WAV. A list that breaks off
/// gives its tags up to there.
pub(crate) fn read(file: &mut (impl Read + Seek)) -> std::io::Result<Option<Tags>> {
    let mut tags = Tags::new();
    let mut header = [0; 12];
    if !filled(file, &mut header)? || !header.starts_with(b"RIFF") || !header.ends_with(b"WAVE") {
        return Ok(None);
    }
    let mut chunk = [0; 8];
    for _ in 0..MAX_CHUNKS {
        if !filled(file, &mut chunk)? {
            break;
        }
        let (identifier, length) = split_header(chunk);
        if &identifier == b"LIST" && length <= MAX_LIST_BYTES {
            let mut list = Vec::new();
            file.take(u64::from(length)).read_to_end(&mut list)?;
            if let Some(entries) = list.strip_prefix(b"INFO") {
                decode(entries, &mut tags);
            }
            file.seek(SeekFrom::Current(i64::from(length % 2)))?;
        } else {
            file.seek(SeekFrom::Current(i64::from(length) + i64::from(length % 2)))?;
        }
    }
    Ok(Some(tags))
}

/// Fills the buffer; false where the file ends before.
fn filled(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

fn split_header([a, b, c, d, length @ ..]: [u8; 8]) -> ([u8; 4], u32) {
    ([a, b, c, d], u32::from_le_bytes(length))
}

fn decode(mut entries: &[u8], tags: &mut Tags) {
    while let Some((header, rest)) = entries.split_first_chunk::<8>() {
        let (identifier, length) = split_header(*header);
        let (value, rest) = rest.split_at(rest.len().min(length as usize));
        entries = rest.get(length as usize % 2..).unwrap_or_default();
        let value = String::from_utf8_lossy(value);
        let value = value.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace());
        let name = IDENTIFIERS.iter().find(|(_, known)| **known == identifier).map(|(name, _)| (*name).to_owned());
        match name {
            _ if value.is_empty() => {}
            Some(name) => tags.push((name, value.to_owned())),
            None if &identifier == COMMENT => split_comment(value, tags),
            None => tags.push((String::from_utf8_lossy(&identifier).to_uppercase(), value.to_owned())),
        }
    }
}

fn split_comment(text: &str, tags: &mut Tags) {
    let mut comment = Vec::new();
    let mut named = Tags::new();
    for line in text.lines() {
        match line.split_once('=') {
            Some((name, value)) if is_name(name) && !name.contains(' ') => {
                named.push((name.to_uppercase(), value.to_owned()));
            }
            _ => comment.push(line),
        }
    }
    if !comment.is_empty() {
        tags.push(("COMMENT".to_owned(), comment.join("\n")));
    }
    tags.append(&mut named);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Option<Tags> {
        read(&mut std::io::Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn a_list_after_the_samples_is_found_and_a_cut_one_gives_what_is_there() {
        let tags = vec![("TITLE".to_owned(), "odd".to_owned()), ("SEED".to_owned(), "12".to_owned())];
        let list = encode(&tags);
        let file = [b"RIFF\0\0\0\0WAVE".as_slice(), b"data\x03\0\0\0abc\0", &list].concat();
        assert_eq!(read_bytes(&file), Some(tags.clone()));
        assert_eq!(read_bytes(&file[..file.len() - 16]), Some(tags[..1].to_vec()));
        for length in 0..file.len() {
            assert_eq!(read_bytes(&file[..length]).is_none(), length < 12);
        }
        assert_eq!(read_bytes(b"RIFF\0\0\0\0AVI LIST\xff\xff\xff\xff"), None);
        assert_eq!(read_bytes(b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xff"), Some(Tags::new()));
    }
}
