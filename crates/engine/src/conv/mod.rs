//! Dilated one-dimensional convolution on `[batch, channels, time]`, forward and backward.
//!
//! No patches are gathered: a tap of the kernel is the same row of samples read from another place, so a tile of
//! output is `4 channels x (a few registers of) time`, and each tap adds one outer product of 4 weights with a stretch
//! of one input row. Input rows are copied once with their zero padding (and, on request, through a ReLU), which
//! frees the inner loop of edges. Strided and transposed convolutions are this one on samples dealt out by phase.

#![allow(unsafe_code)]

use crate::EngineError;
use crate::simd::{Kernel, Vector, dispatch};
use rayon::prelude::*;

/// Output channels of a tile.
const ROWS: usize = 4;
/// Floats that a tile may read past the end of the last row: the widest tile, 6 registers of 16.
const SLACK: usize = 96;

/// Sizes of a convolution with stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Clips.
    pub batch: usize,
    /// Input channels.
    pub channels_in: usize,
    /// Output channels.
    pub channels_out: usize,
    /// Samples of an input row.
    pub length: usize,
    /// Taps.
    pub kernel: usize,
    /// Samples between taps.
    pub dilation: usize,
    /// Zeros before and after each row.
    pub padding: [usize; 2],
    /// Whether the input passes a ReLU first.
    pub relu: bool,
}

impl ConvShape {
    /// Samples between the first and the last tap.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }

    fn padded(&self) -> usize {
        self.length + self.padding[0] + self.padding[1]
    }

    /// Samples of an output row.
    ///
    /// # Errors
    /// If a size is zero, or the padded row is shorter than the kernel's reach.
    pub fn length_out(&self) -> Result<usize, EngineError> {
        if self.kernel == 0 || self.dilation == 0 || self.channels_in == 0 || self.channels_out == 0 {
            return Err(EngineError::Request(format!("convolution with a zero size: {self:?}")));
        }
        match self.padded().checked_sub(self.reach()) {
            Some(length) if length > 0 && self.length > 0 => Ok(length),
            _ => Err(EngineError::Request(format!("convolution over too short a clip: {self:?}"))),
        }
    }

    /// The convolution that carries the output's gradient to the input: taps reversed, channels swapped.
    fn transposed(&self, length_out: usize) -> Result<Self, EngineError> {
        let reach = self.reach();
        if self.padding.iter().any(|&p| p > reach) {
            return Err(EngineError::Request(format!("convolution padded beyond its reach: {self:?}")));
        }
        Ok(Self {
            channels_in: self.channels_out,
            channels_out: self.channels_in,
            length: length_out,
            padding: self.padding.map(|p| reach - p),
            relu: false,
            ..*self
        })
    }
}

fn check(name: &str, slice: &[f32], expected: usize) -> Result<(), EngineError> {
    if slice.len() == expected {
        return Ok(());
    }
    Err(EngineError::Length { name: name.to_owned(), expected, found: slice.len() })
}

