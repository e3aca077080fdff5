//! A prior run one token ahead gives what the whole window at once gives.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor};
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::attention::AttnFunc;
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::nn::{Random, each_parameter};
use orchestrion_model::prior::{
    Conditions, LyricsConfig, Prior, PriorConfig, PriorDecoder, TokenModel, Window, token_tensor,
};
use orchestrion_model::store::Dtype;

const BOOK: usize = 13;
/// Different characters.
const LETTERS: usize = 7;

/// Sizes drawn at random, with large enough weights that the logits say something.
fn draw(random: &mut Random) -> PriorConfig {
    let heads = 1 + random.below(3);
    let width = 4 * heads * (1 + random.below(3));
    let (block, blocks) = ([4, 8][random.below(2)], 2 + random.below(4));
    let upper = random.below(2) == 0;
    let labelled = random.below(4) != 0;
    let config = PriorConfig {
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
    };
    if upper { config } else { tell_words(config, random) }
}

/// One of the two ways of telling a prior the words, or none.
fn tell_words(mut config: PriorConfig, random: &mut Random) -> PriorConfig {
    let tokens = 2 + 2 * random.below(config.transformer.context / 2 - 2);
    let lyrics = LyricsConfig { tokens, vocabulary: LETTERS, loss_share: 0.4, encoder: None, alignment: None };
    match random.below(3) {
        0 => {
            let encoder = TransformerConfig {
                width: 6,
                depth: 2,
                heads: 1,
                context: tokens,
                blocks: 2,
                attn_order: 2,
                attention_width: 0.5,
                ..config.transformer.clone()
            };
            config.transformer.attn_order = [6, 8][random.below(2)];
            config.transformer.depth = 10 + random.below(2);
            config.lyrics = Some(LyricsConfig { encoder: Some(encoder), ..lyrics });
        }
        1 => {
            config.transformer.attn_order = 12;
            config.transformer.depth = 16 + random.below(2);
            config.transformer.prime = tokens;
            config.lyrics = Some(lyrics);
        }
        _ => return config,
    }
    // So many layers would drown each other.
    config.transformer.residual_scale = true;
    config
}

/// A prior in which nothing is silent, as layers to an encoder are at first.
fn init(config: &PriorConfig, random: &mut Random) -> Prior {
    let mut prior = config.init(random, &Device::flex()).unwrap();
    each_parameter(&mut prior, |name, mut p| {
        if name.ends_with("c_proj.w") {
            p.set((0..p.values().len()).map(|_| random.normal() * 0.3).collect(), &Device::flex(), false);
        }
    });
    prior
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
        lyrics: (0..random.below(90)).map(|_| random.below(LETTERS) as u32).collect(),
    }
}

/// Logits `[batch, length, book]` of a window whose length need not be whole blocks: zeros fill the last one up.
fn whole_window(prior: &Prior, tokens: &[Vec<u32>], conditions: Conditions) -> Vec<f32> {
    let (length, context) = (tokens[0].len(), prior.config().window());
    let padded: Vec<Vec<u32>> =
        tokens.iter().map(|row| row.iter().copied().chain([0].repeat(context - length)).collect()).collect();
    let positions = conditions.positions.map(|p| {
        let [batch, _, width] = p.dims();
        Tensor::cat(vec![p, Tensor::zeros([batch, context - length, width], &prior.device())], 1)
    });
    let conditions = Conditions { positions, ..conditions };
    let logits = prior.forward(token_tensor(&slices(&padded), &prior.device()), &conditions);
    let (front, first) = (prior.config().lyrics_in_front(), prior.config().first_token());
    logits.narrow(1, front, length).narrow(2, first, BOOK).into_data().iter().collect()
}

/// How far cached logits may lie from those of the whole window, as a part of the largest of them.
const TOLERANCE: f32 = 1e-5;

