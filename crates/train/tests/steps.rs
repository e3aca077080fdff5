//! Ten steps of training beside PyTorch's: the losses of `fixtures/jukebox/ten_steps.json`, which `ten_steps.py` wrote, on
//! the weights and batches of the golden files, with the engine's kernels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod golden;

use burn::tensor::{Device, Tensor};
use golden::fixture::{Fixture, folder};
use golden::{chosen, settings, sizes};
use orchestrion_engine::Numbers;
use orchestrion_model::condition::Labels;
use orchestrion_model::nn::Work;
use orchestrion_model::prior::token_tensor;
use orchestrion_train::{Adam, LevelLoss};

/// Batches of a file, which come again and again.
const BATCHES: usize = 3;

/// Compares with PyTorch's losses, relatively.
fn follow(name: &str, ours: &[f64], tolerance: f64) {
    let text = std::fs::read(folder().join("ten_steps.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let golden: Vec<f64> = golden[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(ours.len(), golden.len());
    let apart: Vec<f64> = ours.iter().zip(&golden).map(|(a, b)| (a / b - 1.0).abs()).collect();
    println!("{name}: apart by {apart:?}");
    assert!(apart.iter().all(|a| *a < tolerance), "{name}: {ours:?} for {golden:?}");
}

fn prior(work: Work) -> Vec<f64> {
    let fixture = Fixture::open(&folder().join("train_prior.safetensors"));
    let device = Device::flex().autodiff();
    let mut prior = golden::prior(&fixture, &device);
    prior.set_work(work);
    let mut adam = Adam::new(settings(&fixture.config), &mut prior);
    let step = |step| {
        let batch = step % BATCHES;
        let rows = fixture.tokens(&format!("in.s{batch}.z"));
        let tokens: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let labels: Vec<Labels> =
            sizes::label_rows(&fixture, &format!("in.s{batch}.y")).into_iter().map(|(labels, _)| labels).collect();
        let conditions = prior.conditions(&labels, 0, prior.config().window(), None).unwrap();
        let total = prior.losses(token_tensor(&tokens, &device), &conditions).total;
        let loss = f64::from(total.clone().detach().into_scalar::<f32>());
        adam.gather(&mut prior, total.backward(), 1.0);
        adam.step(&mut prior, fixture.config.number("lr")).unwrap();
        loss
    };
    (0..10).map(step).collect()
}

#[test]
fn a_prior_follows_pytorch() {
    follow("prior", &prior(Work::default()), 1e-3);
}

#[test]
fn a_prior_without_kernels_follows_pytorch() {
    follow("prior", &prior(Work { kernels: false, ..Work::default() }), 1e-3);
}

/// With eight bits to a number, not three digits are left of a loss; what is wrong shows all the same.
#[test]
fn a_prior_in_bfloat16_stays_near_pytorch() {
    follow("prior", &prior(Work { numbers: Numbers::Bf16, ..Work::default() }), 1e-2);
}

#[test]
fn a_codec_follows_pytorch() {
    let fixture = Fixture::open(&folder().join("train_vqvae.safetensors"));
    let device = Device::flex().autodiff();
    let (mut codec, objective) = golden::codec(&fixture, &device);
    let mut adam = Adam::new(settings(&fixture.config), &mut codec);
    let step = |step| {
        let batch = step % BATCHES;
        let [count, time, _] = fixture.shape(&format!("in.audio{batch}")).try_into().unwrap();
        let audio: Tensor<3> = fixture.tensor(&format!("in.audio{batch}"), [count, 1, time], &device);
        if step == 0 {
            golden::fill(&fixture, &mut codec, &audio);
        }
        let losses: Vec<LevelLoss> = (0..codec.levels.len()).map(|l| objective.level(&codec, l, &audio)).collect();
        let total = losses.iter().skip(1).fold(losses[0].loss.clone(), |sum, l| sum + l.loss.clone());
        let loss = f64::from(total.clone().detach().into_scalar::<f32>());
        adam.gather(&mut codec, total.backward(), 1.0);
        adam.step(&mut codec, fixture.config.number("lr")).unwrap();
        for (l, LevelLoss { seen, .. }) in losses.into_iter().enumerate() {
            let book = &mut codec.levels[l].codebook;
            let candidates = chosen(&fixture, &format!("in.s{batch}.perm{l}"), &seen.rows, book.dims());
            objective.learn(book, &seen, &candidates);
        }
        loss
    };
    let ours: Vec<f64> = (0..10).map(step).collect();
    follow("codec", &ours, 1e-3);
}

/// `run.accumulate`: the gradients of single windows, weighted, sum up to those of the batch that holds them all.
#[test]
fn gradients_of_single_windows_add_up_to_their_batch() {
    let fixture = Fixture::open(&folder().join("train_prior.safetensors"));
    let device = Device::flex().autodiff();
    let mut prior = golden::prior(&fixture, &device);
    let rows = fixture.tokens("in.s0.z");
    let labels: Vec<Labels> = sizes::label_rows(&fixture, "in.s0.y").into_iter().map(|(labels, _)| labels).collect();
    assert!(rows.len() > 1);
    let count = rows.len() as f32;
    let mut gather = |size: usize| {
        let mut adam = Adam::new(settings(&fixture.config), &mut prior);
        for (rows, labels) in rows.chunks(size).zip(labels.chunks(size)) {
            let tokens: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            let conditions = prior.conditions(labels, 0, prior.config().window(), None).unwrap();
            let total = prior.losses(token_tensor(&tokens, &device), &conditions).total;
            adam.gather(&mut prior, total.backward(), size as f32 / count);
        }
        adam
    };
    let (parts, whole) = (gather(1), gather(rows.len()));
    for (part, whole) in parts.slots.iter().zip(&whole.slots) {
        let largest = whole.gradient.iter().fold(0.0f32, |most, g| g.abs().max(most));
        for (a, b) in part.gradient.iter().zip(&whole.gradient) {
            assert!((a - b).abs() <= 1e-5 * largest + 1e-9, "{}: {a} for {b}", whole.name);
        }
        assert_eq!(part.gradient.len(), whole.gradient.len());
    }
}
