//! Losses and gradients that are not finite.

use crate::material::{codec_task, files, recipe, rows, sit};
use burn::tensor::{Device, Gradients};
use orchestrion_model::codec::VqVae;
use orchestrion_model::store::{ModelConfig, Weights};
use orchestrion_train::{CodecTask, Metrics, Outcome, Task, TrainError};
use std::ops::Range;

/// A task whose batches of a range are bad.
struct Faulty {
    inner: CodecTask,
    bad: Range<u64>,
    how: Fault,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The loss is NaN.
    Loss,
    /// The loss is said to be fine, and its gradient is infinite.
    Gradient,
}

impl Task for Faulty {
    type Model = VqVae;

    fn model(&mut self) -> &mut VqVae {
        self.inner.model()
    }

    fn gradients(&mut self, batch: u64) -> Result<(f64, Gradients, Metrics), TrainError> {
        let (loss, gradients, metrics) = self.inner.gradients(batch)?;
        match (self.bad.contains(&batch), self.how) {
            (false, _) => Ok((loss, gradients, metrics)),
            (true, Fault::Loss) => Ok((f64::NAN, gradients, metrics)),
            (true, Fault::Gradient) => {
                let level = &self.inner.model().levels[0];
                let silence = burn::tensor::Tensor::<3>::ones([1, 1, 4096], &crate::material::device());
                let huge = level.encode(silence).mul_scalar(f32::MAX).mul_scalar(f32::MAX).sum();
                Ok((loss, huge.backward(), metrics))
            }
        }
    }

    fn after_step(&mut self, step: u64) -> Metrics {
        self.inner.after_step(step)
    }

    fn evaluate(&mut self, model: &mut VqVae) -> Result<Metrics, TrainError> {
        self.inner.evaluate(model)
    }

    fn batch_seconds(&self) -> f64 {
        self.inner.batch_seconds()
    }

    fn extra(&self) -> Vec<(String, Vec<f32>)> {
        self.inner.extra()
    }

    fn restore(&mut self, extra: Vec<(String, Vec<f32>)>) -> Result<(), TrainError> {
        self.inner.restore(extra)
    }

    fn folder(&mut self, model: &mut VqVae) -> Result<(ModelConfig, Vec<Weights<'_>>), TrainError> {
        self.inner.folder(model)
    }
}

#[test]
fn a_bad_step_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("codec", &["run.steps=12", "run.save_every=12", "run.log_every=4"]);
    for how in [Fault::Loss, Fault::Gradient] {
        let run = folder.path().join(format!("{how:?}"));
        let inner = codec_task(&recipe, folder.path()).unwrap();
        let (outcome, warnings, _) = sit(Faulty { inner, bad: 6..7, how }, &recipe, &run, 0);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(warnings, ["step 7 left out: its loss or gradient is not finite"], "{how:?}");
        let rows = rows(&run);
        assert_eq!(rows[1]["left out/steps"], 1.0, "{how:?}: {rows:?}");
        assert!(![0, 2].iter().any(|row: &usize| rows[*row].contains_key("left out/steps")), "{how:?}: {rows:?}");
        assert!(rows.iter().flatten().all(|(_, v)| v.as_f64().is_some_and(f64::is_finite)), "{how:?}: {rows:?}");
    }
}

#[test]
fn after_twenty_bad_steps_the_run_stops_with_the_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("codec", &["run.steps=60", "run.save_every=10", "run.log_every=1"]);
    let run = folder.path().join("run");
    let faulty = |bad| Faulty { inner: codec_task(&recipe, folder.path()).unwrap(), bad, how: Fault::Gradient };
    let (outcome, warnings, _) = sit(faulty(12..60), &recipe, &run, 0);
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("step 32: 20 steps in a row"), "{message}");
    assert_eq!(warnings.len(), 20);
    // Weights did not move since step 12, and going on with good batches gives what a run without bad ones gives.
    let (outcome, _, first) = sit(faulty(0..0), &recipe, &run, 40);
    assert_eq!((outcome.unwrap(), first), (Outcome::Stopped, Some(30)));
    for bytes in files(&run).values() {
        assert!(!bytes.is_empty());
    }
}

#[test]
fn a_collapsed_codebook_is_told_once_and_stays_finite() {
    let folder = tempfile::tempdir().unwrap();
    let recipe =
        recipe("codec", &["run.steps=60", "run.save_every=10", "run.log_every=10", "codec.network.codebook_size=256"]);
    // A constant: every latent is the same.
    let songs = crate::material::songs(folder.path(), &[vec![0.25; 20_000], vec![0.25; 20_000], vec![0.25; 20_000]]);
    let task = CodecTask::new(&recipe, &songs, None, &Device::flex().autodiff()).unwrap();
    let run = folder.path().join("run");
    let (outcome, warnings, _) = sit(task, &recipe, &run, 0);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    for level in 0..3 {
        let told = warnings.iter().filter(|w| w.contains(&format!("codebook of level {level} collapsed"))).count();
        assert_eq!(told, 1, "level {level}: {warnings:?}");
    }
    let rows = rows(&run);
    assert!(rows.iter().flatten().all(|(_, v)| v.as_f64().is_some_and(f64::is_finite)), "{rows:?}");
}
