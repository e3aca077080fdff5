//! Products `y = x · w + b` with packed weights, and what is done with `y` while it is at hand.
//!
//! A kernel makes some panels of all rows. For a few rows it reads the packed weights straight from memory, several panels
//! side by side, so that there are sums enough to hide the latency of a multiply-add, and asks for what lies ahead: the
//! processor does so by itself, but stops at the end of each 4 KiB. For many rows, which would unpack them again and
//! again, panels are first unpacked into the second-level cache.

use super::matrix::Matrix;
use super::precision::{Weights, Whole};
use crate::lanes::gelu::quick_gelu;
use crate::lanes::tile::{ROWS, with_tile};
use crate::lanes::{Block, Kernel, LANES, Simd};
use crate::team::Tile;

/// What becomes of a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish<'a> {
    /// It is the result.
    Keep,
    /// QuickGELU of it is.
    QuickGelu,
    /// The sum of it and `added` (rows as those of the result), times `scale`, is added to the result.
    Residual { added: &'a [f32], scale: f32 },
}

/// Bytes ahead of what is read that are asked for.
const AHEAD: usize = 1024;

/// A rectangle of `y`: all rows that it has, of whole panels.
pub(super) struct Product<'a, 'b, W> {
    pub matrix: &'a Matrix,
    /// `[panels, inputs]`.
    pub weights: &'a [W],
    /// `[rows, x_stride]`, for all rows of `y`.
    pub x: &'a [f32],
    pub x_stride: usize,
    pub y: Tile<'b>,
    /// Length of a row of `y`.
    pub y_stride: usize,
    pub finish: Finish<'a>,
    /// Room for panels that are unpacked.
    pub room: &'a mut Vec<Whole>,
}

impl<W: Weights> Kernel for Product<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (first, panels) = (self.y.column / LANES, self.y.columns.div_ceil(LANES));
        if self.y.rows <= ROWS {
            with_tile!(S, self.y.rows, self.straight(simd, first, panels));
        } else {
            with_tile!(S, ROWS, self.unpacked(simd, first, panels));
        }
    }
}

impl<W: Weights> Product<'_, '_, W> {
    /// A few rows, `P` panels at a time.
    #[inline(always)]
    fn straight<S: Simd, const R: usize, const P: usize>(&mut self, simd: S, first: usize, panels: usize) {
        let mut panel = first;
        let weights = self.weights;
        while panel + P <= first + panels {
            self.tile::<S, W, R, P>(simd, 0, panel, &weights[panel * self.matrix.inputs..], true);
            panel += P;
        }
        if P > 2 && panel + 2 <= first + panels {
            self.tile::<S, W, R, 2>(simd, 0, panel, &weights[panel * self.matrix.inputs..], true);
            panel += 2;
        }
        while panel < first + panels {
            self.tile::<S, W, R, 1>(simd, 0, panel, &weights[panel * self.matrix.inputs..], true);
            panel += 1;
        }
    }

    /// Many rows, `P` panels at a time; `R` is that of the largest tile.
    #[inline(always)]
    fn unpacked<S: Simd, const R: usize, const P: usize>(&mut self, simd: S, first: usize, panels: usize) {
        let together = panels - panels % P;
        for panel in (first..first + together).step_by(P) {
            self.rows::<S, P>(simd, panel);
        }
        for panel in first + together..first + panels {
            self.rows::<S, 1>(simd, panel);
        }
    }

    /// All rows of `P` panels.
    #[inline(always)]
    fn rows<S: Simd, const P: usize>(&mut self, simd: S, panel: usize) {
        let inputs = self.matrix.inputs;
        let mut room = std::mem::take(self.room);
        let unpacked = W::unpack(simd, &self.weights[panel * inputs..][..P * inputs], &mut room);
        // As even as can be: a single row left over would be slower than its share.
        let groups = self.y.rows.div_ceil(ROWS);
        for group in 0..groups {
            let (from, to) = (group * self.y.rows / groups, (group + 1) * self.y.rows / groups);
            match to - from {
                6 => self.tile::<S, Whole, 6, P>(simd, from, panel, unpacked, false),
                5 => self.tile::<S, Whole, 5, P>(simd, from, panel, unpacked, false),
                4 => self.tile::<S, Whole, 4, P>(simd, from, panel, unpacked, false),
                _ => self.tile::<S, Whole, 3, P>(simd, from, panel, unpacked, false),
            }
        }
        *self.room = room;
    }

