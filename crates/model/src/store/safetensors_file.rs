//! One safetensors file in memory, checked before anything is made of it.

use super::element::Element;
use super::int8;
use crate::{ModelError, shown};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Longest header, as the format's own reader has it.
const HEADER_LIMIT: usize = 100_000_000;

/// Most axes of a tensor.
pub(super) const MOST_AXES: usize = 8;

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
struct Described {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub element: Element,
    pub shape: Vec<usize>,
    /// First byte within the data.
    pub from: usize,
    /// The byte behind the last.
    pub to: usize,
}

/// Tensors by name, and the file's metadata.
type Header = (BTreeMap<String, Entry>, BTreeMap<String, String>);

/// Reads a header of a file that holds `held` bytes of data: every tensor lies within them and has as many bytes as its
/// shape says.
///
/// # Errors
/// Names the file, and the key if there is one at fault.
pub(super) fn header(place: &str, text: &[u8], held: u64) -> Result<Header, ModelError> {
    let bad = |what: String| ModelError::Format { place: place.to_owned(), what };
    let Pairs(header) =
        serde_json::from_slice(text).map_err(|_| bad("its header is not the JSON of a safetensors file".into()))?;
    let mut entries = BTreeMap::new();
    let mut metadata = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (name, value) in header {
        if !names.insert(name.clone()) {
            return Err(bad(format!("key `{}` stands twice", shown(&name))));
        }
        if name == "__metadata__" {
            metadata =
                serde_json::from_value(value).map_err(|e| bad(format!("metadata: {}", shown(&e.to_string()))))?;
            continue;
        }
        let key = format!("key `{}`", shown(&name));
        let Described { dtype, shape, data_offsets: [from, to] } =
            serde_json::from_value(value).map_err(|e| bad(format!("{key}: {}", shown(&e.to_string()))))?;
        let Some(element) = Element::of_safetensors(&dtype) else {
            return Err(bad(format!("{key} has type {}; hint: F32, F16 and BF16 are read", shown(&dtype))));
        };
        if shape.len() > MOST_AXES {
            return Err(bad(format!("{key} has {} axes, more than {MOST_AXES}", shape.len())));
        }
        let bytes = shape.iter().try_fold(element.size(), |n: usize, d| n.checked_mul(*d));
        if from > to || to as u64 > held || bytes != Some(to - from) {
            let what = format!("{shape:?} at {from}..{to} does not fit a file with {held} bytes of data");
            return Err(bad(format!("{key}: {what}")));
        }
        entries.insert(name, Entry { element, shape, from, to });
    }
    // The format has its tensors one behind the other: bytes that nobody names, or that two do, are no mistake of a writer.
    let mut places: Vec<(usize, usize, &str)> = entries.iter().map(|(name, e)| (e.from, e.to, name.as_str())).collect();
    places.sort_unstable();
    let mut end = 0;
    for (from, to, name) in places {
        if from != end {
            let what = format!("key `{}` begins at byte {from} of the data, not at {end}", shown(name));
            return Err(bad(what));
        }
        end = to;
    }
    if end as u64 != held {
        return Err(bad(format!("{held} bytes of data, and its tensors take {end}")));
    }
    Ok((entries, metadata))
}

/// The entries of a JSON object in their order, none of them lost.
struct Pairs(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather;
        impl<'de> serde::de::Visitor<'de> for Gather {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Gather)
    }
}

/// A checked file.
#[derive(Debug, Clone)]
pub struct SafetensorsFile<'a> {
    place: String,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
    data: Cow<'a, [u8]>,
    start: usize,
}

/// What is said of a file that ends too soon.
const NOT_WHOLE: &str = "not a whole safetensors file; hint: fetch or write it again";

/// Length of the header of a file that begins like this and has `length` bytes.
fn header_length(start: &[u8], length: u64) -> Option<usize> {
    let header = u64::from_le_bytes(*start.first_chunk::<8>()?);
    usize::try_from(header).ok().filter(|n| *n <= HEADER_LIMIT && *n as u64 + 8 <= length)
}

/// The tensors of a file of `length` bytes; only its header is read.
///
/// # Errors
/// If it is no whole safetensors file.
pub(super) fn entries(place: &str, mut file: impl Read, length: u64) -> Result<BTreeMap<String, Entry>, ModelError> {
    let bad = || ModelError::Format { place: place.to_owned(), what: NOT_WHOLE.to_owned() };
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(|_| bad())?;
    let size = header_length(&start, length).ok_or_else(bad)?;
    let mut text = vec![0; size];
    file.read_exact(&mut text).map_err(|_| bad())?;
    header(place, &text, length - 8 - size as u64).map(|(entries, _)| entries)
}

impl<'a> SafetensorsFile<'a> {
    /// Reads the header and checks that every tensor lies within the file and has as many bytes as its shape says.
    ///
    /// # Errors
    /// Names the file, and the key if there is one at fault.
    pub fn parse(place: &str, data: Cow<'a, [u8]>) -> Result<Self, ModelError> {
        let bad = |what: &str| ModelError::Format { place: place.to_owned(), what: what.to_owned() };
        let length = header_length(&data, data.len() as u64).ok_or_else(|| bad(NOT_WHOLE))?;
        let start = 8 + length;
        let text = data.get(8..start).unwrap_or_default();
        let (entries, metadata) = header(place, text, (data.len() - start) as u64)?;
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
        self.entries.get(name).map(|e| e.shape.as_slice())
    }

    fn bad(&self, name: &str, what: &str) -> ModelError {
        ModelError::Format { place: format!("{}: key `{}`", self.place, shown(name)), what: what.into() }
    }

    /// Type and bytes of a tensor.
    fn bytes(&self, name: &str) -> Result<(&Entry, &[u8]), ModelError> {
        let entry = self.entries.get(name).ok_or_else(|| self.bad(name, "not in the file"))?;
        let bytes = self.data.get(self.start + entry.from..self.start + entry.to);
        Ok((entry, bytes.ok_or_else(|| self.bad(name, "outside the file"))?))
    }

    /// Values of a tensor as f32; those of [`Dtype::Int8`](super::Dtype) times their scales.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds NaN or infinity.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let (entry, bytes) = self.bytes(name)?;
        let values = match entry.element {
            Element::I8 => {
                let scales = int8::scales_of(name);
                let outputs = entry.shape.last().copied().unwrap_or_default();
                match self.bytes(&scales) {
                    Ok((of, scales)) if of.element == Element::F32 && of.shape == [outputs] => {
                        int8::dequantise(bytes, &Element::F32.floats(scales))
                    }
                    _ => {
                        let what = format!("holds bytes without `{}`, one F32 number an output", shown(&scales));
                        return Err(self.bad(name, &what));
                    }
                }
            }
            float if float.is_float() => float.floats(bytes),
            _ => return Err(self.bad(name, "holds integers, not weights")),
        };
        if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(self.bad(name, "holds NaN or infinity")) }
    }
}
