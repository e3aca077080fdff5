//! Honest figures: reconstruction by codecs, likelihood by priors.

mod error;

pub use error::EvaluateError;
