//! What transformers do to rows of channels beside products and attention, forward and backward: layer norm,
//! QuickGELU, and the cross-entropy of tokens.
//!
//! Rows lie one after the other, `[rows, width]`. Tasks are a fixed number of rows, so sums over rows have an order that
//! the shapes alone decide.

mod cross_entropy;
mod gelu;
mod norm;
#[cfg(test)]
mod tests;

pub use cross_entropy::{cross_entropy, cross_entropy_grad};
pub(crate) use gelu::{Both as GeluBoth, Forward as GeluForward};
pub use gelu::{quick_gelu, quick_gelu_grad};
pub(crate) use norm::{Backward as NormBackward, EPSILON, Forward as NormForward};
pub use norm::{NormGradients, layer_norm, layer_norm_grad};

use crate::EngineError;
use crate::lanes::{LANES, Simd};

/// Rows of a task.
const TASK: usize = 64;

/// Values of a task of an element-wise operation.
const STRETCH: usize = 1 << 14;

/// The values of a row's end, fewer than [`LANES`]; the lanes behind them are `fill`.
#[inline(always)]
fn load_end<S: Simd>(simd: S, from: &[f32], fill: f32) -> S::V {
    let mut block = [fill; LANES];
    block[..from.len()].copy_from_slice(from);
    simd.load(&block)
}

/// The first lanes to a row's end.
#[inline(always)]
fn store_end<S: Simd>(simd: S, v: S::V, to: &mut [f32]) {
    let mut block = [0.0; LANES];
    simd.store(v, &mut block);
    to.copy_from_slice(&block[..to.len()]);
}

fn same_length(name: &str, expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found { Ok(()) } else { Err(EngineError::Length { name: format!("`{name}`"), expected, found }) }
}

/// Number of rows, if `values` are whole rows of `width`.
fn rows(name: &str, values: &[f32], width: usize) -> Result<usize, EngineError> {
    if width == 0 || !values.len().is_multiple_of(width) {
        let what =
            format!("`{name}`: {} values are not whole rows of {width}; hint: check the layer's width", values.len());
        return Err(EngineError::Request(what));
    }
    Ok(values.len() / width)
}
