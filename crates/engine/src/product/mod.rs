//! Products of rows with a weight matrix, and their gradients.
//!
//! In `f32` the micro-kernels are those of the crate `gemm`; this file is where slices become its pointers. In bfloat16
//! both operands are rounded first. Where the processor multiplies pairs of bfloat16 (AVX-512-BF16), `bf16.rs` packs
//! them for its instruction; elsewhere the rounded operands go the way of `f32`, which costs the rounding and gains
//! nothing. Sums are `f32` either way. The tiles of AMX are not used.

#![allow(unsafe_code)]

#[cfg(any(test, target_arch = "x86_64"))]
mod bf16;
#[cfg(any(test, target_arch = "x86_64"))]
mod pairs;

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use crate::numbers::round_to_bf16;
use crate::{EngineError, Numbers};

/// Rows whose sum one task makes.
const TASK: usize = 256;
/// Values that one task rounds.
const STRETCH: usize = 1 << 16;

/// A row-major matrix, or its transpose.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    /// Rows and columns as the product sees them.
    shape: [usize; 2],
    strides: [isize; 2],
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, row-major.
    fn new(values: &'a [f32], shape: [usize; 2]) -> Self {
        Self { values, shape, strides: [shape[1] as isize, 1] }
    }

    fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self { shape: [columns, rows], strides: [right, down], ..self }
    }
}

/// Whether all elements that the shapes reach are there; the sizes' products cannot wrap.
fn fit(lhs: Matrix<'_>, rhs: Matrix<'_>, out: &[f32]) -> bool {
    let ([m, k], [inner, n]) = (lhs.shape, rhs.shape);
    let fit = |values: &[f32], rows: usize, columns: usize| rows.checked_mul(columns) == Some(values.len());
    k == inner && fit(lhs.values, m, k) && fit(rhs.values, k, n) && fit(out, m, n)
}

/// Whether the processor multiplies pairs of bfloat16.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_bf16() -> bool {
    pairs::Avx512Bf16::detect().is_some()
}

/// Values rounded to bfloat16.
fn rounded(values: &[f32]) -> Vec<f32> {
    let mut rounded = vec![0.0; values.len()];
    let stretches = rounded.par_chunks_mut(STRETCH).zip(values.par_chunks(STRETCH));
    stretches.for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, from)| *to = round_to_bf16(*from)));
    rounded
}

