//! The nearest entry of a codebook.
//!
//! Sixteen rows lie side by side in the lanes of a vector; entries pass by, a few at a time, and every lane keeps the best
//! one so far. The table of all distances is never made.

use rayon::prelude::*;

use crate::EngineError;
use crate::lanes::tile::{ROWS, accumulate, with_tile};
use crate::lanes::{Block, Isa, Kernel, LANES, Simd};

/// Rows of a task: while entries pass by, the rows stay in the first-level cache.
const TASK: usize = 4 * LANES;

/// For each row of `rows`, `[count, width]`, the nearest of `entries`, `[size, width]`, the first on a tie; and the square distance.
///
/// # Errors
/// If there is no entry, or the slices are no whole rows.
pub fn nearest(entries: &[f32], rows: &[f32], width: usize) -> Result<(Vec<u32>, Vec<f32>), EngineError> {
    nearest_with(Isa::detect(), entries, rows, width)
}

fn nearest_with(isa: Isa, entries: &[f32], rows: &[f32], width: usize) -> Result<(Vec<u32>, Vec<f32>), EngineError> {
    if width == 0 || entries.is_empty() || !entries.len().is_multiple_of(width) || !rows.len().is_multiple_of(width) {
        let (entries, rows) = (entries.len(), rows.len());
        return Err(EngineError::Request(format!("{rows} values beside a codebook of {entries}, in rows of {width}")));
    }
    let norms: Vec<f32> = entries.chunks_exact(width).map(square).collect();
    let count = rows.len() / width;
    let (mut codes, mut distances) = (vec![0; count], vec![0.0; count]);
    let tasks = rows.par_chunks(TASK * width).zip(codes.par_chunks_mut(TASK)).zip(distances.par_chunks_mut(TASK));
    tasks.for_each_init(Vec::new, |turned, ((rows, codes), distances)| {
        let blocks = codes.len().div_ceil(LANES);
        turned.clear();
        turned.resize(blocks * width, [0.0; LANES]);
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (block, value) in turned[lane / LANES * width..].iter_mut().zip(row) {
                block[lane % LANES] = *value;
            }
        }
        let best = vec![Best { distance: [f32::INFINITY; LANES], code: [0; LANES] }; blocks];
        let best = isa.run(Search { entries, norms: &norms, width, rows: turned, best });
        let found = best.iter().flat_map(|best| best.code.iter().zip(&best.distance));
        for (((code, distance), row), (found, least)) in
            codes.iter_mut().zip(distances).zip(rows.chunks_exact(width)).zip(found)
        {
            (*code, *distance) = (*found, least + square(row));
        }
    });
    Ok((codes, distances))
}

fn square(row: &[f32]) -> f32 {
    row.iter().map(|value| value * value).sum()
}

/// The best entries so far of sixteen rows. What a row's distances share is left out.
#[derive(Clone)]
struct Best {
    distance: Block,
    code: [u32; LANES],
}

struct Search<'a> {
    entries: &'a [f32],
    norms: &'a [f32],
    width: usize,
    /// `[block][width]`.
    rows: &'a [Block],
    best: Vec<Best>,
}

impl Kernel for Search<'_> {
    type Output = Vec<Best>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Vec<Best> {
        for first in (0..self.norms.len()).step_by(ROWS) {
            with_tile!(S, ROWS.min(self.norms.len() - first), self.pass(simd, first));
        }
        self.best
    }
}

impl Search<'_> {
    /// `R` entries by all rows, `C` blocks at a time.
    #[inline(always)]
    fn pass<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize) {
        let together = self.best.len() - self.best.len() % C;
        for block in (0..together).step_by(C) {
            self.tile::<S, R, C>(simd, first, block);
        }
        for block in together..self.best.len() {
            self.tile::<S, R, 1>(simd, first, block);
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize, block: usize) {
        let mut rows: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            rows[r] = &self.entries[(first + r) * self.width..];
        }
        let mut columns: [&[Block]; C] = [&[]; C];
        for c in 0..C {
            columns[c] = &self.rows[(block + c) * self.width..];
        }
        let mut sums = [[simd.splat(0.0); C]; R];
        accumulate(simd, rows, columns, self.width, &mut sums);
        let minus_two = simd.splat(-2.0);
        for r in 0..R {
            for c in 0..C {
                let mut distance = [0.0; LANES];
                simd.store(simd.mul_add(minus_two, sums[r][c], simd.splat(self.norms[first + r])), &mut distance);
                let best = &mut self.best[block + c];
                for lane in 0..LANES {
                    let nearer = distance[lane] < best.distance[lane];
                    best.code[lane] = if nearer { (first + r) as u32 } else { best.code[lane] };
                    best.distance[lane] = if nearer { distance[lane] } else { best.distance[lane] };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::conv::tests::noise;

    #[test]
    fn the_nearest_entry_is_found() {
        for (size, width, count) in [(1, 1, 1), (7, 3, 40), (100, 64, 130), (2048, 5, 17)] {
            let (entries, rows) = (noise(size * width, 1), noise(count * width, 2));
            let (codes, distances) = nearest(&entries, &rows, width).unwrap();
            for ((row, code), distance) in rows.chunks_exact(width).zip(&codes).zip(&distances) {
                let to = |entry: &[f32]| entry.iter().zip(row).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                let least = entries.chunks_exact(width).map(to).fold(f64::MAX, f64::min);
                let found = to(&entries[*code as usize * width..][..width]);
                assert!(found - least < 1e-5 && (f64::from(*distance) - found).abs() < 1e-5);
            }
            for isa in Isa::available() {
                assert_eq!(nearest_with(isa, &entries, &rows, width).unwrap().0, codes, "{isa:?}");
            }
        }
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(nearest(&[1.0, 3.0, 3.0, 1.0], &[2.9, 1.2, 2.0], 1).unwrap().0, [1, 0, 0]);
        assert!(nearest(&[], &[1.0], 1).is_err());
    }
}
