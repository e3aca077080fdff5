//! Tokens a second, beside what the machine can read and multiply: `cargo test -p orchestrion-engine decode_speed --
//! --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::decode::panels::Panels;

const SIZES: Sizes = Sizes { width: 256, heads: 4, head_width: 16, hidden: 256, columns: 32, blocks: 32, vocab: 1024 };

#[test]
#[ignore = "a measurement, not a check"]
fn decode_speed() {
    let mut n = Numbers(5);
    let functions: Vec<AttnFunc> = (0..12).map(|i| ALL[1 + i % 3]).collect();
    let model = random(SIZES, &functions, &mut n);
    let linear = |l: &LayerWeights| l.c_attn.w.len() + l.c_proj.w.len() + l.c_fc.w.len() + l.mlp_proj.w.len();
    let products = model.layers.iter().map(linear).sum::<usize>() + SIZES.vocab * SIZES.width;
    let (read, multiply) = (reading(), product_in_cache());
    println!("one core reads a matrix of 10 MB at {read:.1} GB/s and multiplies in cache at {multiply:.1} GFLOP/s");
    let mut decoder = model.decoder().unwrap();
    for batch in [1, 2, 4, 8] {
        let start = n.many(batch * SIZES.width, 1.0);
        let condition = n.many(batch * 1024 * SIZES.width, 1.0);
        let conditions = Conditions { start: &start, positions: Some(&condition), encoder: None };
        let rows: Vec<Vec<u32>> = (0..batch).map(|_| n.tokens(1023, SIZES.vocab)).collect();
        let mut best = (f64::MAX, f64::MAX);
        for _ in 0..3 {
            decoder.begin(conditions, batch, 1024).unwrap();
            let begun = Instant::now();
            for t in 0..1023 {
                let tokens: Vec<&[u32]> = rows.iter().map(|row| &row[t..=t]).collect();
                decoder.advance(&tokens).unwrap();
            }
            best.0 = best.0.min(begun.elapsed().as_secs_f64() / 1023.0);
            decoder.begin(conditions, batch, 1024).unwrap();
            let begun = Instant::now();
            decoder.advance(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
            best.1 = best.1.min(begun.elapsed().as_secs_f64() / 1023.0);
        }
        let (gigabytes, gigaflops) = (products as f64 * 4e-9, (products * batch) as f64 * 2e-9);
        println!(
            "batch {batch}: step {:.3} ms, {:.0} tokens/s, {:.1} GB/s, {:.1} GFLOP/s; prompt {:.0} tokens/s, {:.1} GFLOP/s",
            best.0 * 1e3,
            batch as f64 / best.0,
            gigabytes / best.0,
            gigaflops / best.0,
            batch as f64 / best.1,
            gigaflops / best.1,
        );
    }
}

/// GB/s of one product with a matrix of as many weights as the model has.
fn reading() -> f64 {
    let panels = Panels::pack([1024, 2560], &[], Precision::F32, |i, o| (i + o) as f32);
    let (x, mut y) = (vec![1.0; 1024], vec![0.0; 2560]);
    let mut best = f64::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        panels.multiply(Isa::detect(), &x, &mut y);
        best = best.min(begun.elapsed().as_secs_f64());
    }
    1024.0 * 2560.0 * 4e-9 / best
}

/// GFLOP/s of a product that stays in the first cache.
pub(crate) fn product_in_cache() -> f64 {
    let n = &mut Numbers(5);
    let w = n.many(128 * 32, 1.0);
    let panels = Panels::pack([128, 32], &[], Precision::F32, |i, o| w[i * 32 + o]);
    let (x, mut y) = (n.many(12 * 128, 1.0), vec![0.0; 12 * 32]);
    let mut best = f64::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        for _ in 0..1000 {
            panels.multiply(Isa::detect(), std::hint::black_box(&x), &mut y);
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    128.0 * 32.0 * 12.0 * 2e-6 / best
}
