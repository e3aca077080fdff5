//! Published checkpoints: files that `torch.save` wrote, in either of its two forms, or safetensors.
//!
//! Such a file is a program in disguise. It is read here by a machine that can build plain data and describe tensors and
//! knows nothing else ([`pickle`]); every size is compared with the file's real length before anything is made of it, and
//! tensors are read one at a time, where they lie.

mod legacy;
mod objects;
mod pickle;
mod torch;
mod zip;

use super::element::Element;
use super::safetensors_file::header;
use crate::{ModelError, shown};
use objects::{Id, Object, Objects};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Longest name of a tensor.
const LONGEST_NAME: usize = 500;
/// Longest header of safetensors.
const HEADER: u64 = 8 << 20;
/// Bytes that are turned into floats at a time.
const PIECE: usize = 1 << 20;
/// How many times its own numbers a tensor may lie apart: a part of a larger one is read with what is between.
const SPREAD: usize = 16;

/// A tensor in a checkpoint.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    /// Type of its numbers.
    pub element: Element,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Numbers between neighbours along each axis.
    strides: Vec<usize>,
    /// Byte of the file at which its first number lies.
    at: u64,
}

impl StoredTensor {
    /// Numbers in it.
    pub fn count(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product() }
    }

    /// Numbers from its first to its last.
    fn span(&self) -> usize {
        if self.count() == 0 {
            return 0;
        }
        1 + self.shape.iter().zip(&self.strides).map(|(d, stride)| (d - 1) * stride).sum::<usize>()
    }

    /// Whether it is the same part of the file as another.
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        (self.at, self.element, &self.shape, &self.strides) == (other.at, other.element, &other.shape, &other.strides)
    }
}

/// An opened checkpoint. Its tensors are read when they are asked for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    settings: Map<String, Value>,
    tensors: BTreeMap<String, StoredTensor>,
}

impl Checkpoint {
    /// Reads and checks all but the numbers.
    ///
    /// # Errors
    /// If it is no checkpoint, is damaged, or wants to do anything but describe tensors.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        let bad = |what: String| {
            let hint = "; hint: fetch it again, or give another file";
            let what = if what.contains("; hint: ") { what } else { what + hint };
            ModelError::Format { place: path.display().to_string(), what }
        };
        if !path.is_file() && path.exists() {
            return Err(bad("not a file; hint: give the checkpoint file itself".into()));
        }
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut start = Vec::new();
        (&file).take(512).read_to_end(&mut start).map_err(io)?;
        (&file).rewind().map_err(io)?;
        let (settings, tensors) = match start.as_slice() {
            [b'P', b'K', 3, 4, ..] => state(zip::read(&file, length)),
            [0x80, ..] if start.get(8) != Some(&b'{') => state(legacy::read(&file, length)),
            _ if start.get(257..262) == Some(b"ustar") => {
                Err("it is a tar archive, as PyTorch wrote them before 0.1.10, \
                 and that form is not read; hint: open it with an old PyTorch and save it again"
                    .into())
            }
            _ => safetensors(&path.display().to_string(), &file, length)?,
        }
        .map_err(bad)?;
        Ok(Self { path: path.to_owned(), file, settings, tensors })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings that it was trained with, by the names of the paper's program (`hps`); empty if it has none.
    pub fn settings(&self) -> &Map<String, Value> {
        &self.settings
    }

    /// All tensors by name; a leading `module.`, which training on several devices leaves, is taken off.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// A tensor's place, for messages.
    fn key(&self, name: &str) -> String {
        format!("{}: key `{}`", self.path.display(), shown(name))
    }

    /// Values of a tensor in row-major order.
    ///
    /// # Errors
    /// Names the tensor if there is none such, it holds integers, NaN or infinity, or it cannot be read.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let bad = |what: &str| ModelError::Format {
            place: self.key(name),
            what: format!("{what}; hint: fetch the file again"),
        };
        let tensor = self.tensors.get(name).ok_or_else(|| bad("not in the file"))?;
        if !tensor.element.is_float() {
            return Err(bad(&format!("holds {}, not weights", tensor.element.name())));
        }
        if tensor.span() / SPREAD > tensor.count() {
            let (count, span) = (tensor.count(), tensor.span());
            let hint = "save it as `tensor.contiguous()`";
            let what = format!("its {count} numbers lie spread over {span}, too far apart; hint: {hint}");
            return Err(ModelError::Format { place: self.key(name), what });
        }
        let io = |source| ModelError::Io { path: self.path.clone(), source };
        let (mut file, size) = (&self.file, tensor.element.size());
        file.seek(SeekFrom::Start(tensor.at)).map_err(io)?;
        let mut values = Vec::with_capacity(tensor.span());
        let mut piece = vec![0; PIECE.min(tensor.span() * size)];
        while values.len() < tensor.span() {
            let bytes = piece.len().min((tensor.span() - values.len()) * size);
            file.read_exact(&mut piece[..bytes]).map_err(io)?;
            values.extend(tensor.element.floats(&piece[..bytes]));
        }
        if !values.iter().all(|v| v.is_finite()) {
            return Err(bad("holds NaN or infinity"));
        }
        Ok(row_major(values, &tensor.shape, &tensor.strides))
    }
}

