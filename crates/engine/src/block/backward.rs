//! The block backward, a task of rows at a time, and then the gradients of its weights.

use rayon::prelude::*;

use super::outer::{Inputs, Slopes, lay, weight_grad};
use super::panels::{Panels, round};
use super::{BlockGradients, BlockShape, Kept, Parts, TASK, forward, sized};
use crate::attention::attend_grad;
use crate::lanes::tile::ROWS;
use crate::lanes::{Block, Isa, Kernel, Simd};
use crate::rows::{GeluBoth, NormBackward, NormForward};
use crate::{EngineError, Numbers};

/// Gradients of a block for its input and parameters, from its input, what [`forward`] kept (without it the block is
/// computed again) and the gradient `grad` `[rows, width]` of its output.
///
/// # Errors
/// If lengths don't fit the shape, or attention of this function has no kernel.
pub fn backward(
    shape: &BlockShape,
    weights: &Parts<&[f32]>,
    x: &[f32],
    kept: Option<&Kept>,
    grad: &[f32],
) -> Result<BlockGradients, EngineError> {
    shape.check(weights, x)?;
    if grad.len() != x.len() {
        return Err(EngineError::Length { name: "`grad`".into(), expected: x.len(), found: grad.len() });
    }
    rayon::scope(|_| match kept {
        Some(kept) => run(shape, weights, x, kept, grad),
        None => run(shape, weights, x, &forward(shape, weights, x)?.1, grad),
    })
}

/// Room for a task's rows.
#[derive(Default)]
struct Scratch {
    /// Three of `[rows, width]`.
    narrow: [Vec<f32>; 3],
    /// Two of `[rows, hidden]`, the first also for what queries, keys and values take.
    wide: [Vec<f32>; 2],
    moments: Vec<[f32; 2]>,
}