/// `y[n, o, t] = bias[o] + sum over (i, k) of w[o, i, k] * x[n, i, t + k * dilation - padding]`.
///
/// `x` is `[batch, channels_in, length]`, `w` is `[channels_out, channels_in, kernel]`, `bias` is `[channels_out]`; gives
/// `[batch, channels_out, length_out]`.
///
/// # Errors
/// If a slice does not fit the shape.
pub fn forward(shape: &ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Result<Vec<f32>, EngineError> {
    let length_out = shape.length_out()?;
    check("convolution input", x, shape.batch * shape.channels_in * shape.length)?;
    check("convolution weight", w, shape.channels_out * shape.channels_in * shape.kernel)?;
    if let Some(bias) = bias {
        check("convolution bias", bias, shape.channels_out)?;
    }
    let taps = shape.channels_in * shape.kernel;
    let weight = pack(w, shape.channels_out, taps, |o, tap| o * taps + tap);
    Ok(convolve(shape, length_out, x, &weight, bias))
}

/// Gradient of the input, `[batch, channels_in, length]`, from that of the output. `x` is needed for the ReLU's mask.
///
/// # Errors
/// If a slice does not fit the shape, or a padding is longer than `(kernel - 1) * dilation`.
pub fn grad_input(shape: &ConvShape, x: &[f32], w: &[f32], grad: &[f32]) -> Result<Vec<f32>, EngineError> {
    let length_out = shape.length_out()?;
    let back = shape.transposed(length_out)?;
    check("convolution gradient", grad, shape.batch * shape.channels_out * length_out)?;
    check("convolution weight", w, shape.channels_out * shape.channels_in * shape.kernel)?;
    let kernel = shape.kernel;
    // Taps of the transposed convolution run over (output channel, reversed tap).
    let weight = pack(w, shape.channels_in, shape.channels_out * kernel, |i, tap| {
        let (o, k) = (tap / kernel, kernel - 1 - tap % kernel);
        (o * shape.channels_in + i) * kernel + k
    });
    let mut gx = convolve(&back, back.length_out()?, grad, &weight, None);
    if shape.relu {
        check("convolution input", x, gx.len())?;
        gx.par_chunks_mut(1 << 14).zip(x.par_chunks(1 << 14)).for_each(|(g, x)| {
            for (g, &x) in g.iter_mut().zip(x) {
                if x <= 0.0 {
                    *g = 0.0;
                }
            }
        });
    }
    Ok(gx)
}

/// Gradients of the weight, `[channels_out, channels_in, kernel]`, and of the bias, `[channels_out]`.
///
/// # Errors
/// If a slice does not fit the shape.
pub fn grad_weight(shape: &ConvShape, x: &[f32], grad: &[f32]) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
    let length_out = shape.length_out()?;
    check("convolution input", x, shape.batch * shape.channels_in * shape.length)?;
    check("convolution gradient", grad, shape.batch * shape.channels_out * length_out)?;
    let (x, row) = pad(shape, x);
    let taps = tap_offsets(shape, row);
    let mut gw = vec![0.0; shape.channels_out * taps.len()];
    let mut gb = vec![0.0; shape.channels_out];
    gw.par_chunks_mut(ROWS * taps.len()).zip(gb.par_chunks_mut(ROWS)).enumerate().for_each(|(block, (gw, gb))| {
        dispatch(WeightRows {
            x: &x,
            image: shape.channels_in * row,
            taps: &taps,
            grad,
            channels_out: shape.channels_out,
            length_out,
            first: block * ROWS,
            gw,
            gb,
        });
    });
    Ok((gw, gb))
}

/// Rows of `x` with zeros around them and the ReLU applied, and the length of such a row.
fn pad(shape: &ConvShape, x: &[f32]) -> (Vec<f32>, usize) {
    let row = shape.padded();
    let rows = shape.batch * shape.channels_in;
    let mut out = vec![0.0; rows * row + SLACK];
    let [left, _] = shape.padding;
    out[..rows * row].par_chunks_mut(row).zip(x.par_chunks(shape.length)).for_each(|(to, from)| {
        let to = &mut to[left..left + shape.length];
        if shape.relu {
            for (to, &from) in to.iter_mut().zip(from) {
                *to = from.max(0.0);
            }
        } else {
            to.copy_from_slice(from);
        }
    });
    (out, row)
}

/// Where each (input channel, tap) reads, relative to the output sample, within one clip of padded rows.
fn tap_offsets(shape: &ConvShape, row: usize) -> Vec<usize> {
    (0..shape.channels_in).flat_map(|i| (0..shape.kernel).map(move |k| i * row + k * shape.dilation)).collect()
}

/// Weights as `[block of 4 outputs][tap][4]`, the last block filled up with zeros.
fn pack(w: &[f32], outputs: usize, taps: usize, at: impl Fn(usize, usize) -> usize) -> Vec<f32> {
    let mut packed = vec![0.0; outputs.div_ceil(ROWS) * taps * ROWS];
    for o in 0..outputs {
        for tap in 0..taps {
            packed[((o / ROWS) * taps + tap) * ROWS + o % ROWS] = w[at(o, tap)];
        }
    }
    packed
}

