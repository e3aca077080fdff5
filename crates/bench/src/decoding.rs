//! One token ahead: a step of the decoder, and known tokens.
//!
//! A step goes from a token to the logits of the next one. It is timed somewhere within a window whose earlier positions
//! were computed before, many steps at a stretch, each at its own position.

use crate::training::products;
use crate::{BenchError, Of, Row, median};
use orchestrion_engine::decode::{Conditions, Decoder, LayerWeights, Linear, Norm, Precision, TransformerWeights};
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::{ModelError, nn::Random};

/// A transformer to decode, and where in its window.
pub(crate) struct Case {
    pub transformer: TransformerConfig,
    pub vocabulary: usize,
    /// Position of the first step.
    pub from: usize,
    /// Steps of one timed run.
    pub steps: usize,
}

/// Width 512, 12 layers, 8 heads, a context of 1,024 in 32 rows, attention a quarter as wide as the model, in the middle of
/// its window.
pub(crate) const MIDDLE: Case =
    Case { transformer: factorised([512, 12, 8], [1024, 32]), vocabulary: 2048, from: 512, steps: 32 };

/// The published upsamplers' shape: width 1,920, 72 layers, one head, a context of 8,192 in 128 rows; behind the second
/// row of its window, since what is before has to be computed first.
pub(crate) const LARGE: Case =
    Case { transformer: factorised([1920, 72, 1], [8192, 128]), vocabulary: 2048, from: 128, steps: 4 };

const fn factorised([width, depth, heads]: [usize; 3], [context, blocks]: [usize; 2]) -> TransformerConfig {
    TransformerConfig {
        width,
        depth,
        heads,
        context,
        blocks,
        attn_order: 2,
        attention_width: 0.25,
        mlp_width: 1.0,
        init_scale: 1.0,
        zero_out: false,
        residual_scale: false,
        spread: 0,
        prime: 0,
    }
}

/// A step for `batch` rows, with matrices packed as `precision` says.
///
/// # Errors
/// If the shape cannot be decoded, or there is not enough memory.
pub(crate) fn step(case: Case, precision: Precision, batch: usize) -> Result<Row, BenchError> {
    let mut decoder = decoder(&case, precision)?;
    let tokens: Vec<u32> = (0..case.transformer.context).map(|t| (t * 7 % case.vocabulary) as u32).collect();
    let start = vec![0.1; batch * case.transformer.width];
    let conditions = Conditions { start: &start, positions: None, encoder: None };
    decoder.begin(conditions, batch, case.transformer.context)?;
    decoder.advance(&vec![&tokens[..case.from]; batch])?;
    let (mut at, mut failed) = (case.from, None);
    let seconds = median(|| {
        for _ in 0..case.steps {
            failed = failed.take().or(decoder.advance(&vec![&tokens[at..=at]; batch]).err());
            at += 1;
        }
    });
    failed.map_or(Ok(()), Err)?;
    let bytes = match precision {
        Precision::F32 => 4.0,
        Precision::Bf16 => 2.0,
        Precision::Int8 => 1.0,
    };
    let gigabytes = 1e-9 * bytes * weights(&case);
    Ok(Row::of(Of::Reading, "s/step", seconds / case.steps as f64, gigabytes))
}

/// A whole window of known tokens, and the logits behind it.
///
/// # Errors
/// As [`step`].
pub(crate) fn prefill(case: Case) -> Result<Row, BenchError> {
    let mut decoder = decoder(&case, Precision::F32)?;
    let context = case.transformer.context;
    let tokens: Vec<u32> = (1..context).map(|t| (t * 7 % case.vocabulary) as u32).collect();
    let start = vec![0.1; case.transformer.width];
    let conditions = Conditions { start: &start, positions: None, encoder: None };
    let mut run = || {
        decoder.begin(conditions, 1, context)?;
        decoder.advance(&[&tokens]).map(drop)
    };
    run()?;
    let seconds = median(|| drop(run()));
    // Logits are made at the last position alone.
    let multiply_adds = context as f64 * products(&case.transformer, 0) + head(&case);
    Ok(Row::of(Of::Products, "s/window", seconds, 2e-9 * multiply_adds))
}

fn head(case: &Case) -> f64 {
    (case.vocabulary * case.transformer.width) as f64
}

/// Weights of all matrices, which a step reads once.
fn weights(case: &Case) -> f64 {
    let (width, state) = (case.transformer.width as f64, case.transformer.state() as f64);
    let layer = 4.0 * width * state + 2.0 * case.transformer.mlp_width * width * width;
    case.transformer.depth as f64 * layer + head(case)
}

/// A decoder with random weights. The layers have the same ones: each is packed into its own memory.
fn decoder(case: &Case, precision: Precision) -> Result<Decoder, BenchError> {
    let t = &case.transformer;
    let mut random = Random::new(1);
    let mut noise =
        |n: usize, scale: f32| -> Vec<f32> { (0..n).map(|_| (random.uniform() - 0.5) * 3.4 * scale).collect() };
    let mut linear = |inputs: usize, outputs: usize| Linear {
        w: noise(inputs * outputs, 1.0 / (inputs as f32).sqrt()),
        b: vec![0.0; outputs],
        inputs,
        outputs,
    };
    let norm = Norm { g: vec![1.0; t.width], b: vec![0.0; t.width] };
    let hidden = (t.mlp_width * t.width as f64) as usize;
    let layer = LayerWeights {
        attn_func: t.func(0)?,
        ln_0: norm.clone(),
        c_attn: linear(t.width, 3 * t.state()),
        encoder_kv: None,
        c_proj: linear(t.state(), t.width),
        ln_1: norm,
        c_fc: linear(t.width, hidden),
        mlp_proj: linear(hidden, t.width),
    };
    let weights = TransformerWeights {
        width: t.width,
        heads: t.heads,
        context: t.context,
        blocks: t.blocks,
        prime: t.prime_keys(),
        residual_scale: 1.0,
        vocab: case.vocabulary,
        embedding: noise(case.vocabulary * t.width, 1.0),
        position: vec![0.0; t.context * t.width],
        output: None,
        add_condition_after: false,
    };
    let layers = (0..t.depth).map(|d| Ok::<_, ModelError>(LayerWeights { attn_func: t.func(d)?, ..layer.clone() }));
    Ok(Decoder::new(weights, layers, precision)?)
}
