//! Positions of a head gathered in the layouts that products read.

use super::{Head, Places};
use crate::lanes::tile::{accumulate, with_tile};
use crate::lanes::{Block, LANES, Simd};

/// Rows one after the other, `[places][width]`, each value times `scale`.
#[inline(always)]
pub(super) fn rows(head: Head<'_>, places: Places, scale: f32, to: &mut Vec<f32>) {
    to.clear();
    for t in places.iter() {
        to.extend(head.row(t).iter().map(|v| v * scale));
    }
}

/// Sixteen places side by side, `[tile of 16 places][channel]`; the lanes behind the last place are zero.
#[inline(always)]
pub(super) fn tiles(head: Head<'_>, places: Places, to: &mut Vec<Block>) {
    to.clear();
    to.resize(places.count.div_ceil(LANES) * head.width, [0.0; LANES]);
    for (i, t) in places.iter().enumerate() {
        let tile = &mut to[i / LANES * head.width..][..head.width];
        for (block, value) in tile.iter_mut().zip(head.row(t)) {
            block[i % LANES] = *value;
        }
    }
}

/// Sixteen channels side by side, `[block of 16 channels][place]`, each value times `scale`; the lanes behind the last
/// channel are zero.
#[inline(always)]
pub(super) fn panels(head: Head<'_>, places: Places, scale: f32, to: &mut Vec<Block>) {
    to.clear();
    to.resize(head.width.div_ceil(LANES) * places.count, [0.0; LANES]);
    for (i, t) in places.iter().enumerate() {
        for (panel, values) in head.row(t).chunks(LANES).enumerate() {
            for (to, value) in to[panel * places.count + i].iter_mut().zip(values) {
                *to = value * scale;
            }
        }
    }
}

/// Products of a few rows, `depth` long and `stride` apart, with `count` columns, each `depth` blocks long and
/// `column_stride` apart, added to `sums` `[row][count]` whose rows are `sum_stride` apart.
pub(super) struct Products<'a> {
    pub rows: &'a [f32],
    pub stride: usize,
    pub count_rows: usize,
    pub columns: &'a [Block],
    pub column_stride: usize,
    pub count: usize,
    pub depth: usize,
    pub sums: &'a mut [Block],
    pub sum_stride: usize,
}

impl Products<'_> {
    /// Adds them; at most [`ROWS`](crate::lanes::tile::ROWS) rows.
    #[inline(always)]
    pub(super) fn add<S: Simd>(mut self, simd: S) {
        with_tile!(S, self.count_rows, self.columns(simd));
    }

    #[inline(always)]
    fn columns<S: Simd, const R: usize, const C: usize>(&mut self, simd: S) {
        let together = self.count - self.count % C;
        for column in (0..together).step_by(C) {
            self.tile::<S, R, C>(simd, column);
        }
        for column in together..self.count {
            self.tile::<S, R, 1>(simd, column);
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize) {
        let mut rows: [&[f32]; R] = [&[]; R];
        let mut columns: [&[Block]; C] = [&[]; C];
        let mut sums = [[simd.splat(0.0); C]; R];
        for r in 0..R {
            rows[r] = &self.rows[r * self.stride..];
            for c in 0..C {
                sums[r][c] = simd.load(&self.sums[r * self.sum_stride + first + c]);
            }
        }
        for c in 0..C {
            columns[c] = &self.columns[(first + c) * self.column_stride..];
        }
        accumulate(simd, rows, columns, self.depth, &mut sums);
        for r in 0..R {
            for c in 0..C {
                simd.store(sums[r][c], &mut self.sums[r * self.sum_stride + first + c]);
            }
        }
    }
}