/// Where tasks write their disjoint stretches of the output.
#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: tasks write to disjoint ranges (each has its own clip and stretch of time), and the vector outlives them.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

fn convolve(shape: &ConvShape, length_out: usize, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let (x, row) = pad(shape, x);
    let taps = tap_offsets(shape, row);
    let image = shape.channels_in * row;
    let mut y = vec![0.0; shape.batch * shape.channels_out * length_out];
    let mut offset = vec![0.0; shape.channels_out.div_ceil(ROWS) * ROWS];
    if let Some(bias) = bias {
        offset[..bias.len()].copy_from_slice(bias);
    }
    // A stretch of all input rows stays in the second-level cache while every output channel passes over it.
    let stretch = (49_152 / shape.channels_in / SLACK).clamp(1, 64) * SLACK;
    let stretches = length_out.div_ceil(stretch);
    let output = Output(y.as_mut_ptr());
    (0..shape.batch * stretches).into_par_iter().for_each(|task| {
        let (clip, from) = (task / stretches, task % stretches * stretch);
        dispatch(Stretch {
            x: &x[clip * image..(clip + 1) * image + SLACK],
            taps: &taps,
            weight,
            bias: &offset,
            output: output.at(clip * shape.channels_out * length_out),
            channels_out: shape.channels_out,
            length_out,
            from,
            to: (from + stretch).min(length_out),
        });
    });
    y
}

/// All output channels of one clip over `from .. to`.
struct Stretch<'a> {
    x: &'a [f32],
    taps: &'a [usize],
    weight: &'a [f32],
    bias: &'a [f32],
    output: *mut f32,
    channels_out: usize,
    length_out: usize,
    from: usize,
    to: usize,
}

impl Kernel for Stretch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for block in 0..self.channels_out.div_ceil(ROWS) {
            if V::REGISTERS >= 32 {
                self.rows::<V, 6>(block);
            } else {
                self.rows::<V, 3>(block);
            }
        }
    }
}

impl Stretch<'_> {
    /// Four output channels, `N` registers of time at a go.
    #[inline(always)]
    fn rows<V: Vector, const N: usize>(&self, block: usize) {
        let first = block * ROWS;
        let rows = ROWS.min(self.channels_out - first);
        let weight = &self.weight[block * self.taps.len() * ROWS..][..self.taps.len() * ROWS];
        let bias = &self.bias[first..first + ROWS];
        let width = N * V::LANES;
        let mut spill = [0.0f32; SLACK];
        let mut t = self.from;
        while t < self.to {
            let mut sum = [[V::splat(0.0); N]; ROWS];
            for (sum, &b) in sum.iter_mut().zip(bias) {
                *sum = [V::splat(b); N];
            }
            for (&tap, w) in self.taps.iter().zip(weight.as_chunks::<ROWS>().0) {
                let mut x = [V::splat(0.0); N];
                for (j, x) in x.iter_mut().enumerate() {
                    // SAFETY: `tap + t` lies within the clip's rows for every `t < length_out`, and the slice goes on
                    // for SLACK >= N * LANES floats behind them.
                    *x = unsafe { V::load(self.x.as_ptr().add(tap + t + j * V::LANES)) };
                }
                for (sum, &w) in sum.iter_mut().zip(w) {
                    let w = V::splat(w);
                    for (sum, &x) in sum.iter_mut().zip(&x) {
                        *sum = sum.add_product(w, x);
                    }
                }
            }
            let whole = t + width <= self.to;
            for (r, sum) in sum.iter().enumerate().take(rows) {
                // SAFETY: row `first + r`, times `t .. min(t + width, to)`: inside this task's own stretch.
                let to = unsafe { self.output.add((first + r) * self.length_out + t) };
                for (j, sum) in sum.iter().enumerate() {
                    let to = if whole { to } else { spill.as_mut_ptr() };
                    // SAFETY: a whole tile fits the stretch; else it goes to the spill, which holds SLACK floats.
                    unsafe { sum.store(to.add(j * V::LANES)) };
                }
                if !whole {
                    // SAFETY: `to - t` floats are left of the stretch, fewer than a tile.
                    unsafe { std::ptr::copy_nonoverlapping(spill.as_ptr(), to, self.to - t) };
                }
            }
            t += width;
        }
    }
}

