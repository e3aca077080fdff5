//! Honest figures: codecs, priors, songs and listeners, each number beside its baselines.
//!
//! | module | what it answers |
//! |---|---|
//! | [`reconstruction()`] | how near a codec's output is to recordings |
//! | [`likelihood()`] | how well a prior foresees held-out tokens |
//! | [`features`], [`distance()`] | how far a set of songs is from another, by what a codec hears |
//! | [`longest_copy`], [`nearest_copy`], [`neighbours`] | whether songs are copies of training music |
//! | [`structure()`], [`diversity()`] | whether songs go somewhere, and differ from each other |
//! | [`listening`] | what people say |
//! | [`compare()`] | what changed from one report to another |

mod codebook;
mod compare;
mod compressor;
mod copies;
mod distance;
mod diversity;
mod error;
pub mod features;
mod fidelity;
#[cfg(feature = "fingerprint")]
mod fingerprint;
mod gaussian;
mod likelihood;
pub mod listening;
pub mod neighbours;
mod ngram;
#[cfg(feature = "opus")]
mod opus;
mod reconstruction;
mod scores;
mod stft_distance;
mod structure;
pub mod symmetric;

pub use codebook::CodebookUse;
pub use compare::{Change, compare};
pub use compressor::compressed_bits;
pub use copies::{Copy, NearCopy, longest_copy, nearest_copy};
pub use distance::{Distance, Extrapolation, distance, per_song};
pub use diversity::{Diversity, diversity};
pub use error::EvaluateError;
pub use fidelity::Fidelity;
#[cfg(feature = "fingerprint")]
pub use fingerprint::{Fingerprint, Shared};
pub use gaussian::{Gaussian, Reference};
pub use likelihood::{LikelihoodReport, likelihood};
pub use reconstruction::{Excerpt, ReconstructionReport, ReconstructionRow, reconstruction, spread};
pub use scores::Scores;
pub use stft_distance::stft_distance;
pub use structure::{FRAME_SECONDS, SelfSimilarity, Structure, structure};