    /// `R` rows of `P` panels, whose weights are the first of `weights` and may be `far` away.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, V: Weights, const R: usize, const P: usize>(
        &mut self,
        simd: S,
        row: usize,
        panel: usize,
        weights: &[V],
        far: bool,
    ) {
        let inputs = self.matrix.inputs;
        let mut rows: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            rows[r] = &self.x[(self.y.row + row + r) * self.x_stride..][..inputs];
        }
        let mut columns: [&[V]; P] = [&[]; P];
        for p in 0..P {
            columns[p] = &weights[p * inputs..][..inputs];
        }
        let mut sums = [[simd.splat(0.0); P]; R];
        if far {
            // Where a panel ends, what comes next lies behind the others.
            let end = inputs.saturating_sub(AHEAD / size_of::<V>());
            let behind = AHEAD + (P - 1) * inputs * size_of::<V>();
            accumulate(simd, rows, columns, 0..end, Some(AHEAD), &mut sums);
            accumulate(simd, rows, columns, end..inputs, Some(behind), &mut sums);
        } else {
            accumulate(simd, rows, columns, 0..inputs, None, &mut sums);
        }
        let mut made = [[[0.0; LANES]; P]; R];
        for r in 0..R {
            for p in 0..P {
                simd.store(sums[r][p], &mut made[r][p]);
            }
        }
        self.finish(simd, [row, panel], made.as_flattened(), P);
    }

    /// Scales sums, adds the bias, and does what is to be done with them. They are of rows and panels from those on,
    /// `panels` a row. Not a part of the tile itself: that is compiled for each size, and a copy for each sum of each tile
    /// would take the compiler minutes.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, [row, panel]: [usize; 2], sums: &[Block], panels: usize) {
        let Self { matrix, y, y_stride, finish, .. } = self;
        for (index, sum) in sums.iter().enumerate() {
            let (row, panel) = (row + index / panels, panel + index % panels);
            let product = simd.mul_add(simd.load(sum), simd.load(&matrix.scale[panel]), simd.load(&matrix.bias[panel]));
            let at = (y.row + row) * *y_stride + panel * LANES;
            let from = panel * LANES - y.column;
            let to = &mut y.row(row).as_chunks_mut::<LANES>().0[from / LANES];
            let result = match finish {
                Finish::Keep => product,
                Finish::QuickGelu => quick_gelu(simd, product),
                Finish::Residual { added, scale } => {
                    let added = &added[at..].as_chunks::<LANES>().0[0];
                    simd.add(simd.load(to), simd.mul(simd.splat(*scale), simd.add(simd.load(added), product)))
                }
            };
            simd.store(result, to);
        }
    }
}

/// Adds `rows[r][k] * columns[p][k]` to `sums[r][p]`, for every `k` of the range in order, and asks for what lies `ahead` bytes
/// further.
#[inline(always)]
fn accumulate<S: Simd, V: Weights, const R: usize, const P: usize>(
    simd: S,
    rows: [&[f32]; R],
    columns: [&[V]; P],
    range: std::ops::Range<usize>,
    ahead: Option<usize>,
    sums: &mut [[S::V; P]; R],
) {
    let zeros = [V::ZERO; 4];
    let mut k = range.start;
    while k + 4 <= range.end {
        let mut row: [&[f32; 4]; R] = [&[0.0; 4]; R];
        for r in 0..R {
            row[r] = &rows[r][k..].as_chunks().0[0];
        }
        let mut column = [&zeros; P];
        for p in 0..P {
            column[p] = &columns[p][k..].as_chunks().0[0];
            if let Some(ahead) = ahead {
                for line in 0..4 * size_of::<V>() / LINE {
                    simd.prefetch(column[p].as_ptr().cast::<u8>().wrapping_add(ahead + line * LINE));
                }
            }
        }
        for i in 0..4 {
            step(simd, &row, &column, i, sums);
        }
        k += 4;
    }
    while k < range.end {
        let mut row: [&[f32; 1]; R] = [&[0.0]; R];
        for r in 0..R {
            row[r] = std::array::from_ref(&rows[r][k]);
        }
        let mut column = [std::array::from_ref(&zeros[0]); P];
        for p in 0..P {
            column[p] = std::array::from_ref(&columns[p][k]);
        }
        step(simd, &row, &column, 0, sums);
        k += 1;
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

#[inline(always)]
fn step<S: Simd, V: Weights, const R: usize, const P: usize, const N: usize>(
    simd: S,
    row: &[&[f32; N]; R],
    column: &[&[V; N]; P],
    i: usize,
    sums: &mut [[S::V; P]; R],
) {
    let mut weights = [simd.splat(0.0); P];
    for p in 0..P {
        weights[p] = column[p][i].load(simd);
    }
    for r in 0..R {
        let x = simd.splat(row[r][i]);
        for p in 0..P {
            sums[r][p] = simd.mul_add(x, weights[p], sums[r][p]);
        }
    }
}
