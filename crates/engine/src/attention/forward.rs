//! `softmax(q · kᵀ / √width) · v`, a few queries at a time.

use super::gather::{Products, panels, rows, tiles};
use super::{Group, Head};
use crate::lanes::exp::exp;
use crate::lanes::tile::ROWS;
use crate::lanes::{Block, Kernel, LANES, Simd};

/// Room for one group; grows to the largest.
#[derive(Debug, Default)]
pub(super) struct Work {
    queries: Vec<f32>,
    keys: Vec<Block>,
    values: Vec<Block>,
    /// `[ROWS][tile of keys]`.
    scores: Vec<Block>,
    /// `[ROWS][block of channels]`.
    mixed: Vec<Block>,
}

/// One group of one head: writes its queries' rows of `out` `[time, width]` and `sums` `[time]`.
pub(super) struct Forward<'a> {
    pub group: &'a Group,
    pub q: Head<'a>,
    pub k: Head<'a>,
    pub v: Head<'a>,
    pub work: &'a mut Work,
    pub out: &'a mut [f32],
    pub sums: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { group, q, k, v, work, out, sums } = self;
        let (width, keys) = (q.width, group.keys.count);
        rows(q, group.queries, 1.0 / (width as f32).sqrt(), &mut work.queries);
        tiles(k, group.keys, &mut work.keys);
        panels(v, group.keys, 1.0, &mut work.values);
        let (all_tiles, blocks) = (keys.div_ceil(LANES), width.div_ceil(LANES));
        for first in (0..group.queries.count).step_by(ROWS) {
            let count = ROWS.min(group.queries.count - first);
            let seen = group.seen(first + count - 1);
            let seen_tiles = seen.div_ceil(LANES);
            work.scores.clear();
            work.scores.resize(count * all_tiles, [0.0; LANES]);
            Products {
                rows: &work.queries[first * width..],
                stride: width,
                count_rows: count,
                columns: &work.keys,
                column_stride: width,
                count: seen_tiles,
                depth: width,
                sums: &mut work.scores,
                sum_stride: all_tiles,
            }
            .add(simd);
            for (i, scores) in work.scores.chunks_exact_mut(all_tiles).enumerate() {
                let at = group.queries.first + (first + i) * group.queries.step;
                sums[at] = soften(simd, &mut scores[..seen_tiles], group.seen(first + i));
            }
            work.mixed.clear();
            work.mixed.resize(count * blocks, [0.0; LANES]);
            Products {
                rows: work.scores.as_flattened(),
                stride: all_tiles * LANES,
                count_rows: count,
                columns: &work.values,
                column_stride: keys,
                count: blocks,
                depth: seen,
                sums: &mut work.mixed,
                sum_stride: blocks,
            }
            .add(simd);
            for (i, mixed) in work.mixed.chunks_exact(blocks).enumerate() {
                let at = group.queries.first + (first + i) * group.queries.step;
                out[at * width..][..width].copy_from_slice(&mixed.as_flattened()[..width]);
            }
        }
    }
}

/// Turns the first `seen` scores into probabilities and the others into zeros. Returns the logarithm of the sum of the
/// exponentials.
#[inline(always)]
fn soften<S: Simd>(simd: S, scores: &mut [Block], seen: usize) -> f32 {
    scores.as_flattened_mut()[seen..].fill(f32::NEG_INFINITY);
    let mut largest = simd.splat(f32::NEG_INFINITY);
    for block in scores.iter() {
        largest = simd.max(simd.load(block), largest);
    }
    let peak = simd.largest(largest);
    let largest = simd.splat(peak);
    for block in scores.iter_mut() {
        simd.store(exp(simd, simd.sub(simd.load(block), largest)), block);
    }
    scores.as_flattened_mut()[seen..].fill(0.0);
    let mut total = simd.splat(0.0);
    for block in scores.iter() {
        total = simd.add(total, simd.load(block));
    }
    let total = simd.sum(total);
    let inverse = simd.splat(1.0 / total);
    for block in scores.iter_mut() {
        simd.store(simd.mul(simd.load(block), inverse), block);
    }
    peak + total.ln()
}
