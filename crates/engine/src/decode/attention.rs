//! One query of one head over the keys it sees: `softmax(q · kᵀ / √head_width) · v`.

use crate::lanes::exp::exp;
use crate::lanes::{Block, Isa, Kernel, LANES, Simd};

/// Tiles of keys, and partial sums of values, that are computed side by side.
const CHAINS: usize = 4;

/// Attention of `query` `[head_width]` over the first `seen` keys of a strip (at least one), into `out` `[head_width]`.
pub(super) struct Attend<'a> {
    pub query: &'a [f32],
    /// `[tiles, head_width]`, a key a lane.
    pub keys: &'a [Block],
    /// `[tiles * 16, head_width / 16]`.
    pub values: &'a [Block],
    pub seen: usize,
    /// At least a block for each 16 keys; in the end it holds the keys' shares of attention times what is returned.
    pub scores: &'a mut [Block],
    pub out: &'a mut [f32],
}

impl Attend<'_> {
    /// Returns what the shares in `scores` add up to.
    pub(super) fn run_on(self, isa: Isa) -> f32 {
        isa.run(self)
    }
}

impl Kernel for Attend<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let Self { query, keys, values, seen, scores, out } = self;
        let tiles = seen.div_ceil(LANES);
        let scores = &mut scores[..tiles];
        score(simd, query, keys, scores);
        let unseen = tiles * LANES - seen;
        if let Some(last) = scores.last_mut() {
            last[LANES - unseen..].fill(f32::NEG_INFINITY);
        }
        let sum = soften(simd, scores, unseen);
        let inverse = simd.splat(1.0 / sum);
        let blocks = query.len().div_ceil(LANES);
        let weights = &scores.as_flattened()[..seen];
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            let mixed = simd.mul(mix(simd, weights, &values[block..], blocks), inverse);
            let mut lanes = [0.0; LANES];
            simd.store(mixed, &mut lanes);
            out.copy_from_slice(&lanes[..out.len()]);
        }
        sum
    }
}

/// Scaled products of the query with whole tiles of keys.
#[inline(always)]
fn score<S: Simd>(simd: S, query: &[f32], keys: &[Block], scores: &mut [Block]) {
    let together = scores.len() - scores.len() % CHAINS;
    for tile in (0..together).step_by(CHAINS) {
        side_by_side::<S, CHAINS>(simd, query, &keys[tile * query.len()..], &mut scores[tile..]);
    }
    let (keys, scores) = (&keys[together * query.len()..], &mut scores[together..]);
    match scores.len() {
        3 => side_by_side::<S, 3>(simd, query, keys, scores),
        2 => side_by_side::<S, 2>(simd, query, keys, scores),
        1 => side_by_side::<S, 1>(simd, query, keys, scores),
        _ => {}
    }
}

/// The same of the first `N` tiles.
#[inline(always)]
fn side_by_side<S: Simd, const N: usize>(simd: S, query: &[f32], keys: &[Block], scores: &mut [Block]) {
    let width = query.len();
    let scale = simd.splat(1.0 / (width as f32).sqrt());
    let mut sums = [simd.splat(0.0); N];
    let mut tiles = [keys; N];
    for (n, tile) in tiles.iter_mut().enumerate() {
        *tile = &keys[n * width..][..width];
    }
    for e in 0..width {
        let q = simd.splat(query[e]);
        for n in 0..N {
            sums[n] = simd.mul_add(q, simd.load(&tiles[n][e]), sums[n]);
        }
    }
    for (sum, score) in sums.into_iter().zip(scores) {
        simd.store(simd.mul(sum, scale), score);
    }
}

/// Turns scores into their exponentials relative to the largest; the last `unseen` become zero. Returns the sum.
#[inline(always)]
fn soften<S: Simd>(simd: S, scores: &mut [Block], unseen: usize) -> f32 {
    let mut largest = simd.splat(f32::NEG_INFINITY);
    for block in scores.iter() {
        largest = simd.max(simd.load(block), largest);
    }
    let largest = simd.splat(simd.largest(largest));
    for block in scores.iter_mut() {
        simd.store(exp(simd, simd.sub(simd.load(block), largest)), block);
    }
    if let Some(last) = scores.last_mut() {
        last[LANES - unseen..].fill(0.0);
    }
    let mut sum = simd.splat(0.0);
    for block in scores.iter() {
        sum = simd.add(sum, simd.load(block));
    }
    simd.sum(sum)
}

/// Sum of weights times values, of the first block of every row of `blocks` blocks.
#[inline(always)]
fn mix<S: Simd>(simd: S, weights: &[f32], values: &[Block], blocks: usize) -> S::V {
    let mut sums = [simd.splat(0.0); CHAINS];
    let (whole, rest) = weights.as_chunks::<CHAINS>();
    let mut rows = values.iter().step_by(blocks);
    for weights in whole {
        for ((weight, sum), value) in weights.iter().zip(&mut sums).zip(rows.by_ref()) {
            *sum = simd.mul_add(simd.splat(*weight), simd.load(value), *sum);
        }
    }
    for ((weight, sum), value) in rest.iter().zip(&mut sums).zip(rows) {
        *sum = simd.mul_add(simd.splat(*weight), simd.load(value), *sum);
    }
    simd.add(simd.add(sums[0], sums[2]), simd.add(sums[1], sums[3]))
}
