//! Writing a model folder: every file beside its place, then renamed; the configuration last.

use super::safetensors_file::NamedTensor;
use super::{CARD, CONFIG, Dtype, INDEX, Index, ModelConfig, ModelFolder, PartReader, Shape};
use crate::ModelError;
use crate::nn::{Parameters, each_parameter};
use orchestrion_data::{DataError, PublishedNames, fingerprint, write_whole};
use safetensors::tensor::TensorView;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of tensors in a shard.
const SHARD: u64 = 16_000_000;

/// Weights of one part of a model: `codec`, or `prior.{level}`.
#[derive(Debug, Clone)]
pub enum Weights<'a> {
    /// In memory.
    Held {
        /// The part.
        part: String,
        /// The tensors, named within the part.
        tensors: Vec<NamedTensor>,
    },
    /// In another model folder, to be copied a shard at a time. The folder's label tables go with them.
    Stored {
        /// The part, of the same name there and here.
        part: String,
        /// Where they are.
        folder: &'a ModelFolder,
    },
}

/// Takes a part's weights out.
pub fn weights_of(part: &str, model: &mut impl Parameters) -> Weights<'static> {
    let mut tensors = Vec::new();
    each_parameter(model, |name, p| {
        tensors.push(NamedTensor { name: name.to_owned(), shape: p.shape(), values: p.values() });
    });
    Weights::Held { part: part.to_owned(), tensors }
}

/// Writes a model folder. Terms in the configuration that the card lacks are added to it.
///
/// # Errors
/// If the configuration does not fit itself, stored weights don't fit it, the folders that they are in have different label
/// tables, or a file cannot be written.
pub fn save_model(
    folder: &Path,
    config: &ModelConfig,
    parts: &[Weights<'_>],
    dtype: Dtype,
    card: &str,
) -> Result<(), ModelError> {
    config.validate()?;
    let tables = tables(parts)?;
    let mut index = Index::default();
    for weights in parts {
        match weights {
            Weights::Held { part, tensors } => {
                let shapes: Vec<Shape> = tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
                write_part(folder, part, &shapes, dtype, &mut index, |i| {
                    Ok(tensors.get(i).map(|t| Cow::Borrowed(t.values.as_slice())).unwrap_or_default())
                })?;
            }
            Weights::Stored { part, folder: from } => {
                let shapes = config.parts().into_iter().find(|(name, _)| name == part).map(|(_, shapes)| shapes);
                let shapes = shapes.unwrap_or_default();
                let mut reader = PartReader::new(from, &format!("{part}."));
                PartReader::new(from, &format!("{part}.")).check(&shapes)?;
                write_part(folder, part, &shapes, dtype, &mut index, |i| {
                    let (name, shape) = &shapes[i];
                    reader.tensor(name, shape).map(Cow::Owned)
                })?;
            }
        }
    }
    for (file, content) in tables {
        put(folder, file, &content)?;
    }
    finish(folder, config, &index, card)
}

/// Label tables of the folders that weights are copied from.
fn tables(parts: &[Weights<'_>]) -> Result<BTreeMap<&'static str, Cow<'static, [u8]>>, ModelError> {
    let mut tables = BTreeMap::new();
    for weights in parts {
        let Weights::Stored { folder, .. } = weights else { continue };
        for file in PublishedNames::FILES {
            let Some(content) = folder.file(file)? else { continue };
            if tables.insert(file, content.clone()).is_some_and(|other| other != content) {
                return Err(ModelError::Request(format!(
                    "`{}` differs from the table of another model; hint: import both with the same `--labels`",
                    folder.place(file)
                )));
            }
        }
    }
    Ok(tables)
}

/// Writes a part's weights, shard by shard; `values` gives those of the tensor at a place of `shapes`, and is asked once for
/// each, in order. At any time the values of one shard are in memory. On failure the part's files are removed.
///
/// # Errors
/// If `values` fails, or a file cannot be written.
pub(super) fn write_part<'a>(
    folder: &Path,
    part: &str,
    shapes: &[Shape],
    dtype: Dtype,
    index: &mut Index,
    mut values: impl FnMut(usize) -> Result<Cow<'a, [f32]>, ModelError>,
) -> Result<(), ModelError> {
    let is_new = !folder.exists();
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Io { path: folder.to_owned(), source })?;
    let shards = split(shapes, dtype);
    let stem = part.replace('.', "-");
    let name = |i: usize| match shards.len() {
        1 => format!("{stem}.safetensors"),
        n => format!("{stem}-{:05}-of-{n:05}.safetensors", i + 1),
    };
    let mut first = 0;
    for (i, count) in shards.iter().enumerate() {
        let file = name(i);
        let mut shard = || {
            let mut tensors = Vec::new();
            for (place, (name, shape)) in shapes.iter().enumerate().skip(first).take(*count) {
                tensors.extend(dtype.encode(&format!("{part}.{name}"), shape, &values(place)?));
            }
            let bad = |e: safetensors::SafeTensorError| ModelError::Format { place: file.clone(), what: e.to_string() };
            let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(bad)?))
            });
            let content = safetensors::serialize(views.collect::<Result<Vec<_>, ModelError>>()?, None).map_err(bad)?;
            put(folder, &file, &content)?;
            index.metadata.sha256.insert(file.clone(), fingerprint([&content]));
            index.metadata.total_size += tensors.iter().map(|(.., bytes)| bytes.len() as u64).sum::<u64>();
            index.weight_map.extend(tensors.into_iter().map(|(name, ..)| (name, file.clone())));
            Ok(())
        };
        if let Err(error) = shard() {
            // The first error is the one to tell.
            for written in (0..i).map(name) {
                let _ = std::fs::remove_file(folder.join(written));
            }
            if is_new {
                let _ = std::fs::remove_dir(folder);
            }
            return Err(error);
        }
        first += count;
    }
    Ok(())
}

/// Writes index, card and configuration, which make the folder a model.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn finish(folder: &Path, config: &ModelConfig, index: &Index, card: &str) -> Result<(), ModelError> {
    put(folder, INDEX, &pretty(index))?;
    let mut card = card.to_owned();
    for term in config.terms.iter().filter(|term| !card.contains(term.as_str())).collect::<Vec<_>>() {
        card = format!("{}\n\n{term}\n", card.trim_end());
    }
    put(folder, CARD, card.as_bytes())?;
    put(folder, CONFIG, &pretty(config))
}

fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Writes a file of the folder, whole or not at all.
fn put(folder: &Path, file: &str, content: &[u8]) -> Result<(), ModelError> {
    let path = folder.join(file);
    write_whole(&path, content).map_err(|error| match error {
        DataError::Io { path, source } => ModelError::Io { path, source },
        other => ModelError::Format { place: path.display().to_string(), what: other.to_string() },
    })
}

/// How many tensors each shard has.
fn split(shapes: &[Shape], dtype: Dtype) -> Vec<usize> {
    let mut shards = vec![0];
    let mut held = 0;
    for (name, shape) in shapes {
        let bytes = dtype.bytes(name, shape);
        if held > 0 && held + bytes > SHARD {
            shards.push(0);
            held = 0;
        }
        held += bytes;
        if let Some(last) = shards.last_mut() {
            *last += 1;
        }
    }
    shards
}
