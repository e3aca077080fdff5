//! The block against its parts one by one, each of which has a test against its definition.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::attention::{attend, attend_grad};
use crate::decode::AttnFunc;
use crate::product::{linear, linear_grad_input, linear_grad_weight};
use crate::rows::{layer_norm, layer_norm_grad, quick_gelu, quick_gelu_grad};
use crate::tests::Numbers as Draw;
use proptest::prelude::*;

fn weights(shape: &BlockShape, draw: &mut Draw) -> Parts<Vec<f32>> {
    let (width, state, hidden) = (shape.width, shape.state(), shape.hidden);
    let sizes = [[1, width], [width, 3 * state], [state, width], [1, width], [width, hidden], [hidden, width]];
    let mut values = sizes.into_iter().flat_map(|[i, o]| {
        let scale = if i == 1 { 1.0 } else { 2.0 / (i as f32).sqrt() };
        [draw.many(i * o, scale), draw.many(o, 1.0)]
    });
    Parts::new(std::array::from_fn(|_| values.next().unwrap()))
}

fn slices(weights: &Parts<Vec<f32>>) -> Parts<&[f32]> {
    let Parts { ln_0, c_attn, c_proj, ln_1, c_fc, mlp_proj } = weights;
    Parts {
        ln_0: [&ln_0[0], &ln_0[1]],
        c_attn: [&c_attn[0], &c_attn[1]],
        c_proj: [&c_proj[0], &c_proj[1]],
        ln_1: [&ln_1[0], &ln_1[1]],
        c_fc: [&c_fc[0], &c_fc[1]],
        mlp_proj: [&mlp_proj[0], &mlp_proj[1]],
    }
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn scaled(a: &[f32], scale: f32) -> Vec<f32> {
    a.iter().map(|a| a * scale).collect()
}

/// Part by part.
fn composed(s: &BlockShape, w: &Parts<&[f32]>, x: &[f32], grad: &[f32]) -> (Vec<f32>, BlockGradients) {
    let (width, state, hidden, numbers) = (s.width, s.state(), s.hidden, s.numbers);
    let (n0, moments_0) = layer_norm(x, w.ln_0[0], w.ln_0[1]).unwrap();
    let qkv = linear(&n0, w.c_attn[0], w.c_attn[1], width, numbers).unwrap();
    let (attended, sums) = attend(&s.attention, &qkv).unwrap();
    let a = linear(&attended, w.c_proj[0], w.c_proj[1], state, numbers).unwrap();
    let middle = sum(x, &a);
    let (n1, moments_1) = layer_norm(&middle, w.ln_1[0], w.ln_1[1]).unwrap();
    let inner = linear(&n1, w.c_fc[0], w.c_fc[1], width, numbers).unwrap();
    let acted = quick_gelu(&inner);
    let m = linear(&acted, w.mlp_proj[0], w.mlp_proj[1], hidden, numbers).unwrap();
    let y = sum(x, &scaled(&sum(&a, &m), s.scale));

    let gm = scaled(grad, s.scale);
    let (mlp_w, mlp_b) = linear_grad_weight(&acted, &gm, [hidden, width], numbers).unwrap();
    let gh = linear_grad_input(w.mlp_proj[0], &gm, width, numbers).unwrap();
    let gh = quick_gelu_grad(&inner, &gh).unwrap();
    let (fc_w, fc_b) = linear_grad_weight(&n1, &gh, [width, hidden], numbers).unwrap();
    let gn = linear_grad_input(w.c_fc[0], &gh, hidden, numbers).unwrap();
    let norm_1 = layer_norm_grad(&middle, w.ln_1[0], &moments_1, &gn).unwrap();
    let ga = sum(&gm, &norm_1.x);
    let (proj_w, proj_b) = linear_grad_weight(&attended, &ga, [state, width], numbers).unwrap();
    let g_attended = linear_grad_input(w.c_proj[0], &ga, width, numbers).unwrap();
    let g_qkv = attend_grad(&s.attention, &qkv, &attended, &sums, &g_attended).unwrap();
    let (attn_w, attn_b) = linear_grad_weight(&n0, &g_qkv, [width, 3 * state], numbers).unwrap();
    let gn = linear_grad_input(w.c_attn[0], &g_qkv, 3 * state, numbers).unwrap();
    let norm_0 = layer_norm_grad(x, w.ln_0[0], &moments_0, &gn).unwrap();
    let weights = Parts {
        ln_0: [norm_0.gain, norm_0.bias],
        c_attn: [attn_w, attn_b],
        c_proj: [proj_w, proj_b],
        ln_1: [norm_1.gain, norm_1.bias],
        c_fc: [fc_w, fc_b],
        mlp_proj: [mlp_w, mlp_b],
    };
    (y, BlockGradients { x: sum(&sum(grad, &norm_1.x), &norm_0.x), weights })
}

fn close(name: &str, ours: &[f32], theirs: &[f32], apart: f32) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let most = theirs.iter().fold(1e-3, |m: f32, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= apart * most, "{name} at {i}: {a} for {b}, largest {most}");
    }
}

