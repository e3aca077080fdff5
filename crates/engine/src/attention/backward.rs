//! Gradients of queries, keys and values: scores are computed again, a stretch of queries at a time.
//!
//! With probabilities `p`, gradient `g` of the output and `d = g · output` of each query: the gradient of the values is
//! `pᵀ g`, that of the scores `s = p (g · vᵀ - d)`, that of the queries `s k`, that of the keys `sᵀ q`, both times the
//! scale of the scores.

use super::gather::{Products, panels, rows, tiles};
use super::{Group, Head};
use crate::lanes::exp::exp;
use crate::lanes::tile::ROWS;
use crate::lanes::{Block, Kernel, LANES, Simd};

/// Queries whose probabilities are held at once: whole tiles of rows.
const STRETCH: usize = 8 * ROWS;

/// What the gradient of one head is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads<'a> {
    pub q: Head<'a>,
    pub k: Head<'a>,
    pub v: Head<'a>,
    pub out: Head<'a>,
    pub grad: Head<'a>,
}

/// Room for one group; grows to the largest.
#[derive(Debug, Default)]
pub(super) struct Work {
    queries: Vec<f32>,
    grads: Vec<f32>,
    key_tiles: Vec<Block>,
    value_tiles: Vec<Block>,
    key_panels: Vec<Block>,
    query_panels: Vec<Block>,
    grad_panels: Vec<Block>,
    /// Probabilities and gradients of scores of a stretch, `[query][tile of keys]`.
    shares: Vec<Block>,
    slopes: Vec<Block>,
    /// The same turned, `[key][query]`.
    turned_shares: Vec<f32>,
    turned_slopes: Vec<f32>,
    /// `[query of a tile][block of channels]`.
    query_sums: Vec<Block>,
    /// `[key][block of channels]`.
    key_sums: Vec<Block>,
    value_sums: Vec<Block>,
}

fn zeroed(blocks: &mut Vec<Block>, count: usize) {
    blocks.clear();
    blocks.resize(count, [0.0; LANES]);
}

