//! Raw-slice compute on the CPU: the hot operations of training (convolution, spectral distance) and one-token-ahead
//! decoding of transformers. Knows no tensors, no model family and no files.
//!
//! Every vector kernel is written once over [`simd::Vector`] and runs with the widest instructions the machine has,
//! chosen at run time; the portable instance is the twin that tests compare with.

pub mod conv;
pub mod decode;
mod error;
mod lanes;
pub mod spectral;

pub use error::EngineError;