/// Values whose neighbours along each axis lie `strides` apart, in row-major order.
fn row_major(values: Vec<f32>, shape: &[usize], strides: &[usize]) -> Vec<f32> {
    if values.is_empty() {
        return values;
    }
    let mut next = 1;
    let in_order = shape.iter().zip(strides).rev().all(|(d, stride)| {
        let fits = *d == 1 || *stride == next;
        next *= d;
        fits
    });
    if in_order {
        return values;
    }
    let count = shape.iter().product();
    let at = |place: usize| {
        let mut left = place;
        shape.iter().zip(strides).rev().fold(0, |at, (d, stride)| {
            let index = left % d;
            left /= d;
            at + index * stride
        })
    };
    (0..count).map(|place| values.get(at(place)).copied().unwrap_or_default()).collect()
}

/// What a checkpoint holds: settings and tensors, or what is wrong with it.
type Content = Result<(Map<String, Value>, BTreeMap<String, StoredTensor>), String>;

/// Settings and tensors of what `torch.save` wrote: a dict with `model` and `hps`, or a dict of tensors.
fn state(read: Result<(Objects, Id, Vec<u64>), String>) -> Content {
    let (objects, root, starts) = read?;
    let settings = match objects.entry(root, "hps").map(|hps| objects.json(hps)).transpose()? {
        Some(Value::Object(settings)) => settings,
        _ => Map::new(),
    };
    let state = objects.entry(root, "model").unwrap_or(root);
    let entries = objects.entries(state).ok_or("it holds no dict of tensors")?;
    let mut tensors = BTreeMap::new();
    for (key, value) in entries {
        let (Some(name), Object::Tensor(view)) = (objects.text(*key), objects.get(*value)) else { continue };
        let (Some(storage), Some(start)) = (objects.storages.get(view.storage), starts.get(view.storage)) else {
            return Err(format!("tensor `{}` has no storage", shown(name)));
        };
        let tensor = StoredTensor {
            element: storage.element,
            shape: view.shape.clone(),
            strides: view.strides.clone(),
            at: start + (view.offset * storage.element.size()) as u64,
        };
        tensors.insert(checked(name)?, tensor);
    }
    named(settings, tensors)
}

/// The same of safetensors; the settings may stand in the metadata under `hps`, as JSON.
fn safetensors(place: &str, mut file: &File, length: u64) -> Result<Content, ModelError> {
    let mut size = [0; 8];
    let size = file.read_exact(&mut size).map(|()| u64::from_le_bytes(size)).ok();
    let Some(size) = size.filter(|n| *n <= HEADER && n + 8 <= length) else {
        return Ok(Err("it is neither a file that `torch.save` wrote nor safetensors".into()));
    };
    let mut text = Vec::new();
    if file.take(size).read_to_end(&mut text).is_err() {
        return Ok(Err("its header cannot be read".into()));
    }
    let (entries, metadata) = header(place, &text, length - 8 - size)?;
    let settings = match metadata.get("hps").and_then(|text| serde_json::from_str(text).ok()) {
        Some(Value::Object(settings)) => settings,
        _ => Map::new(),
    };
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let mut strides = vec![1usize; entry.shape.len()];
        for axis in (1..entry.shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(entry.shape[axis]);
        }
        let at = 8 + size + entry.from as u64;
        let tensor = StoredTensor { element: entry.element, shape: entry.shape, strides, at };
        match checked(&name) {
            Ok(name) => drop(tensors.insert(name, tensor)),
            Err(what) => return Ok(Err(what)),
        }
    }
    Ok(named(settings, tensors))
}

fn checked(name: &str) -> Result<String, String> {
    match name.len() <= LONGEST_NAME {
        true => Ok(name.to_owned()),
        false => Err(format!("the name of a tensor has {} bytes, more than the limit of {LONGEST_NAME}", name.len())),
    }
}

/// Takes `module.` off, and makes sure that there is something.
fn named(settings: Map<String, Value>, tensors: BTreeMap<String, StoredTensor>) -> Content {
    if tensors.is_empty() {
        return Err("it holds no tensors".into());
    }
    let wrapped = tensors.keys().all(|name| name.starts_with("module."));
    let name = |name: String| name.strip_prefix("module.").filter(|_| wrapped).map(str::to_owned).unwrap_or(name);
    Ok((settings, tensors.into_iter().map(|(n, tensor)| (name(n), tensor)).collect()))
}
