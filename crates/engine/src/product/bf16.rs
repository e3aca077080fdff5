//! A product in bfloat16 on the instruction that multiplies pairs of them.
//!
//! Both operands are rounded while they are packed, two steps of the inner index to a pair. The left one lies in strips of
//! [`ROWS`] rows, the right one in panels of [`COLUMNS`] columns; within both, pair follows pair. A tile of [`ROWS`] by
//! [`COLUMNS`] sums stays in 24 registers over [`DEPTH`] pairs: each step loads four vectors of the panel, spreads six
//! pairs of the strip, and adds 24 vectors of products. A panel of that depth stays in the first-level cache for all
//! strips of a task, and these in the second. What pads strips, panels and pairs is zero on both sides, so it adds
//! nothing to a sum.

use rayon::prelude::*;

use super::pairs::{PairBlock, Pairs, Work};
use super::{Matrix, fit};
use crate::lanes::LANES;
use crate::numbers::round_to_bf16;

/// Rows of a tile.
const ROWS: usize = 6;
/// Vectors of a tile's row.
const VECTORS: usize = 4;
/// Columns of a tile.
const COLUMNS: usize = VECTORS * LANES;
/// Pairs of the inner index that a tile is summed over at a time.
const DEPTH: usize = 128;
/// Rows of a task.
const TASK: usize = 16 * ROWS;

/// `out += lhs · rhs`.
pub(super) fn multiply<P: Pairs>(pairs: P, lhs: Matrix<'_>, rhs: Matrix<'_>, out: &mut [f32]) {
    assert!(fit(lhs, rhs, out));
    let ([_, inner], [_, columns]) = (lhs.shape, rhs.shape);
    if out.is_empty() || inner == 0 {
        return;
    }
    let depth = inner.div_ceil(2);
    let strips = pack::<ROWS>(lhs);
    let panels = pack::<COLUMNS>(rhs.transposed());
    out.par_chunks_mut(TASK * columns)
        .zip(strips.par_chunks(TASK / ROWS * depth))
        .for_each(|(out, strips)| pairs.run(Rows { strips, panels: &panels, depth, columns, out }));
}

/// A matrix in strips of `WIDTH` rows, `[strip, pair]` of that many pairs: columns `2 p` and `2 p + 1` of each row.
fn pack<const WIDTH: usize>(matrix: Matrix<'_>) -> Vec<[u32; WIDTH]> {
    let ([rows, inner], [down, right]) = (matrix.shape, matrix.strides.map(isize::unsigned_abs));
    let depth = inner.div_ceil(2);
    let mut strips = vec![[0; WIDTH]; rows.div_ceil(WIDTH) * depth];
    strips.par_chunks_mut(depth).enumerate().for_each(|(strip, packed)| {
        let first = strip * WIDTH;
        let real = WIDTH.min(rows - first);
        for (p, pairs) in packed.iter_mut().enumerate() {
            let from = first * down + 2 * p * right;
            if down == 1 {
                // Rows lie side by side: a pair takes from two stretches.
                let even = &matrix.values[from..from + real];
                let odd = if 2 * p + 1 < inner { &matrix.values[from + right..from + right + real] } else { &[] };
                pairs.iter_mut().zip(even).for_each(|(pair, even)| *pair = half(*even));
                pairs.iter_mut().zip(odd).for_each(|(pair, odd)| *pair |= half(*odd) << 16);
            } else {
                for (lane, pair) in pairs.iter_mut().take(real).enumerate() {
                    let at = from + lane * down;
                    let odd = if 2 * p + 1 < inner { half(matrix.values[at + right]) } else { 0 };
                    *pair = half(matrix.values[at]) | odd << 16;
                }
            }
        }
    });
    strips
}

/// The bits of the nearest bfloat16.
fn half(value: f32) -> u32 {
    round_to_bf16(value).to_bits() >> 16
}

