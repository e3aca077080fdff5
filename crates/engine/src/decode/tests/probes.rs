//! What a probe sees is what plain arithmetic has inside, whatever the chunks; and what it cannot see is refused.

use super::naive::{agree, largest, stacks, truth};
use super::*;
use crate::decode::Probe;

const SIZES: Sizes = Sizes { width: 24, heads: 2, head_width: 3, hidden: 40, columns: 5, blocks: 6, vocab: 19 };
const LENGTH: usize = 28;

/// A stack with every function, two rows of tokens, and what they are conditioned on.
fn setting(n: &mut Numbers) -> (Model, Given, Vec<Vec<u32>>) {
    let model = random(SIZES, stacks().last().unwrap(), n);
    let given = Given::random([2, LENGTH], 11, SIZES.width, n);
    let rows = (0..2).map(|_| n.tokens(LENGTH - 1, SIZES.vocab)).collect();
    (model, given, rows)
}

/// `[batch, positions, values]` in calls that end at `ends`, put together for each row.
fn probed(decoder: &mut Decoder, given: &Given, rows: &[Vec<u32>], probe: Probe, ends: &[usize]) -> Vec<Vec<f32>> {
    decoder.begin(given.conditions(), 2, LENGTH).unwrap();
    let mut found = vec![Vec::new(); 2];
    let mut from = 0;
    for &to in ends {
        let part = decoder.probe(probe, &[&rows[0][from..to], &rows[1][from..to]]).unwrap();
        let (first, second) = part.split_at(part.len() / 2);
        found[0].extend_from_slice(first);
        found[1].extend_from_slice(second);
        from = to;
    }
    found
}

#[test]
fn probes_see_what_plain_arithmetic_has_inside() {
    let n = &mut Numbers(21);
    let (model, given, rows) = setting(n);
    let prime = model.weights.prime.min(LENGTH);
    let truths: Vec<_> = rows.iter().enumerate().map(|(r, row)| truth(&model, &given.row(r, 2), row)).collect();
    let functions: Vec<AttnFunc> = model.layers.iter().map(|layer| layer.attn_func).collect();
    let mut decoder = model.decoder().unwrap();
    for (layer, function) in functions.into_iter().enumerate() {
        let keys = match function {
            AttnFunc::Dense => Some(LENGTH),
            AttnFunc::Prime => Some(prime),
            AttnFunc::Encoder => Some(11),
            _ => None,
        };
        let heads = keys.iter().flat_map(|_| 0..SIZES.heads).map(|head| Probe::Attention { layer, head });
        for probe in heads.chain([Probe::Hidden { layer }]) {
            let whole = probed(&mut decoder, &given, &rows, probe, &[LENGTH - 1]);
            let parts = probed(&mut decoder, &given, &rows, probe, &[0, 1, 8, 8, 20, LENGTH - 1]);
            for ((whole, part), truth) in whole.iter().zip(&parts).zip(&truths) {
                assert!(whole.iter().zip(part).all(|(a, b)| a.to_bits() == b.to_bits()), "{probe:?} in parts");
                let expected = match (probe, keys) {
                    (Probe::Attention { head, .. }, Some(keys)) => {
                        let cut = |row: &Vec<f64>| {
                            [&row[..keys.min(row.len())], &vec![0.0; keys - row.len().min(keys)]].concat()
                        };
                        truth.shares[layer][head].iter().map(cut).collect()
                    }
                    _ => truth.hidden[layer].clone(),
                };
                agree(&format!("{probe:?}"), whole, &expected.concat(), largest(&expected));
            }
        }
    }
}

#[test]
fn what_a_probe_cannot_see_is_refused() {
    let n = &mut Numbers(22);
    let (model, given, _) = setting(n);
    let mut decoder = model.decoder().unwrap();
    let nothing: [&[u32]; 2] = [&[], &[]];
    let refusal = |result: Result<Vec<f32>, EngineError>, part: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("; hint: "), "`{message}` does not say `{part}`");
    };
    refusal(decoder.probe(Probe::Hidden { layer: 0 }, &nothing), "`begin`");
    decoder.begin(given.conditions(), 2, LENGTH).unwrap();
    refusal(decoder.probe(Probe::Hidden { layer: 6 }, &nothing), "layers 0 to 5");
    refusal(decoder.probe(Probe::Attention { layer: 5, head: 2 }, &nothing), "heads 0 to 1");
    refusal(decoder.probe(Probe::Attention { layer: 0, head: 0 }, &nothing), "Block");
    refusal(decoder.probe(Probe::Hidden { layer: 0 }, &[&[99], &[0]]), "token 99");
    // Refusals leave the window as it was: it can still be advanced. A probe does not.
    decoder.advance(&nothing).unwrap();
    refusal(decoder.probe(Probe::Hidden { layer: 0 }, &nothing), "something else");
    decoder.begin(given.conditions(), 2, LENGTH).unwrap();
    decoder.probe(Probe::Hidden { layer: 0 }, &nothing).unwrap();
    refusal(decoder.probe(Probe::Hidden { layer: 1 }, &[&[1], &[1]]), "something else");
    refusal(decoder.advance(&nothing).map(<[f32]>::to_vec), "no logits");
    decoder.probe(Probe::Hidden { layer: 0 }, &[&[1], &[1]]).unwrap();
}