#[test]
fn one_token_ahead_equals_the_whole_window() {
    use AttnFunc::{Block, Dense, Encoder, PreviousBlock, Prime, TransposeBlock};
    let can_sample = [Dense, Block, TransposeBlock, PreviousBlock, Encoder, Prime];
    let mut drawn = [0; 6];
    let (mut spread, mut worst) = (0.0f32, 0.0f32);
    for seed in 0..60 {
        let random = &mut Random::new(seed);
        let config = draw(random);
        drawn.iter_mut().zip(can_sample).for_each(|(n, func)| *n += u32::from(config.transformer.has(func)));
        let prior = init(&config, random);
        let engine = PriorDecoder::new(prior.clone(), Dtype::F32).unwrap();
        let mut decoders = [engine, PriorDecoder::on_tensors(prior.clone()).unwrap()];
        let ratio = decoders[0].upper_ratio().unwrap_or(1);
        // The second window goes through the same decoders: nothing of the first may be left.
        for partial in [true, false] {
            let batch = 1 + random.below(3);
            let context = decoders[0].context();
            let length = if partial { ratio * (1 + random.below(context / ratio)) } else { context };
            let start = random.below(50) * ratio;
            let tokens = rows(batch, length, random);
            let labels: Vec<Labels> = (0..batch).map(|_| draw_labels(random)).collect();
            let above = rows(batch, length / ratio, random);
            let above = config.upper.is_some().then(|| slices(&above));
            let conditions = prior.conditions(&labels, start, length, above.as_deref()).unwrap();
            let expected = whole_window(&prior, &tokens, conditions);
            let largest = expected.iter().fold(0.0f32, |most, logit| most.max(logit.abs()));
            spread = spread.max(largest);

            let window = Window { start, length, labels: &labels, upper: above.as_deref() };
            decoders.iter_mut().for_each(|decoder| decoder.begin(&window).unwrap());
            // The logits of the token at `known`, after a prefix of any length, then after one more token or several.
            let (mut known, mut next) = (0, random.below(length));
            loop {
                let new: Vec<&[u32]> = tokens.iter().map(|r| &r[known..next]).collect();
                known = next;
                for (who, decoder) in decoders.iter_mut().enumerate() {
                    for (row, ours) in decoder.advance(&new).unwrap().chunks_exact(BOOK).enumerate() {
                        let at = (row * length + known) * BOOK;
                        for (a, b) in ours.iter().zip(&expected[at..at + BOOK]) {
                            let place = format!("decoder {who}, seed {seed}, row {row}, token {known} of {length}");
                            worst = worst.max((a - b).abs() / largest);
                            assert!((a - b).abs() <= TOLERANCE * largest, "{place}: {a} for {b} with {config:?}");
                        }
                    }
                }
                if known + 1 == length {
                    break;
                }
                let most = if random.below(2) == 0 { 1 } else { length - 1 - known };
                next = known + 1 + random.below(most);
            }
        }
    }
    println!("cached logits within {worst:.1e} of the largest");
    assert!(drawn.iter().all(|n| *n >= 4), "an attention was hardly tried: {drawn:?} of {can_sample:?}");
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
    let mut decoder = PriorDecoder::new(config.init(random, &Device::flex()).unwrap(), Dtype::F32).unwrap();
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

#[test]
fn scores_and_the_last_hidden_state_give_the_logits() {
    for seed in 0..20 {
        let random = &mut Random::new(seed);
        let mut config = draw(random);
        config.merged_decoder = true;
        let mut prior = init(&config, random);
        let mut table = Vec::new();
        each_parameter(&mut prior, |name, p| {
            if name == "prior.x_out.weight" {
                table = p.values();
            }
        });
        let (width, first) = (config.transformer.width, config.first_token());
        let mut decoder = PriorDecoder::new(prior, Dtype::F32).unwrap();
        let ratio = decoder.upper_ratio().unwrap_or(1);
        let length = ratio * (1 + random.below(decoder.context() / ratio));
        let (tokens, labels) = (rows(2, length, random), [draw_labels(random), draw_labels(random)]);
        let above = rows(2, length / ratio, random);
        let above = config.upper.is_some().then(|| slices(&above));
        let window = Window { start: 0, length, labels: &labels, upper: above.as_deref() };
        let hidden = decoder.hidden(config.transformer.depth - 1, &window, &slices(&tokens)).unwrap();
        assert_eq!(hidden.len(), 2 * length * width);
        let scores = decoder.scores(&window, &slices(&tokens)).unwrap();
        decoder.begin(&window).unwrap();
        for t in 0..length {
            let new: Vec<&[u32]> = tokens.iter().map(|row| &row[t.saturating_sub(1)..t]).collect();
            let logits = decoder.advance(&new).unwrap();
            let at = |row: usize| &scores[(row * length + t) * BOOK..][..BOOK];
            assert_eq!(logits, [at(0), at(1)].concat(), "seed {seed}, token {t} of {length}");
            for (i, logit) in logits.iter().enumerate() {
                let (row, token) = (i / BOOK, first + i % BOOK);
                let state = &hidden[(row * length + t) * width..][..width];
                let product: f32 = state.iter().zip(&table[token * width..]).map(|(a, b)| a * b).sum();
                assert!((logit - product).abs() <= 1e-4 * logit.abs().max(1.0), "seed {seed}, token {t} of {length}");
            }
        }
    }
}

#[test]
fn attention_is_shared_out_among_the_words() {
    let mut seen = [false; 3];
    for seed in 0..40 {
        let random = &mut Random::new(seed);
        let config = draw(random);
        if config.upper.is_some() {
            continue;
        }
        let mut decoder = PriorDecoder::new(init(&config, random), Dtype::F32).unwrap();
        let length = 1 + random.below(decoder.context());
        let (tokens, labels) = (rows(2, length, random), [draw_labels(random), draw_labels(random)]);
        let window = Window { start: 0, length, labels: &labels, upper: None };
        let layer = if config.first_token() > 0 { 15 } else { [3, 9][config.transformer.attn_order / 8 % 2] };
        let shares = decoder.attention(layer, 0, &window, &slices(&tokens));
        let Some(lyrics) = &config.lyrics else {
            assert!(shares.unwrap_err().to_string().contains("knows no words"));
            seen[2] = true;
            continue;
        };
        let shares = shares.unwrap();
        assert_eq!(shares.len(), 2 * length * lyrics.tokens);
        for position in shares.chunks(lyrics.tokens) {
            let sum: f32 = position.iter().sum();
            let whole = lyrics.encoder.is_some();
            assert!(sum < 1.0 + 1e-5 && sum > if whole { 1.0 - 1e-5 } else { 0.0 }, "seed {seed}: {sum}");
        }
        seen[usize::from(lyrics.encoder.is_some())] = true;
        let short: Vec<&[u32]> = tokens.iter().map(|row| &row[1..]).collect();
        let error = decoder.attention(layer, 0, &window, &short).unwrap_err().to_string();
        assert!(error.contains("all tokens of the window must be known"), "{error}");
        let error = decoder.attention(0, 0, &window, &slices(&tokens)).unwrap_err().to_string();
        assert!(error.contains("layer 0 has Block"), "{error}");
    }
    assert_eq!(seen, [true; 3]);
}
