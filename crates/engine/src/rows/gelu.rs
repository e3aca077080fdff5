//! QuickGELU, `x · sigmoid(1.702 x)`, and its slope.

use rayon::prelude::*;

use super::{STRETCH, load_end, same_length, store_end};
use crate::EngineError;
use crate::lanes::gelu::{STEEPNESS, quick_gelu as gelu, sigmoid};
use crate::lanes::{Isa, Kernel, LANES, Simd};

/// QuickGELU of every value.
#[must_use]
pub fn quick_gelu(x: &[f32]) -> Vec<f32> {
    let isa = Isa::detect();
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(STRETCH).zip(x.par_chunks(STRETCH)).for_each(|(y, x)| isa.run(Forward { x, y }));
    y
}

/// The slope of QuickGELU at `x`, times `grad`.
///
/// # Errors
/// If the lengths differ.
pub fn quick_gelu_grad(x: &[f32], grad: &[f32]) -> Result<Vec<f32>, EngineError> {
    same_length("grad", x.len(), grad.len())?;
    let isa = Isa::detect();
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(STRETCH)
        .zip(x.par_chunks(STRETCH))
        .zip(grad.par_chunks(STRETCH))
        .for_each(|((out, x), grad)| isa.run(Backward { x, grad, out }));
    Ok(out)
}

/// QuickGELU of every value.
pub(crate) struct Forward<'a> {
    pub x: &'a [f32],
    pub y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (x, x_end) = self.x.as_chunks::<LANES>();
        let (y, y_end) = self.y.as_chunks_mut::<LANES>();
        for (x, y) in x.iter().zip(y) {
            simd.store(gelu(simd, simd.load(x)), y);
        }
        store_end(simd, gelu(simd, load_end(simd, x_end, 0.0)), y_end);
    }
}

struct Backward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

/// `x s`, and `s + 1.702 x s (1 - s)` times the gradient.
#[inline(always)]
fn both<S: Simd>(simd: S, x: S::V, grad: S::V) -> (S::V, S::V) {
    let s = sigmoid(simd, x);
    let value = simd.mul(x, s);
    let bend = simd.mul(simd.mul(value, simd.splat(STEEPNESS)), simd.sub(simd.splat(1.0), s));
    (value, simd.mul(grad, simd.add(s, bend)))
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (x, x_end) = self.x.as_chunks::<LANES>();
        let (grad, grad_end) = self.grad.as_chunks::<LANES>();
        let (out, out_end) = self.out.as_chunks_mut::<LANES>();
        for ((x, grad), out) in x.iter().zip(grad).zip(out) {
            simd.store(both(simd, simd.load(x), simd.load(grad)).1, out);
        }
        store_end(simd, both(simd, load_end(simd, x_end, 0.0), load_end(simd, grad_end, 0.0)).1, out_end);
    }
}

/// QuickGELU of every value, and its slope times a gradient, in the gradient's place.
pub(crate) struct Both<'a> {
    pub x: &'a [f32],
    pub y: &'a mut [f32],
    pub grad: &'a mut [f32],
}

impl Kernel for Both<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (x, x_end) = self.x.as_chunks::<LANES>();
        let (y, y_end) = self.y.as_chunks_mut::<LANES>();
        let (grad, grad_end) = self.grad.as_chunks_mut::<LANES>();
        for ((x, y), grad) in x.iter().zip(y).zip(grad) {
            let (value, slope) = both(simd, simd.load(x), simd.load(grad));
            simd.store(value, y);
            simd.store(slope, grad);
        }
        let (value, slope) = both(simd, load_end(simd, x_end, 0.0), load_end(simd, grad_end, 0.0));
        store_end(simd, value, y_end);
        store_end(simd, slope, grad_end);
    }
}
