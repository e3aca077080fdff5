//! The loop that all training shares: gather gradients, step, log, evaluate, save, go on.

use crate::adam::Adam;
use crate::checkpoint::{self, Extra, Header, NEWEST, State};
use crate::metrics::{MetricsLog, Row};
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::{Schedule, TrainError};
use burn::tensor::{Device, Gradients};
use orchestrion_model::nn::Parameters;
use orchestrion_model::store::{Dtype, ModelConfig, ModelFolder, Source, Weights, save_model};
use std::collections::BTreeMap;
use std::path::Path;
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
    /// Where the run lives: its states, `metrics.jsonl`, `samples/`, `best/`, and the model folder's files.
    pub run: RunFolder,
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
        let mut adam = Adam::new(self.recipe.optimizer.clone(), self.task.model());
        let found = checkpoint::newest(self.run.path())?;
        let goes_on = found.is_some();
        let mut at = Header::default();
        if let Some((state, word)) = found {
            at = self.resume(state, &mut adam)?;
            word.into_iter().for_each(|word| (self.report)(Event::Warning(word)));
        }
        let mut log = MetricsLog::open(self.run.path(), at.step)?;
        if self.recipe.run.tensorboard {
            log = log.with_events(self.run.path())?;
        }
        let schedule = self.recipe.schedule();
        (self.report)(Event::Started { step: at.step, steps: schedule.steps });
        self.warn();
        if at.due {
            self.save(&mut adam, &mut at, &mut log, true)?;
        } else if goes_on {
            // A process that was killed may have left a model folder older than the state, or half new.
            let mut averaged = self.averaged(&mut adam);
            self.write_folder(&mut averaged, at.step, &log)?;
        }
        let mut timer = Instant::now();
        let mut busy = Duration::ZERO;
        let mut since = 0u64;
        while at.step < schedule.steps {
            let taken = self.step(&mut adam, &schedule, at.step)?;
            at.step += 1;
            since += 1;
            busy += timer.elapsed();
            timer = Instant::now();
            at.skipped = if taken.is_some() { 0 } else { at.skipped + 1 };
            if at.skipped >= PATIENCE {
                return Err(TrainError::Diverged { step: at.step, count: at.skipped });
            }
            let loss = taken.as_ref().and_then(|values| values.get("loss/train")).copied();
            at.gathered.add(taken);
            let seconds = self.task.batch_seconds() * self.recipe.run.accumulate as f64;
            let speed = seconds * since as f64 / busy.as_secs_f64().max(1e-9);
            (self.report)(Event::Step { step: at.step, loss: loss.unwrap_or(f64::NAN), speed });
            if at.step % self.recipe.run.log_every == 0 || at.step == schedule.steps {
                let mut values = at.gathered.take();
                values.insert("speed/real time".into(), speed);
                values.insert("rate/learning".into(), schedule.rate(at.step - 1));
                log.append(&Row { step: at.step, values })?;
                (since, busy) = (0, Duration::ZERO);
            }
            let stop = self.stop.load(Ordering::Relaxed);
            let ripe = at.step % self.recipe.run.save_every == 0 || at.step == schedule.steps;
            at.due = ripe && stop;
            if ripe || stop {
                let metrics = self.save(&mut adam, &mut at, &mut log, !stop)?;
                self.warn();
                (self.report)(Event::Saved { step: at.step, metrics });
                if at.step < schedule.steps && self.stop.load(Ordering::Relaxed) {
                    return Ok(Outcome::Stopped);
                }
                timer = Instant::now();
            }
        }
        Ok(Outcome::Finished)
    }

    fn warn(&mut self) {
        for warning in self.task.warnings() {
            (self.report)(Event::Warning(warning));
        }
    }

    /// One optimiser step and its values; none if it had to be left out.
    fn step(&mut self, adam: &mut Adam, schedule: &Schedule, step: u64) -> Result<Option<Metrics>, TrainError> {
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
            let what = format!("step {} left out: its loss or gradient is not finite", step + 1);
            (self.report)(Event::Warning(what));
            return Ok(None);
        };
        all.extend(self.task.after_step(step));
        all.insert("loss/train".into(), total);
        all.insert("gradient/norm".into(), norm);
        Ok(Some(all))
    }

    /// A copy of the network with averaged weights, on the plain device.
    fn averaged(&mut self, adam: &mut Adam) -> T::Model {
        let mut averaged = self.task.model().clone();
        adam.put_average(&mut averaged, &self.device.clone().inner());
        averaged
    }

    /// Evaluates (unless in a hurry), writes the state, the model folder and sound samples.
    fn save(
        &mut self,
        adam: &mut Adam,
        at: &mut Header,
        log: &mut MetricsLog,
        evaluate: bool,
    ) -> Result<Metrics, TrainError> {
        let mut averaged = self.averaged(adam);
        at.due &= !evaluate;
        let metrics = if evaluate { self.task.evaluate(&mut averaged)? } else { Metrics::new() };
        // The best model comes before the state that calls it the best: a run that is killed between them makes it anew.
        if let Some(value) = score(&metrics)
            && self.recipe.run.keep_best
            && at.best.is_none_or(|best| value < best)
        {
            at.best = Some(value);
            let card = self.card(at.step, &metrics);
            let (task, run, terms) = (&mut self.task, &self.run, &known_terms(&self.run));
            run.put_best(|folder| write_model(task, &mut averaged, folder, terms, &card))?;
        }
        at.recipe = serde_json::to_string(&self.recipe.lasting()).unwrap_or_default();
        at.updates = adam.updates;
        // Rows behind the newest state go when a run goes on, so they come before it.
        if !metrics.is_empty() {
            log.append(&Row { step: at.step, values: metrics.clone() })?;
        }
        let extra = self.task.extra();
        checkpoint::save(self.run.path(), at.clone(), self.task.model(), adam, &extra)?;
        self.write_folder(&mut averaged, at.step, log)?;
        if let (true, Some(preview)) = (evaluate, self.preview.as_mut()) {
            let folder = self.run.path();
            preview.preview(folder, &folder.join("samples"), at.step).map_err(TrainError::Preview)?;
        }
        Ok(metrics)
    }

    /// Writes the run's own model folder, with the figures of the last evaluation.
    fn write_folder(&mut self, averaged: &mut T::Model, step: u64, log: &MetricsLog) -> Result<(), TrainError> {
        let card = self.card(step, &log.last_held_out());
        let terms = known_terms(&self.run);
        write_model(&mut self.task, averaged, self.run.path(), &terms, &card)
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

    fn resume(&mut self, state: State, adam: &mut Adam) -> Result<Header, TrainError> {
        let path = self.run.path().join(NEWEST);
        if !self.recipe.continues(&state.header.recipe) {
            return Err(TrainError::Checkpoint {
                path,
                what: "made by another recipe; hint: give the run another folder with `--out`, or start from it with `--from`".into(),
            });
        }
        let (header, extra) = state.put(&path, self.task.model(), adam, &self.device)?;
        self.task.restore(extra)?;
        Ok(header)
    }
}

/// What makes one model better than another: its loss on held-out data, the smaller the better. None if there are no figures.
fn score(held_out: &Metrics) -> Option<f64> {
    let losses = held_out.iter().filter(|(k, _)| k.starts_with("held-out loss/") || *k == "held-out bits/token");
    losses.map(|(_, value)| *value).reduce(|sum, value| sum + value).filter(|value| value.is_finite())
}

/// Terms of the model in a run's folder: a run that goes on is not told anew where its first weights are from.
fn known_terms(run: &RunFolder) -> Vec<String> {
    let before = ModelFolder::open(Source::Folder(run.path().to_owned()));
    before.map(|folder| folder.config().terms.clone()).unwrap_or_default()
}

fn write_model<T: Task>(
    task: &mut T,
    averaged: &mut T::Model,
    folder: &Path,
    terms: &[String],
    card: &str,
) -> Result<(), TrainError> {
    let (mut config, weights) = task.folder(averaged)?;
    config.add_terms(terms);
    Ok(save_model(folder, &config, &weights, Dtype::F32, card)?)
}
