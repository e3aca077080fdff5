//! The output of a convolution; by transposition also the gradient of its input.
//!
//! A tile of output is up to 6 channels by one or a few vectors of time. A tap reads the same row of samples from another
//! place, so each (input channel, tap) adds one outer product: up to 6 weights, each in all lanes, times a stretch of
//! one input row.

use rayon::prelude::*;

use super::ConvShape;
use super::window::{STRIP, Windows};
use crate::lanes::tile::{ROWS, with_tile};
use crate::lanes::{Isa, Kernel, LANES, Simd};

/// A weight in the order in which tiles read it.
pub(super) struct Packed {
    taps: usize,
    /// `[block of 6 outputs][tap][output of the block]`; the last block may be of fewer.
    values: Vec<f32>,
    /// `[outputs]`.
    bias: Vec<f32>,
}

impl Packed {
    /// Packs `weight(output, tap)`, a tap being an input channel with one of its places.
    pub(super) fn new(outputs: usize, taps: usize, bias: Option<&[f32]>, weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(outputs * taps);
        for first in (0..outputs).step_by(ROWS) {
            let block = first..(first + ROWS).min(outputs);
            values
                .extend((0..taps).flat_map(|tap| block.clone().map(move |o| (o, tap))).map(|(o, tap)| weight(o, tap)));
        }
        Self { taps, values, bias: bias.map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec) }
    }
}

/// Convolves `x`; where `mask` (values in the layout of the output) is not positive, the output is zero.
pub(super) fn convolve(
    isa: Isa,
    shape: &ConvShape,
    length_out: usize,
    x: &[f32],
    weight: &Packed,
    mask: Option<&[f32]>,
) -> Vec<f32> {
    let mut y = vec![0.0; shape.batch * shape.channels_out * length_out];
    let x: Vec<&[f32]> = x.chunks_exact(shape.length).collect();
    convolve_rows(isa, shape, &x, weight, mask, y.chunks_exact_mut(length_out).collect());
    y
}

/// The same from rows of input, `[batch, channels_in]` of `length`, to rows of output, `[batch, channels_out]` of equal length.
pub(super) fn convolve_rows(
    isa: Isa,
    shape: &ConvShape,
    x: &[&[f32]],
    weight: &Packed,
    mask: Option<&[f32]>,
    y: Vec<&mut [f32]>,
) {
    let Some(length_out) = y.first().map(|row| row.len()) else { return };
    let windows = Windows::new(shape, length_out);
    let taps: Vec<usize> = (0..shape.channels_in)
        .flat_map(|channel| windows.taps().map(move |tap| (channel, tap)))
        .map(|(channel, tap)| channel * windows.row + tap)
        .collect();
    // A task makes one stretch of all channels of a clip: here is what it writes.
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    tasks.resize_with(shape.batch * windows.stretches, || Vec::with_capacity(shape.channels_out));
    for (row, y) in y.into_iter().enumerate() {
        let clip = row / shape.channels_out;
        for (task, part) in tasks[clip * windows.stretches..].iter_mut().zip(y.chunks_mut(windows.stretch)) {
            task.push(part);
        }
    }
    tasks.into_par_iter().enumerate().for_each_init(Vec::new, |window, (task, y)| {
        let (clip, from) = (task / windows.stretches, task % windows.stretches * windows.stretch);
        // What stays from the window's last use is finite, and read only for sums that are dropped.
        window.resize(shape.channels_in * windows.row, 0.0);
        let image_out = shape.channels_out * length_out;
        isa.run(Stretch {
            windows: &windows,
            from,
            x: &x[clip * shape.channels_in..][..shape.channels_in],
            window,
            taps: &taps,
            weight,
            y,
            mask: mask.map(|mask| &mask[clip * image_out..][..image_out]),
            length_out,
        });
    });
}

/// All output channels of one clip over one stretch.
struct Stretch<'a> {
    windows: &'a Windows,
    from: usize,
    x: &'a [&'a [f32]],
    window: &'a mut [f32],
    taps: &'a [usize],
    weight: &'a Packed,
    y: Vec<&'a mut [f32]>,
    mask: Option<&'a [f32]>,
    length_out: usize,
}

impl Kernel for Stretch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for (x, window) in self.x.iter().zip(self.window.chunks_exact_mut(self.windows.row)) {
            self.windows.copy(self.from, x, window);
        }
        let (channels, length) = (self.y.len(), self.y[0].len());
        for strip in (0..length).step_by(STRIP) {
            for first in (0..channels).step_by(ROWS) {
                with_tile!(S, ROWS.min(channels - first), self.strip(simd, first, strip));
            }
        }
        if let Some(mask) = self.mask {
            for (y, mask) in self.y.iter_mut().zip(mask.chunks_exact(self.length_out)) {
                for (y, &mask) in y.iter_mut().zip(&mask[self.from..]) {
                    *y = if mask > 0.0 { *y } else { 0.0 };
                }
            }
        }
    }
}

impl Stretch<'_> {
    /// `R` output channels over a strip, `C` vectors at a time.
    #[inline(always)]
    fn strip<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize, strip: usize) {
        let end = (strip + STRIP).min(self.y[first].len());
        for t in (strip..end).step_by(C * LANES) {
            self.tile::<S, R, C>(simd, first, t);
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize, t: usize) {
        let weight = &self.weight.values[first * self.weight.taps..][..R * self.weight.taps];
        let mut sums = [[simd.splat(0.0); C]; R];
        for r in 0..R {
            sums[r] = [simd.splat(self.weight.bias[first + r]); C];
        }
        for (&tap, weight) in self.taps.iter().zip(weight.as_chunks::<R>().0) {
            let from = self.window[tap + t..][..C * LANES].as_chunks::<LANES>().0;
            let mut x = [simd.splat(0.0); C];
            for c in 0..C {
                x[c] = simd.load(&from[c]);
            }
            for r in 0..R {
                let w = simd.splat(weight[r]);
                for c in 0..C {
                    sums[r][c] = simd.mul_add(w, x[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            let to = &mut self.y[first + r][t..];
            if to.len() >= C * LANES {
                let to = to.as_chunks_mut::<LANES>().0;
                for c in 0..C {
                    simd.store(sums[r][c], &mut to[c]);
                }
            } else {
                let mut spill = [[0.0; LANES]; C];
                for c in 0..C {
                    simd.store(sums[r][c], &mut spill[c]);
                }
                to.copy_from_slice(&spill.as_flattened()[..to.len()]);
            }
        }
    }
}
