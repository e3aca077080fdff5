//! The block forward, a task of rows at a time.

use rayon::prelude::*;

use super::panels::{Panels, round};
use super::{BlockShape, Kept, Parts, TASK, sized};
use crate::attention::attend;
use crate::lanes::{Isa, Kernel, Simd};
use crate::rows::{GeluForward, NormForward};
use crate::{EngineError, Numbers};

/// The block's output `[rows, width]` for `x` `[rows, width]`, the rows of all sequences one after the other; and what
/// [`backward`](super::backward) needs beside them.
///
/// # Errors
/// If lengths don't fit the shape, or attention of this function has no kernel.
pub fn forward(shape: &BlockShape, weights: &Parts<&[f32]>, x: &[f32]) -> Result<(Vec<f32>, Kept), EngineError> {
    shape.check(weights, x)?;
    // Within the pool from here on: passes follow each other without a way in and out.
    rayon::scope(|_| run(shape, weights, x))
}

/// Room for a task's rows.
#[derive(Default)]
struct Scratch {
    normal: Vec<f32>,
    acted: Vec<f32>,
    moments: Vec<[f32; 2]>,
}

fn run(shape: &BlockShape, weights: &Parts<&[f32]>, x: &[f32]) -> Result<(Vec<f32>, Kept), EngineError> {
    let &BlockShape { width, hidden, numbers, .. } = shape;
    let (rows, state, isa) = (shape.rows(), shape.state(), Isa::detect());
    let c_attn = Panels::pack(weights.c_attn[0], [width, 3 * state], numbers);
    let mut qkv = vec![0.0; rows * 3 * state];
    qkv.par_chunks_mut(TASK * 3 * state).zip(x.par_chunks(TASK * width)).for_each_init(
        Scratch::default,
        |scratch, (qkv, x)| {
            isa.run(Project { numbers, norm: weights.ln_0, c_attn: &c_attn, bias: weights.c_attn[1], x, qkv, scratch });
        },
    );
    let (attended, sums) = attend(&shape.attention, &qkv)?;
    let feed_forward = FeedForward {
        shape,
        weights,
        c_proj: Panels::pack(weights.c_proj[0], [state, width], numbers),
        c_fc: Panels::pack(weights.c_fc[0], [width, hidden], numbers),
        mlp_proj: Panels::pack(weights.mlp_proj[0], [hidden, width], numbers),
    };
    let mut y = vec![0.0; rows * width];
    let mut middle = vec![0.0; rows * width];
    let mut inner = vec![0.0; rows * hidden];
    y.par_chunks_mut(TASK * width)
        .zip(middle.par_chunks_mut(TASK * width))
        .zip(inner.par_chunks_mut(TASK * hidden))
        .zip(x.par_chunks(TASK * width))
        .zip(attended.par_chunks(TASK * state))
        .for_each_init(Scratch::default, |scratch, ((((y, middle), hidden), x), attended)| {
            isa.run(Feed { layer: &feed_forward, x, attended, middle, hidden, y, scratch });
        });
    Ok((y, Kept { qkv, attended, sums, middle, hidden: inner }))
}

/// Norm, then queries, keys and values.
struct Project<'a> {
    numbers: Numbers,
    norm: [&'a [f32]; 2],
    c_attn: &'a Panels,
    bias: &'a [f32],
    x: &'a [f32],
    qkv: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Project<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [gain, bias] = self.norm;
        let normal = sized(&mut self.scratch.normal, self.x.len());
        let moments = sized(&mut self.scratch.moments, self.x.len() / gain.len());
        NormForward { x: self.x, gain, bias, y: normal, moments }.run(simd);
        round(normal, self.numbers);
        self.c_attn.multiply(simd, normal, Some(self.bias), self.qkv);
    }
}

/// What all tasks behind attention share.
struct FeedForward<'a> {
    shape: &'a BlockShape,
    weights: &'a Parts<&'a [f32]>,
    c_proj: Panels,
    c_fc: Panels,
    mlp_proj: Panels,
}

/// All that follows attention.
struct Feed<'a> {
    layer: &'a FeedForward<'a>,
    x: &'a [f32],
    attended: &'a [f32],
    middle: &'a mut [f32],
    hidden: &'a mut [f32],
    y: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Feed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, x, attended, middle, hidden, y, scratch } = self;
        let FeedForward { shape: &BlockShape { width, scale, numbers, .. }, weights, .. } = *layer;
        let acted = sized(&mut scratch.acted, hidden.len().max(attended.len()));
        if numbers == Numbers::F32 {
            layer.c_proj.multiply(simd, attended, Some(weights.c_proj[1]), y);
        } else {
            let rounded = &mut acted[..attended.len()];
            rounded.copy_from_slice(attended);
            round(rounded, numbers);
            layer.c_proj.multiply(simd, rounded, Some(weights.c_proj[1]), y);
        }
        for ((sum, x), a) in middle.iter_mut().zip(x).zip(y.iter()) {
            *sum = x + a;
        }
        let normal = sized(&mut scratch.normal, x.len());
        let [gain, bias] = weights.ln_1;
        let moments = sized(&mut scratch.moments, x.len() / width);
        NormForward { x: middle, gain, bias, y: normal, moments }.run(simd);
        round(normal, numbers);
        layer.c_fc.multiply(simd, normal, Some(weights.c_fc[1]), hidden);
        let acted = &mut acted[..hidden.len()];
        GeluForward { x: hidden, y: acted }.run(simd);
        round(acted, numbers);
        layer.mlp_proj.multiply(simd, acted, Some(weights.mlp_proj[1]), normal);
        for ((y, x), m) in y.iter_mut().zip(x).zip(normal.iter()) {
            *y = x + scale * (*y + m);
        }
    }
}