fn run(
    shape: &BlockShape,
    weights: &Parts<&[f32]>,
    x: &[f32],
    kept: &Kept,
    grad: &[f32],
) -> Result<BlockGradients, EngineError> {
    let &BlockShape { width, hidden, numbers, .. } = shape;
    let (rows, state, isa) = (shape.rows(), shape.state(), Isa::detect());
    let mut inputs = [width, state, width, hidden].map(|n| Inputs::new(rows, n));
    let mut slopes = [3 * state, width, hidden, width].map(|n| Slopes::new(rows, n));
    let ([attn_in, proj_in, fc_in, mlp_in], [attn_out, proj_out, fc_out, mlp_out]) = (&mut inputs, &mut slopes);
    let tasks = rows.div_ceil(TASK);

    let layer = FeedBack {
        shape,
        weights,
        c_proj: Panels::pack_transposed(weights.c_proj[0], [width, state], numbers),
        c_fc: Panels::pack_transposed(weights.c_fc[0], [hidden, width], numbers),
        mlp_proj: Panels::pack_transposed(weights.mlp_proj[0], [width, hidden], numbers),
    };
    let mut gx = vec![0.0; rows * width];
    let mut attended_grad = vec![0.0; rows * state];
    // Bias of the feed-forward part's way out, its norm's gain and bias, bias of the way from attention and of the way in.
    let mut sums = vec![0.0; tasks * (4 * width + hidden)];
    let given =
        (kept.middle.par_chunks(TASK * width), kept.hidden.par_chunks(TASK * hidden), grad.par_chunks(TASK * width));
    let made = (
        gx.par_chunks_mut(TASK * width),
        attended_grad.par_chunks_mut(TASK * state),
        sums.par_chunks_mut(4 * width + hidden),
    );
    let laid = (proj_in.tasks(), fc_in.tasks(), mlp_in.tasks(), proj_out.tasks(), fc_out.tasks(), mlp_out.tasks());
    (given, made, laid, kept.attended.par_chunks(TASK * state)).into_par_iter().for_each_init(
        Scratch::default,
        |scratch, ((middle, hidden, grad), (gx, attended_grad, sums), laid, attended)| {
            isa.run(Feed { layer: &layer, middle, hidden, grad, attended, gx, attended_grad, sums, laid, scratch });
        },
    );

    let qkv_grad = attend_grad(&shape.attention, &kept.qkv, &kept.attended, &kept.sums, &attended_grad)?;
    let c_attn = Panels::pack_transposed(weights.c_attn[0], [3 * state, width], numbers);
    // The norm's gain and bias, bias of the way to queries, keys and values.
    let mut attn_sums = vec![0.0; tasks * (2 * width + 3 * state)];
    let laid = (attn_in.tasks(), attn_out.tasks());
    (
        x.par_chunks(TASK * width),
        qkv_grad.par_chunks(TASK * 3 * state),
        gx.par_chunks_mut(TASK * width),
        attn_sums.par_chunks_mut(2 * width + 3 * state),
        laid,
    )
        .into_par_iter()
        .for_each_init(Scratch::default, |scratch, (x, qkv_grad, gx, sums, laid)| {
            isa.run(Project { numbers, norm: weights.ln_0, c_attn: &c_attn, x, qkv_grad, gx, sums, laid, scratch });
        });

    let mut found = [width * 3 * state, state * width, width * hidden, hidden * width].map(|n| vec![0.0; n]);
    found
        .par_iter_mut()
        .zip(inputs.par_iter().zip(slopes.par_iter()))
        .for_each(|(out, (inputs, slopes))| weight_grad(isa, inputs, slopes, out));
    let [c_attn, c_proj, c_fc, mlp_proj] = found;
    let [mlp_bias, gain_1, bias_1, proj_bias, fc_bias] = totals(&sums, [width, width, width, width, hidden]);
    let [gain_0, bias_0, attn_bias] = totals(&attn_sums, [width, width, 3 * state]);
    Ok(BlockGradients {
        x: gx,
        weights: Parts {
            ln_0: [gain_0, bias_0],
            c_attn: [c_attn, attn_bias],
            c_proj: [c_proj, proj_bias],
            ln_1: [gain_1, bias_1],
            c_fc: [c_fc, fc_bias],
            mlp_proj: [mlp_proj, mlp_bias],
        },
    })
}

/// Sums over tasks, whose parts have these sizes.
fn totals<const N: usize>(sums: &[f32], sizes: [usize; N]) -> [Vec<f32>; N] {
    let mut at = 0;
    let all = sizes.iter().sum();
    sizes.map(|size| {
        let mut total = vec![0.0; size];
        for part in sums.chunks_exact(all) {
            total.iter_mut().zip(&part[at..]).for_each(|(total, sum)| *total += sum);
        }
        at += size;
        total
    })
}

/// Adds the rows to their sum.
#[inline(always)]
fn add_rows(rows: &[f32], sum: &mut [f32]) {
    for row in rows.chunks_exact(sum.len()) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// What all tasks behind attention share; weights are transposed.
struct FeedBack<'a> {
    shape: &'a BlockShape,
    weights: &'a Parts<&'a [f32]>,
    c_proj: Panels,
    c_fc: Panels,
    mlp_proj: Panels,
}

/// What weights' gradients are made of: inputs of three projections, and the gradients of their outputs.
type Laid<'a> = (
    &'a mut [[f32; ROWS]],
    &'a mut [[f32; ROWS]],
    &'a mut [[f32; ROWS]],
    &'a mut [Block],
    &'a mut [Block],
    &'a mut [Block],
);

/// All that follows attention.
struct Feed<'a> {
    layer: &'a FeedBack<'a>,
    middle: &'a [f32],
    hidden: &'a [f32],
    grad: &'a [f32],
    attended: &'a [f32],
    gx: &'a mut [f32],
    attended_grad: &'a mut [f32],
    sums: &'a mut [f32],
    laid: Laid<'a>,
    scratch: &'a mut Scratch,
}

