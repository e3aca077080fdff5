//! Products `y = x · w + b` with weights packed in panels of 16 outputs.
//!
//! In a panel the 16 outputs' weights lie input after input, so a product reads memory once and in order, and every
//! output is one chain of fused multiply-adds over the inputs: its bits don't depend on what is computed beside it.

use super::Precision;
use crate::lanes::tile::{ROWS, accumulate, with_tile};
use crate::lanes::{Block, Isa, Kernel, LANES, Simd, padded};

/// A packed weight matrix with its bias. Outputs are padded with zero columns to whole panels.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    inputs: usize,
    outputs: usize,
    /// `[panels, inputs]`.
    weights: Vec<Block>,
    /// `[panels]`.
    bias: Vec<Block>,
}

impl Panels {
    /// Packs `weight(input, output)`.
    pub(super) fn pack(
        [inputs, outputs]: [usize; 2],
        bias: &[f32],
        precision: Precision,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panels = outputs.div_ceil(LANES);
        let mut packed = Vec::with_capacity(panels * inputs);
        for panel in 0..panels {
            let first = panel * LANES;
            let real = LANES.min(outputs - first);
            let start = packed.len();
            packed.resize(start + inputs, [0.0; LANES]);
            for lane in 0..real {
                let mut column: Vec<f32> = (0..inputs).map(|input| weight(input, first + lane)).collect();
                precision.round(&mut column);
                for (block, value) in packed[start..].iter_mut().zip(column) {
                    block[lane] = value;
                }
            }
        }
        let mut biases = vec![[0.0; LANES]; panels];
        for (value, &b) in biases.as_flattened_mut().iter_mut().zip(bias) {
            *value = b;
        }
        Self { inputs, outputs, weights: packed, bias: biases }
    }

    /// Length of a row of `y`.
    pub(super) fn padded_outputs(&self) -> usize {
        padded(self.outputs)
    }

    /// `y = x · w + b`: rows of `x` have [`padded`] inputs, rows of `y` padded outputs; the padding of `y` becomes zero.
    pub(super) fn multiply(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        isa.run(Product { panels: self, x, y });
    }
}

struct Product<'a> {
    panels: &'a Panels,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let rows = self.y.len() / self.panels.padded_outputs();
        let rest = rows % ROWS;
        with_tile!(S, ROWS, self.columns(simd, 0, rows / ROWS));
        // At most five rows are left, so that one of these tiles is also the single step.
        if rest > 0 {
            with_tile!(S, rest, self.columns(simd, rows - rest, 1));
        }
    }
}

impl Product<'_> {
    /// All outputs of `groups` times `R` rows from `first_row`, `P` panels at a time.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const P: usize>(&mut self, simd: S, first_row: usize, groups: usize) {
        let panels = self.panels.bias.len();
        let together = panels - panels % P;
        for panel in (0..together).step_by(P) {
            for group in 0..groups {
                self.tile::<S, R, P>(simd, first_row + group * R, panel);
            }
        }
        for panel in together..panels {
            for group in 0..groups {
                self.tile::<S, R, 1>(simd, first_row + group * R, panel);
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const P: usize>(&mut self, simd: S, first_row: usize, first_panel: usize) {
        let inputs = self.panels.inputs;
        let (x_stride, y_stride) = (padded(inputs), self.panels.padded_outputs());
        let mut rows: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            rows[r] = &self.x[(first_row + r) * x_stride..];
        }
        let mut weights: [&[Block]; P] = [&[]; P];
        for p in 0..P {
            weights[p] = &self.panels.weights[(first_panel + p) * inputs..];
        }
        let mut sums = [[simd.splat(0.0); P]; R];
        accumulate(simd, rows, weights, inputs, &mut sums);
        let (y, _) = self.y.as_chunks_mut::<LANES>();
        for r in 0..R {
            for p in 0..P {
                let panel = first_panel + p;
                let sum = simd.add(sums[r][p], simd.load(&self.panels.bias[panel]));
                simd.store(sum, &mut y[(first_row + r) * (y_stride / LANES) + panel]);
            }
        }
    }
}
