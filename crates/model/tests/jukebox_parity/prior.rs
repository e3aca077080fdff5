//! Priors, with lyrics and without: conditions, logits, losses, attention to lyrics, and tokens one at a time.

use super::fixture::{Fixture, values};
use super::sizes;
use super::whole_windows::WholeWindows;
use burn::tensor::Device;
use orchestrion_model::condition::{Labels, Span};
use orchestrion_model::nn::Random;
use orchestrion_model::nn::attention::AttnFunc;
use orchestrion_model::prior::{PriorConfig, PriorDecoder, TokenModel, Window, token_tensor};
use orchestrion_model::store::Dtype;

const LOGITS: f64 = 2e-4;
const LOSS: f64 = 1e-5;
/// Of the conditions: label vectors, and what the conditioner makes.
const LABELS: f64 = 1e-6;
const CONDITIONER: f64 = 2e-5;
const STATES: f64 = 2e-5;

/// What a file's windows are conditioned on.
struct Given {
    labels: Vec<Labels>,
    upper: Option<Vec<Vec<u32>>>,
}

fn given(fixture: &Fixture, sizes: &PriorConfig) -> Given {
    let batch = fixture.shape("in.z")[0];
    let labels = if fixture.has("in.y") {
        let window = (sizes.window() * sizes.hop_length) as u64;
        let row = |(labels, span): (Labels, Span)| {
            assert_eq!(span.length, window, "a window's length in samples");
            labels
        };
        sizes::label_rows(fixture, "in.y").into_iter().map(row).collect()
    } else {
        vec![Labels { artist: vec![], genre: vec![], total_length: 0, offset: 0, lyrics: vec![] }; batch]
    };
    Given { labels, upper: sizes.upper.is_some().then(|| fixture.tokens("in.z_upper")) }
}

fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