const NAMES: [&str; 12] = [
    "ln_0.w",
    "ln_0.b",
    "c_attn.w",
    "c_attn.b",
    "c_proj.w",
    "c_proj.b",
    "ln_1.w",
    "ln_1.b",
    "c_fc.w",
    "c_fc.b",
    "mlp_proj.w",
    "mlp_proj.b",
];

fn shape(
    func: AttnFunc,
    [batch, blocks, block]: [usize; 3],
    [heads, head_width, width, hidden]: [usize; 4],
) -> BlockShape {
    let attention = AttentionShape { func, batch, time: blocks * block, heads, head_width, block, prime: 7 };
    BlockShape { attention, width, hidden, scale: 1.0, numbers: Numbers::F32 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_block_is_its_parts(
        pattern in 0usize..5,
        sizes in [1usize..3, 1usize..8, 1usize..22],
        channels in [1usize..4, 1usize..20, 4usize..70, 1usize..300],
        scaled: bool,
        bf16: bool,
        seed: u32,
    ) {
        use AttnFunc::{Block, Dense, Prime, PreviousBlock, TransposeBlock};
        let func = [Dense, Block, TransposeBlock, PreviousBlock, Prime][pattern];
        let mut shape = shape(func, sizes, channels);
        shape.scale = if scaled { 0.25 } else { 1.0 };
        // Rounded to bfloat16, what differs in the last place of `f32` may differ in the last of eight bits.
        let apart = if bf16 { 0.02 } else { 2e-5 };
        shape.numbers = if bf16 { Numbers::Bf16 } else { Numbers::F32 };
        let draw = &mut Draw(seed.into());
        let held = weights(&shape, draw);
        let held = slices(&held);
        let x = draw.many(shape.rows() * shape.width, 2.0);
        let grad = draw.many(x.len(), 1.0);
        let (golden, slopes) = composed(&shape, &held, &x, &grad);
        let (y, kept) = forward(&shape, &held, &x).unwrap();
        close("y", &y, &golden, apart);
        let found = backward(&shape, &held, &x, Some(&kept), &grad).unwrap();
        close("x", &found.x, &slopes.x, apart);
        let again = backward(&shape, &held, &x, None, &grad).unwrap();
        prop_assert_eq!(&found, &again, "computed again");
        for ((name, ours), theirs) in NAMES.iter().zip(found.weights.into_array()).zip(slopes.weights.into_array()) {
            close(name, &ours, &theirs, apart);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let shape = shape(AttnFunc::TransposeBlock, [2, 16, 16], [3, 9, 50, 130]);
    let draw = &mut Draw(4);
    let held = weights(&shape, draw);
    let x = draw.many(shape.rows() * shape.width, 2.0);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (y, kept) = forward(&shape, &slices(&held), &x).unwrap();
            let found = backward(&shape, &slices(&held), &x, Some(&kept), &y).unwrap();
            (y, found)
        })
    };
    let alone = on(1);
    assert_eq!(alone, on(2));
    assert_eq!(alone, on(5));
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let shape = shape(AttnFunc::Dense, [1, 1, 4], [1, 2, 4, 8]);
    let held = weights(&shape, &mut Draw(1));
    let x = [0.0; 16];
    assert!(forward(&shape, &slices(&held), &x[1..]).is_err());
    assert!(
        forward(&BlockShape { hidden: 7, ..shape }, &slices(&held), &x).is_err_and(|e| e.to_string().contains("c_fc"))
    );
    assert!(backward(&shape, &slices(&held), &x, None, &x[1..]).is_err());
}

