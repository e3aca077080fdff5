//! Steps of training against the golden numbers of the paper's program. From `fixtures/jukebox`,
//! or the folder that `ORCHESTRION_JUKEBOX_FIXTURES` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod golden;

use burn::tensor::{Device, Tensor};
use golden::fixture::{self, Config, Fixture, values};
use golden::{chosen, settings, sizes};
use orchestrion_model::condition::Labels;
use orchestrion_model::nn::{Parameters, each_parameter};
use orchestrion_model::prior::token_tensor;
use orchestrion_train::{Adam, Decay, LevelLoss, Schedule};
use serde_json::Value;
use std::collections::BTreeMap;

/// Relative, of losses.
const LOSS: f64 = 1e-5;
/// Relative, of parts of the codec's loss.
const PART: f64 = 1e-4;
/// Of weights.
const WEIGHT: f64 = 2e-5;
/// Of codebooks and their sums.
const ENTRY: f64 = 1e-4;
/// Of gradients, relative to the largest of their tensor.
const GRADIENT: f64 = 2e-3;
/// The same at the third step: rounding grows through Adam.
const LATE_GRADIENT: f64 = 1e-2;
/// Gradients below this part of the largest of their tensor are rounding.
const NOISE: f32 = 3e-4;

#[test]
fn jukebox_parity() {
    let folder = fixture::folder();
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut compared, mut failures) = ([0; 3], Vec::new());
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let compare = match name.as_str() {
            "values.json" => {
                compare_rates(&serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
                compared[0] += 1;
                continue;
            }
            name if name.starts_with("train_vqvae") => {
                compared[1] += 1;
                compare_codec
            }
            name if name.starts_with("train_prior") => {
                compared[2] += 1;
                compare_prior
            }
            _ => continue,
        };
        let mut fixture = Fixture::open(&path);
        compare(&mut fixture);
        println!("{name}: {}", fixture.summary());
        failures.extend(fixture.failures.iter().map(|f| format!("{name}: {f}")));
    }
    assert!(
        !compared.contains(&0) || std::env::var_os("ORCHESTRION_JUKEBOX_FIXTURES").is_some(),
        "files of rates, codecs, priors in {folder:?}: {compared:?}"
    );
    assert!(failures.is_empty(), "{} of the comparisons failed:\n{}", failures.len(), failures.join("\n"));
}

/// Tensors of all trained parameters whose golden ones stand behind `prefix`.
fn slots<'a>(
    adam: &'a Adam,
    prefix: &str,
    of: impl Fn(&'a orchestrion_train::Slot) -> &'a Vec<f32>,
) -> Vec<(String, Vec<f32>)> {
    let trained = adam.slots.iter().filter(|s| s.trained);
    trained.map(|s| (format!("{prefix}{}", s.name), of(s).clone())).collect()
}

/// Compares tensors, each with the key of its golden one behind `out.`, of which `tolerance` says how far a value may be
/// off. The summary has one figure for all: the largest difference.
fn compare_tensors(fixture: &mut Fixture, title: &str, ours: &[(String, Vec<f32>)], tolerance: impl Fn(&[f32]) -> f64) {
    let mut largest = 0.0f64;
    for (key, ours) in ours {
        let theirs = fixture.floats(&format!("out.{key}"));
        assert_eq!(ours.len(), theirs.len(), "values of `{key}`");
        let tolerance = tolerance(&theirs);
        for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
            let difference = f64::from(a - b).abs();
            if difference.is_nan() || difference > tolerance {
                fixture.note("", Some(format!("{key}: at {i}: {a} for {b}, more than {tolerance:.1e} apart")));
                break;
            }
            largest = largest.max(difference);
        }
    }
    fixture.note(&format!("{title} ({} tensors) {largest:.1e}", ours.len()), None);
}

/// The gradient gathered: its norm, and itself where the file has it.
fn compare_gradient(fixture: &mut Fixture, adam: &Adam, step: usize) {
    let tolerance = if step < 2 { GRADIENT } else { LATE_GRADIENT };
    fixture.relative(&format!("s{step}.grad_norm"), &[adam.gradient_norm() as f32], tolerance);
    let prefix = format!("s{step}.grad.");
    if fixture.names().iter().any(|n| n.starts_with(&format!("out.{prefix}"))) {
        compare_tensors(fixture, &prefix, &slots(adam, &prefix, |s| &s.gradient), |golden| {
            tolerance * golden.iter().fold(0.0, |most, g| f64::from(g.abs()).max(most))
        });
    }
}