pub fn compare(fixture: &mut Fixture) {
    let device = Device::flex();
    let sizes = sizes::prior(&fixture.config);
    let mut prior = sizes.init(&mut Random::new(0), &device).unwrap();
    // A tied output table stands in the file all the same.
    let spare: &[&str] = if sizes.merged_decoder { &[] } else { &["prior.x_out.weight"] };
    fixture.fill(&mut prior, spare, &device);

    let given = given(fixture, &sizes);
    let tokens = fixture.tokens("in.z");
    let context = tokens[0].len();
    let upper = given.upper.as_deref().map(slices);
    let conditions = prior.conditions(&given.labels, 0, context, upper.as_deref()).unwrap();
    if fixture.has("out.y_cond") {
        fixture.close("y_cond", &values(&conditions.start), LABELS);
    }
    match &conditions.positions {
        Some(positions) if sizes.upper.is_some() => fixture.close("x_cond", &values(positions), CONDITIONER),
        Some(positions) => fixture.close("x_cond", &values(positions), LABELS),
        None => assert!(!fixture.has("out.x_cond"), "the file has conditions, the model none"),
    }

    if let Some(states) = &conditions.encoder {
        fixture.close("encoder_states", &values(states), STATES);
    }

    let z = token_tensor(&slices(&tokens), &device);
    fixture.close("logits", &values(&prior.forward(z.clone(), &conditions)), LOGITS);
    let losses = prior.losses(z, &conditions);
    fixture.relative("loss", &values(&losses.total), LOSS);
    fixture.relative("gen_loss", &values(&losses.music), LOSS);
    fixture.relative("prime_loss", &losses.lyrics.map_or(vec![0.0], |l| values(&l)), LOSS);

    // Layers that see summaries of rows cannot be run one token ahead, and say so.
    let summaries = [AttnFunc::Summary, AttnFunc::SpreadSummary].iter().any(|f| sizes.transformer.has(*f));
    let mut decoder: Box<dyn TokenModel> = match PriorDecoder::new(prior.clone(), Dtype::F32) {
        Ok(mut decoder) => {
            compare_attention(fixture, &mut decoder, &given, &tokens);
            Box::new(decoder)
        }
        Err(_) if summaries => Box::new(WholeWindows::new(prior)),
        Err(error) => panic!("{error}"),
    };
    let steps = fixture.shape("out.greedy_tokens")[1];
    let nothing = vec![Vec::new(); tokens.len()];
    let greedy = decode(&mut *decoder, &given, nothing, steps, &mut |_, _, logits| {
        (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32
    });
    compare_decoded(fixture, "greedy", greedy, &sizes);

    let draws = fixture.doubles("in.icdf_u_f64");
    let steps = fixture.integers("in.steps")[0] as usize;
    let prime_length = fixture.integers("in.prime_len")[0] as usize;
    let prime = tokens.iter().map(|row| row[..prime_length].to_vec()).collect();
    let temperature = fixture.config.number("temp");
    let drawn = decode(&mut *decoder, &given, prime, steps, &mut |row, step, logits| {
        invert(logits, temperature, draws[row * steps + step])
    });
    compare_decoded(fixture, "icdf", drawn, &sizes);
}

/// Attention of the music to the lyrics in the layers that the file recorded: `[batch, heads, music, lyrics]`.
fn compare_attention(fixture: &mut Fixture, decoder: &mut PriorDecoder, given: &Given, tokens: &[Vec<u32>]) {
    let layer = |name: &String| name.strip_prefix("out.attn_layer").and_then(|d| d.parse().ok());
    let recorded: Vec<usize> = fixture.names().iter().filter_map(layer).collect();
    let window = Window { start: 0, length: tokens[0].len(), labels: &given.labels, upper: None };
    for layer in recorded {
        let key = format!("attn_layer{layer}");
        let heads = fixture.shape(&format!("out.{key}"))[1];
        let each: Vec<Vec<f32>> =
            (0..heads).map(|head| decoder.attention(layer, head, &window, &slices(tokens)).unwrap()).collect();
        let row = each[0].len() / tokens.len();
        let rows = (0..tokens.len()).flat_map(|r| each.iter().flat_map(move |head| &head[r * row..][..row]));
        fixture.close(&key, &rows.copied().collect::<Vec<f32>>(), LOGITS);
    }
}

/// The number of tokens whose cumulative probability is at most `u`, all in double precision.
fn invert(logits: &[f32], temperature: f64, u: f64) -> u32 {
    let scaled: Vec<f64> = logits.iter().map(|l| f64::from(*l) / temperature).collect();
    let most = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scaled.iter().map(|l| (l - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let below = weights.iter().take_while(|w| {
        sum += *w / total;
        sum <= u
    });
    below.count() as u32
}

/// Rows of tokens, prefix and new ones, and the logits of the new ones `[batch, steps, vocabulary]`.
struct Decoded {
    tokens: Vec<Vec<u32>>,
    logits: Vec<f32>,
}

/// Appends `steps` tokens to a prefix, each chosen from its row, step and logits.
fn decode(
    decoder: &mut dyn TokenModel,
    given: &Given,
    prefix: Vec<Vec<u32>>,
    steps: usize,
    choose: &mut dyn FnMut(usize, usize, &[f32]) -> u32,
) -> Decoded {
    let upper = given.upper.as_deref().map(slices);
    let window = Window { start: 0, length: decoder.context(), labels: &given.labels, upper: upper.as_deref() };
    decoder.begin(&window).unwrap();
    let vocabulary = decoder.codebook_size();
    let mut tokens = prefix.clone();
    let mut logits = vec![Vec::new(); tokens.len()];
    let mut next = prefix;
    for step in 0..steps {
        let all = decoder.advance(&slices(&next)).unwrap();
        for (row, ours) in all.chunks_exact(vocabulary).enumerate() {
            next[row] = vec![choose(row, step, ours)];
            tokens[row].extend(&next[row]);
            logits[row].extend_from_slice(ours);
        }
    }
    Decoded { tokens, logits: logits.concat() }
}

/// Logits of lyric tokens, which the file has and a decoder does not give, are left out.
fn compare_decoded(fixture: &mut Fixture, kind: &str, decoded: Decoded, sizes: &PriorConfig) {
    let tokens: Vec<i64> = decoded.tokens.concat().into_iter().map(i64::from).collect();
    fixture.equal(&format!("{kind}_tokens"), &tokens, |_| false);
    let key = format!("{kind}_logits");
    let rows = fixture.floats(&format!("out.{key}"));
    let golden: Vec<f32> =
        rows.chunks_exact(sizes.vocabulary()).flat_map(|row| row[sizes.first_token()..].to_vec()).collect();
    fixture.floats_within(&key, &decoded.logits, &golden, LOGITS, 0.0);
}
