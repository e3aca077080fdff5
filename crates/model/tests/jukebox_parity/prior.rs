//! Priors without lyrics: conditions, logits, loss, and tokens one at a time.

use super::conditions::{label_rows, label_sizes, upper_sizes};
use super::fixture::{Config, Fixture, values};
use burn::tensor::Device;
use orchestrion_model::condition::{Labels, Span};
use orchestrion_model::nn::Random;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::prior::{PriorConfig, PriorDecoder, TokenModel, Window, token_tensor};

const LOGITS: f64 = 2e-4;
const LOSS: f64 = 1e-5;
/// Of the conditions: label vectors, and what the conditioner makes.
const LABELS: f64 = 1e-6;
const CONDITIONER: f64 = 2e-5;

fn sizes(config: &Config) -> PriorConfig {
    let level = config.count("level");
    let steps = config.counts("downs_t").into_iter().zip(config.counts("strides_t"));
    PriorConfig {
        level,
        sample_rate: config.count("sr") as u32,
        hop_length: steps.take(level + 1).map(|(downs, stride)| stride.pow(downs as u32)).product(),
        codebook_size: config.count("bins"),
        transformer: TransformerConfig {
            width: config.count("width"),
            depth: config.count("depth"),
            heads: config.count("heads"),
            context: config.count("n_ctx"),
            blocks: config.count("blocks"),
            attn_order: config.count("order"),
            spread: 0,
            prime: 0,
            attention_width: config.optional("m_attn").unwrap_or(0.25),
            mlp_width: config.optional("m_mlp").unwrap_or(1.0),
            init_scale: 1.0,
            zero_out: false,
            residual_scale: config.flag("res_scale"),
        },
        labels: config.flag("labels").then(|| label_sizes(config, config.flag("top"))),
        lyrics: None,
        upper: (!config.flag("top")).then(|| upper_sizes(config, "cond_width")),
        merged_decoder: config.flag("merged"),
    }
}

/// What a file's windows are conditioned on.
struct Given {
    labels: Vec<Labels>,
    upper: Option<Vec<Vec<u32>>>,
}

fn given(fixture: &Fixture, sizes: &PriorConfig) -> Given {
    let batch = fixture.shape("in.z")[0];
    let labels = if sizes.labels.is_some() {
        let window = (sizes.transformer.context * sizes.hop_length) as u64;
        let row = |(labels, span): (Labels, Span)| {
            assert_eq!(span.length, window, "a window's length in samples");
            labels
        };
        label_rows(fixture).into_iter().map(row).collect()
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
    assert_eq!(fixture.config.word("mode"), "none", "a prior with lyrics has another kind of name");
    let sizes = sizes(&fixture.config);
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

    let z = token_tensor(&slices(&tokens), &device);
    fixture.close("logits", &values(&prior.forward(z.clone(), &conditions)), LOGITS);
    // Without lyrics all of the loss is that of the music.
    let loss = values(&prior.losses(z, &conditions).total);
    fixture.relative("loss", &loss, LOSS);
    fixture.relative("gen_loss", &loss, LOSS);
    fixture.close("prime_loss", &[0.0], 0.0);

    let mut decoder = PriorDecoder::new(prior).unwrap();
    let nothing = vec![Vec::new(); tokens.len()];
    let steps = fixture.shape("out.greedy_tokens")[1];
    let greedy = decode(&mut decoder, &given, nothing, steps, &mut |_, _, logits| {
        (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32
    });
    compare_decoded(fixture, "greedy", greedy);

    let prime_length = fixture.integers("in.prime_len")[0] as usize;
    let prime = tokens.iter().map(|row| row[..prime_length].to_vec()).collect();
    let steps = fixture.integers("in.steps")[0] as usize;
    let draws = fixture.doubles("in.icdf_u_f64");
    let temperature = fixture.config.number("temp");
    let drawn = decode(&mut decoder, &given, prime, steps, &mut |row, step, logits| {
        invert(logits, temperature, draws[row * steps + step])
    });
    compare_decoded(fixture, "icdf", drawn);
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
    decoder: &mut PriorDecoder,
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

fn compare_decoded(fixture: &mut Fixture, kind: &str, decoded: Decoded) {
    let tokens: Vec<i64> = decoded.tokens.concat().into_iter().map(i64::from).collect();
    fixture.equal(&format!("{kind}_tokens"), &tokens, |_| false);
    fixture.close(&format!("{kind}_logits"), &decoded.logits, LOGITS);
}