/// Gradients of the weights of four output channels.
struct WeightRows<'a> {
    x: &'a [f32],
    image: usize,
    taps: &'a [usize],
    grad: &'a [f32],
    channels_out: usize,
    length_out: usize,
    first: usize,
    gw: &'a mut [f32],
    gb: &'a mut [f32],
}

impl Kernel for WeightRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        /// Samples over which rows stay in the first-level cache.
        const STRETCH: usize = 1024;
        let rows = self.gb.len();
        let clips = self.grad.len() / (self.channels_out * self.length_out);
        for clip in 0..clips {
            let x = &self.x[clip * self.image..(clip + 1) * self.image + SLACK];
            // A block of fewer than four rows computes its last row again and drops the result.
            let mut grad: [&[f32]; ROWS] = [&[]; ROWS];
            for (r, grad) in grad.iter_mut().enumerate() {
                let row = clip * self.channels_out + self.first + r.min(rows - 1);
                *grad = &self.grad[row * self.length_out..(row + 1) * self.length_out];
            }
            let mut from = 0;
            while from < self.length_out {
                let to = (from + STRETCH).min(self.length_out);
                for (gb, grad) in self.gb.iter_mut().zip(&grad) {
                    *gb += grad[from..to].iter().sum::<f32>();
                }
                let mut tap = 0;
                while tap < self.taps.len() {
                    let group = &self.taps[tap..];
                    match group {
                        [a, b, c, ..] => products::<V, 3>(x, &[*a, *b, *c], &grad, from, to, tap, self.gw, rows),
                        [a, b] => products::<V, 2>(x, &[*a, *b], &grad, from, to, tap, self.gw, rows),
                        [a] => products::<V, 1>(x, &[*a], &grad, from, to, tap, self.gw, rows),
                        [] => {}
                    }
                    tap += group.len().min(3);
                }
                from = to;
            }
        }
    }
}

/// Adds to `gw[r][tap + j]` the dot product of gradient row `r` and the input row of tap `j` over `from .. to`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn products<V: Vector, const N: usize>(
    x: &[f32],
    taps: &[usize; N],
    grad: &[&[f32]; ROWS],
    from: usize,
    to: usize,
    tap: usize,
    gw: &mut [f32],
    rows: usize,
) {
    let mut sum = [[V::splat(0.0); N]; ROWS];
    let whole = from + (to - from) / V::LANES * V::LANES;
    let mut t = from;
    while t < whole {
        let mut xs = [V::splat(0.0); N];
        for (xs, &tap) in xs.iter_mut().zip(taps) {
            // SAFETY: `tap + t + LANES` stays within the clip's padded rows plus slack, as in the forward pass.
            *xs = unsafe { V::load(x.as_ptr().add(tap + t)) };
        }
        for (sum, grad) in sum.iter_mut().zip(grad) {
            // SAFETY: `t + LANES <= to <= length_out`, the length of every gradient row.
            let g = unsafe { V::load(grad.as_ptr().add(t)) };
            for (sum, &xs) in sum.iter_mut().zip(&xs) {
                *sum = sum.add_product(g, xs);
            }
        }
        t += V::LANES;
    }
    let stride = gw.len() / rows;
    for (r, (sum, grad)) in sum.iter().zip(grad).enumerate().take(rows) {
        for (j, sum) in sum.iter().enumerate() {
            let mut total = sum.sum();
            for t in whole..to {
                total += grad[t] * x[taps[j] + t];
            }
            gw[r * stride + tap + j] += total;
        }
    }
}

#[cfg(test)]
mod tests;
