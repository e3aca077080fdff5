//! Priors: distributions over token streams.

mod autoregressive;
mod decoder;
mod token_model;

pub use autoregressive::{Conditions, Prior, PriorConfig, token_tensor};
pub use decoder::PriorDecoder;
pub use token_model::{TokenModel, Window};
