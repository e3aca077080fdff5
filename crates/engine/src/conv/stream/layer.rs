//! The layers that sound passes through, each from what it has of its input.

use rayon::prelude::*;

use super::held::Held;
use super::residual::Residual;
use crate::conv::ConvShape;
use crate::conv::forward::{Packed, convolve_rows};
use crate::lanes::Isa;

/// One layer. Positions are counted from the start of the song, in the layer's own rate.
pub(super) enum Layer {
    /// Three taps side by side, say: as many samples out as in.
    Plain(Convolution),
    /// One sample of `stride`, with taps over two strides.
    Strided(Convolution, usize),
    /// `stride` samples of one.
    Transposed(Convolution, usize),
    Residual(Residual),
}

/// A convolution without dilation.
pub(super) struct Convolution {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub weight: Packed,
}

impl Convolution {
    /// Convolves rows with `before` and `after` zeros around them.
    fn run(&self, isa: Isa, x: &[&[f32]], [before, after]: [usize; 2], y: Vec<&mut [f32]>) {
        let shape = ConvShape {
            batch: 1,
            channels_in: self.inputs,
            channels_out: self.outputs,
            length: x.first().map_or(0, |row| row.len()),
            kernel: self.kernel,
            dilation: 1,
            padding: [before, after],
            relu: false,
        };
        convolve_rows(isa, &shape, x, &self.weight, None, y);
    }
}

impl Layer {
    pub(super) fn channels_out(&self) -> usize {
        match self {
            Self::Plain(conv) | Self::Strided(conv, _) => conv.outputs,
            Self::Transposed(conv, stride) => conv.outputs / stride,
            Self::Residual(block) => block.width(),
        }
    }

    /// Outputs that can be made from `known` inputs; `last`: there are no more.
    pub(super) fn ready(&self, known: usize, last: bool) -> usize {
        match self {
            Self::Plain(_) if last => known,
            Self::Plain(conv) => known.saturating_sub(conv.kernel / 2),
            Self::Strided(_, stride) if last => known / stride,
            // Output `o` sees the inputs before `stride * o + 3/2 stride`.
            Self::Strided(_, stride) => (known + stride / 2).saturating_sub(*stride) / stride,
            Self::Transposed(_, stride) if last => known * stride,
            Self::Transposed(_, stride) => (known * stride).saturating_sub(stride / 2),
            Self::Residual(block) => block.ready(known, last),
        }
    }

    /// First input that outputs from `done` on need.
    pub(super) fn needed(&self, done: usize) -> usize {
        match self {
            Self::Plain(conv) => done.saturating_sub(conv.kernel / 2),
            Self::Strided(_, stride) => (done * stride).saturating_sub(stride / 2),
            Self::Transposed(_, stride) => (done / stride).saturating_sub(1),
            Self::Residual(block) => block.needed(done),
        }
    }

    /// Makes the outputs from `from` on.
    pub(super) fn run(&self, isa: Isa, input: &Held, from: usize, y: Vec<&mut [f32]>) {
        let outputs = y.first().map_or(0, |row| row.len());
        match self {
            Self::Residual(block) => block.run(isa, input, from, y),
            Self::Plain(conv) => {
                let padding = conv.kernel / 2;
                let (rows, before) = rows(input, from, padding, outputs + 2 * padding);
                let after = outputs + 2 * padding - before - rows[0].len();
                conv.run(isa, &rows, [before, after], y);
            }
            Self::Strided(conv, stride) => {
                // Phase by phase: output `o` sees places `o` and `o + 1` of each.
                let places = outputs + 1;
                let (rows, before) = rows(input, from * stride, stride / 2, places * stride);
                let mut phases = vec![0.0; conv.inputs * places];
                phases.par_chunks_exact_mut(*stride * places).zip(rows).for_each(|(phases, row)| {
                    for (phase, to) in phases.chunks_exact_mut(places).enumerate() {
                        // The first place of a phase may lie in the padding before the song, the last behind it.
                        let skip = before.saturating_sub(phase).div_ceil(*stride);
                        let from = row.get(skip * stride + phase - before..).unwrap_or_default();
                        for (to, x) in to[skip..].iter_mut().zip(from.iter().step_by(*stride)) {
                            *to = *x;
                        }
                    }
                });
                let phases: Vec<&[f32]> = phases.chunks_exact(places).collect();
                conv.run(isa, &phases, [0, 0], y);
            }
            Self::Transposed(conv, stride) => {
                // Place `u` makes the outputs from `stride * u - stride / 2` on, of inputs `u - 1` and `u`.
                let first = (from + stride / 2) / stride;
                let places = (from + outputs + stride / 2).div_ceil(*stride) - first;
                let (rows, before) = rows(input, first, 1, places + 1);
                let after = places + 1 - before - rows[0].len();
                let mut made = vec![0.0; conv.outputs * places];
                conv.run(isa, &rows, [before, after], made.chunks_exact_mut(places).collect());
                let skip = from + stride / 2 - first * stride;
                y.into_par_iter().zip(made.par_chunks_exact(*stride * places)).for_each(|(y, made)| {
                    for (phase, made) in made.chunks_exact(places).enumerate() {
                        let skipped = skip.saturating_sub(phase).div_ceil(*stride);
                        let to = y.get_mut(skipped * stride + phase - skip..).unwrap_or_default();
                        for (to, made) in to.iter_mut().step_by(*stride).zip(&made[skipped..]) {
                            *to = *made;
                        }
                    }
                });
            }
        }
    }
}

/// Of every row the samples that outputs need, those `padding` before `from` and all that follow, `count` together; and how
/// many of them lie before the song. Behind its end there may be fewer.
fn rows(input: &Held, from: usize, padding: usize, count: usize) -> (Vec<&[f32]>, usize) {
    let before = padding.saturating_sub(from);
    let begin = from.saturating_sub(padding) - input.first();
    let rows = (0..input.channels()).map(|channel| input.row(channel));
    (rows.map(|row| &row[begin..(begin + count - before).min(row.len())]).collect(), before)
}
