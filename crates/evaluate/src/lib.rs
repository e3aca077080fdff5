//! Honest figures: reconstruction by codecs, likelihood by priors, each beside its baselines.

mod error;
mod likelihood;
mod ngram;
mod reconstruction;
mod scores;

pub use error::EvaluateError;
pub use likelihood::{LikelihoodReport, likelihood};
pub use reconstruction::{ReconstructionReport, ReconstructionRow, reconstruction};
pub use scores::Scores;
