//! One safetensors file in memory, checked before anything is made of it.

use crate::ModelError;
use half::{bf16, f16};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longest header, as the format's own reader has it.
const HEADER_LIMIT: usize = 100_000_000;

/// A tensor to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Published name.
    pub name: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// A checked file.
#[derive(Debug, Clone)]
pub struct SafetensorsFile<'a> {
    place: String,
    entries: BTreeMap<String, (String, Vec<usize>, usize, usize)>,
    metadata: BTreeMap<String, String>,
    data: Cow<'a, [u8]>,
    start: usize,
}

impl<'a> SafetensorsFile<'a> {
    /// Reads the header and checks that every tensor lies within the file and has as many bytes as its shape says.
    ///
    /// # Errors
    /// Names the file, and the key if there is one at fault.
    pub fn parse(place: &str, data: Cow<'a, [u8]>) -> Result<Self, ModelError> {
        let bad = |what: String| ModelError::Format { place: place.to_owned(), what };
        let length = data
            .first_chunk::<8>()
            .map(|b| u64::from_le_bytes(*b))
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n <= HEADER_LIMIT && n + 8 <= data.len())
            .ok_or_else(|| bad("not a whole safetensors file; hint: fetch or write it again".into()))?;
        let start = 8 + length;
        let header: BTreeMap<String, serde_json::Value> = data
            .get(8..start)
            .and_then(|h| serde_json::from_slice(h).ok())
            .ok_or_else(|| bad("its header is not the JSON of a safetensors file".into()))?;
        let mut entries = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        for (name, value) in header {
            if name == "__metadata__" {
                metadata = serde_json::from_value(value).map_err(|e| bad(format!("metadata: {e}")))?;
                continue;
            }
            let entry: Entry = serde_json::from_value(value).map_err(|e| bad(format!("key `{name}`: {e}")))?;
            let size = match entry.dtype.as_str() {
                "F32" | "I32" => 4,
                "F16" | "BF16" => 2,
                "F64" | "I64" => 8,
                other => return Err(bad(format!("key `{name}` has type {other}; hint: F32, F16 and BF16 are read"))),
            };
            let bytes = entry.shape.iter().try_fold(size, |n: usize, d| n.checked_mul(*d));
            let [from, to] = entry.data_offsets;
            let held = data.len() - start;
            if from > to || to > held || bytes != Some(to - from) {
                return Err(bad(format!(
                    "key `{name}`: {:?} at {from}..{to} does not fit a file with {held} bytes of data",
                    entry.shape
                )));
            }
            entries.insert(name, (entry.dtype, entry.shape, from, to));
        }
        Ok(Self { place: place.to_owned(), entries, metadata, data, start })
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// A metadata value.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Sizes of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|e| e.1.as_slice())
    }

    /// Values of a tensor as f32.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds NaN or infinity.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let bad = |what: &str| ModelError::Format { place: format!("{}: key `{name}`", self.place), what: what.into() };
        let (dtype, _, from, to) = self.entries.get(name).ok_or_else(|| bad("not in the file"))?;
        let bytes = self.data.get(self.start + from..self.start + to).ok_or_else(|| bad("outside the file"))?;
        let values: Vec<f32> = match dtype.as_str() {
            "F32" => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            "F16" => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            "BF16" => bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            "F64" => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            _ => return Err(bad("holds integers, not weights")),
        };
        if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(bad("holds NaN or infinity")) }
    }

    /// Values of an integer tensor.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds no integers.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>, ModelError> {
        let bad = |what: &str| ModelError::Format { place: format!("{}: key `{name}`", self.place), what: what.into() };
        let (dtype, _, from, to) = self.entries.get(name).ok_or_else(|| bad("not in the file"))?;
        let bytes = self.data.get(self.start + from..self.start + to).ok_or_else(|| bad("outside the file"))?;
        match dtype.as_str() {
            "I64" => Ok(bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            "I32" => Ok(bytes.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()),
            _ => Err(bad("holds no integers")),
        }
    }
}
