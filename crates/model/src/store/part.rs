//! The weights of one part of a model: its shards one at a time, its faults all together.

use super::safetensors_file::SafetensorsFile;
use super::{ModelFolder, Shape};
use crate::nn::{Parameters, each_parameter};
use crate::{ModelError, shown};
use burn::tensor::Device;
use std::collections::{BTreeMap, BTreeSet};

/// Faults that a message lists.
const LISTED: usize = 8;

/// Reads the weights behind a prefix into the networks that want them, a piece of the part at a time.
pub(crate) struct PartReader<'a> {
    folder: &'a ModelFolder,
    prefix: String,
    /// The shard that was read last. Weights are asked for in the order in which they were written, or nearly.
    shard: Option<(&'a str, SafetensorsFile<'static>)>,
    /// Names that nobody asked for so far.
    left: BTreeSet<&'a str>,
    faults: Vec<String>,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(folder: &'a ModelFolder, prefix: &str) -> Self {
        let left = folder.names().filter(|name| name.starts_with(prefix)).collect();
        Self { folder, prefix: prefix.to_owned(), shard: None, left, faults: Vec::new() }
    }

    /// Compares names and sizes of the whole part with what they should be. No weight is read.
    ///
    /// # Errors
    /// If a shard cannot be read; names weights that are missing, superfluous or of other sizes.
    pub(crate) fn check(mut self, shapes: &[Shape]) -> Result<(), ModelError> {
        let mut headers = BTreeMap::new();
        for (name, shape) in shapes {
            let full = format!("{}{name}", self.prefix);
            self.left.remove(full.as_str());
            let Some(file) = self.folder.shard(&full) else {
                self.faults.push(format!("`{full}` is missing"));
                continue;
            };
            if !headers.contains_key(file) {
                headers.insert(file, self.folder.shard_entries(file)?);
            }
            let found = headers.get(file).and_then(|entries| entries.get(&full));
            self.faults.extend(misfit(&full, found.map(|entry| entry.shape.as_slice()), shape));
        }
        self.finish()
    }

    /// Puts weights into a piece whose names stand behind `within`. Weights that are missing or don't fit are noted.
    ///
    /// # Errors
    /// If a shard cannot be read.
    pub(crate) fn fill(
        &mut self,
        piece: &mut impl Parameters,
        within: &str,
        device: &Device,
    ) -> Result<(), ModelError> {
        let trained = device.is_autodiff();
        let mut result = Ok(());
        each_parameter(piece, |name, mut parameter| {
            let full = format!("{}{within}{name}", self.prefix);
            if result.is_err() {
                return;
            }
            match self.values(&full, &parameter.shape()) {
                Ok(Some(values)) => parameter.set(values, device, trained),
                Ok(None) => {}
                Err(error) => result = Err(error),
            }
        });
        result
    }

    /// Values of a tensor of this shape; `None` and a note if there is none such.
    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, ModelError> {
        self.left.remove(name);
        let Some(file) = self.folder.shard(name) else {
            self.faults.push(format!("`{name}` is missing"));
            return Ok(None);
        };
        let shard = match self.shard.take().filter(|(open, _)| *open == file) {
            Some((_, shard)) => shard,
            None => self.folder.open_shard(file)?,
        };
        let values = match misfit(name, shard.shape(name), shape) {
            None => shard.values(name).map_err(|error| error.to_string()),
            Some(fault) => Err(fault),
        };
        self.shard = Some((file, shard));
        Ok(values.map_err(|fault| self.faults.push(fault)).ok())
    }

    /// Values of a tensor of this shape, by its name within the part.
    ///
    /// # Errors
    /// If it is missing or does not fit, or its shard cannot be read.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let name = format!("{}{name}", self.prefix);
        self.values(&name, shape)?.ok_or_else(|| self.error(&self.faults))
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Says what was wrong, once all pieces are filled.
    ///
    /// # Errors
    /// Names weights that are missing, superfluous, of other sizes, or not finite.
    pub(crate) fn finish(&self) -> Result<(), ModelError> {
        let superfluous = self.left.iter().map(|name| format!("`{}` is not part of the model", shown(name)));
        let faults: Vec<String> = self.faults.iter().cloned().chain(superfluous).collect();
        if faults.is_empty() { Ok(()) } else { Err(self.error(&faults)) }
    }

    fn error(&self, faults: &[String]) -> ModelError {
        let listed = faults.len().min(LISTED);
        let more = faults.len() - listed;
        let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
        let place = self.folder.index_place();
        ModelError::Weights(format!("{place}: {}{tail}", faults[..listed].join("; ")))
    }
}

/// What is wrong with the sizes of a tensor that its shard may hold.
fn misfit(name: &str, found: Option<&[usize]>, expected: &[usize]) -> Option<String> {
    match found {
        Some(found) if found == expected => None,
        Some(found) => Some(format!("`{name}` is {found:?}, not {expected:?}")),
        None => Some(format!("`{name}` is not in its shard")),
    }
}
