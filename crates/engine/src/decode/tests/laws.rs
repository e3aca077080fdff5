//! Within a precision, logits have the same bits however tokens are split over calls, whatever stands in the other rows,
//! with any instruction set and any number of threads.

use proptest::prelude::*;

use super::naive::rounded;
use super::*;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Logits of one row after each of its tokens, one token a call.
fn alone(decoder: &mut Decoder, given: &Given, length: usize, tokens: &[u32]) -> Vec<Vec<u32>> {
    decoder.begin(given.conditions(), 1, length).unwrap();
    let mut all = vec![bits(decoder.advance(&[&[]]).unwrap())];
    all.extend(tokens.chunks(1).map(|one| bits(decoder.advance(&[one]).unwrap())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bits_depend_on_the_tokens_alone(
        seed in any::<u64>(),
        precision in prop::sample::select(&PRECISIONS[..]),
        threads in prop::sample::select(&[2usize, 3, 7][..]),
        batch in 1usize..8,
        (heads, head_width) in (1usize..4, 1usize..20),
        (width, hidden, vocab) in (1usize..70, 1usize..70, 1usize..90),
        (columns, blocks) in (1usize..20, 1usize..9),
        encoder in 1usize..60,
        cuts in prop::collection::vec(0usize..60, 0..6),
    ) {
        let mut n = Numbers(seed);
        let sizes = Sizes { width, heads, head_width, hidden, columns, blocks, vocab };
        let model = random(sizes, &[ALL[2], ALL[3], ALL[5], ALL[1], ALL[4], ALL[0]], &mut n);
        let length = 1 + n.below(model.weights.context);
        let given = Given::random([batch, length], encoder, width, &mut n);
        let rows: Vec<Vec<u32>> = (0..batch).map(|_| n.tokens(length - 1, vocab)).collect();
        let mut decoder = model.clone().decoder_on(precision, Isa::detect(), 1).unwrap();
        let mut shared = model.clone().decoder_on(precision, Isa::detect(), threads).unwrap();
        let mut scalar = model.decoder_on(precision, *Isa::available().last().unwrap(), threads).unwrap();
        let mut expected = Vec::new();
        for (row, tokens) in rows.iter().enumerate() {
            expected.push(alone(&mut decoder, &given.row(row, batch), length, tokens));
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % length).collect();
        cuts.extend([0, length - 1]);
        cuts.sort_unstable();
        for decoder in [&mut decoder, &mut shared, &mut scalar] {
            decoder.begin(given.conditions(), batch, length).unwrap();
            let mut from = 0;
            for &to in &cuts {
                let part: Vec<&[u32]> = rows.iter().map(|row| &row[from..to]).collect();
                let logits = bits(decoder.advance(&part).unwrap());
                for (row, logits) in logits.chunks(vocab).enumerate() {
                    prop_assert!(logits == expected[row][to], "row {} of {}, tokens {}..{}", row, batch, from, to);
                }
                from = to;
            }
        }
    }
}

/// Matrices of many panels, prompts of several chunks, and every number of threads beside one.
#[test]
fn long_prompts_have_the_bits_of_single_steps() {
    let mut n = Numbers(3);
    let sizes = Sizes { width: 300, heads: 2, head_width: 70, hidden: 520, columns: 32, blocks: 16, vocab: 400 };
    let model = random(sizes, &ALL, &mut n);
    let given = Given::random([1, 512], 200, sizes.width, &mut n);
    let tokens = n.tokens(230, sizes.vocab);
    for precision in PRECISIONS {
        let mut decoder = model.clone().decoder_on(precision, Isa::detect(), 1).unwrap();
        let expected = alone(&mut decoder, &given, 512, &tokens);
        for threads in [1, 2, 3, 7] {
            let mut decoder = model.clone().decoder_on(precision, Isa::detect(), threads).unwrap();
            decoder.begin(given.conditions(), 1, 512).unwrap();
            assert!(
                bits(decoder.advance(&[&tokens[..211]]).unwrap()) == expected[211],
                "{precision:?}, {threads} threads"
            );
            for t in 211..230 {
                let found = bits(decoder.advance(&[&tokens[t..=t]]).unwrap());
                assert!(found == expected[t + 1], "{precision:?}, {threads} threads, token {t}");
            }
        }
    }
}

/// What bf16 can hold exactly gives the same logits with it as in `f32`.
#[test]
fn weights_that_are_bf16_lose_nothing() {
    let mut n = Numbers(4);
    let sizes = Sizes { width: 40, heads: 2, head_width: 9, hidden: 50, columns: 8, blocks: 4, vocab: 30 };
    let model = rounded(&random(sizes, &ALL, &mut n), Precision::Bf16);
    let given = Given::random([1, 32], 12, sizes.width, &mut n);
    let tokens = n.tokens(31, sizes.vocab);
    let [whole, half] = [Precision::F32, Precision::Bf16].map(|precision| {
        let mut decoder = model.clone().decoder_on(precision, Isa::detect(), 2).unwrap();
        alone(&mut decoder, &given, 32, &tokens)
    });
    assert!(whole == half);
}
