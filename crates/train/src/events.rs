//! Metrics as an event file, which TensorBoard reads: records of TensorFlow around `Event` messages of protocol buffers.

use crate::TrainError;
use crate::metrics::Row;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file of one sitting. TensorBoard reads all those of a folder as one run, and drops what a later sitting made anew.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in the run's folder.
    pub(crate) fn create(run: &Path) -> Result<Self, TrainError> {
        let name = format!("events.out.tfevents.{}.{}.orchestrion", now() as u64, std::process::id());
        let path = run.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|source| TrainError::Io { path: path.clone(), source })?;
        let mut events = Self { path, file };
        // `file_version`, which comes first in every file.
        events.write(&event(0, &field(3, b"brain.Event:2")))?;
        Ok(events)
    }

    /// Adds the values of a row.
    pub(crate) fn append(&mut self, row: &Row) -> Result<(), TrainError> {
        let value = |(name, value): (&String, &f64)| {
            // `Summary.Value`: `tag` and `simple_value`.
            field(1, &[field(1, name.as_bytes()), fixed32(2, *value as f32)].concat())
        };
        let summary: Vec<u8> = row.values.iter().flat_map(value).collect();
        self.write(&event(row.step, &field(5, &summary)))
    }

    fn write(&mut self, message: &[u8]) -> Result<(), TrainError> {
        self.file.write_all(&record(message)).map_err(|source| TrainError::Io { path: self.path.clone(), source })
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// An `Event`: `wall_time`, `step`, and what happened.
fn event(step: u64, what: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(1 << 3) | 1];
    bytes.extend(now().to_le_bytes());
    bytes.push(2 << 3);
    bytes.extend(varint(step));
    bytes.extend(what);
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that holds bytes: a text or a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[(number << 3) | 2], &varint(bytes.len() as u64)[..], bytes].concat()
}

fn fixed32(number: u8, value: f32) -> Vec<u8> {
    [&[(number << 3) | 5], &value.to_le_bytes()[..]].concat()
}

/// A record: length, its checksum, the message, its checksum.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(crc32c(&length)).to_le_bytes(), message, &masked(crc32c(message)).to_le_bytes()].concat()
}

/// CRC-32C (Castagnoli), bit by bit: a row has a few hundred bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

/// The format's own twist, so that a checksum of data with checksums stays one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_row_is_a_record_with_all_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        let values = [("loss/train".to_owned(), 0.5), ("bits".to_owned(), -2.0)].into();
        events.append(&Row { step: 300, values }).unwrap();
        let bytes = std::fs::read(&events.path).unwrap();
        let mut rest = &bytes[..];
        let mut messages = Vec::new();
        while let Some((length, _)) = rest.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            let message = &rest[12..12 + length];
            assert_eq!(rest[..16 + length], record(message));
            messages.push(message);
            rest = &rest[16 + length..];
        }
        let [version, row] = messages[..] else { unreachable!("{} records", messages.len()) };
        assert_eq!(version[9..], [&[2 << 3, 0], &field(3, b"brain.Event:2")[..]].concat());
        let value = |name: &str, v: f32| field(1, &[field(1, name.as_bytes()), fixed32(2, v)].concat());
        let summary = field(5, &[value("bits", -2.0), value("loss/train", 0.5)].concat());
        assert_eq!(row[9..], [&[2 << 3, 0xac, 0x02], &summary[..]].concat());
    }
}