/// The product of some strips with all panels.
struct Rows<'a> {
    /// `[strip, pair]`.
    strips: &'a [[u32; ROWS]],
    /// `[panel, pair]`.
    panels: &'a [[u32; COLUMNS]],
    depth: usize,
    columns: usize,
    /// `[row, columns]`.
    out: &'a mut [f32],
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<P: Pairs>(self, pairs: P) {
        let Self { strips, panels, depth, columns, out } = self;
        for from in (0..depth).step_by(DEPTH) {
            let to = depth.min(from + DEPTH);
            for (panel, column) in panels.chunks_exact(depth).zip((0..columns).step_by(COLUMNS)) {
                let real = COLUMNS.min(columns - column);
                for (strip, out) in strips.chunks_exact(depth).zip(out.chunks_mut(ROWS * columns)) {
                    let sums = tile(pairs, &strip[from..to], &panel[from..to]);
                    for (out, sums) in out.chunks_exact_mut(columns).zip(sums) {
                        let out = &mut out[column..column + real];
                        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                    }
                }
            }
        }
    }
}

/// Sums of the products of a strip and a panel over the same pairs, `[ROWS, COLUMNS]`.
#[inline(always)]
fn tile<P: Pairs>(pairs: P, strip: &[[u32; ROWS]], panel: &[[u32; COLUMNS]]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[pairs.zeros(); VECTORS]; ROWS];
    for (left, right) in strip.iter().zip(panel) {
        let blocks: &[PairBlock] = right.as_chunks().0;
        let mut vectors = [pairs.load(&blocks[0]); VECTORS];
        for v in 1..VECTORS {
            vectors[v] = pairs.load(&blocks[v]);
        }
        for row in 0..ROWS {
            let spread = pairs.splat(left[row]);
            for v in 0..VECTORS {
                sums[row][v] = pairs.dot(sums[row][v], spread, vectors[v]);
            }
        }
    }
    let mut out = [[0.0; COLUMNS]; ROWS];
    for row in 0..ROWS {
        for v in 0..VECTORS {
            out[row][v * LANES..(v + 1) * LANES].copy_from_slice(&pairs.store(sums[row][v]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::pairs::Twin;
    use super::*;
    use proptest::prelude::*;

    fn transpose(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
        (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
    }

    /// The product of `[m, k]` and `[k, n]`, in each of the four layouts of the operands, plus 0.5.
    fn products<P: Pairs>(pairs: P, x: &[f32], y: &[f32], [m, k, n]: [usize; 3]) -> Vec<Vec<f32>> {
        let (xt, yt) = (transpose(x, [m, k]), transpose(y, [k, n]));
        let lefts = [Matrix::new(x, [m, k]), Matrix::new(&xt, [k, m]).transposed()];
        let rights = [Matrix::new(y, [k, n]), Matrix::new(&yt, [n, k]).transposed()];
        let all = lefts.into_iter().flat_map(|left| rights.map(|right| (left, right)));
        all.map(|(left, right)| {
            let mut out = vec![0.5; m * n];
            multiply(pairs, left, right, &mut out);
            out
        })
        .collect()
    }

    /// Whole numbers, whose sums are exact in any order: nothing but the right products of the right pairs gives them.
    fn exactly<P: Pairs>(pairs: P, sizes: [usize; 3], seed: usize) {
        let [m, k, n] = sizes;
        let whole = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 131 + i * i % 23 + seed * 7) % 33) as f32 - 16.0).collect()
        };
        let (x, y) = (whole(m * k, seed), whole(k * n, seed + 1));
        let expected: Vec<f32> =
            (0..m * n).map(|at| 0.5 + (0..k).map(|i| x[at / n * k + i] * y[i * n + at % n]).sum::<f32>()).collect();
        for found in products(pairs, &x, &y, sizes) {
            assert_eq!(found, expected, "{sizes:?}");
        }
    }

    /// Rounded operands and sums in double precision, within what `k` roundings of `f32` may change.
    fn nearly<P: Pairs>(pairs: P, sizes: [usize; 3], seed: usize) {
        let [m, k, n] = sizes;
        let wave = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 37 + seed * 101) as f32 * 0.618).sin()).collect()
        };
        let (x, y) = (wave(m * k, seed), wave(k * n, seed + 1));
        let r = |v: f32| f64::from(round_to_bf16(v));
        for found in products(pairs, &x, &y, sizes) {
            for (at, found) in found.iter().enumerate() {
                let terms = (0..k).map(|i| r(x[at / n * k + i]) * r(y[i * n + at % n]));
                let (sum, size) = terms.fold((0.5, 0.5), |(sum, size), t| (sum + t, size + t.abs()));
                let off = (f64::from(*found) - sum).abs();
                assert!(off <= size * (k + 2) as f64 * f64::from(f32::EPSILON), "{sizes:?} at {at}: {found} for {sum}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_twin_multiplies(m in 1usize..120, k in 1usize..70, n in 1usize..150, seed in 0usize..1000) {
            exactly(Twin, [m, k, n], seed);
            nearly(Twin, [m, k, n], seed);
        }
    }

    #[test]
    fn sums_go_on_behind_the_depth_of_a_tile() {
        exactly(Twin, [7, 4 * DEPTH + 3, 65], 1);
        nearly(Twin, [7, 4 * DEPTH + 3, 65], 2);
    }

    #[cfg(target_arch = "x86_64")]
    mod instruction {
        use super::*;
        use crate::product::pairs::Avx512Bf16;

        /// The instruction, or a line that says which test was skipped.
        fn instruction(test: &str) -> Option<Avx512Bf16> {
            let found = Avx512Bf16::detect();
            if found.is_none() {
                eprintln!("skipped `{test}`: this machine has no AVX-512-BF16");
            }
            found
        }

        #[test]
        fn the_instruction_multiplies_as_its_twin() {
            let Some(pairs) = instruction("the_instruction_multiplies_as_its_twin") else { return };
            proptest!(ProptestConfig::with_cases(64), |(m in 1usize..220, k in 1usize..300, n in 1usize..200, seed in 0usize..1000)| {
                exactly(pairs, [m, k, n], seed);
                nearly(pairs, [m, k, n], seed);
            });
        }

        #[test]
        fn the_instruction_goes_on_behind_the_depth_of_a_tile() {
            let Some(pairs) = instruction("the_instruction_goes_on_behind_the_depth_of_a_tile") else { return };
            exactly(pairs, [100, 4 * DEPTH + 3, 65], 1);
            nearly(pairs, [100, 4 * DEPTH + 3, 65], 2);
        }

        #[test]
        fn one_instruction_is_its_twin_bit_by_bit_on_whole_numbers() {
            let Some(pairs) = instruction("one_instruction_is_its_twin_bit_by_bit_on_whole_numbers") else { return };
            struct One {
                a: PairBlock,
                b: PairBlock,
                expected: [f32; LANES],
            }
            impl Work for One {
                fn run<P: Pairs>(self, p: P) {
                    let sums =
                        p.dot(p.dot(p.zeros(), p.load(&self.a), p.load(&self.b)), p.splat(self.a[3]), p.load(&self.b));
                    assert_eq!(p.store(sums), self.expected);
                }
            }
            let pair = |even: f32, odd: f32| half(even) | half(odd) << 16;
            let a: PairBlock = std::array::from_fn(|i| pair(i as f32 - 7.0, 3.0 * i as f32 + 1.0));
            let b: PairBlock = std::array::from_fn(|i| pair(2.0 * i as f32, 5.0 - i as f32));
            let first = Twin.dot(Twin.zeros(), a, b);
            pairs.run(One { a, b, expected: Twin.dot(first, Twin.splat(a[3]), b) });
        }
    }
}
