//! Resident memory stays flat while a prior and a codec are trained.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_model::codec::{Bandwidth, CodebookUpdate, LossConfig, VqVae, VqVaeConfig};
use orchestrion_model::condition::Labels;
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::nn::{Random, move_to};
use orchestrion_model::prior::{Prior, PriorConfig, token_tensor};
use orchestrion_train::{Adam, AdamConfig, CodecRecipe, Objective, Restart};

/// Bytes that a run may grow by, be it short or long.
const GROWTH: i64 = 1 << 20;
/// Samples of a crop.
const CROP: usize = 2048;

/// Bytes of this process in memory.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() << 10
}

fn prior(device: &Device) -> Prior {
    let transformer = TransformerConfig {
        width: 32,
        depth: 3,
        heads: 2,
        context: 64,
        blocks: 8,
        attn_order: 2,
        attention_width: 0.5,
        mlp_width: 1.0,
        init_scale: 1.0,
        zero_out: false,
        residual_scale: false,
        spread: 0,
        prime: 0,
    };
    let config = PriorConfig {
        level: 0,
        sample_rate: 22_050,
        hop_length: 64,
        codebook_size: 64,
        transformer,
        labels: None,
        lyrics: None,
        upper: None,
        merged_decoder: false,
    };
    let mut prior = config.init(&mut Random::new(1), &Device::flex()).unwrap();
    move_to(&mut prior, device);
    prior
}

fn codec(device: &Device) -> (VqVae, Objective) {
    let network = VqVaeConfig {
        sample_rate: 22_050,
        strides: vec![vec![8]],
        embedding_width: 8,
        codebook_size: 16,
        width: 8,
        resnet: ResnetConfig { depth: 2, hidden: 1.0, dilation_growth: 3, dilation_cycle: None, residual_scale: false },
        multipliers: vec![1],
        reverse_decoder_dilation: true,
    };
    let random = &mut Random::new(1);
    let mut codec = network.init(random, &Device::flex()).unwrap();
    codec.levels[0].codebook.fill((0..16 * 8).map(|_| random.normal()).collect(), 16.0);
    move_to(&mut codec, device);
    let recipe = CodecRecipe {
        network,
        crop: CROP,
        loss: LossConfig::default(),
        codebook: CodebookUpdate::Ema,
        codebook_decay: 0.99,
        restart: Restart::default(),
    };
    (codec, Objective { recipe, bandwidth: Bandwidth { l1: 0.08, l2: 0.01, spectral: 50.0 } })
}

/// Trains both for some steps, and looks at the memory of the last ones beside that after `warm` steps.
fn train(warm: usize, steps: usize) {
    let device = Device::flex().autodiff();
    let (mut prior, (mut codec, objective)) = (prior(&device), codec(&device));
    let mut adams = (Adam::new(AdamConfig::default(), &mut prior), Adam::new(AdamConfig::default(), &mut codec));
    let nobody = Labels { artist: vec![], genre: vec![], total_length: 0, offset: 0, lyrics: vec![] };
    let labels = vec![nobody; 2];
    let rows: Vec<Vec<u32>> = (0..2).map(|row| (0..64).map(|i| (i * 7 + row * 3) % 64).collect()).collect();
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let samples: Vec<f32> = (0..CROP).map(|i| (i as f32 * 0.1).sin()).collect();
    let random = &mut Random::new(2);
    let mut before = 0;
    for step in 0..warm + steps {
        if step == warm {
            before = resident();
        }
        let conditions = prior.conditions(&labels, 0, 64, None).unwrap();
        let gradients = prior.losses(token_tensor(&rows, &device), &conditions).total.backward();
        adams.0.gather(&mut prior, gradients, 1.0);
        adams.0.step(&mut prior, 1e-4).unwrap();

        let audio = Tensor::from_data(TensorData::new(samples.clone(), [1, 1, CROP]), &device);
        let level = objective.level(&codec, 0, &audio);
        adams.1.gather(&mut codec, level.loss.backward(), 1.0);
        adams.1.step(&mut codec, 1e-4).unwrap();
        let book = &mut codec.levels[0].codebook;
        let candidates = book.candidates(&level.seen.rows, random);
        objective.learn(book, &level.seen, &candidates);
    }
    let growth = resident() - before;
    println!("{} kB more after {steps} steps of each", growth >> 10);
    assert!(growth < GROWTH, "{growth} bytes more after {steps} steps");
}

#[test]
fn memory_stays_flat() {
    train(100, 200);
}

#[test]
#[ignore = "the same over 1,000 steps: minutes on a slow machine"]
fn memory_stays_flat_over_a_thousand_steps() {
    train(100, 1000);
}
