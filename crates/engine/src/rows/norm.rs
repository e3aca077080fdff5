//! Layer norm of rows.

use rayon::prelude::*;

use super::{TASK, load_end, rows, same_length, store_end};
use crate::EngineError;
use crate::lanes::{Isa, Kernel, LANES, Simd};

/// Added to the variance of a row, in training and decoding alike.
pub(crate) const EPSILON: f32 = 1e-5;

/// What a row was moved and scaled by: its mean, and one over its deviation.
type Moments = [f32; 2];

/// `(x - mean) / deviation * gain + bias` for each row of `x` `[rows, width]`; also each row's mean and one over its
/// deviation, for the gradient.
///
/// # Errors
/// If the lengths don't fit each other.
pub fn layer_norm(x: &[f32], gain: &[f32], bias: &[f32]) -> Result<(Vec<f32>, Vec<[f32; 2]>), EngineError> {
    let width = gain.len();
    let count = rows("x", x, width)?;
    same_length("bias", width, bias.len())?;
    let isa = Isa::detect();
    let mut y = vec![0.0; x.len()];
    let mut moments = vec![[0.0; 2]; count];
    y.par_chunks_mut(TASK * width)
        .zip(x.par_chunks(TASK * width))
        .zip(moments.par_chunks_mut(TASK))
        .for_each(|((y, x), moments)| isa.run(Forward { x, gain, bias, y, moments }));
    Ok((y, moments))
}

/// Gradients of a layer norm.
#[derive(Debug, Clone, PartialEq)]
pub struct NormGradients {
    /// `[rows, width]`.
    pub x: Vec<f32>,
    /// `[width]`.
    pub gain: Vec<f32>,
    /// `[width]`.
    pub bias: Vec<f32>,
}

/// Gradients of [`layer_norm`], from its input, gain and moments and the gradient of its output.
///
/// # Errors
/// If the lengths don't fit each other.
pub fn layer_norm_grad(
    x: &[f32],
    gain: &[f32],
    moments: &[[f32; 2]],
    grad: &[f32],
) -> Result<NormGradients, EngineError> {
    let width = gain.len();
    let count = rows("x", x, width)?;
    same_length("grad", x.len(), grad.len())?;
    same_length("moments", count, moments.len())?;
    let isa = Isa::detect();
    let mut out = vec![0.0; x.len()];
    let mut sums = vec![0.0; count.div_ceil(TASK) * 2 * width];
    out.par_chunks_mut(TASK * width)
        .zip(x.par_chunks(TASK * width))
        .zip(grad.par_chunks(TASK * width))
        .zip(moments.par_chunks(TASK))
        .zip(sums.par_chunks_mut(2 * width))
        .for_each(|((((out, x), grad), moments), sums)| isa.run(Backward { x, gain, moments, grad, out, sums }));
    let mut total = vec![0.0; 2 * width];
    for sums in sums.chunks_exact(2 * width) {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    let bias = total.split_off(width);
    Ok(NormGradients { x: out, gain: total, bias })
}

/// Norms rows `[rows, width]`.
pub(crate) struct Forward<'a> {
    pub x: &'a [f32],
    pub gain: &'a [f32],
    pub bias: &'a [f32],
    pub y: &'a mut [f32],
    pub moments: &'a mut [Moments],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.gain.len();
        let share = 1.0 / width as f32;
        let (gain, gain_end) = self.gain.as_chunks::<LANES>();
        let (bias, bias_end) = self.bias.as_chunks::<LANES>();
        let rows = self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)).zip(self.moments);
        for ((x, y), moments) in rows {
            let (x, x_end) = x.as_chunks::<LANES>();
            let mut sum = load_end(simd, x_end, 0.0);
            for x in x {
                sum = simd.add(sum, simd.load(x));
            }
            let mean = simd.sum(sum) * share;
            let middle = simd.splat(mean);
            let end = simd.sub(load_end(simd, x_end, mean), middle);
            let mut squares = simd.mul(end, end);
            for x in x {
                let distance = simd.sub(simd.load(x), middle);
                squares = simd.mul_add(distance, distance, squares);
            }
            let inverse = 1.0 / (simd.sum(squares) * share + EPSILON).sqrt();
            *moments = [mean, inverse];
            let inverse = simd.splat(inverse);
            let (y, y_end) = y.as_chunks_mut::<LANES>();
            for (((x, y), gain), bias) in x.iter().zip(y).zip(gain).zip(bias) {
                let normal = simd.mul(simd.sub(simd.load(x), middle), inverse);
                simd.store(simd.mul_add(normal, simd.load(gain), simd.load(bias)), y);
            }
            let normal = simd.mul(end, inverse);
            let y = simd.mul_add(normal, load_end(simd, gain_end, 0.0), load_end(simd, bias_end, 0.0));
            store_end(simd, y, y_end);
        }
    }
}

