//! Priors: distributions over token streams.

mod token_model;

pub use token_model::{TokenModel, Window};
