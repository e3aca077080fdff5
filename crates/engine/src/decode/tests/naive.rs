//! The transformer written down plainly in `f64`, and the decoder against it.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

type Rows = Vec<Vec<f64>>;

fn linear(x: &Rows, l: &Linear) -> Rows {
    let column = |row: &Vec<f64>, o: usize| -> f64 {
        f64::from(l.b[o]) + row.iter().enumerate().map(|(i, x)| x * f64::from(l.w[i * l.outputs + o])).sum::<f64>()
    };
    x.iter().map(|row| (0..l.outputs).map(|o| column(row, o)).collect()).collect()
}

fn normalise(x: &Rows, norm: &Norm) -> Rows {
    let one = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let terms = row.iter().zip(&norm.g).zip(&norm.b);
        terms.map(|((x, g), b)| (x - mean) / (variance + 1e-5).sqrt() * f64::from(*g) + f64::from(*b)).collect()
    };
    x.iter().map(one).collect()
}

/// The pattern as its definition has it: may query `i` see key `j`? Of the encoder all keys are seen.
fn sees(function: AttnFunc, i: usize, j: usize, columns: usize, prime: usize) -> bool {
    match function {
        AttnFunc::Dense => j <= i,
        AttnFunc::Block => j <= i && j / columns == i / columns,
        AttnFunc::TransposeBlock => j <= i && j % columns == i % columns,
        AttnFunc::PreviousBlock => j / columns + 1 == i / columns,
        AttnFunc::Encoder => true,
        AttnFunc::Prime => j <= i && j < prime,
        AttnFunc::Summary | AttnFunc::SpreadSummary => unreachable!("not decoded"),
    }
}

/// What the positions take from the keys, and each head's probabilities `[query, key]`.
fn attention(x: &Rows, encoder: &Rows, layer: &LayerWeights, w: &TransformerWeights) -> (Rows, Vec<Rows>) {
    let own = linear(x, &layer.c_attn);
    let state = layer.c_proj.inputs;
    let size = state / w.heads;
    let part =
        |rows: &Rows, at: usize| -> Rows { rows.iter().map(|row| row[at * state..][..state].to_vec()).collect() };
    let (keys, values) = match &layer.encoder_kv {
        Some(both) => (part(&linear(encoder, both), 0), part(&linear(encoder, both), 1)),
        None => (part(&own, 1), part(&own, 2)),
    };
    let mut out = vec![vec![0.0; state]; x.len()];
    let mut shares = vec![vec![vec![0.0; keys.len()]; x.len()]; w.heads];
    for (i, out) in out.iter_mut().enumerate() {
        for (head, shares) in shares.iter_mut().enumerate() {
            let at = head * size..(head + 1) * size;
            let seen = |j: &usize| sees(layer.attn_func, i, *j, w.context / w.blocks, w.prime);
            let seen: Vec<usize> = (0..keys.len()).filter(seen).collect();
            let score = |j: usize| at.clone().map(|e| own[i][e] * keys[j][e]).sum::<f64>() / (size as f64).sqrt();
            let weights: Vec<f64> = seen.iter().map(|&j| score(j).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (&j, weight) in seen.iter().zip(&weights) {
                shares[i][j] = weight / total;
                for e in at.clone() {
                    out[e] += weight / total * values[j][e];
                }
            }
        }
    }
    (out, shares)
}

fn sum(a: &Rows, b: &Rows, scale: f64) -> Rows {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + scale * b).collect()).collect()
}

/// All that happens to one row; position `t` has seen the tokens before `t`.
pub(super) struct Truth {
    pub logits: Rows,
    /// Behind each layer.
    pub hidden: Vec<Rows>,
    /// `[layer][head][query][key]`.
    pub shares: Vec<Vec<Rows>>,
}

