//! The exponential.

use super::Simd;

/// `e^x` within 2 units in the last place, for `x` up to 87; below -87 as at -87.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    // 1.5 · 2^23: adding it leaves the nearest integer in the low bits of the mantissa.
    let magic = simd.splat(12_582_912.0);
    let x = simd.max(x, simd.splat(-87.0));
    let shifted = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), magic);
    let integer = simd.sub(shifted, magic);
    // ln 2 in two parts; the first has so few bits that its products with the integer are exact.
    let rest = simd.mul_add(integer, simd.splat(-0.693_359_4), x);
    let rest = simd.mul_add(integer, simd.splat(2.121_944_4e-4), rest);
    // The Taylor series: at |rest| <= ln 2 / 2 what follows the 7th power is below 6e-9.
    let mut series = simd.splat(1.0 / 5040.0);
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = simd.mul_add(series, rest, simd.splat(coefficient));
    }
    simd.mul(series, simd.power_of_two(shifted))
}