impl Kernel for Feed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, middle, hidden, grad, attended, gx, attended_grad, sums, laid, scratch } = self;
        let FeedBack { shape, weights, .. } = *layer;
        let &BlockShape { width, scale, numbers, .. } = shape;
        let (proj_in, fc_in, mlp_in, proj_out, fc_out, mlp_out) = laid;
        let (mlp_bias, rest) = sums.split_at_mut(width);
        let (norm_sums, rest) = rest.split_at_mut(2 * width);
        let (proj_bias, fc_bias) = rest.split_at_mut(width);
        let [first, second, third] = scratch.narrow.each_mut().map(|room| sized(room, grad.len()));
        let [acted, inner] = scratch.wide.each_mut().map(|room| sized(room, hidden.len()));
        let moments = sized(&mut scratch.moments, grad.len() / width);

        for (to, g) in first.iter_mut().zip(grad) {
            *to = scale * g;
        }
        add_rows(first, mlp_bias);
        lay(first, width, numbers, mlp_out);
        round(first, numbers);
        layer.mlp_proj.multiply(simd, first, None, inner);
        GeluBoth { x: hidden, y: acted, grad: inner }.run(simd);
        lay(acted, shape.hidden, numbers, mlp_in);
        add_rows(inner, fc_bias);
        lay(inner, shape.hidden, numbers, fc_out);
        round(inner, numbers);
        layer.c_fc.multiply(simd, inner, None, first);
        let [gain, bias] = weights.ln_1;
        NormForward { x: middle, gain, bias, y: second, moments }.run(simd);
        lay(second, width, numbers, fc_in);
        NormBackward { x: middle, gain, moments, grad: first, out: third, sums: norm_sums }.run(simd);
        for (((to, a), g), r) in gx.iter_mut().zip(first.iter_mut()).zip(grad).zip(third.iter()) {
            *to = g + r;
            *a = scale * g + r;
        }
        add_rows(first, proj_bias);
        lay(first, width, numbers, proj_out);
        round(first, numbers);
        lay(attended, shape.state(), numbers, proj_in);
        layer.c_proj.multiply(simd, first, None, attended_grad);
    }
}

/// Norm, then queries, keys and values.
struct Project<'a> {
    numbers: Numbers,
    norm: [&'a [f32]; 2],
    c_attn: &'a Panels,
    x: &'a [f32],
    qkv_grad: &'a [f32],
    /// The gradient of the input, to be added to.
    gx: &'a mut [f32],
    sums: &'a mut [f32],
    laid: (&'a mut [[f32; ROWS]], &'a mut [Block]),
    scratch: &'a mut Scratch,
}

impl Kernel for Project<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { numbers, norm: [gain, bias], c_attn, x, qkv_grad, gx, sums, laid, scratch } = self;
        let width = gain.len();
        let (norm_sums, attn_bias) = sums.split_at_mut(2 * width);
        let [first, second, _] = scratch.narrow.each_mut().map(|room| sized(room, x.len()));
        let moments = sized(&mut scratch.moments, x.len() / width);
        add_rows(qkv_grad, attn_bias);
        lay(qkv_grad, attn_bias.len(), numbers, laid.1);
        if numbers == Numbers::F32 {
            c_attn.multiply(simd, qkv_grad, None, first);
        } else {
            let rounded = sized(&mut scratch.wide[0], qkv_grad.len());
            rounded.copy_from_slice(qkv_grad);
            round(rounded, numbers);
            c_attn.multiply(simd, rounded, None, first);
        }
        NormForward { x, gain, bias, y: second, moments }.run(simd);
        lay(second, width, numbers, laid.0);
        NormBackward { x, gain, moments, grad: first, out: second, sums: norm_sums }.run(simd);
        gx.iter_mut().zip(second.iter()).for_each(|(to, g)| *to += g);
    }
}
