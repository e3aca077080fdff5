//! Conditioners: labels, timing and upper-level tokens as vectors that a prior adds to its input.

mod embedding;
mod labels;
mod upper;

pub use embedding::{LabelEmbedding, LabelsConfig, Naming, Span, TimingConfig};
pub use labels::{Blend, Labels};
pub use upper::{UpperConditioner, UpperConfig};