/// Weights after `step`. Adam makes a whole step of whatever gradient there is: where one was rounding alone, so is the
/// weight's step, and it may be off by whole steps.
fn compare_weights(fixture: &mut Fixture, adam: &Adam, model: &mut impl Parameters, prefix: &str, step: usize) {
    let steps = fixture.config.number("lr") * adam.updates as f64;
    let (mut all, mut left_out) = (0, 0);
    let mut values = BTreeMap::new();
    each_parameter(model, |name, p| drop(values.insert(name.to_owned(), p.values())));
    let mut weights = slots(adam, prefix, |s| &values[&s.name]);
    for (key, ours) in &mut weights {
        let golden = fixture.floats(&format!("out.{key}"));
        let gradients = (0..=step).map(|s| key.replacen(prefix, &format!("out.s{s}.grad."), 1));
        let mut noise = vec![false; ours.len()];
        for gradient in gradients.filter(|g| fixture.has(g)).map(|g| fixture.floats(&g)) {
            let most = gradient.iter().fold(0.0f32, |most, g| g.abs().max(most));
            noise.iter_mut().zip(&gradient).for_each(|(noise, g)| *noise |= g.abs() <= NOISE * most);
        }
        for (ours, golden) in
            ours.iter_mut().zip(&golden).zip(&noise).filter(|(_, noise)| **noise).map(|(pair, _)| pair)
        {
            let apart = f64::from(*ours - golden).abs();
            if apart > WEIGHT && apart <= 2.0 * steps {
                left_out += 1;
                *ours = *golden;
            }
        }
        all += ours.len();
    }
    compare_tensors(fixture, &format!("{prefix} but {left_out} of {all} values"), &weights, |_| WEIGHT);
}

fn compare_codec(fixture: &mut Fixture) {
    let device = Device::flex().autodiff();
    let config = fixture.config.clone();
    let (mut codec, objective) = golden::codec(fixture, &device);
    let levels = codec.levels.len();
    let mut adam: Option<Adam> = None;
    for step in 0.. {
        let key = format!("in.audio{step}");
        if !fixture.has(&key) {
            break;
        }
        let [batch, time, _] = fixture.shape(&key).try_into().unwrap();
        let audio: Tensor<3> = fixture.tensor(&key, [batch, 1, time], &device);
        if step == 0 {
            for (l, first) in golden::fill(fixture, &mut codec, &audio).iter().enumerate() {
                fixture.close(&format!("init_k{l}"), first, ENTRY);
            }
        }
        let adam = adam.get_or_insert_with(|| Adam::new(settings(&config), &mut codec));

        let losses: Vec<LevelLoss> = (0..levels).map(|l| objective.level(&codec, l, &audio)).collect();
        let total = losses.iter().skip(1).fold(losses[0].loss.clone(), |sum, l| sum + l.loss.clone());
        fixture.relative(&format!("s{step}.loss"), &[total.clone().detach().into_scalar::<f32>()], PART);
        for (l, loss) in losses.iter().enumerate() {
            let codes: Vec<i64> = loss.seen.codes.iter().map(|c| *c as i64).collect();
            fixture.equal(&format!("s{step}.codes{l}"), &codes, |_| false);
            for (ours, theirs) in [("waveform", "recons_loss"), ("spectral", "multispectral_loss")] {
                let part = loss.parts[&format!("{ours}/level {l}")] as f32;
                fixture.relative(&format!("s{step}.metric.{theirs}_l{}", l + 1), &[part], PART);
            }
        }
        let sum =
            |name: &str| -> f64 { losses.iter().enumerate().map(|(l, p)| p.parts[&format!("{name}/level {l}")]).sum() };
        fixture.relative(&format!("s{step}.metric.commit_loss"), &[sum("commit") as f32], PART);
        fixture.relative(&format!("s{step}.metric.fit"), &[(sum("fit") / levels as f64) as f32], PART);

        adam.gather(&mut codec, total.backward(), 1.0);
        compare_gradient(fixture, adam, step);
        adam.step(&mut codec, config.number("lr")).unwrap();
        compare_weights(fixture, adam, &mut codec, &format!("s{step}.param."), step);

        let (mut entropy, mut used, mut change) = (0.0, 0.0, 0.0);
        for (l, loss) in losses.iter().enumerate() {
            let book = &mut codec.levels[l].codebook;
            let candidates = chosen(fixture, &format!("in.s{step}.perm{l}"), &loss.seen.rows, book.dims());
            let usage = objective.learn(book, &loss.seen, &candidates);
            entropy += usage.perplexity.ln() / levels as f32;
            used += usage.used as f32 / levels as f32;
            change += usage.change / levels as f32;
            let sums = book.sums().unwrap();
            fixture.close(&format!("s{step}.k_sum{l}"), &sums.sum, ENTRY);
            fixture.close(&format!("s{step}.k_elem{l}"), &sums.count, ENTRY);
        }
        each_parameter(&mut codec, |name, p| {
            if let Some(l) = name.strip_prefix("bottleneck.level_blocks.").and_then(|n| n.strip_suffix(".k")) {
                fixture.close(&format!("s{step}.k{l}"), &p.values(), ENTRY);
            }
        });
        fixture.relative(&format!("s{step}.metric.entropy"), &[entropy], PART);
        fixture.relative(&format!("s{step}.metric.usage"), &[used], PART);
        fixture.relative(&format!("s{step}.metric.dk"), &[change], PART);
    }
    let averages = slots(&adam.expect("the file has no batch"), "ema.", |s| &s.average);
    compare_tensors(fixture, "ema", &averages, |_| WEIGHT);
}

