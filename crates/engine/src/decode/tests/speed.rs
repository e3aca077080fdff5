//! Tokens a second, beside what the machine can read and multiply: `cargo test -p orchestrion-engine decode_speed --
//! --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::decode::matrix::Matrix;
use crate::decode::product::Finish;
use crate::machine;
use crate::team::Team;

/// A model to be measured: its order of functions, its depth, and how many steps are enough.
struct Case {
    name: &'static str,
    sizes: Sizes,
    functions: &'static [AttnFunc],
    depth: usize,
    steps: usize,
}

const SMALL: [Case; 2] = [
    Case {
        name: "256x8",
        sizes: Sizes { width: 256, heads: 2, head_width: 32, hidden: 256, columns: 32, blocks: 32, vocab: 1024 },
        functions: &[AttnFunc::Block, AttnFunc::TransposeBlock, AttnFunc::PreviousBlock, AttnFunc::Dense],
        depth: 8,
        steps: 400,
    },
    Case {
        name: "512x12",
        sizes: Sizes { width: 512, heads: 8, head_width: 16, hidden: 512, columns: 32, blocks: 32, vocab: 2048 },
        functions: &[AttnFunc::Block, AttnFunc::TransposeBlock, AttnFunc::PreviousBlock],
        depth: 12,
        steps: 400,
    },
];

const LARGE: Case = Case {
    name: "1b",
    sizes: Sizes { width: 1920, heads: 1, head_width: 480, hidden: 1920, columns: 64, blocks: 128, vocab: 2048 },
    functions: &[AttnFunc::Block, AttnFunc::TransposeBlock, AttnFunc::PreviousBlock],
    depth: 72,
    steps: 12,
};

#[test]
#[ignore = "a measurement, not a check"]
fn decode_speed_small() {
    let machine = [machine::read_rate(), machine::product_rate()];
    println!("the machine reads at {:.1} GB/s and multiplies at {:.1} GFLOP/s", machine[0], machine[1]);
    for case in &SMALL {
        for precision in PRECISIONS {
            measure(case, precision, &[1, 4, 16], machine);
        }
    }
}

#[test]
#[ignore = "a measurement that needs 4 GB"]
fn decode_speed_large() {
    let machine = [machine::read_rate(), machine::product_rate()];
    println!("the machine reads at {:.1} GB/s and multiplies at {:.1} GFLOP/s", machine[0], machine[1]);
    for precision in PRECISIONS {
        measure(&LARGE, precision, &[1, 4], machine);
    }
}

/// Medians of steps from the middle of the window, and the best of five prompts of 1,024 tokens.
fn measure(case: &Case, precision: Precision, batches: &[usize], [read, multiply]: [f64; 2]) {
    let n = &mut Numbers(5);
    let sizes = case.sizes;
    let mut decoder = {
        let model = random(sizes, case.functions, n);
        // The layers repeat, but each has its own place in memory.
        let layers = (0..case.depth).map(|d| Ok::<_, EngineError>(model.layers[d % model.layers.len()].clone()));
        Decoder::new(model.weights, layers, precision).unwrap()
    };
    let state = sizes.heads * sizes.head_width;
    let weights = case.depth * (4 * state + 2 * sizes.hidden) * sizes.width + sizes.vocab * sizes.width;
    let bytes = weights
        * match precision {
            Precision::F32 => 4,
            Precision::Bf16 => 2,
            Precision::Int8 => 1,
        };
    let context = sizes.columns * sizes.blocks;
    for &batch in batches {
        let start = n.many(batch * sizes.width, 1.0);
        let conditions = Conditions { start: &start, positions: None, encoder: None };
        let rows: Vec<Vec<u32>> = (0..batch).map(|_| n.tokens(1024, sizes.vocab)).collect();
        let part = |from: usize, to: usize| rows.iter().map(|row| &row[from..to]).collect::<Vec<_>>();
        let begun = Instant::now();
        decoder.begin(conditions, batch, context).unwrap();
        decoder.advance(&part(0, 512)).unwrap();
        let prompt = begun.elapsed().as_secs_f64() / (512 * batch) as f64;
        let mut seconds: Vec<f64> = (512..512 + case.steps)
            .map(|t| {
                let tokens = part(t, t + 1);
                let begun = Instant::now();
                decoder.advance(&tokens).unwrap();
                begun.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let step = seconds[seconds.len() / 2];
        let gigabytes = bytes as f64 * 1e-9 / step;
        let gigaflops = weights as f64 * 2e-9 / prompt;
        println!(
            "{} {precision:?} x{batch}: step {:.3} ms, {gigabytes:.1} GB/s ({:.0} %); prompt {:.0} tokens/s, {gigaflops:.1} \
             GFLOP/s ({:.0} %)",
            case.name,
            step * 1e3,
            100.0 * gigabytes / read,
            1.0 / prompt,
            100.0 * gigaflops / multiply,
        );
    }
}

/// GFLOP/s of a product that stays in the first cache, on one core.
pub(crate) fn product_in_cache() -> f64 {
    let n = &mut Numbers(5);
    let w = n.many(128 * 32, 1.0);
    let matrix = Matrix::pack([128, 32], &[], Precision::F32, |i, o| w[i * 32 + o]);
    let (x, mut y) = (n.many(12 * 128, 1.0), vec![0.0; 12 * 32]);
    let mut crew = Team::new(1).gather();
    let mut best = f64::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        for _ in 0..1000 {
            matrix.multiply(&mut crew, Isa::detect(), std::hint::black_box(&x), &mut y, Finish::Keep);
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    128.0 * 32.0 * 12.0 * 2e-6 / best
}
