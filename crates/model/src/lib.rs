//! Networks and their weights: codecs, priors and conditioners of the Jukebox family, on Burn.
//!
//! Nothing here reads sound files or talks to users. Outside this crate, tokens and samples are plain slices.

pub mod codec;
pub mod condition;
mod error;
pub mod nn;
pub mod prior;
pub mod store;

pub use error::{ModelError, shown};
