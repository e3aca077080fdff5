//! Priors: distributions over token streams.

mod activations;
mod autoregressive;
mod conditions;
mod config;
mod decoder;
mod lyrics;
mod network;
mod opening;
mod tensor_cache;
mod tensor_decoder;
mod token_model;

pub use conditions::Conditions;
pub use config::{AlignmentConfig, LyricsConfig, PriorConfig};
pub use decoder::PriorDecoder;
pub use network::{Losses, Prior, token_tensor};
pub use token_model::{TokenModel, Window};
