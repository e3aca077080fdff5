#![allow(clippy::unwrap_used)]

use super::*;
use crate::tests::Numbers;
use proptest::prelude::*;

fn values(n: usize, seed: u32) -> Vec<f32> {
    Numbers(seed.into()).many(n, 2.0)
}

/// Whether query `i` sees key `j`, as the paper's figures have it.
fn sees(shape: &AttentionShape, i: usize, j: usize) -> bool {
    let block = shape.block;
    match shape.func {
        AttnFunc::Dense => j <= i,
        AttnFunc::Block => j <= i && j / block == i / block,
        AttnFunc::TransposeBlock => j <= i && j % block == i % block,
        AttnFunc::PreviousBlock => j / block + 1 == i / block,
        AttnFunc::Prime => j <= i && j < shape.prime,
        _ => false,
    }
}

/// The definition in f64: output and, with a gradient, that of `qkv`.
fn defined(shape: &AttentionShape, qkv: &[f32], grad: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let (time, width, state) = (shape.time, shape.head_width, shape.heads * shape.head_width);
    let scale = 1.0 / (width as f64).sqrt();
    let mut out = vec![0.0; shape.batch * time * state];
    let mut slopes = vec![0.0; qkv.len()];
    for b in 0..shape.batch {
        for h in 0..shape.heads {
            let place = |t: usize, part: usize| (b * time + t) * 3 * state + part * state + h * width;
            let at = |t: usize, part: usize, e: usize| f64::from(qkv[place(t, part) + e]);
            for i in 0..time {
                let keys: Vec<usize> = (0..time).filter(|j| sees(shape, i, *j)).collect();
                let scores: Vec<f64> =
                    keys.iter().map(|&j| (0..width).map(|e| at(i, 0, e) * at(j, 1, e)).sum::<f64>() * scale).collect();
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                let p: Vec<f64> = scores.iter().map(|s| s.exp() / total).collect();
                let row = (b * time + i) * state + h * width;
                let g: Vec<f64> = (0..width).map(|e| f64::from(grad[row + e])).collect();
                for (j, p) in keys.iter().zip(&p) {
                    for e in 0..width {
                        out[row + e] += p * at(*j, 2, e);
                        slopes[place(*j, 2) + e] += p * g[e];
                    }
                }
                let dp: Vec<f64> = keys.iter().map(|&j| (0..width).map(|e| g[e] * at(j, 2, e)).sum::<f64>()).collect();
                let mean: f64 = p.iter().zip(&dp).map(|(p, d)| p * d).sum();
                for ((j, p), dp) in keys.iter().zip(&p).zip(&dp) {
                    let s = p * (dp - mean) * scale;
                    for e in 0..width {
                        slopes[place(i, 0) + e] += s * at(*j, 1, e);
                        slopes[place(*j, 1) + e] += s * at(i, 0, e);
                    }
                }
            }
        }
    }
    (out, slopes)
}

fn close(name: &str, ours: &[f32], theirs: &[f64]) {
    let scale = theirs.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((f64::from(*a) - b).abs() <= 5e-6 * scale, "{name} at {i}: {a} for {b}, largest {scale}");
    }
    assert_eq!(ours.len(), theirs.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn attention_and_its_gradient_follow_the_definition(
        pattern in 0usize..5,
        (batch, heads, head_width) in (1usize..3, 1usize..4, 1usize..35),
        (blocks, block) in (1usize..8, 1usize..22),
        prime in 1usize..40,
        seed: u32,
    ) {
        use AttnFunc::{Block, Dense, Prime, PreviousBlock, TransposeBlock};
        let func = [Dense, Block, TransposeBlock, PreviousBlock, Prime][pattern];
        let shape = AttentionShape { func, batch, time: blocks * block, heads, head_width, block, prime };
        let state = heads * head_width;
        let qkv = values(batch * shape.time * 3 * state, seed);
        let grad = values(batch * shape.time * state, seed ^ 7);
        let (out, sums) = attend(&shape, &qkv).unwrap();
        let (golden, slopes) = defined(&shape, &qkv, &grad);
        close("out", &out, &golden);
        close("gradient", &attend_grad(&shape, &qkv, &out, &sums, &grad).unwrap(), &slopes);
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let shape =
        AttentionShape { func: AttnFunc::Block, batch: 1, time: 6, heads: 1, head_width: 2, block: 4, prime: 0 };
    assert!(attend(&shape, &[0.0; 36]).is_err_and(|e| e.to_string().contains("whole blocks")));
    assert!(attend(&AttentionShape { block: 3, ..shape }, &[0.0; 35]).is_err());
    assert!(attend(&AttentionShape { func: AttnFunc::Prime, ..shape }, &[0.0; 36]).is_err());
}
