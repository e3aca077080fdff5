//! Layer norm of padded rows, in place.

use super::weights::Norm;
use crate::lanes::{Block, Isa, Kernel, LANES, Simd, padded};
use crate::rows::EPSILON;

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

    /// Normalises padded rows in place; the padding must be zero and stays so.
    pub(super) fn apply(&self, isa: Isa, rows: &mut [f32]) {
        isa.run(Normalise { norm: self, rows });
    }
}

struct Normalise<'a> {
    norm: &'a PackedNorm,
    rows: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.norm.width;
        let stride = padded(width);
        let scale = simd.splat(1.0 / width as f32);
        for row in self.rows.chunks_exact_mut(stride) {
            let row = row.as_chunks_mut::<LANES>().0;
            // The padding is zero: it adds nothing to the sum, and is left out of the squares.
            let mut sum = simd.splat(0.0);
            for block in row.iter() {
                sum = simd.add(sum, simd.load(block));
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
