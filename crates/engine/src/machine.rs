//! What this machine gives at best: the yardsticks beside which benchmarks stand.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::lanes::{Block, Isa, Kernel, LANES, Simd};
use crate::{Numbers, product};

/// Times that a measurement is repeated; the best counts.
const RUNS: usize = 7;

/// Blocks of 64 bytes that are read: 256 MiB.
const BLOCKS: usize = 1 << 22;

/// Bytes a second, in GB/s, at which all threads together read memory that no cache holds.
#[must_use]
pub fn read_rate() -> f64 {
    let blocks = vec![[1.0; LANES]; BLOCKS];
    let isa = Isa::detect();
    let part = BLOCKS / (rayon::current_num_threads() * 16);
    let seconds = best(|| {
        black_box(blocks.par_chunks(part).map(|part| isa.run(Sum(part))).sum::<f32>());
    });
    size_of_val(blocks.as_slice()) as f64 * 1e-9 / seconds
}

/// Operations a second, in GFLOP/s, of all threads together in a product of square matrices.
///
/// A multiply-add counts as two operations.
#[must_use]
pub fn product_rate() -> f64 {
    const SIDE: usize = 1024;
    let x: Vec<f32> = (0..SIDE * SIDE).map(|i| (i % 7) as f32 - 3.0).collect();
    let seconds = best(|| {
        black_box(product::linear(black_box(&x), &x, &x[..SIDE], SIDE, Numbers::F32).ok());
    });
    2e-9 * (SIDE as f64).powi(3) / seconds
}

fn best(mut work: impl FnMut()) -> f64 {
    let seconds = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    (0..RUNS).map(seconds).fold(f64::MAX, f64::min)
}

struct Sum<'a>(&'a [Block]);

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        // Four places at a time, each asked for a while before: as decoding reads, and faster than one.
        let part = self.0.len() / 4;
        let mut sums = [simd.splat(0.0); 4];
        for at in 0..part {
            for (place, sum) in sums.iter_mut().enumerate() {
                let block = &self.0[place * part + at];
                simd.prefetch(block.as_ptr().cast::<u8>().wrapping_add(1024));
                *sum = simd.add(*sum, simd.load(block));
            }
        }
        let [a, b, c, d] = sums;
        simd.sum(simd.add(simd.add(a, b), simd.add(c, d)))
    }
}
