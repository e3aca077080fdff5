//! The gradients of a convolution's weight and bias.
//!
//! They are products of the output's gradient, `[outputs, time]`, with the input read at each tap, `[time, inputs]`. A
//! stretch of input is turned so that 16 channels lie side by side; then every (16 channels, tap) is a column of
//! vectors, and a tile is up to 6 outputs by one or a few columns.
//!
//! Stretches fall into groups by the shape alone, a group has one set of sums, and sums are added in the groups' order:
//! the result does not depend on the number of threads.

use rayon::prelude::*;

use super::ConvShape;
use super::window::Windows;
use crate::lanes::tile::{ROWS, accumulate, with_tile};
use crate::lanes::{Block, Isa, Kernel, LANES, Simd};

/// Blocks that the sums of all groups may hold together: 16 MB.
const SUMS: usize = 1 << 18;

/// Samples over which a tile's rows and columns stay in the first-level cache.
const DEPTH: usize = 128;

/// The gradients `[outputs, inputs, kernel]` and `[outputs]`.
pub(super) fn gradients(
    isa: Isa,
    shape: &ConvShape,
    length_out: usize,
    x: &[f32],
    grad: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let windows = Windows::new(shape, length_out);
    let panels = shape.channels_in.div_ceil(LANES);
    // Where a stretch's columns begin among the blocks of its turned window, and beside them the bias.
    let columns: Vec<usize> = (0..panels)
        .flat_map(|panel| windows.taps().map(move |tap| (panel, tap)))
        .map(|(panel, tap)| panel * windows.row + tap)
        .collect();
    let width = columns.len() + 1;
    let all = shape.channels_out * width;
    let stretches = shape.batch * windows.stretches;
    let group = stretches.div_ceil((SUMS / all).max(1)).max(1);
    let mut sums = vec![[0.0; LANES]; all * stretches.div_ceil(group).max(1)];
    sums.par_chunks_mut(all).enumerate().for_each_init(
        || (Vec::new(), Vec::new()),
        |(window, turned), (index, sums)| {
            // Rows and places without an input stay zero.
            window.resize(LANES * windows.row, 0.0);
            turned.resize(panels * windows.row, [0.0; LANES]);
            for stretch in index * group..stretches.min((index + 1) * group) {
                let (clip, from) = (stretch / windows.stretches, stretch % windows.stretches * windows.stretch);
                let image = shape.channels_in * shape.length;
                let x = &x[clip * image..][..image];
                isa.run(Turn { windows: &windows, from, x, length: shape.length, window, turned });
                let turned = turned.as_slice();
                let image = shape.channels_out * length_out;
                let grad = &grad[clip * image..][..image];
                let to = length_out.min(from + windows.stretch);
                sums.par_chunks_mut(ROWS * width).zip(grad.par_chunks(ROWS * length_out)).for_each(|(sums, grad)| {
                    isa.run(Products { turned, columns: &columns, grad, length_out, from, to, sums });
                });
            }
        },
    );
    let taps = shape.channels_in * shape.kernel;
    let mut weight = vec![0.0; shape.channels_out * taps];
    let mut bias = vec![0.0; shape.channels_out];
    let (total, rest) = sums.split_at_mut(all);
    let outputs = weight.par_chunks_mut(taps).zip(&mut bias).zip(total.par_chunks_mut(width)).enumerate();
    outputs.for_each(|(output, ((weight, bias), total))| {
        for sums in rest.chunks_exact(all) {
            let sums = &sums[output * width..][..width];
            for (total, sum) in total.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                *total += sum;
            }
        }
        for (channel, weight) in weight.chunks_exact_mut(shape.kernel).enumerate() {
            for (weight, sum) in weight.iter_mut().zip(&total[channel / LANES * shape.kernel..]) {
                *weight = sum[channel % LANES];
            }
        }
        *bias = total[width - 1].iter().sum();
    });
    (weight, bias)
}

/// Gathers a stretch of input and turns it: `[panel of 16 channels][place]`, a block being 16 channels at one place.
struct Turn<'a> {
    windows: &'a Windows,
    from: usize,
    x: &'a [f32],
    length: usize,
    window: &'a mut [f32],
    turned: &'a mut [Block],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let row = self.windows.row;
        for (x, turned) in self.x.chunks(LANES * self.length).zip(self.turned.chunks_exact_mut(row)) {
            let rows = x.len() / self.length;
            for (x, window) in x.chunks_exact(self.length).zip(self.window.chunks_exact_mut(row)) {
                self.windows.copy(self.from, x, window);
            }
            for (at, turned) in turned.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                for (lane, window) in self.window.chunks_exact(row).take(rows).enumerate() {
                    let values = &window.as_chunks::<LANES>().0[at];
                    for (turned, &value) in turned.iter_mut().zip(values) {
                        turned[lane] = value;
                    }
                }
            }
        }
    }
}

/// Adds what one stretch gives to the sums of up to [`ROWS`] outputs, `[output][column, and last the bias]`.
struct Products<'a> {
    turned: &'a [Block],
    columns: &'a [usize],
    /// Rows of these outputs, of one clip.
    grad: &'a [f32],
    length_out: usize,
    from: usize,
    to: usize,
    sums: &'a mut [Block],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.columns.len() + 1;
        for (grad, sums) in self.grad.chunks_exact(self.length_out).zip(self.sums.chunks_exact_mut(width)) {
            let (whole, rest) = grad[self.from..self.to].as_chunks::<LANES>();
            let bias = &mut sums[width - 1];
            let mut sum = simd.load(bias);
            for block in whole {
                sum = simd.add(sum, simd.load(block));
            }
            simd.store(sum, bias);
            for (bias, g) in bias.iter_mut().zip(rest) {
                *bias += g;
            }
        }
        with_tile!(S, self.grad.len() / self.length_out, self.columns(simd));
    }
}

impl Products<'_> {
    /// All columns of `R` outputs, `C` at a time.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const C: usize>(&mut self, simd: S) {
        let together = self.columns.len() - self.columns.len() % C;
        for t in (self.from..self.to).step_by(DEPTH) {
            for column in (0..together).step_by(C) {
                self.tile::<S, R, C>(simd, t, column);
            }
            for column in together..self.columns.len() {
                self.tile::<S, R, 1>(simd, t, column);
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, t: usize, first: usize) {
        let width = self.columns.len() + 1;
        let mut rows: [&[f32]; R] = [&[]; R];
        let mut columns: [&[Block]; C] = [&[]; C];
        let mut sums = [[simd.splat(0.0); C]; R];
        for r in 0..R {
            rows[r] = &self.grad[r * self.length_out..][t..];
            for c in 0..C {
                sums[r][c] = simd.load(&self.sums[r * width + first + c]);
            }
        }
        for c in 0..C {
            columns[c] = &self.turned[self.columns[first + c] + t - self.from..];
        }
        accumulate(simd, rows, columns, DEPTH.min(self.to - t), &mut sums);
        for r in 0..R {
            for c in 0..C {
                simd.store(sums[r][c], &mut self.sums[r * width + first + c]);
            }
        }
    }
}
