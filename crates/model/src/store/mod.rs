//! Model folders: `config.json`, weights as safetensors in shards of at most 16 MB with an index, and a model card.
//!
//! The layout is that of the Hugging Face hub. Weights carry the names of the published Jukebox checkpoints behind
//! `codec.` or `prior.{level}.`. A folder may hold the codec alone, or the codec and priors of some levels.

mod checkpoint;
mod config;
mod dtype;
mod element;
mod import;
mod int8;
mod memory;
mod part;
mod read;
mod safetensors_file;
mod shapes;
mod write;

pub use checkpoint::{Checkpoint, StoredTensor};
pub use config::{MODEL_FORMAT, ModelConfig, SamplingDefaults};
pub use dtype::Dtype;
pub use element::Element;
pub use import::{ImportSettings, Kind, Published, TERMS, import};
pub use memory::{SamplingMemory, parameter_count, stored_bytes};
pub(crate) use part::PartReader;
pub use read::{ModelFolder, Source};
pub use safetensors_file::{NamedTensor, SafetensorsFile};
pub use shapes::{Shape, codec_shapes, prior_shapes};
pub use write::{Weights, save_model, weights_of};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the index that says which shard holds a tensor.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Name of the configuration.
pub(crate) const CONFIG: &str = "config.json";
/// Name of the model card.
pub(crate) const CARD: &str = "README.md";

/// What the index holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Index {
    #[serde(default)]
    metadata: IndexMetadata,
    weight_map: BTreeMap<String, String>,
}

/// The index's own facts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct IndexMetadata {
    /// Bytes of all tensors.
    #[serde(default)]
    total_size: u64,
    /// SHA-256 of the shards as they were written; folders of other programs have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sha256: BTreeMap<String, String>,
}
