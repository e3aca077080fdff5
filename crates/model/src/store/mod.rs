//! Model folders: `config.json`, weights as safetensors in shards of at most 16 MB with an index, and a model card.
//!
//! The layout is that of the Hugging Face hub. Weights carry the names of the published Jukebox checkpoints behind
//! `codec.` or `prior.{level}.`. A folder may hold the codec alone, or the codec and priors of some levels.

mod config;
mod read;
mod safetensors_file;
mod write;

pub use config::{MODEL_FORMAT, ModelConfig, SamplingDefaults};
pub use read::{ModelFolder, Source};
pub use safetensors_file::{NamedTensor, SafetensorsFile};
pub use write::{Dtype, Weights, save_model, weights_of};

/// Name of the index that says which shard holds a tensor.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Name of the configuration.
pub(crate) const CONFIG: &str = "config.json";
/// Name of the model card.
pub(crate) const CARD: &str = "README.md";
