//! The loop that all training shares: gather gradients, step, log, evaluate, save, go on.

use crate::adam::Adam;
use crate::checkpoint::{self, Extra, Header};
use crate::metrics::{MetricsLog, Row};
use crate::recipe::Recipe;
use crate::{Schedule, TrainError};
use burn::tensor::{Device, Gradients};
use orchestrion_model::nn::Parameters;
use orchestrion_model::store::{Dtype, ModelConfig, ModelFolder, Source, Weights, save_model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Named values: `loss/train`, `usage/level 0`.
pub type Metrics = BTreeMap<String, f64>;

/// Steps in a row without a finite gradient after which a run stops.
const PATIENCE: u32 = 20;

/// What is trained: a model, its loss and its data.
pub trait Task {
    /// The network that gradients move.
    type Model: Parameters + Clone;
    /// The network, on the training device.
    fn model(&mut self) -> &mut Self::Model;
    /// Loss and gradients of batch number `batch`. The first value is the loss.
    ///
    /// # Errors
    /// If the data cannot be read.
    fn gradients(&mut self, batch: u64) -> Result<(f64, Gradients, Metrics), TrainError>;
    /// What follows a step that was taken: updates that are no gradient's.
    fn after_step(&mut self, _step: u64) -> Metrics {
        Metrics::new()
    }
    /// Values on held-out data, of a copy with averaged weights on the plain device.
    ///
    /// # Errors
    /// If the data cannot be read.
    fn evaluate(&mut self, model: &mut Self::Model) -> Result<Metrics, TrainError>;
    /// Seconds of audio (codec) or tokens (prior) of one batch, for speed.
    fn batch_seconds(&self) -> f64;
    /// Things to know that came up since the last call.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// State beside the weights.
    fn extra(&self) -> Extra {
        Extra::new()
    }
    /// Takes that state back.
    ///
    /// # Errors
    /// If it does not fit.
    fn restore(&mut self, _extra: Extra) -> Result<(), TrainError> {
        Ok(())
    }
    /// Configuration and weights of the whole model folder, with this network's averaged weights.
    ///
    /// # Errors
    /// If other parts cannot be read.
    fn folder(&mut self, model: &mut Self::Model) -> Result<(ModelConfig, Vec<Weights<'_>>), TrainError>;
}

/// Makes sound samples of a model folder; the program fulfils it with its sampler.
pub trait Preview {
    /// Writes samples of the model in `folder` to `to`.
    ///
    /// # Errors
    /// A line that says why not.
    fn preview(&mut self, folder: &Path, to: &Path, step: u64) -> Result<(), String>;
}

/// What the loop tells.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run begins, or goes on, at a step.
    Started {
        /// Steps done.
        step: u64,
        /// Steps of the run.
        steps: u64,
    },
    /// A step was taken.
    Step {
        /// Steps done.
        step: u64,
        /// Loss of its batches.
        loss: f64,
        /// Seconds of audio trained on for each second of time.
        speed: f64,
    },
    /// Held-out data was evaluated, and the state saved.
    Saved {
        /// Steps done.
        step: u64,
        /// Values.
        metrics: Metrics,
    },
    /// Something to know.
    Warning(String),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// It was asked to stop, and saved its state.
    Stopped,
}

/// A run in its folder.
pub struct Trainer<'a, 'p, T: Task> {
    /// What is trained.
    pub task: T,
    /// Where the run lives: `state.safetensors`, `metrics.jsonl`, `samples/`, and the model folder's files.
    pub run: PathBuf,
    /// The recipe.
    pub recipe: Recipe,
    /// Training device (with autodiff).
    pub device: Device,
    /// Set to stop after the step under way.
    pub stop: &'a AtomicBool,
    /// Hears what happens.
    pub report: &'a mut dyn FnMut(Event),
    /// Makes sound samples at every save.
    pub preview: Option<&'p mut dyn Preview>,
}

impl<T: Task> Trainer<'_, '_, T> {
    /// Runs to the end, or until asked to stop, from the run's state if there is one.
    ///
    /// # Errors
    /// If the state does not fit the recipe, data or disk fail, or the training diverges.
    pub fn run(&mut self) -> Result<Outcome, TrainError> {
        std::fs::create_dir_all(&self.run).map_err(|source| TrainError::Io { path: self.run.clone(), source })?;
        let mut adam = Adam::new(self.recipe.optimizer.clone(), self.task.model());
        let state = self.run.join("state.safetensors");
        let mut step = 0;
        if state.exists() {
            step = self.resume(&state, &mut adam)?;
        }
        let log = MetricsLog::open(&self.run, step)?;
        let schedule = self.recipe.schedule();
        (self.report)(Event::Started { step, steps: schedule.steps });
        for warning in self.task.warnings() {
            (self.report)(Event::Warning(warning));
        }
        let mut skipped = 0;
        let mut timer = Instant::now();
        let mut busy = Duration::ZERO;
        let mut since = 0u64;
        let mut sums = Metrics::new();
        while step < schedule.steps {
            let (loss, metrics) = self.step(&mut adam, &schedule, step)?;
            let taken = loss.is_finite();
            step += 1;
            since += 1;
            busy += timer.elapsed();
            timer = Instant::now();
            skipped = if taken { 0 } else { skipped + 1 };
            if skipped >= PATIENCE {
                return Err(TrainError::Diverged { step, count: skipped });
            }
            for (name, value) in metrics {
                *sums.entry(name).or_insert(0.0) += value;
            }
            let seconds = self.task.batch_seconds() * self.recipe.run.accumulate as f64;
            let speed = seconds * since as f64 / busy.as_secs_f64().max(1e-9);
            (self.report)(Event::Step { step, loss, speed });
            if step % self.recipe.run.log_every == 0 || step == schedule.steps {
                let mut values: Metrics = sums.iter().map(|(k, v)| (k.clone(), v / since as f64)).collect();
                values.insert("speed/real time".into(), speed);
                values.insert("rate/learning".into(), schedule.rate(step - 1));
                log.append(&Row { step, values })?;
                (sums, since, busy) = (Metrics::new(), 0, Duration::ZERO);
            }
            let stop = self.stop.load(Ordering::Relaxed);
            if step % self.recipe.run.save_every == 0 || step == schedule.steps || stop {
                let metrics = self.save(&state, &mut adam, step, !stop)?;
                if !metrics.is_empty() {
                    log.append(&Row { step, values: metrics.clone() })?;
                }
                for warning in self.task.warnings() {
                    (self.report)(Event::Warning(warning));
                }
                (self.report)(Event::Saved { step, metrics });
                timer = Instant::now();
            }
            if stop {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// One optimiser step; the loss is not finite if it had to be left out.
    fn step(&mut self, adam: &mut Adam, schedule: &Schedule, step: u64) -> Result<(f64, Metrics), TrainError> {
        let parts = self.recipe.run.accumulate;
        let (mut total, mut all) = (0.0, Metrics::new());
        for part in 0..parts {
            let (loss, gradients, metrics) = self.task.gradients(step * parts + part)?;
            adam.gather(self.task.model(), gradients, 1.0 / parts as f32);
            total += loss / parts as f64;
            for (name, value) in metrics {
                *all.entry(name).or_insert(0.0) += value / parts as f64;
            }
        }
        if !total.is_finite() {
            adam.discard();
        }
        let norm = total.is_finite().then(|| adam.step(self.task.model(), schedule.rate(step))).flatten();
        let Some(norm) = norm else {
            (self.report)(Event::Warning(format!("step {step} left out: its loss or gradient is not finite")));
            return Ok((f64::NAN, Metrics::new()));
        };
        all.extend(self.task.after_step(step));
        all.insert("loss/train".into(), total);
        all.insert("gradient/norm".into(), norm);
        Ok((total, all))
    }

    /// Evaluates (unless in a hurry), writes the state, the model folder and sound samples.
    fn save(&mut self, state: &Path, adam: &mut Adam, step: u64, evaluate: bool) -> Result<Metrics, TrainError> {
        let plain = self.device.clone().inner();
        let mut averaged = self.task.model().clone();
        adam.put_average(&mut averaged, &plain);
        let metrics = if evaluate { self.task.evaluate(&mut averaged)? } else { Metrics::new() };
        let recipe = serde_json::to_string(&self.recipe.lasting()).unwrap_or_default();
        let header = Header { format: 1, step, updates: adam.updates, recipe };
        let extra = self.task.extra();
        checkpoint::save(state, &header, self.task.model(), adam, &extra)?;
        // A run stopped in a hurry keeps the figures of its last evaluation.
        let card = match metrics.is_empty() {
            true => self.card(step, &MetricsLog::open(&self.run, step)?.last_held_out()),
            false => self.card(step, &metrics),
        };
        // A run that goes on is not told anew where its first weights are from.
        let before = ModelFolder::open(Source::Folder(self.run.clone()));
        let (mut config, weights) = self.task.folder(&mut averaged)?;
        config.add_terms(before.as_ref().map_or(&[], |folder| &folder.config().terms));
        save_model(&self.run, &config, &weights, Dtype::F32, &card)?;
        if let (true, Some(preview)) = (evaluate, self.preview.as_mut()) {
            preview.preview(&self.run, &self.run.join("samples"), step).map_err(TrainError::Preview)?;
        }
        Ok(metrics)
    }

    fn card(&self, step: u64, metrics: &Metrics) -> String {
        let mut text = format!(
            "# {}\n\nTrained by Orchestrion for {step} of {} steps.\n",
            self.recipe.name, self.recipe.run.steps
        );
        if !metrics.is_empty() {
            text.push_str("\n| held out | value |\n|---|---|\n");
            for (name, value) in metrics {
                text.push_str(&format!("| {name} | {value:.4} |\n"));
            }
        }
        text
    }

    fn resume(&mut self, state: &Path, adam: &mut Adam) -> Result<u64, TrainError> {
        let (header, extra) = checkpoint::load(state, self.task.model(), adam, &self.device)?;
        if !self.recipe.continues(&header.recipe) {
            return Err(TrainError::Checkpoint {
                path: state.to_owned(),
                what: "made by another recipe; hint: give the run another folder with `--out`, or start from it with `--from`".into(),
            });
        }
        self.task.restore(extra)?;
        Ok(header.step)
    }
}
