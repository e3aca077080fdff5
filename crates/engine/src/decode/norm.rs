//! Layer norm of padded rows.

use super::weights::Norm;
use crate::lanes::{Block, Isa, Kernel, LANES, Simd, padded};
use crate::rows::EPSILON;
use crate::team::{Crew, Grid, Tile};

/// Values that are worth a task.
const VALUES_A_TASK: usize = 1 << 12;

/// Gain and bias, padded with zeros.
#[derive(Debug, Clone)]
pub(super) struct PackedNorm {
    width: usize,
    gain: Vec<Block>,
    bias: Vec<Block>,
}

impl PackedNorm {
    pub(super) fn pack(norm: &Norm) -> Self {
        let pack = |values: &[f32]| {
            let mut blocks = vec![[0.0; LANES]; values.len().div_ceil(LANES)];
            for (to, from) in blocks.as_flattened_mut().iter_mut().zip(values) {
                *to = *from;
            }
            blocks
        };
        Self { width: norm.g.len(), gain: pack(&norm.g), bias: pack(&norm.b) }
    }

    /// Normalises padded rows, or the sums of theirs and `plus`; the padding must be zero and stays so.
    pub(super) fn apply(&self, crew: &mut Crew, isa: Isa, from: &[f32], plus: Option<&[f32]>, to: &mut [f32]) {
        let stride = padded(self.width);
        let rows = to.len() / stride;
        let task = rows.div_ceil(2 * crew.threads()).max(VALUES_A_TASK.div_ceil(stride));
        let grid = Grid { values: to, stride, columns: stride, tile: [task, stride] };
        crew.tiles(grid, &mut vec![(); rows.div_ceil(task)], |to, ()| {
            isa.run(Normalise { norm: self, from, plus, to })
        });
    }
}

struct Normalise<'a, 'b> {
    norm: &'a PackedNorm,
    /// All rows.
    from: &'a [f32],
    plus: Option<&'a [f32]>,
    /// Those rows that are wanted.
    to: Tile<'b>,
}

impl Kernel for Normalise<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.norm.width;
        let stride = padded(width);
        let scale = simd.splat(1.0 / width as f32);
        for index in 0..self.to.rows {
            let from = self.from[(self.to.row + index) * stride..][..stride].as_chunks::<LANES>().0;
            let plus = self.plus.map(|plus| plus[(self.to.row + index) * stride..][..stride].as_chunks::<LANES>().0);
            let row = self.to.row(index).as_chunks_mut::<LANES>().0;
            // The padding is zero: it adds nothing to the sum, and is left out of the squares.
            let mut sum = simd.splat(0.0);
            for at in 0..row.len() {
                let mut values = simd.load(&from[at]);
                if let Some(plus) = plus {
                    values = simd.add(values, simd.load(&plus[at]));
                }
                simd.store(values, &mut row[at]);
                sum = simd.add(sum, values);
            }
            let mean = simd.mul(simd.splat(simd.sum(sum)), scale);
            let mut squares = simd.splat(0.0);
            for block in &row[..width / LANES] {
                let distance = simd.sub(simd.load(block), mean);
                squares = simd.mul_add(distance, distance, squares);
            }
            if !width.is_multiple_of(LANES) {
                let mut last = [0.0; LANES];
                simd.store(mean, &mut last);
                last[..width % LANES].copy_from_slice(&row[width / LANES][..width % LANES]);
                let distance = simd.sub(simd.load(&last), mean);
                squares = simd.mul_add(distance, distance, squares);
            }
            let variance = simd.sum(squares) / width as f32;
            let inverse = simd.splat(1.0 / (variance + EPSILON).sqrt());
            for ((block, gain), bias) in row.iter_mut().zip(&self.norm.gain).zip(&self.norm.bias) {
                let normal = simd.mul(simd.sub(simd.load(block), mean), inverse);
                simd.store(simd.mul_add(normal, simd.load(gain), simd.load(bias)), block);
            }
        }
    }
}
