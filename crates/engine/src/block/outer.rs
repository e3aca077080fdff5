//! Gradients of weights: products of inputs with gradients, summed over rows.
//!
//! Both operands are laid down where a tile reads them in order, a task of rows at a time while those are in cache: inputs
//! six side by side, gradients sixteen. Every sum runs over the rows in order, so its bits don't depend on the threads.

use rayon::prelude::*;

use super::TASK;
use super::panels::round;
use crate::Numbers;
use crate::lanes::tile::ROWS;
use crate::lanes::{Block, Isa, Kernel, LANES, Simd};

/// Blocks of six inputs whose gradients one task makes.
const STRETCH: usize = 8;

/// Panels of gradients that a task goes through at a time: what they sum stays in the first-level cache.
const ABREAST: usize = 6;

/// Lays down a task's rows of `width` values, `N` side by side, in `numbers`: `[block of N][row][N]`, with zeros behind the
/// last row and the last value.
#[inline(always)]
pub(super) fn lay<const N: usize>(rows: &[f32], width: usize, numbers: Numbers) -> Vec<[f32; N]> {
    let mut to = vec![[0.0; N]; TASK * width.div_ceil(N)];
    for (r, row) in rows.chunks_exact(width).enumerate() {
        let (whole, rest) = row.as_chunks::<N>();
        for (block, values) in whole.iter().enumerate() {
            to[block * TASK + r] = *values;
        }
        if !rest.is_empty() {
            to[whole.len() * TASK + r][..rest.len()].copy_from_slice(rest);
        }
    }
    round(to.as_flattened_mut(), numbers);
    to
}

/// What the gradient of a weight is made of, one entry a task of rows: its inputs six side by side, and the gradients of
/// its outputs sixteen side by side.
pub(super) struct Operands<'a> {
    pub inputs: Vec<&'a [[f32; ROWS]]>,
    pub slopes: Vec<&'a [Block]>,
    /// Outputs of the weight.
    pub outputs: usize,
}

/// `[inputs, outputs]`: the gradient of a weight.
pub(super) fn weight_grad(isa: Isa, operands: &Operands<'_>, out: &mut [f32]) {
    out.par_chunks_mut(STRETCH * ROWS * operands.outputs).enumerate().for_each_init(
        Vec::new,
        |sums, (stretch, out)| {
            isa.run(Outer { operands, first: stretch * STRETCH, sums, out });
        },
    );
}

/// The gradients of a stretch of inputs.
struct Outer<'a> {
    operands: &'a Operands<'a>,
    /// The first block of six.
    first: usize,
    /// `[block of 6][panel][6]`.
    sums: &'a mut Vec<[Block; ROWS]>,
    out: &'a mut [f32],
}

impl Kernel for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { operands: Operands { inputs, slopes, outputs }, first, sums, out } = self;
        let panels = outputs.div_ceil(LANES);
        let count = (out.len() / outputs).div_ceil(ROWS);
        for left in (0..panels).step_by(ABREAST) {
            let right = panels.min(left + ABREAST);
            let together = right - left;
            sums.clear();
            sums.resize(count * together, [[0.0; LANES]; ROWS]);
            for (inputs, slopes) in inputs.iter().zip(slopes) {
                for panel in left..right {
                    let slopes = &slopes[panel * TASK..][..TASK];
                    for block in 0..count {
                        let inputs = &inputs[(first + block) * TASK..][..TASK];
                        add(simd, inputs, slopes, &mut sums[block * together + panel - left]);
                    }
                }
            }
            for (block, sums) in sums.chunks_exact(together).enumerate() {
                for (r, row) in out.chunks_exact_mut(*outputs).skip(block * ROWS).take(ROWS).enumerate() {
                    for (to, sums) in row[left * LANES..].chunks_mut(LANES).zip(sums) {
                        let count = to.len();
                        to.copy_from_slice(&sums[r][..count]);
                    }
                }
            }
        }
    }
}

/// Adds the products of rows of six inputs with rows of sixteen gradients.
#[inline(always)]
fn add<S: Simd>(simd: S, inputs: &[[f32; ROWS]], slopes: &[Block], sums: &mut [Block; ROWS]) {
    let mut tile = [simd.splat(0.0); ROWS];
    for r in 0..ROWS {
        tile[r] = simd.load(&sums[r]);
    }
    for (input, slope) in inputs.iter().zip(slopes) {
        let slope = simd.load(slope);
        for r in 0..ROWS {
            tile[r] = simd.mul_add(simd.splat(input[r]), slope, tile[r]);
        }
    }
    for r in 0..ROWS {
        simd.store(tile[r], &mut sums[r]);
    }
}