fn compare_prior(fixture: &mut Fixture) {
    let device = Device::flex().autodiff();
    let config = fixture.config.clone();
    let mut prior = golden::prior(fixture, &device);
    let mut adam = Adam::new(settings(&config), &mut prior);
    for step in 0.. {
        let key = format!("in.s{step}.z");
        if !fixture.has(&key) {
            break;
        }
        let rows = fixture.tokens(&key);
        let tokens: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let labels: Vec<Labels> =
            sizes::label_rows(fixture, &format!("in.s{step}.y")).into_iter().map(|(labels, _)| labels).collect();
        let conditions = prior.conditions(&labels, 0, prior.config().window(), None).unwrap();
        let losses = prior.losses(token_tensor(&tokens, &device), &conditions);
        fixture.relative(&format!("s{step}.loss"), &values(&losses.total), LOSS);
        fixture.relative(&format!("s{step}.gen_loss"), &values(&losses.music), LOSS);
        if let Some(lyrics) = &losses.lyrics {
            fixture.relative(&format!("s{step}.prime_loss"), &values(lyrics), LOSS);
        }
        adam.gather(&mut prior, losses.total.backward(), 1.0);
        compare_gradient(fixture, &adam, step);
        adam.step(&mut prior, config.number("lr")).unwrap();
    }
    compare_weights(fixture, &adam, &mut prior, "final.", 0);
}

/// Learning rates of the schedules that the project has too.
fn compare_rates(golden: &Value) {
    let mut largest = 0.0f64;
    let schedules = golden["lr"].as_array().unwrap();
    for schedule in schedules {
        let h = Config(schedule["h"].clone());
        let lr = h.number("lr") * h.number("lr_scale");
        let every = h.number("lr_decay") as u64;
        let decay = if h.flag("lr_use_linear_decay") {
            Decay::Linear { start: h.number("lr_start_linear_decay") as u64, steps: every }
        } else {
            Decay::Step { factor: h.number("lr_gamma"), every }
        };
        let ours = Schedule { lr, warmup: h.number("lr_warmup") as u64, decay, steps: u64::MAX };
        let steps = schedule["steps"].as_array().unwrap().iter().map(|s| s.as_u64().unwrap());
        for (step, rate) in steps.zip(schedule["lr"].as_array().unwrap()) {
            let difference = (ours.rate(step) - rate.as_f64().unwrap()).abs();
            // Exact but for the order of the factors.
            assert!(difference <= 4.0 * f64::EPSILON * lr, "{schedule}: step {step}: {} for {rate}", ours.rate(step));
            largest = largest.max(difference);
        }
    }
    println!("values.json: {} schedules of the learning rate {largest:.1e}", schedules.len());
}
