//! The inner loop of products: a tile of sums that stays in the registers.

use super::{Block, Simd};

/// Rows of the largest tile.
pub(crate) const ROWS: usize = 6;

/// The most vectors of a tile's row, whatever the instruction set.
pub(crate) const WIDEST: usize = 8;

/// Calls `$self.$method::<S, R, C>(arguments)` with `R` the given number of rows, 1 to [`ROWS`], and `C` the vectors of a
/// row that go with it: so many that their sums fill the registers, which hides the latency of a multiply-add.
macro_rules! with_tile {
    ($simd:ident, $rows:expr, $this:ident.$method:ident($($argument:expr),*)) => {
        if $simd::ROOMY {
            match $rows {
                1 => $this.$method::<$simd, 1, 8>($($argument),*),
                2 => $this.$method::<$simd, 2, 8>($($argument),*),
                3 => $this.$method::<$simd, 3, 4>($($argument),*),
                4 => $this.$method::<$simd, 4, 4>($($argument),*),
                5 => $this.$method::<$simd, 5, 4>($($argument),*),
                _ => $this.$method::<$simd, 6, 4>($($argument),*),
            }
        } else {
            match $rows {
                1 => $this.$method::<$simd, 1, 4>($($argument),*),
                2 => $this.$method::<$simd, 2, 2>($($argument),*),
                3 => $this.$method::<$simd, 3, 2>($($argument),*),
                4 => $this.$method::<$simd, 4, 1>($($argument),*),
                5 => $this.$method::<$simd, 5, 1>($($argument),*),
                _ => $this.$method::<$simd, 6, 1>($($argument),*),
            }
        }
    };
}
pub(crate) use with_tile;

/// Adds `rows[r][k] * columns[c][k]` to `sums[r][c]`, for every `k` below `depth` in order. Slices must be that long.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
pub(crate) fn accumulate<S: Simd, const R: usize, const C: usize>(
    simd: S,
    mut rows: [&[f32]; R],
    mut columns: [&[Block]; C],
    depth: usize,
    sums: &mut [[S::V; C]; R],
) {
    // Cut to one length, so that the loop below needs no checks.
    for r in 0..R {
        rows[r] = &rows[r][..depth];
    }
    for c in 0..C {
        columns[c] = &columns[c][..depth];
    }
    for k in 0..depth {
        let mut column = [simd.splat(0.0); C];
        for c in 0..C {
            column[c] = simd.load(&columns[c][k]);
        }
        for r in 0..R {
            let row = simd.splat(rows[r][k]);
            for c in 0..C {
                sums[r][c] = simd.mul_add(row, column[c], sums[r][c]);
            }
        }
    }
}