/// `cargo test -p orchestrion-engine block_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a test"]
fn block_speed() {
    use std::time::Instant;
    for (name, shape) in [
        ("tiny, row", shape(AttnFunc::Block, [2, 32, 32], [4, 12, 192, 192])),
        ("tiny, column", shape(AttnFunc::TransposeBlock, [2, 32, 32], [4, 12, 192, 192])),
        ("512, dense", shape(AttnFunc::Dense, [2, 32, 32], [8, 64, 512, 2048])),
    ] {
        let draw = &mut Draw(1);
        let held = weights(&shape, draw);
        let held = slices(&held);
        let x = draw.many(shape.rows() * shape.width, 1.0);
        let best = |work: &mut dyn FnMut()| {
            (0..12)
                .map(|_| {
                    let begun = Instant::now();
                    work();
                    begun.elapsed().as_secs_f64()
                })
                .fold(f64::MAX, f64::min)
        };
        let (_, kept) = forward(&shape, &held, &x).unwrap();
        let ahead = best(&mut || drop(forward(&shape, &held, &x)));
        let back = best(&mut || drop(backward(&shape, &held, &x, Some(&kept), &x)));
        let products = (shape.width * (4 * shape.state() + 2 * shape.hidden) * shape.rows()) as f64 * 2e-9;
        println!(
            "{name}: forward {:.2} ms, {:.0} GFLOP/s in projections; backward {:.2} ms, {:.0} GFLOP/s",
            1e3 * ahead,
            products / ahead,
            1e3 * back,
            2.0 * products / back
        );
        let qkv = draw.many(shape.rows() * 3 * shape.state(), 1.0);
        let (out, sums) = attend(&shape.attention, &qkv).unwrap();
        let ahead = best(&mut || drop(attend(&shape.attention, &qkv)));
        let back = best(&mut || drop(attend_grad(&shape.attention, &qkv, &out, &sums, &out)));
        println!("    attention {:.2} and {:.2} ms", 1e3 * ahead, 1e3 * back);
        for (inputs, outputs) in
            [(shape.width, shape.hidden), (shape.hidden, shape.width), (shape.width, 3 * shape.state())]
        {
            let (x, w) = (draw.many(shape.rows() * inputs, 1.0), draw.many(inputs * outputs, 1.0));
            let packed = panels::Panels::pack(&w, [inputs, outputs], Numbers::F32);
            let isa = crate::lanes::Isa::detect();
            let mut y = vec![0.0; shape.rows() * outputs];
            let ours = best(&mut || {
                use rayon::prelude::*;
                y.par_chunks_mut(TASK * outputs).zip(x.par_chunks(TASK * inputs)).for_each(|(y, x)| {
                    isa.run(panels::Multiply { panels: &packed, x, bias: None, y });
                });
            });
            let theirs = best(&mut || drop(linear(&x, &w, &w[..outputs], inputs, Numbers::F32)));
            let (mut i, mut o) = (outer::Inputs::new(shape.rows(), inputs), outer::Slopes::new(shape.rows(), outputs));
            let mut gw = vec![0.0; inputs * outputs];
            i.tasks();
            o.tasks();
            let weight = best(&mut || outer::weight_grad(isa, &i, &o, &mut gw));
            let theirs_weight = best(&mut || drop(linear_grad_weight(&x, &y, [inputs, outputs], Numbers::F32)));
            let flop = 2e-9 * (shape.rows() * inputs * outputs) as f64;
            println!(
                "    {inputs} x {outputs}: {:.0} for {:.0} GFLOP/s; weight {:.0} for {:.0}",
                flop / ours,
                flop / theirs,
                flop / weight,
                flop / theirs_weight
            );
        }
    }
}
