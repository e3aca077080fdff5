//! The transformer written down plainly in `f64`, and the decoder against it.

use super::*;
use crate::decode::Decoder;

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

/// The pattern as its definition has it: may query `i` see key `j`?
fn sees(function: AttnFunc, i: usize, j: usize, columns: usize) -> bool {
    match function {
        AttnFunc::Dense => j <= i,
        AttnFunc::Block => j <= i && j / columns == i / columns,
        AttnFunc::TransposeBlock => j <= i && j % columns == i % columns,
        AttnFunc::PreviousBlock => j / columns + 1 == i / columns,
        other => panic!("{other:?} is not decoded"),
    }
}

fn attention(triple: &Rows, function: AttnFunc, heads: usize, columns: usize) -> Rows {
    let state = triple[0].len() / 3;
    let size = state / heads;
    let mut out = vec![vec![0.0; state]; triple.len()];
    for (i, out) in out.iter_mut().enumerate() {
        for head in 0..heads {
            let at = |part: usize, e: usize| part * state + head * size + e;
            let seen: Vec<usize> = (0..triple.len()).filter(|&j| sees(function, i, j, columns)).collect();
            let score = |j: usize| (0..size).map(|e| triple[i][at(0, e)] * triple[j][at(1, e)]).sum::<f64>();
            let weights: Vec<f64> = seen.iter().map(|&j| (score(j) / (size as f64).sqrt()).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (&j, weight) in seen.iter().zip(&weights) {
                for e in 0..size {
                    out[head * size + e] += weight / total * triple[j][at(2, e)];
                }
            }
        }
    }
    out
}

fn sum(a: &Rows, b: &Rows, scale: f64) -> Rows {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + scale * b).collect()).collect()
}

/// Logits at every position of one row: position `t` has seen `tokens[..t]`.
pub(super) fn logits(w: &TransformerWeights, start: &[f32], condition: Option<&[f32]>, tokens: &[u32]) -> Rows {
    let slice = |table: &[f32], row: usize| -> Vec<f64> {
        table[row * w.width..][..w.width].iter().map(|x| f64::from(*x)).collect()
    };
    let length = tokens.len() + 1;
    let conditions: Rows = (0..length).map(|t| condition.map_or(vec![0.0; w.width], |c| slice(c, t))).collect();
    let embedded: Rows = (0..length)
        .map(|t| if t == 0 { slice(start, 0) } else { slice(&w.embedding, tokens[t - 1] as usize) })
        .collect();
    let positions: Rows = (0..length).map(|t| slice(&w.position, t)).collect();
    let mut x = sum(&sum(&embedded, &positions, 1.0), &conditions, 1.0);
    for layer in &w.layers {
        let triple = linear(&normalise(&x, &layer.ln_0), &layer.c_attn);
        let a = linear(&attention(&triple, layer.attn_func, w.heads, w.context / w.blocks), &layer.c_proj);
        let mut hidden = linear(&normalise(&sum(&x, &a, 1.0), &layer.ln_1), &layer.c_fc);
        for h in hidden.iter_mut().flatten() {
            *h /= 1.0 + (-1.702 * *h).exp();
        }
        let m = linear(&hidden, &layer.mlp_proj);
        x = sum(&x, &sum(&a, &m, 1.0), f64::from(w.residual_scale));
    }
    if w.add_condition_after {
        x = sum(&x, &conditions, 1.0);
    }
    let output = w.output.as_ref().unwrap_or(&w.embedding);
    let product = |x: &Vec<f64>, v: usize| slice(output, v).iter().zip(x).map(|(o, x)| o * x).sum();
    x.iter().map(|x| (0..w.vocab).map(|v| product(x, v)).collect()).collect()
}

#[test]
fn every_pattern_agrees_with_plain_arithmetic() {
    let mut n = Numbers(7);
    let shapes = [
        Sizes { width: 24, heads: 2, head_width: 3, hidden: 40, columns: 5, blocks: 6, vocab: 19 },
        Sizes { width: 32, heads: 1, head_width: 40, hidden: 16, columns: 20, blocks: 4, vocab: 32 },
        Sizes { width: 7, heads: 3, head_width: 1, hidden: 5, columns: 1, blocks: 24, vocab: 3 },
    ];
    let mixed = [ALL[1], ALL[2], ALL[3], ALL[0]];
    let stacks = [vec![ALL[0]], vec![ALL[1]], vec![ALL[2]], vec![ALL[3]], mixed.to_vec()];
    for (sizes, functions) in shapes.iter().flat_map(|s| stacks.iter().map(move |f| (*s, f))) {
        let weights = random(sizes, functions, &mut n);
        let length = weights.context;
        let (start, condition) = (n.many(sizes.width, 1.0), n.many(length * sizes.width, 0.5));
        let condition = (n.next() < 0.0).then_some(condition.as_slice());
        let tokens = n.tokens(length - 1, sizes.vocab);
        let expected = logits(&weights, &start, condition, &tokens);
        let largest = expected.iter().flatten().fold(1.0f64, |m, x| m.max(x.abs()));
        let mut decoder = Decoder::new(weights).unwrap();
        decoder.begin(&start, condition, 1, length).unwrap();
        for (t, expected) in expected.iter().enumerate() {
            let new = if t == 0 { &[][..] } else { &tokens[t - 1..t] };
            for (found, expected) in decoder.advance(&[new]).unwrap().iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-5 * largest, "{functions:?} {sizes:?}: off by {error} of {largest} at position {t}");
            }
        }
    }
}