/// The whole window at once.
pub(super) fn truth(model: &Model, given: &Given, tokens: &[u32]) -> Truth {
    let w = &model.weights;
    let slice = |table: &[f32], row: usize| -> Vec<f64> {
        table[row * w.width..][..w.width].iter().map(|x| f64::from(*x)).collect()
    };
    let length = tokens.len() + 1;
    let condition = |t| given.positions.as_ref().map_or(vec![0.0; w.width], |c| slice(c, t));
    let conditions: Rows = (0..length).map(condition).collect();
    let encoder: Rows = (0..given.encoder.len() / w.width).map(|t| slice(&given.encoder, t)).collect();
    let embedded: Rows = (0..length)
        .map(|t| if t == 0 { slice(&given.start, 0) } else { slice(&w.embedding, tokens[t - 1] as usize) })
        .collect();
    let positions: Rows = (0..length).map(|t| slice(&w.position, t)).collect();
    let mut x = sum(&sum(&embedded, &positions, 1.0), &conditions, 1.0);
    let (mut hidden, mut shares) = (Vec::new(), Vec::new());
    for layer in &model.layers {
        let (attended, probabilities) = attention(&normalise(&x, &layer.ln_0), &encoder, layer, w);
        let a = linear(&attended, &layer.c_proj);
        let mut between = linear(&normalise(&sum(&x, &a, 1.0), &layer.ln_1), &layer.c_fc);
        for h in between.iter_mut().flatten() {
            *h /= 1.0 + (-1.702 * *h).exp();
        }
        let m = linear(&between, &layer.mlp_proj);
        x = sum(&x, &sum(&a, &m, 1.0), f64::from(w.residual_scale));
        hidden.push(x.clone());
        shares.push(probabilities);
    }
    if w.add_condition_after {
        x = sum(&x, &conditions, 1.0);
    }
    let output = w.output.as_ref().unwrap_or(&w.embedding);
    let product = |x: &Vec<f64>, v: usize| slice(output, v).iter().zip(x).map(|(o, x)| o * x).sum();
    Truth { logits: x.iter().map(|x| (0..w.vocab).map(|v| product(x, v)).collect()).collect(), hidden, shares }
}

/// Whether `found` are the numbers of `expected`, within 1e-5 of the largest one there is.
pub(super) fn agree(what: &str, found: &[f32], expected: &[f64], largest: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(error < 1e-5 * largest, "{what}: off by {error} of {largest}");
    }
}

pub(super) fn largest(rows: &Rows) -> f64 {
    rows.iter().flatten().fold(1.0, |m, x| m.max(x.abs()))
}

/// Each function alone, then all in one stack.
pub(super) fn stacks() -> Vec<Vec<AttnFunc>> {
    ALL.iter().map(|function| vec![*function]).chain([vec![ALL[1], ALL[2], ALL[5], ALL[3], ALL[4], ALL[0]]]).collect()
}

/// The model with matrices as a precision keeps them, by its definition.
pub(super) fn rounded(model: &Model, precision: Precision) -> Model {
    let mut model = model.clone();
    let round = |weights: &mut [f32], outputs: usize, step: usize| {
        for output in 0..outputs {
            let (first, every) = if step == 1 { (output * (weights.len() / outputs), 1) } else { (output, step) };
            let count = weights.len() / outputs;
            let at = |i: usize| first + i * every;
            let largest = (0..count).map(|i| weights[at(i)].abs()).fold(0.0, f32::max);
            for i in 0..count {
                let w = &mut weights[at(i)];
                *w = match precision {
                    Precision::F32 => *w,
                    Precision::Bf16 => {
                        // The two neighbours with 8 bits of mantissa; what is left of the odd one decides a tie.
                        let below = f32::from_bits(w.to_bits() & 0xffff_0000);
                        let above = f32::from_bits(below.to_bits() + 0x1_0000);
                        let (a, b) = ((*w - below).abs(), (above - *w).abs());
                        if a < b || a == b && below.to_bits() & 0x1_0000 == 0 { below } else { above }
                    }
                    Precision::Int8 => (*w / (largest / 127.0)).round_ties_even() * (largest / 127.0),
                };
            }
        }
    };
    for layer in &mut model.layers {
        let kv = layer.encoder_kv.as_mut();
        for l in [&mut layer.c_attn, &mut layer.c_proj, &mut layer.c_fc, &mut layer.mlp_proj].into_iter().chain(kv) {
            round(&mut l.w, l.outputs, l.outputs);
        }
    }
    let mut output = model.weights.output.take().unwrap_or_else(|| model.weights.embedding.clone());
    round(&mut output, model.weights.vocab, 1);
    model.weights.output = Some(output);
    model
}

