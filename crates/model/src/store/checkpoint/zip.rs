//! The archive that `torch.save` writes since PyTorch 1.6: `NAME/data.pkl`, and a stored entry `NAME/data/KEY` for each
//! storage. Nothing is ever unpacked: a compressed entry is refused, so no archive holds more than its own length.

use super::objects::{Id, Objects};
use super::pickle::{self, Input, MOST_BYTES};
use crate::shown;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// The end record without its comment, and with the longest one.
const END: (usize, u64) = (22, 22 + 65_535);
/// Largest directory.
const DIRECTORY: u64 = 32 << 20;

/// Where an entry's content lies.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u64,
    size: u64,
}

/// Reads all but the numbers: the objects, the saved one among them, and where each storage begins in the file.
pub(super) fn read(file: &File, length: u64) -> Result<(Objects, Id, Vec<u64>), String> {
    let entries = entries(file, length)?;
    let (pickle, entry) = entries
        .iter()
        .find(|(name, _)| name.as_str() == "data.pkl" || name.ends_with("/data.pkl"))
        .ok_or("it is an archive without `data.pkl`; hint: give a file that `torch.save` wrote")?;
    let folder = pickle.trim_end_matches("data.pkl");
    if entry.size > MOST_BYTES {
        let name = shown(pickle);
        return Err(format!("`{name}` has {} bytes, more than the limit of {MOST_BYTES}", entry.size));
    }
    if let Some(order) = entries.get(&format!("{folder}byteorder"))
        && order.size <= 16
        && part(file, order.at, order.size)? != b"little"
    {
        return Err("it was written by a big-endian machine; hint: save it anew on a usual one".into());
    }
    let mut objects = Objects::default();
    let mut reader = file;
    reader.seek(SeekFrom::Start(entry.at)).map_err(|e| e.to_string())?;
    let root = pickle::read(&mut Input::new(BufReader::new(reader.take(entry.size))), &mut objects)?;
    let starts = objects.storages.iter().map(|storage| {
        let name = format!("{folder}data/{}", storage.key);
        let entry = entries.get(&name).ok_or_else(|| format!("it has no entry `{}`", shown(&name)))?;
        match (storage.length as u64).checked_mul(storage.element.size() as u64) {
            Some(bytes) if bytes == entry.size => Ok(entry.at),
            _ => {
                let name = shown(&name);
                Err(format!("`{name}` has {} bytes, which are not {} numbers", entry.size, storage.length))
            }
        }
    });
    let starts = starts.collect::<Result<_, _>>()?;
    Ok((objects, root, starts))
}

fn part(mut file: &File, at: u64, size: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at)).and_then(|_| file.take(size).read_to_end(&mut bytes)).map_err(|e| e.to_string())?;
    match bytes.len() as u64 == size {
        true => Ok(bytes),
        false => Err("it ends in the middle; hint: fetch it again".into()),
    }
}

/// A little-endian number of `N` bytes, at most eight, at a place.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<u64, String> {
    let bytes = bytes.get(at..).and_then(|b| b.first_chunk::<N>()).ok_or("its directory is cut off")?;
    Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// All entries by name, from the directory at the end (PKWARE's APPNOTE, sections 4.3 and 4.5.3).
fn entries(file: &File, length: u64) -> Result<BTreeMap<String, Entry>, String> {
    let tail_at = length.saturating_sub(END.1);
    let tail = part(file, tail_at, length - tail_at)?;
    let end = tail
        .windows(END.0)
        .rposition(|w| w.starts_with(b"PK\x05\x06"))
        .ok_or("it is an archive without its end; hint: fetch it again")?;
    let (mut count, mut size, mut at) =
        (number::<2>(&tail, end + 10)?, number::<4>(&tail, end + 12)?, number::<4>(&tail, end + 16)?);
    if let Some(locator) = end.checked_sub(20).filter(|i| tail[*i..].starts_with(b"PK\x06\x07")) {
        let record_at = number::<8>(&tail, locator + 8)?;
        let record = part(file, record_at.min(length), 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err("its directory is damaged; hint: fetch it again".into());
        }
        (count, size, at) = (number::<8>(&record, 32)?, number::<8>(&record, 40)?, number::<8>(&record, 48)?);
    }
    if size > DIRECTORY || at.checked_add(size).is_none_or(|end| end > length) {
        return Err(format!("its directory of {size} bytes does not fit the file of {length}; hint: fetch it again"));
    }
    let directory = part(file, at, size)?;
    let mut entries = BTreeMap::new();
    let mut from = 0;
    for _ in 0..count {
        let (name, entry, next) = entry(file, length, &directory, from)?;
        entries.insert(name, entry);
        from = next;
    }
    Ok(entries)
}

/// The directory's record at `from`: an entry, and where the next record begins.
fn entry(file: &File, length: u64, directory: &[u8], from: usize) -> Result<(String, Entry, usize), String> {
    if !directory.get(from..).is_some_and(|d| d.starts_with(b"PK\x01\x02")) {
        return Err("its directory is damaged; hint: fetch it again".into());
    }
    let long = |at: usize| number::<2>(directory, from + at).map(|n| n as usize);
    let (names, extras, comments) = (long(28)?, long(30)?, long(32)?);
    let extra_at = from + 46 + names;
    let name = directory.get(from + 46..extra_at).ok_or("its directory is cut off")?;
    let name = String::from_utf8_lossy(name).into_owned();
    let entry = format!("entry `{}`", shown(&name));
    let sizes =
        [number::<4>(directory, from + 24)?, number::<4>(directory, from + 20)?, number::<4>(directory, from + 42)?];
    let extra = directory.get(extra_at..extra_at + extras).ok_or("its directory is cut off")?;
    let [size, packed, header] = wide(sizes, extra)?;
    if long(10)? != 0 || packed != size {
        return Err(format!("{entry} is compressed; hint: `torch.save` never does that; unpack and zip it with -0"));
    }
    if long(8)? & 1 != 0 {
        return Err(format!("{entry} is encrypted; hint: save the file without a password"));
    }
    let outside = || format!("{entry} of {size} bytes lies outside the file of {length}; hint: fetch it again");
    let local = part(file, header.min(length), 30).map_err(|_| outside())?;
    if !local.starts_with(b"PK\x03\x04") {
        return Err(outside());
    }
    let at = header + 30 + number::<2>(&local, 26)? + number::<2>(&local, 28)?;
    if at.checked_add(size).is_none_or(|end| end > length) {
        return Err(outside());
    }
    Ok((name, Entry { at, size }, extra_at + extras + comments))
}

/// Sizes and place with those that do not fit four bytes from the extra field 1 (zip64).
fn wide(mut numbers: [u64; 3], mut extra: &[u8]) -> Result<[u64; 3], String> {
    while extra.len() >= 4 {
        let size = number::<2>(extra, 2)? as usize;
        let field = extra.get(4..4 + size).ok_or("its directory is damaged; hint: fetch it again")?;
        if number::<2>(extra, 0)? == 1 {
            let mut at = 0;
            for n in numbers.iter_mut().filter(|n| **n == u64::from(u32::MAX)) {
                *n = number::<8>(field, at)?;
                at += 8;
            }
        }
        extra = &extra[4 + size..];
    }
    Ok(numbers)
}