/// `out = lhs · rhs`, plus what `out` holds if `add`; if not, it holds zeros.
fn multiply(lhs: Matrix<'_>, rhs: Matrix<'_>, out: &mut [f32], add: bool, numbers: Numbers) {
    if numbers == Numbers::F32 {
        return multiply_f32(lhs, rhs, out, add);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(pairs) = pairs::Avx512Bf16::detect() {
        return bf16::multiply(pairs, lhs, rhs, out);
    }
    let (left, right) = (rounded(lhs.values), rounded(rhs.values));
    multiply_f32(Matrix { values: &left, ..lhs }, Matrix { values: &right, ..rhs }, out, add);
}

fn multiply_f32(lhs: Matrix<'_>, rhs: Matrix<'_>, out: &mut [f32], add: bool) {
    assert!(fit(lhs, rhs, out));
    let ([m, k], [_, n]) = (lhs.shape, rhs.shape);
    // SAFETY: the assertion says that every element the shapes and strides reach lies within its slice, and `out` is a mutable borrow, so it overlaps neither operand.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            lhs.values.as_ptr(),
            lhs.strides[1],
            lhs.strides[0],
            rhs.values.as_ptr(),
            rhs.strides[1],
            rhs.strides[0],
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

fn rows(name: &str, values: &[f32], columns: usize) -> Result<usize, EngineError> {
    if columns > 0 && values.len().is_multiple_of(columns) {
        return Ok(values.len() / columns);
    }
    let what =
        format!("`{name}`: {} values are not whole rows of {columns}; hint: check the layer's sizes", values.len());
    Err(EngineError::Request(what))
}

fn weight(w: &[f32], inputs: usize, outputs: usize) -> Result<Matrix<'_>, EngineError> {
    let expected = size(inputs, outputs)?;
    if w.len() == expected {
        return Ok(Matrix::new(w, [inputs, outputs]));
    }
    Err(EngineError::Length { name: format!("`w` [{inputs}, {outputs}]"), expected, found: w.len() })
}

fn size(inputs: usize, outputs: usize) -> Result<usize, EngineError> {
    inputs.checked_mul(outputs).ok_or_else(|| {
        EngineError::Request(format!("no weight has {inputs} x {outputs} values; hint: check the layer's sizes"))
    })
}

/// `x w + b` for `x` `[rows, inputs]`, `w` `[inputs, outputs]` and `b` `[outputs]`: `[rows, outputs]`.
///
/// # Errors
/// If the lengths don't fit each other.
pub fn linear(x: &[f32], w: &[f32], b: &[f32], inputs: usize, numbers: Numbers) -> Result<Vec<f32>, EngineError> {
    let (count, outputs) = (rows("x", x, inputs)?, b.len());
    let w = weight(w, inputs, outputs)?;
    let mut y = Vec::with_capacity(count * outputs);
    for _ in 0..count {
        y.extend_from_slice(b);
    }
    multiply(Matrix::new(x, [count, inputs]), w, &mut y, true, numbers);
    Ok(y)
}

/// Gradient `[rows, inputs]` of [`linear`] for its input.
///
/// # Errors
/// If the lengths don't fit each other.
pub fn linear_grad_input(w: &[f32], grad: &[f32], outputs: usize, numbers: Numbers) -> Result<Vec<f32>, EngineError> {
    let count = rows("grad", grad, outputs)?;
    let inputs = rows("w", w, outputs)?;
    let mut x = vec![0.0; count * inputs];
    multiply(Matrix::new(grad, [count, outputs]), weight(w, inputs, outputs)?.transposed(), &mut x, false, numbers);
    Ok(x)
}

/// Gradients `[inputs, outputs]` and `[outputs]` of [`linear`] for its weight and bias.
///
/// # Errors
/// If the lengths don't fit each other.
pub fn linear_grad_weight(
    x: &[f32],
    grad: &[f32],
    [inputs, outputs]: [usize; 2],
    numbers: Numbers,
) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
    let count = rows("x", x, inputs)?;
    if rows("grad", grad, outputs)? != count {
        let name = format!("`grad` [{count}, {outputs}]");
        return Err(EngineError::Length { name, expected: count.saturating_mul(outputs), found: grad.len() });
    }
    let mut w = vec![0.0; size(inputs, outputs)?];
    multiply(Matrix::new(x, [count, inputs]).transposed(), Matrix::new(grad, [count, outputs]), &mut w, false, numbers);
    let sums: Vec<Vec<f32>> = grad
        .par_chunks(TASK * outputs)
        .map(|rows| {
            let mut sum = vec![0.0; outputs];
            for row in rows.chunks_exact(outputs) {
                sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
            sum
        })
        .collect();
    let mut b = vec![0.0; outputs];
    for sum in sums {
        b.iter_mut().zip(sum).for_each(|(b, sum)| *b += sum);
    }
    Ok((w, b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 101 + i * i % 17) % 29) as f32 / 14.0 - 1.0).collect()
    }

    fn close(ours: &[f32], theirs: impl Iterator<Item = f64>) {
        let theirs: Vec<f64> = theirs.collect();
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            assert!((f64::from(*a) - b).abs() < 1e-4, "{a} for {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn products_and_their_gradients_follow_the_definition(
            (count, inputs, outputs) in (1usize..20, 1usize..40, 1usize..40),
            seed in 0usize..1000,
        ) {
            let (x, w, b) = (values(count * inputs, seed), values(inputs * outputs, seed + 1), values(outputs, seed + 2));
            let grad = values(count * outputs, seed + 3);
            let double = |v: f32| f64::from(v);
            let y = linear(&x, &w, &b, inputs, Numbers::F32).unwrap();
            close(&y, (0..count * outputs).map(|at| {
                let (r, o) = (at / outputs, at % outputs);
                double(b[o]) + (0..inputs).map(|i| double(x[r * inputs + i]) * double(w[i * outputs + o])).sum::<f64>()
            }));
            close(&linear_grad_input(&w, &grad, outputs, Numbers::F32).unwrap(), (0..count * inputs).map(|at| {
                let (r, i) = (at / inputs, at % inputs);
                (0..outputs).map(|o| double(grad[r * outputs + o]) * double(w[i * outputs + o])).sum()
            }));
            let (gw, gb) = linear_grad_weight(&x, &grad, [inputs, outputs], Numbers::F32).unwrap();
            close(&gw, (0..inputs * outputs).map(|at| {
                let (i, o) = (at / outputs, at % outputs);
                (0..count).map(|r| double(x[r * inputs + i]) * double(grad[r * outputs + o])).sum()
            }));
            close(&gb, (0..outputs).map(|o| (0..count).map(|r| double(grad[r * outputs + o])).sum()));
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        assert!(linear(&[0.0; 5], &[0.0; 6], &[0.0; 3], 2, Numbers::F32).is_err());
        assert!(linear(&[0.0; 4], &[0.0; 5], &[0.0; 3], 2, Numbers::F32).is_err());
        assert!(linear_grad_weight(&[0.0; 4], &[0.0; 9], [2, 3], Numbers::F32).is_err());
        // Sizes whose product wraps to the number of values.
        assert!(linear_grad_weight(&[], &[], [1 << 32, 1 << 32], Numbers::F32).is_err());
        assert!(linear(&[], &[], &[], 1 << 32, Numbers::F32).is_ok_and(|y| y.is_empty()));
    }
}
