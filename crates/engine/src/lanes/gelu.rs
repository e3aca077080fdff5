//! QuickGELU, `x · sigmoid(1.702 x)`, of a vector.

use super::Simd;
use super::exp::exp;

/// How steep the sigmoid is.
pub(crate) const STEEPNESS: f32 = 1.702;

/// `1 + e^(-1.702 x)`.
#[inline(always)]
fn divisor<S: Simd>(simd: S, x: S::V) -> S::V {
    let steep = simd.max(simd.mul(x, simd.splat(STEEPNESS)), simd.splat(-87.0));
    simd.add(simd.splat(1.0), exp(simd, simd.sub(simd.splat(0.0), steep)))
}

/// `sigmoid(1.702 x)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::V) -> S::V {
    simd.div(simd.splat(1.0), divisor(simd, x))
}

/// `x · sigmoid(1.702 x)`.
#[inline(always)]
pub(crate) fn quick_gelu<S: Simd>(simd: S, x: S::V) -> S::V {
    simd.div(x, divisor(simd, x))
}
