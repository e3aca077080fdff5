//! A weight matrix, packed in panels of 16 outputs.
//!
//! In a panel the 16 outputs' weights lie input after input, so a product reads memory once and in order, and every
//! output is one chain of fused multiply-adds over the inputs: its bits don't depend on what is computed beside it.

use std::cell::RefCell;

use super::Precision;
use super::precision::{Byte, Half, Weights, Whole};
use super::product::{Finish, Product};
use crate::lanes::{Block, Isa, LANES, padded};
use crate::team::{Crew, Grid};

/// A packed weight matrix with its bias. Outputs are padded with zero columns to whole panels.
#[derive(Debug)]
pub(super) struct Matrix {
    pub inputs: usize,
    outputs: usize,
    packed: Packed,
    /// What the sums are multiplied with, `[panels]`.
    pub scale: Vec<Block>,
    /// `[panels]`.
    pub bias: Vec<Block>,
}

/// `[panels, inputs]`.
#[derive(Debug)]
enum Packed {
    F32(Vec<Whole>),
    Bf16(Vec<Half>),
    Int8(Vec<Byte>),
}

/// Panels of a task for a few rows: as many as are multiplied side by side.
const PANELS_A_TASK: usize = 4;

/// Bytes of weights that are worth a task.
const BYTES_A_TASK: usize = 1 << 14;

thread_local! {
    /// Room for panels that are unpacked.
    static ROOM: RefCell<Vec<Whole>> = const { RefCell::new(Vec::new()) };
}

impl Matrix {
    /// Packs `weight(input, output)`.
    pub(super) fn pack(
        [inputs, outputs]: [usize; 2],
        bias: &[f32],
        precision: Precision,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panels = outputs.div_ceil(LANES);
        let (mut scale, mut biases) = (vec![[1.0; LANES]; panels], vec![[0.0; LANES]; panels]);
        for (value, &b) in biases.as_flattened_mut().iter_mut().zip(bias) {
            *value = b;
        }
        let packed = match precision {
            Precision::F32 => Packed::F32(pack([inputs, outputs], &mut scale, weight)),
            Precision::Bf16 => Packed::Bf16(pack([inputs, outputs], &mut scale, weight)),
            Precision::Int8 => Packed::Int8(pack([inputs, outputs], &mut scale, weight)),
        };
        Self { inputs, outputs, packed, scale, bias: biases }
    }

    /// Length of a row of `y`.
    pub(super) fn padded_outputs(&self) -> usize {
        padded(self.outputs)
    }

    /// `y = x · w + b`, finished: rows of `x` have [`padded`] inputs, rows of `y` padded outputs; the padding of `y` is as
    /// if there were outputs with weights and biases of zero.
    pub(super) fn multiply(&self, crew: &mut Crew, isa: Isa, x: &[f32], y: &mut [f32], finish: Finish<'_>) {
        match &self.packed {
            Packed::F32(weights) => self.product(weights, crew, isa, x, y, finish),
            Packed::Bf16(weights) => self.product(weights, crew, isa, x, y, finish),
            Packed::Int8(weights) => self.product(weights, crew, isa, x, y, finish),
        }
    }

    fn product<W: Weights>(
        &self,
        weights: &[W],
        crew: &mut Crew,
        isa: Isa,
        x: &[f32],
        y: &mut [f32],
        finish: Finish<'_>,
    ) {
        let (panels, stride) = (self.bias.len(), self.padded_outputs());
        let rows = y.len() / stride;
        // Some tasks for each thread, so that all end at about the same time; but none too small.
        let least = (BYTES_A_TASK / rows).div_ceil(self.inputs * size_of::<W>());
        let task = (panels / (2 * crew.threads())).clamp(1, PANELS_A_TASK).max(least);
        let grid = Grid { values: y, stride, columns: stride, tile: [rows, task * LANES] };
        crew.tiles(grid, &mut vec![(); panels.div_ceil(task)], |y, ()| {
            ROOM.with_borrow_mut(|room| {
                let x_stride = padded(self.inputs);
                isa.run(Product { matrix: self, weights, x, x_stride, y, y_stride: stride, finish, room });
            });
        });
    }
}

fn pack<W: Weights>(
    [inputs, outputs]: [usize; 2],
    scale: &mut [Block],
    weight: impl Fn(usize, usize) -> f32,
) -> Vec<W> {
    let mut packed = vec![W::ZERO; scale.len() * inputs];
    for (panel, (packed, scale)) in packed.chunks_exact_mut(inputs).zip(scale).enumerate() {
        let real = panel * LANES..outputs.min((panel + 1) * LANES);
        let mut largest = [0.0f32; LANES];
        for input in 0..inputs {
            for (most, output) in largest.iter_mut().zip(real.clone()) {
                *most = most.max(weight(input, output).abs());
            }
        }
        *scale = largest.map(W::scale);
        for (input, weights) in packed.iter_mut().enumerate() {
            for (lane, output) in real.clone().enumerate() {
                weights.put(lane, weight(input, output) / scale[lane]);
            }
        }
    }
    packed
}
