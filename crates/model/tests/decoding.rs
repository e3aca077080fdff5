//! A prior run one token ahead gives what the whole window at once gives.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor};
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::Random;
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::prior::{Conditions, Prior, PriorConfig, PriorDecoder, TokenModel, Window, token_tensor};

const BOOK: usize = 13;

/// Sizes drawn at random, with large enough weights that the logits say something.
fn draw(random: &mut Random) -> PriorConfig {
    let heads = 1 + random.below(3);
    let width = 4 * heads * (1 + random.below(3));
    let (block, blocks) = ([4, 8][random.below(2)], 2 + random.below(4));
    let upper = random.below(2) == 0;
    let labelled = random.below(4) != 0;
    PriorConfig {
        level: usize::from(!upper),
        sample_rate: 8000,
        hop_length: 16,
        codebook_size: BOOK,
        transformer: TransformerConfig {
            width,
            depth: 1 + random.below(6),
            heads,
            context: block * blocks,
            blocks,
            attn_order: [0, 1, 2, 9][random.below(4)],
            spread: 0,
            prime: 0,
            attention_width: [0.25, 0.5, 1.0][random.below(3)],
            mlp_width: [1.0, 2.0][random.below(2)],
            init_scale: 10.0,
            zero_out: false,
            residual_scale: random.below(2) == 0,
        },
        labels: labelled.then(|| LabelsConfig {
            artists: 5,
            genres: 6,
            timing: (!upper).then_some(TimingConfig { bins: 7, min_seconds: 1.0, max_seconds: 20.0 }),
            naming: Naming::Own,
            genre_words: 5,
        }),
        lyrics: None,
        upper: upper.then(|| UpperConfig {
            strides: [vec![2], vec![4], vec![2, 2]][random.below(3)].clone(),
            codebook_size: BOOK,
            width: 5,
            resnet: ResnetConfig {
                depth: 2,
                hidden: 1.0,
                dilation_growth: 3,
                dilation_cycle: None,
                residual_scale: random.below(2) == 0,
            },
        }),
        merged_decoder: random.below(2) == 0,
    }
}

fn rows(batch: usize, time: usize, random: &mut Random) -> Vec<Vec<u32>> {
    (0..batch).map(|_| (0..time).map(|_| random.below(BOOK) as u32).collect()).collect()
}

fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

fn draw_labels(random: &mut Random) -> Labels {
    Labels {
        artist: vec![(random.below(5) as u32, 0.6), (random.below(5) as u32, 0.4)],
        genre: (0..random.below(4)).map(|_| (random.below(6) as u32, 1.0)).collect(),
        total_length: 60_000 + random.below(40_000) as u64,
        offset: random.below(20_000) as u64,
        lyrics: Vec::new(),
    }
}

/// Logits `[batch, length, book]` of a window whose length need not be whole blocks: zeros fill the last one up.
fn whole_window(prior: &Prior, tokens: &[Vec<u32>], conditions: Conditions) -> Vec<f32> {
    let (length, context) = (tokens[0].len(), prior.config().transformer.context);
    let padded: Vec<Vec<u32>> =
        tokens.iter().map(|row| row.iter().copied().chain([0].repeat(context - length)).collect()).collect();
    let positions = conditions.positions.map(|p| {
        let [batch, _, width] = p.dims();
        Tensor::cat(vec![p, Tensor::zeros([batch, context - length, width], &prior.device())], 1)
    });
    let conditions = Conditions { positions, ..conditions };
    let logits = prior.forward(token_tensor(&slices(&padded), &prior.device()), &conditions);
    logits.narrow(1, 0, length).into_data().iter().collect()
}

#[test]
fn one_token_ahead_equals_the_whole_window() {
    let mut spread = 0.0f32;
    for seed in 0..40 {
        let random = &mut Random::new(seed);
        let config = draw(random);
        let prior = config.init(random, &Device::flex()).unwrap();
        let mut decoder = PriorDecoder::new(prior.clone()).unwrap();
        let ratio = decoder.upper_ratio().unwrap_or(1);
        // The second window goes through the same decoder: nothing of the first may be left.
        for partial in [true, false] {
            let batch = 1 + random.below(3);
            let context = decoder.context();
            let length = if partial { ratio * (1 + random.below(context / ratio)) } else { context };
            let start = random.below(50) * ratio;
            let tokens = rows(batch, length, random);
            let labels: Vec<Labels> = (0..batch).map(|_| draw_labels(random)).collect();
            let above = rows(batch, length / ratio, random);
            let above = config.upper.is_some().then(|| slices(&above));
            let conditions = prior.conditions(&labels, start, length, above.as_deref()).unwrap();
            let expected = whole_window(&prior, &tokens, conditions);

            let window = Window { start, length, labels: &labels, upper: above.as_deref() };
            decoder.begin(&window).unwrap();
            // The logits of the token at `known`, after a prefix of any length, then token by token.
            let mut known = random.below(length);
            let mut logits = decoder.advance(&tokens.iter().map(|r| &r[..known]).collect::<Vec<_>>()).unwrap();
            loop {
                for (row, ours) in logits.chunks_exact(BOOK).enumerate() {
                    let at = (row * length + known) * BOOK;
                    for (a, b) in ours.iter().zip(&expected[at..at + BOOK]) {
                        spread = spread.max(b.abs());
                        let place = format!("seed {seed}, row {row}, token {known} of {length}");
                        assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{place}: {a} for {b} with {config:?}");
                    }
                }
                known += 1;
                if known == length {
                    break;
                }
                logits = decoder.advance(&tokens.iter().map(|r| &r[known - 1..known]).collect::<Vec<_>>()).unwrap();
            }
        }
    }
    assert!(spread > 1.0, "the logits say nothing: at most {spread}");
}

#[test]
fn windows_that_do_not_fit_are_refused_by_name() {
    let random = &mut Random::new(1);
    let mut config = draw(random);
    config.level = 0;
    config.labels = Some(LabelsConfig { artists: 5, genres: 6, timing: None, naming: Naming::Own, genre_words: 5 });
    config.upper = Some(UpperConfig {
        strides: vec![4],
        codebook_size: BOOK,
        width: 4,
        resnet: ResnetConfig { depth: 1, hidden: 1.0, dilation_growth: 3, dilation_cycle: None, residual_scale: false },
    });
    let mut decoder = PriorDecoder::new(config.init(random, &Device::flex()).unwrap()).unwrap();
    let context = decoder.context();
    let labels = [draw_labels(random)];
    let stranger = [Labels { artist: vec![(99, 1.0)], ..labels[0].clone() }];
    let above = rows(1, context / 4, random);
    let (right, short) = (slices(&above), [&above[0][1..]]);
    let outside = vec![BOOK as u32; context / 4];
    let window = Window { start: 0, length: context, labels: &labels, upper: Some(&right) };
    for (wrong, word) in [
        (Window { length: context + 4, ..window }, "exceeds the context"),
        (Window { upper: None, ..window }, "needs the codes of level 1"),
        (Window { upper: Some(&short), ..window }, "codes of level 1"),
        (Window { upper: Some(&[&outside]), ..window }, "codes of level 1"),
        (Window { labels: &stranger, ..window }, "artist 99"),
    ] {
        let error = decoder.begin(&wrong).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    decoder.begin(&window).unwrap();
    decoder.advance(&[&[BOOK as u32]]).unwrap_err();
    decoder.begin(&window).unwrap();
    decoder.advance(&[&vec![0; context + 1]]).unwrap_err();
}
