//! Softmax cross-entropy of tokens.

use rayon::prelude::*;

use super::{load_end, rows, same_length, store_end};
use crate::EngineError;
use crate::lanes::exp::exp;
use crate::lanes::{Isa, Kernel, LANES, Simd};

/// Rows of a task.
const TASK: usize = 16;

/// `-ln softmax(logits)[target]` of each row of `logits` `[rows, vocabulary]`, in nats; and the logarithm of each row's sum
/// of exponentials, for the gradient.
///
/// # Errors
/// If the lengths don't fit each other, or a target is outside the vocabulary.
pub fn cross_entropy(logits: &[f32], vocabulary: usize, targets: &[u32]) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
    check(logits, vocabulary, targets)?;
    let isa = Isa::detect();
    let mut sums = vec![0.0; targets.len()];
    sums.par_chunks_mut(TASK)
        .zip(logits.par_chunks(TASK * vocabulary))
        .for_each(|(sums, logits)| isa.run(LogSums { logits, vocabulary, sums }));
    let rows = logits.chunks_exact(vocabulary).zip(targets).zip(&sums);
    let losses = rows.map(|((row, &target), sum)| sum - row[target as usize]).collect();
    Ok((losses, sums))
}

/// Gradient `[rows, vocabulary]` for the logits, from the logarithms that [`cross_entropy`] gave and the gradient `grad`
/// `[rows]` of its losses.
///
/// # Errors
/// If the lengths don't fit each other, or a target is outside the vocabulary.
pub fn cross_entropy_grad(
    logits: &[f32],
    vocabulary: usize,
    targets: &[u32],
    sums: &[f32],
    grad: &[f32],
) -> Result<Vec<f32>, EngineError> {
    check(logits, vocabulary, targets)?;
    same_length("sums", targets.len(), sums.len())?;
    same_length("grad", targets.len(), grad.len())?;
    let isa = Isa::detect();
    let mut out = vec![0.0; logits.len()];
    out.par_chunks_mut(vocabulary)
        .zip(logits.par_chunks(vocabulary))
        .zip(targets.par_iter().zip(sums).zip(grad))
        .with_min_len(TASK)
        .for_each(|((out, logits), ((&target, &sum), &grad))| {
            isa.run(Slope { logits, sum, grad, out });
            out[target as usize] -= grad;
        });
    Ok(out)
}

fn check(logits: &[f32], vocabulary: usize, targets: &[u32]) -> Result<(), EngineError> {
    same_length("targets", rows("logits", logits, vocabulary)?, targets.len())?;
    match targets.iter().find(|target| **target as usize >= vocabulary) {
        None => Ok(()),
        Some(target) => Err(EngineError::Request(format!(
            "token {target} is outside the vocabulary of {vocabulary}; hint: the tokens belong to another codec or level"
        ))),
    }
}

struct LogSums<'a> {
    logits: &'a [f32],
    vocabulary: usize,
    sums: &'a mut [f32],
}

impl Kernel for LogSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, sum) in self.logits.chunks_exact(self.vocabulary).zip(self.sums) {
            let (row, end) = row.as_chunks::<LANES>();
            let end = load_end(simd, end, f32::NEG_INFINITY);
            let mut largest = end;
            for block in row {
                largest = simd.max(simd.load(block), largest);
            }
            let peak = simd.largest(largest);
            let largest = simd.splat(peak);
            let mut total = exp(simd, simd.sub(end, largest));
            for block in row {
                total = simd.add(total, exp(simd, simd.sub(simd.load(block), largest)));
            }
            *sum = peak + simd.sum(total).ln();
        }
    }
}

/// `grad * softmax(logits)`.
struct Slope<'a> {
    logits: &'a [f32],
    sum: f32,
    grad: f32,
    out: &'a mut [f32],
}

impl Kernel for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (sum, grad) = (simd.splat(self.sum), simd.splat(self.grad));
        let (row, end) = self.logits.as_chunks::<LANES>();
        let (out, out_end) = self.out.as_chunks_mut::<LANES>();
        for (row, out) in row.iter().zip(out) {
            simd.store(simd.mul(grad, exp(simd, simd.sub(simd.load(row), sum))), out);
        }
        let end = simd.sub(load_end(simd, end, f32::NEG_INFINITY), sum);
        store_end(simd, simd.mul(grad, exp(simd, end)), out_end);
    }
}