#[test]
fn every_precision_agrees_with_plain_arithmetic_on_what_it_keeps() {
    let mut n = Numbers(17);
    for (precision, width) in PRECISIONS.into_iter().flat_map(|p| [(p, 37), (p, 64)]) {
        let sizes = Sizes { width, heads: 2, head_width: 11, hidden: 80, columns: 5, blocks: 6, vocab: 50 };
        let model = random(sizes, &ALL, &mut n);
        let given = Given::random([1, 30], 9, width, &mut n);
        let tokens = n.tokens(29, sizes.vocab);
        let expected = truth(&rounded(&model, precision), &given, &tokens).logits;
        let mut decoder = model.decoder_on(precision, Isa::detect(), 2).unwrap();
        decoder.begin(given.conditions(), 1, 30).unwrap();
        for (t, row) in expected.iter().enumerate() {
            let logits = decoder.advance(&[&tokens[t.max(1) - 1..t]]).unwrap();
            agree(&format!("{precision:?} at {t}"), logits, row, largest(&expected));
        }
    }
}

#[test]
fn every_pattern_agrees_with_plain_arithmetic() {
    let mut n = Numbers(7);
    let shapes = [
        Sizes { width: 24, heads: 2, head_width: 3, hidden: 40, columns: 5, blocks: 6, vocab: 19 },
        Sizes { width: 32, heads: 1, head_width: 40, hidden: 16, columns: 20, blocks: 4, vocab: 32 },
        Sizes { width: 7, heads: 3, head_width: 1, hidden: 5, columns: 1, blocks: 24, vocab: 3 },
    ];
    for (sizes, functions) in shapes.iter().flat_map(|s| stacks().into_iter().map(move |f| (*s, f))) {
        let model = random(sizes, &functions, &mut n);
        let length = model.weights.context;
        let given = Given::random([1, length], 1 + n.below(40), sizes.width, &mut n);
        let tokens = n.tokens(length - 1, sizes.vocab);
        let expected = truth(&model, &given, &tokens).logits;
        let largest = largest(&expected);
        let mut decoder = model.decoder().unwrap();
        decoder.begin(given.conditions(), 1, length).unwrap();
        for (t, expected) in expected.iter().enumerate() {
            let new = if t == 0 { &[][..] } else { &tokens[t - 1..t] };
            let what = format!("{functions:?} {sizes:?} at position {t}");
            agree(&what, decoder.advance(&[new]).unwrap(), expected, largest);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    /// Known tokens in chunks of any length, and the steps behind them.
    #[test]
    fn chunks_and_steps_equal_the_whole_window(
        seed in any::<u64>(),
        (heads, head_width) in (1usize..4, 1usize..20),
        (width, hidden, vocab) in (8usize..40, 8usize..40, 2usize..40),
        (columns, blocks) in (1usize..12, 1usize..7),
        encoder in 1usize..40,
        cuts in prop::collection::vec(0usize..80, 0..6),
    ) {
        let mut n = Numbers(seed);
        for functions in stacks() {
            let sizes = Sizes { width, heads, head_width, hidden, columns, blocks, vocab };
            let model = random(sizes, &functions, &mut n);
            // A window may end within a block.
            let length = 1 + n.below(model.weights.context);
            let given = Given::random([1, length], encoder, width, &mut n);
            let tokens = n.tokens(length - 1, vocab);
            let expected = truth(&model, &given, &tokens).logits;
            let mut decoder = model.decoder().unwrap();
            decoder.begin(given.conditions(), 1, length).unwrap();
            let mut ends: Vec<usize> = cuts.iter().map(|c| c % length).collect();
            ends.sort_unstable();
            ends.extend(ends.last().copied().unwrap_or(0)..length);
            let mut from = 0;
            for to in ends {
                let logits = decoder.advance(&[&tokens[from..to]]).unwrap();
                agree(&format!("{functions:?}, tokens {from}..{to}"), logits, &expected[to], largest(&expected));
                from = to;
            }
        }
    }
}