/// One group of one head: writes the rows of its queries and keys in `slopes` `[time][query, key, value][width]`.
pub(super) struct Backward<'a> {
    pub group: &'a Group,
    pub heads: Heads<'a>,
    /// Of the forward pass, `[time]`.
    pub sums: &'a [f32],
    pub work: &'a mut Work,
    pub slopes: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Group { queries, keys, .. } = *self.group;
        let Heads { q, k, v, grad, .. } = self.heads;
        let scale = 1.0 / (q.width as f32).sqrt();
        let blocks = q.width.div_ceil(LANES);
        rows(q, queries, scale, &mut self.work.queries);
        rows(grad, queries, 1.0, &mut self.work.grads);
        tiles(k, keys, &mut self.work.key_tiles);
        tiles(v, keys, &mut self.work.value_tiles);
        panels(k, keys, scale, &mut self.work.key_panels);
        panels(q, queries, scale, &mut self.work.query_panels);
        panels(grad, queries, 1.0, &mut self.work.grad_panels);
        zeroed(&mut self.work.key_sums, keys.count * blocks);
        zeroed(&mut self.work.value_sums, keys.count * blocks);
        for first in (0..queries.count).step_by(STRETCH) {
            let count = STRETCH.min(queries.count - first);
            self.stretch(simd, first, count);
        }
        let width = q.width;
        for (i, t) in keys.iter().enumerate() {
            let row = &mut self.slopes[t * 3 * width..][width..3 * width];
            row[..width].copy_from_slice(&self.work.key_sums[i * blocks..][..blocks].as_flattened()[..width]);
            row[width..].copy_from_slice(&self.work.value_sums[i * blocks..][..blocks].as_flattened()[..width]);
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn stretch<S: Simd>(&mut self, simd: S, first: usize, count: usize) {
        let width = self.heads.q.width;
        let (blocks, queries) = (width.div_ceil(LANES), self.group.queries.count);
        let seen = self.group.seen(first + count - 1);
        let tiles = seen.div_ceil(LANES);
        zeroed(&mut self.work.shares, count * tiles);
        zeroed(&mut self.work.slopes, count * tiles);
        for from in (0..count).step_by(ROWS) {
            self.rows(simd, first, from, ROWS.min(count - from), tiles);
        }
        turn(&self.work.shares, tiles, seen, count, &mut self.work.turned_shares);
        turn(&self.work.slopes, tiles, seen, count, &mut self.work.turned_slopes);
        for key in (0..seen).step_by(ROWS) {
            let together = Products {
                rows: &self.work.turned_shares[key * count..],
                stride: count,
                count_rows: ROWS.min(seen - key),
                columns: &self.work.grad_panels[first..],
                column_stride: queries,
                count: blocks,
                depth: count,
                sums: &mut self.work.value_sums[key * blocks..],
                sum_stride: blocks,
            };
            together.add(simd);
            let together = Products {
                rows: &self.work.turned_slopes[key * count..],
                stride: count,
                count_rows: ROWS.min(seen - key),
                columns: &self.work.query_panels[first..],
                column_stride: queries,
                count: blocks,
                depth: count,
                sums: &mut self.work.key_sums[key * blocks..],
                sum_stride: blocks,
            };
            together.add(simd);
        }
    }

    /// Probabilities and gradients of scores of a few queries, and the gradient of these queries.
    #[inline(always)]
    fn rows<S: Simd>(&mut self, simd: S, first: usize, from: usize, count: usize, tiles: usize) {
        let (group, width) = (self.group, self.heads.q.width);
        let blocks = width.div_ceil(LANES);
        let seen = group.seen(first + from + count - 1);
        let work = &mut *self.work;
        for (rows, columns, sums) in
            [(&work.queries, &work.key_tiles, &mut work.shares), (&work.grads, &work.value_tiles, &mut work.slopes)]
        {
            Products {
                rows: &rows[(first + from) * width..],
                stride: width,
                count_rows: count,
                columns,
                column_stride: width,
                count: seen.div_ceil(LANES),
                depth: width,
                sums: &mut sums[from * tiles..],
                sum_stride: tiles,
            }
            .add(simd);
        }
        for i in from..from + count {
            let at = group.queries.first + (first + i) * group.queries.step;
            let seen = group.seen(first + i);
            let shares = &mut work.shares[i * tiles..][..tiles];
            let slopes = &mut work.slopes[i * tiles..][..tiles];
            // Scores of keys that are not seen are far below all others: their probability is zero.
            shares.as_flattened_mut()[seen..].fill(f32::NEG_INFINITY);
            let sum = simd.splat(self.sums[at]);
            let along: f32 = self.heads.out.row(at).iter().zip(self.heads.grad.row(at)).map(|(o, g)| o * g).sum();
            let along = simd.splat(along);
            for (share, slope) in shares.iter_mut().zip(slopes) {
                let p = exp(simd, simd.sub(simd.load(share), sum));
                simd.store(p, share);
                simd.store(simd.mul(p, simd.sub(simd.load(slope), along)), slope);
            }
            work.shares[i * tiles..][..tiles].as_flattened_mut()[seen..].fill(0.0);
            work.slopes[i * tiles..][..tiles].as_flattened_mut()[seen..].fill(0.0);
        }
        zeroed(&mut work.query_sums, count * blocks);
        Products {
            rows: &work.slopes.as_flattened()[from * tiles * LANES..],
            stride: tiles * LANES,
            count_rows: count,
            columns: &work.key_panels,
            column_stride: group.keys.count,
            count: blocks,
            depth: seen,
            sums: &mut work.query_sums,
            sum_stride: blocks,
        }
        .add(simd);
        for (i, sums) in work.query_sums.chunks_exact(blocks).enumerate() {
            let at = group.queries.first + (first + from + i) * group.queries.step;
            self.slopes[at * 3 * width..][..width].copy_from_slice(&sums.as_flattened()[..width]);
        }
    }
}

/// The first `keys` columns of `count` rows of `tiles` blocks, as rows: `[keys][count]`.
#[inline(always)]
fn turn(blocks: &[Block], tiles: usize, keys: usize, count: usize, to: &mut Vec<f32>) {
    to.clear();
    to.resize(keys * count, 0.0);
    for (i, row) in blocks.chunks_exact(tiles).enumerate() {
        for (to, value) in to[i..].iter_mut().step_by(count).zip(row.as_flattened()) {
            *to = *value;
        }
    }
}
