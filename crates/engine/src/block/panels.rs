//! Products of a few rows with a weight matrix that lies in panels of 16 outputs.

use rayon::prelude::*;

use crate::Numbers;
#[cfg(test)]
use crate::lanes::Kernel;
use crate::lanes::tile::{ROWS, accumulate, with_tile};
use crate::lanes::{Block, LANES, Simd};
use crate::numbers::round_to_bf16;

/// Inputs that are summed over at a go: a panel's part of them stays in the first-level cache.
const DEPTH: usize = 256;

/// A weight matrix packed for one pass; the lanes behind the last output are zero.
#[derive(Debug)]
pub(super) struct Panels {
    pub inputs: usize,
    pub outputs: usize,
    /// `[panel of 16 outputs][input]`.
    weights: Vec<Block>,
}

impl Panels {
    /// `w` `[inputs, outputs]`, its values in `numbers`.
    pub(super) fn pack(w: &[f32], [inputs, outputs]: [usize; 2], numbers: Numbers) -> Self {
        let mut weights = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        weights.par_chunks_mut(inputs).enumerate().for_each(|(panel, to)| {
            let real = LANES.min(outputs - panel * LANES);
            for (to, row) in to.iter_mut().zip(w.chunks_exact(outputs)) {
                to[..real].copy_from_slice(&row[panel * LANES..][..real]);
            }
            round(to.as_flattened_mut(), numbers);
        });
        Self { inputs, outputs, weights }
    }

    /// The transpose of `w` `[outputs, inputs]`.
    pub(super) fn pack_transposed(w: &[f32], [inputs, outputs]: [usize; 2], numbers: Numbers) -> Self {
        let mut weights = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        weights.par_chunks_mut(inputs).zip(w.par_chunks(LANES * inputs)).for_each(|(to, rows)| {
            for (lane, row) in rows.chunks_exact(inputs).enumerate() {
                for (to, value) in to.iter_mut().zip(row) {
                    to[lane] = *value;
                }
            }
            round(to.as_flattened_mut(), numbers);
        });
        Self { inputs, outputs, weights }
    }

    /// `y = x · w + bias` for rows of `x` and `y`; without a bias, zero stands for it.
    #[inline(always)]
    pub(super) fn multiply<S: Simd>(&self, simd: S, x: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let rows = y.len() / self.outputs;
        let rest = rows % ROWS;
        for from in (0..self.inputs).step_by(DEPTH) {
            let mut product = Product { panels: self, from, depth: DEPTH.min(self.inputs - from), x, bias, y };
            with_tile!(S, ROWS, product.columns(simd, 0, rows / ROWS));
            if rest > 0 {
                with_tile!(S, rest, product.columns(simd, rows - rest, 1));
            }
        }
    }
}

/// Values in the numbers that products multiply.
pub(super) fn round(values: &mut [f32], numbers: Numbers) {
    if numbers == Numbers::Bf16 {
        values.iter_mut().for_each(|v| *v = round_to_bf16(*v));
    }
}

/// The part of a product that sums over `depth` inputs from `from`.
struct Product<'a> {
    panels: &'a Panels,
    from: usize,
    depth: usize,
    x: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl Product<'_> {
    /// All outputs of `groups` times `R` rows from `first`, `P` panels at a time.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const P: usize>(&mut self, simd: S, first: usize, groups: usize) {
        let panels = self.panels.outputs.div_ceil(LANES);
        let together = panels - panels % P;
        for panel in (0..together).step_by(P) {
            for group in 0..groups {
                self.tile::<S, R, P>(simd, first + group * R, panel);
            }
        }
        for panel in together..panels {
            for group in 0..groups {
                self.tile::<S, R, 1>(simd, first + group * R, panel);
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const P: usize>(&mut self, simd: S, first: usize, panel: usize) {
        let Panels { inputs, outputs, ref weights } = *self.panels;
        let mut rows: [&[f32]; R] = [&[]; R];
        let mut columns: [&[Block]; P] = [&[]; P];
        for r in 0..R {
            rows[r] = &self.x[(first + r) * inputs + self.from..];
        }
        for p in 0..P {
            columns[p] = &weights[(panel + p) * inputs + self.from..];
        }
        let mut sums = [[simd.splat(0.0); P]; R];
        for p in 0..P {
            let at = (panel + p) * LANES;
            for r in 0..R {
                match self.bias {
                    _ if self.from > 0 => {
                        sums[r][p] = load_at(simd, &self.y[(first + r) * outputs..][..outputs], at);
                    }
                    Some(bias) => sums[r][p] = load_at(simd, bias, at),
                    None => {}
                }
            }
        }
        accumulate(simd, rows, columns, self.depth, &mut sums);
        for p in 0..P {
            let at = (panel + p) * LANES;
            for r in 0..R {
                store_at(simd, sums[r][p], &mut self.y[(first + r) * outputs..][..outputs], at);
            }
        }
    }
}

/// The vector that begins at place `at` of a row; behind its end, zeros.
#[inline(always)]
pub(super) fn load_at<S: Simd>(simd: S, row: &[f32], at: usize) -> S::V {
    let rest = &row[at..];
    match rest.first_chunk::<LANES>() {
        Some(block) => simd.load(block),
        None => {
            let mut block = [0.0; LANES];
            block[..rest.len()].copy_from_slice(rest);
            simd.load(&block)
        }
    }
}

/// Stores a vector at place `at` of a row, as far as the row goes.
#[inline(always)]
pub(super) fn store_at<S: Simd>(simd: S, v: S::V, row: &mut [f32], at: usize) {
    let rest = &mut row[at..];
    match rest.first_chunk_mut::<LANES>() {
        Some(block) => simd.store(v, block),
        None => {
            let mut block = [0.0; LANES];
            simd.store(v, &mut block);
            let count = rest.len();
            rest.copy_from_slice(&block[..count]);
        }
    }
}

/// [`Panels::multiply`] by itself.
#[cfg(test)]
pub(super) struct Multiply<'a> {
    pub panels: &'a Panels,
    pub x: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [f32],
}

#[cfg(test)]
impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.panels.multiply(simd, self.x, self.bias, self.y);
    }
}
