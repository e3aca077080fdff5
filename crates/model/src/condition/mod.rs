//! Conditioners: labels, timing and upper-level tokens as vectors that a prior adds to its input.

mod labels;

pub use labels::{Blend, Labels};
