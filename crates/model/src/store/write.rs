//! Writing a model folder: every file beside its place, then renamed; the configuration last.

use super::safetensors_file::NamedTensor;
use super::{CARD, CONFIG, INDEX, ModelConfig};
use crate::ModelError;
use crate::nn::{Parameters, each_parameter};
use half::bf16;
use orchestrion_data::write_whole;
use safetensors::tensor::{Dtype as FileDtype, TensorView};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of tensors in a shard.
const SHARD: usize = 16_000_000;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// Four bytes, exact.
    F32,
    /// Two bytes: the upper half of an f32, rounded to nearest.
    Bf16,
}

/// Weights of one part of a model.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    /// `codec`, or `prior.{level}`.
    pub part: String,
    /// The tensors, named within the part.
    pub tensors: Vec<NamedTensor>,
}

/// Takes a part's weights out.
pub fn weights_of(part: &str, model: &mut impl Parameters) -> Weights {
    let mut tensors = Vec::new();
    each_parameter(model, |name, p| {
        tensors.push(NamedTensor { name: name.to_owned(), shape: p.shape(), values: p.values() });
    });
    Weights { part: part.to_owned(), tensors }
}

/// Writes a model folder.
///
/// # Errors
/// If the configuration does not fit itself, or a file cannot be written.
pub fn save_model(
    folder: &Path,
    config: &ModelConfig,
    parts: &[Weights],
    dtype: Dtype,
    card: &str,
) -> Result<(), ModelError> {
    config.validate()?;
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Io { path: folder.to_owned(), source })?;
    let mut weight_map = BTreeMap::new();
    let mut total = 0;
    for part in parts {
        let shards = split(&part.tensors, dtype);
        for (i, shard) in shards.iter().enumerate() {
            let stem = part.part.replace('.', "-");
            let file = match shards.len() {
                1 => format!("{stem}.safetensors"),
                n => format!("{stem}-{:05}-of-{n:05}.safetensors", i + 1),
            };
            let mut bytes = Vec::with_capacity(shard.len());
            for tensor in shard {
                let name = format!("{}.{}", part.part, tensor.name);
                let content: Vec<u8> = match dtype {
                    Dtype::F32 => tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    Dtype::Bf16 => tensor.values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
                };
                total += content.len();
                weight_map.insert(name.clone(), file.clone());
                bytes.push((name, tensor.shape.clone(), content));
            }
            let kind = match dtype {
                Dtype::F32 => FileDtype::F32,
                Dtype::Bf16 => FileDtype::BF16,
            };
            let bad = |e: safetensors::SafeTensorError| ModelError::Format { place: file.clone(), what: e.to_string() };
            let views = bytes
                .iter()
                .map(|(name, shape, content)| Ok((name, TensorView::new(kind, shape.clone(), content).map_err(bad)?)))
                .collect::<Result<Vec<_>, ModelError>>()?;
            let content = safetensors::serialize(views, None).map_err(bad)?;
            put(folder, &file, &content)?;
        }
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
    put(folder, INDEX, &pretty(&index))?;
    put(folder, CARD, card.as_bytes())?;
    put(folder, CONFIG, &pretty(config))
}

fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

fn put(folder: &Path, file: &str, content: &[u8]) -> Result<(), ModelError> {
    let path = folder.join(file);
    write_whole(&path, content)
        .map_err(|e| ModelError::Format { place: path.display().to_string(), what: e.to_string() })
}

fn split(tensors: &[NamedTensor], dtype: Dtype) -> Vec<Vec<&NamedTensor>> {
    let size = match dtype {
        Dtype::F32 => 4,
        Dtype::Bf16 => 2,
    };
    let mut shards: Vec<Vec<&NamedTensor>> = vec![Vec::new()];
    let mut held = 0;
    for tensor in tensors {
        let bytes = tensor.values.len() * size;
        if held > 0 && held + bytes > SHARD {
            shards.push(Vec::new());
            held = 0;
        }
        held += bytes;
        if let Some(last) = shards.last_mut() {
            last.push(tensor);
        }
    }
    shards
}
