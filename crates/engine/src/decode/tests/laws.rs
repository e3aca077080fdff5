//! Logits have the same bits however tokens are split over calls, whatever stands in the other rows, and with any
//! instruction set.

use proptest::prelude::*;

use super::*;
use crate::decode::Decoder;
use crate::lanes::Isa;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Logits of one row after each of its tokens, one token a call.
fn alone(decoder: &mut Decoder, start: &[f32], condition: &[f32], length: usize, tokens: &[u32]) -> Vec<Vec<u32>> {
    decoder.begin(start, Some(condition), 1, length).unwrap();
    let mut all = vec![bits(decoder.advance(&[&[]]).unwrap())];
    all.extend(tokens.chunks(1).map(|one| bits(decoder.advance(&[one]).unwrap())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bits_depend_on_the_tokens_alone(
        seed in any::<u64>(),
        batch in 1usize..8,
        (heads, head_width) in (1usize..4, 1usize..20),
        (width, hidden, vocab) in (1usize..70, 1usize..70, 1usize..90),
        (columns, blocks) in (1usize..20, 1usize..9),
        cuts in prop::collection::vec(0usize..60, 0..6),
    ) {
        let mut n = Numbers(seed);
        let sizes = Sizes { width, heads, head_width, hidden, columns, blocks, vocab };
        let weights = random(sizes, &[ALL[2], ALL[3], ALL[1], ALL[0]], &mut n);
        let length = 1 + n.below(weights.context);
        let start = n.many(batch * width, 1.0);
        let condition = n.many(batch * length * width, 1.0);
        let rows: Vec<Vec<u32>> = (0..batch).map(|_| n.tokens(length - 1, vocab)).collect();
        let mut decoder = Decoder::new(weights.clone()).unwrap();
        let mut scalar = Decoder::with_isa(weights, *Isa::available().last().unwrap()).unwrap();
        let mut expected = Vec::new();
        for (row, tokens) in rows.iter().enumerate() {
            let start = &start[row * width..][..width];
            let condition = &condition[row * length * width..][..length * width];
            expected.push(alone(&mut decoder, start, condition, length, tokens));
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % length).collect();
        cuts.extend([0, length - 1]);
        cuts.sort_unstable();
        for decoder in [&mut decoder, &mut scalar] {
            decoder.begin(&start, Some(&condition), batch, length).unwrap();
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

/// Chunks that go over several threads, and prompts of several chunks.
#[test]
fn long_prompts_have_the_bits_of_single_steps() {
    let mut n = Numbers(3);
    let sizes = Sizes { width: 48, heads: 2, head_width: 8, hidden: 64, columns: 32, blocks: 16, vocab: 40 };
    let weights = random(sizes, &[ALL[1], ALL[2], ALL[3], ALL[0]], &mut n);
    let (start, condition) = (n.many(48, 1.0), n.many(512 * 48, 1.0));
    let tokens = n.tokens(500, sizes.vocab);
    let mut decoder = Decoder::new(weights).unwrap();
    let expected = alone(&mut decoder, &start, &condition, 512, &tokens);
    decoder.begin(&start, Some(&condition), 1, 512).unwrap();
    assert!(bits(decoder.advance(&[&tokens[..451]]).unwrap()) == expected[451]);
    assert!(bits(decoder.advance(&[&tokens[451..]]).unwrap()) == expected[500]);
}
