//! Steps of training: forward, backward, optimiser.

use crate::{BenchError, Of, Row, codec, median};
use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_engine::Numbers;
use orchestrion_model::codec::{Bandwidth, CodebookUpdate, LossConfig};
use orchestrion_model::condition::{Labels, UpperConfig};
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::nn::{Random, Work, move_to};
use orchestrion_model::prior::{PriorConfig, token_tensor};
use orchestrion_train::{Adam, AdamConfig, CodecRecipe, Objective, Restart};

/// Samples of the codec's crop.
const CROP: usize = 65_536;

/// One step of the finest level of the paper's codec (width 64, depth 8, hop 8) with its spectral loss: one crop of 65,536
/// samples.
///
/// # Errors
/// None that a build of this program should meet.
pub fn codec_step() -> Result<Row, BenchError> {
    let config = codec::paper();
    let device = Device::flex().autodiff();
    let random = &mut Random::new(1);
    let mut codec = config.init(random, &Device::flex())?;
    codec::fill(&mut codec, random, (CROP / 8) as f32 / 2048.0);
    move_to(&mut codec, &device);
    let samples: Vec<f32> = (0..CROP).map(|_| 0.1 * random.normal()).collect();
    let audio = Tensor::from_data(TensorData::new(samples, [1, 1, CROP]), &device);
    let recipe = CodecRecipe {
        network: config,
        crop: CROP,
        loss: LossConfig::default(),
        codebook: CodebookUpdate::Ema,
        codebook_decay: 0.99,
        restart: Restart::default(),
    };
    let bandwidth = Bandwidth { l1: 0.08, l2: 0.01, spectral: 50.0 };
    let objective = Objective { recipe, bandwidth };
    let mut adam = Adam::new(AdamConfig::default(), &mut codec);
    let seconds = median(|| {
        let level = objective.level(&codec, 0, &audio);
        let gradients = level.loss.backward();
        adam.gather(&mut codec, gradients, 1.0);
        adam.step(&mut codec, 1e-4);
        let book = &mut codec.levels[0].codebook;
        let candidates = book.candidates(&level.seen.rows, random);
        objective.learn(book, &level.seen, &candidates);
    });
    let work = codec::Work::of_a_sample();
    let gflop = 2e-9 * CROP as f64 * (3.0 * (work.encoder + work.decoder) + work.nearest);
    Ok(Row::of(Of::Products, "s/step", seconds, gflop))
}

/// One step of a dense prior: width 512, 12 layers, 8 heads, context 1,024, two windows, vocabulary 2,048, attention as wide
/// as the model, an MLP of four times the width. Its products multiply in `numbers`.
///
/// # Errors
/// None that a build of this program should meet.
pub fn prior_step(numbers: Numbers) -> Result<Row, BenchError> {
    let transformer = TransformerConfig {
        width: 512,
        depth: 12,
        heads: 8,
        context: 1024,
        blocks: 32,
        attn_order: 0,
        attention_width: 1.0,
        mlp_width: 4.0,
        init_scale: 1.0,
        zero_out: false,
        residual_scale: false,
        spread: 0,
        prime: 0,
    };
    step(transformer, 2048, None, numbers)
}

/// One step of the shipped model's upsampler to level 0 (`recipes/tiny/upsampler-0.toml`): two windows of 1,024 tokens.
///
/// # Errors
/// None that a build of this program should meet.
pub fn upsampler_step() -> Result<Row, BenchError> {
    let transformer = TransformerConfig {
        width: 192,
        depth: 6,
        heads: 4,
        context: 1024,
        blocks: 32,
        attn_order: 2,
        attention_width: 0.25,
        mlp_width: 1.0,
        init_scale: 1.0,
        zero_out: false,
        residual_scale: false,
        spread: 0,
        prime: 0,
    };
    let upper = UpperConfig { strides: vec![2], codebook_size: 1024, width: 96, resnet: codec::resnet(4, Some(4)) };
    step(transformer, 1024, Some(upper), Numbers::F32)
}

/// Multiply-adds of one token in projections, attention and the output table; conditioners, which are small, not counted.
pub(crate) fn products(t: &TransformerConfig, vocabulary: usize) -> f64 {
    let (width, state, block) = (t.width as f64, t.state() as f64, (t.context / t.blocks) as f64);
    let layer = |d: usize| {
        let seen = match (t.attn_order, d % 3) {
            (0, _) => t.context as f64 / 2.0,
            (_, 0) => block / 2.0,
            (_, 1) => t.blocks as f64 / 2.0,
            _ => block,
        };
        width * state * 4.0 + 2.0 * t.mlp_width * width * width + 2.0 * seen * state
    };
    (0..t.depth).map(layer).sum::<f64>() + width * vocabulary as f64
}

fn step(
    transformer: TransformerConfig,
    codebook_size: usize,
    upper: Option<UpperConfig>,
    numbers: Numbers,
) -> Result<Row, BenchError> {
    let (batch, context) = (2, transformer.context);
    let gflop = 6e-9 * (batch * context) as f64 * products(&transformer, codebook_size);
    let config = PriorConfig {
        level: 0,
        sample_rate: 22_050,
        hop_length: 64,
        codebook_size,
        transformer,
        labels: None,
        lyrics: None,
        upper,
        merged_decoder: false,
    };
    let device = Device::flex().autodiff();
    let random = &mut Random::new(1);
    let mut prior = config.init(random, &Device::flex())?;
    move_to(&mut prior, &device);
    prior.set_work(Work { numbers, ..Work::default() });
    let mut draw = |n: usize, below: usize| -> Vec<Vec<u32>> {
        let token = |r: &mut Random| (r.normal().abs() * 1e4) as u32 % below as u32;
        (0..batch).map(|_| (0..n).map(|_| token(random)).collect()).collect()
    };
    let rows = draw(context, codebook_size);
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let above = config.upper.as_ref().map(|u| draw(context / u.ratio(), u.codebook_size));
    let above: Option<Vec<&[u32]>> = above.as_ref().map(|rows| rows.iter().map(Vec::as_slice).collect());
    let nobody = Labels { artist: vec![], genre: vec![], total_length: 0, offset: 0, lyrics: vec![] };
    let labels = vec![nobody; batch];
    let mut adam = Adam::new(AdamConfig { weight_decay: 0.01, ..AdamConfig::default() }, &mut prior);
    prior.conditions(&labels, 0, context, above.as_deref())?;
    let seconds = median(|| {
        // The call above was the same, and it was good.
        let Ok(conditions) = prior.conditions(&labels, 0, context, above.as_deref()) else { return };
        let gradients = prior.losses(token_tensor(&rows, &device), &conditions).total.backward();
        adam.gather(&mut prior, gradients, 1.0);
        adam.step(&mut prior, 1e-4);
    });
    Ok(Row::of(Of::Products, "s/step", seconds, gflop))
}