/// The gradient of the rows.
pub(crate) struct Backward<'a> {
    pub x: &'a [f32],
    pub gain: &'a [f32],
    pub moments: &'a [Moments],
    pub grad: &'a [f32],
    pub out: &'a mut [f32],
    /// The gains' gradient, then the bias's, to which those of these rows are added.
    pub sums: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.gain.len();
        let share = simd.splat(1.0 / width as f32);
        let zero = simd.splat(0.0);
        let (gain, gain_end) = self.gain.as_chunks::<LANES>();
        let (gain_sums, bias_sums) = self.sums.split_at_mut(width);
        let rows = self.x.chunks_exact(width).zip(self.grad.chunks_exact(width)).zip(self.out.chunks_exact_mut(width));
        for (((x, grad), out), &[mean, inverse]) in rows.zip(self.moments) {
            let (middle, scale) = (simd.splat(mean), simd.splat(inverse));
            let (x, x_end) = x.as_chunks::<LANES>();
            let (grad, grad_end) = grad.as_chunks::<LANES>();
            let (out, out_end) = out.as_chunks_mut::<LANES>();
            let (gain_to, gain_to_end) = gain_sums.as_chunks_mut::<LANES>();
            let (bias_to, bias_to_end) = bias_sums.as_chunks_mut::<LANES>();
            // Means of the gradient of the normal row, and of its product with that row.
            let (mut plain, mut along) = (zero, zero);
            for ((((x, grad), gain), gain_to), bias_to) in x.iter().zip(grad).zip(gain).zip(gain_to).zip(bias_to) {
                let normal = simd.mul(simd.sub(simd.load(x), middle), scale);
                let grad = simd.load(grad);
                let inner = simd.mul(grad, simd.load(gain));
                plain = simd.add(plain, inner);
                along = simd.mul_add(inner, normal, along);
                simd.store(simd.mul_add(grad, normal, simd.load(gain_to)), gain_to);
                simd.store(simd.add(grad, simd.load(bias_to)), bias_to);
            }
            let normal_end = simd.mul(simd.sub(load_end(simd, x_end, mean), middle), scale);
            let last = load_end(simd, grad_end, 0.0);
            let inner_end = simd.mul(last, load_end(simd, gain_end, 0.0));
            plain = simd.add(plain, inner_end);
            along = simd.mul_add(inner_end, normal_end, along);
            store_end(simd, simd.mul_add(last, normal_end, load_end(simd, gain_to_end, 0.0)), gain_to_end);
            store_end(simd, simd.add(last, load_end(simd, bias_to_end, 0.0)), bias_to_end);

            let plain = simd.mul(simd.splat(simd.sum(plain)), share);
            let along = simd.mul(simd.splat(simd.sum(along)), share);
            for (((x, grad), gain), out) in x.iter().zip(grad).zip(gain).zip(out) {
                let normal = simd.mul(simd.sub(simd.load(x), middle), scale);
                let inner = simd.mul(simd.load(grad), simd.load(gain));
                let rest = simd.sub(simd.sub(inner, plain), simd.mul(normal, along));
                simd.store(simd.mul(rest, scale), out);
            }
            let rest = simd.sub(simd.sub(inner_end, plain), simd.mul(normal_end, along));
            store_end(simd, simd.mul(rest, scale), out_end);
        }
    }
}
