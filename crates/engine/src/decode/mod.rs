//! One-token-ahead decoding of transformers with Jukebox's factorised attention, in `f32` on the CPU.
//!
//! A [`Decoder`] owns the packed weights of one transformer ([`TransformerWeights`], and its blocks one by one as
//! [`LayerWeights`]). [`Decoder::begin`] opens a window of positions, [`Decoder::advance`] appends tokens and gives the
//! logits of the next one, [`Decoder::probe`] appends tokens and gives what a [`Probe`] sees inside. Known tokens (a prompt, the
//! overlap of windows) go through as matrix products, many positions at once; single steps as matrix-vector products
//! over key and value caches that are as long as each attention pattern needs.
//!
//! **Same bits, whatever the way.** Every output of a product is one chain of fused multiply-adds over the inputs in
//! their order, every reduction has one fixed tree of 16 lanes, and the exponential is our own. So logits don't depend
//! on how tokens are split over calls, on the number of rows, on the number of threads, or on the instruction set.
//!
//! Source: Dhariwal et al. 2020 (arXiv 2005.00341), appendix A; Child et al. 2019 for the factorised patterns.
//!
//! The way of a step: `window` (what was begun) → `decoder` (inputs, chunks, logits) → `layer` (one residual block) → `panels` (products), `norm`,
//! `activation`, `attention` over `cache`, whose places `pattern` gives; all kernels stand on `lanes`.

mod attention;
mod cache;
mod decoder;
mod layer;
mod matrix;
mod norm;
mod pattern;
mod precision;
mod probe;
mod product;
mod weights;
mod window;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::product_in_cache;

pub use decoder::Decoder;
pub use pattern::{AttnFunc, Pattern, Place};
pub use precision::Precision;
pub use probe::Probe;
pub use weights::{LayerWeights, Linear, Norm, TransformerWeights};
pub use window::Conditions;
