//! What a run would be, before it is one: a few of its steps are taken, and nothing is written.

use crate::adam::Adam;
use crate::recipe::Recipe;
use crate::trainer::Task;
use crate::{Kind, TrainError};
use burn::tensor::Device;
use orchestrion_model::nn::{Parameters, each_parameter};
use orchestrion_model::prior::PriorConfig;
use orchestrion_model::store::{codec_shapes, parameter_count, prior_shapes};
use std::time::Instant;

/// Steps that are timed, after one that is not.
const TIMED: u64 = 3;

/// A forecast of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Numbers that training moves.
    pub parameters: u64,
    /// Seconds of audio, or of the audio behind the tokens, that all steps see.
    pub audio_seconds: f64,
    /// Seconds that a step takes: the median of three.
    pub step_seconds: f64,
    /// Seconds that an evaluation takes.
    pub evaluation_seconds: f64,
    /// Seconds that the whole run takes, but for sound samples.
    pub run_seconds: f64,
}

/// Bytes that a run holds at least, whatever its batch and data: weights, the optimiser's two means, averages, and the
/// gradient. Known from the recipe alone, before anything is made; a prior's conditioners come on top.
pub fn least_memory(recipe: &Recipe) -> u64 {
    let shapes = match &recipe.kind {
        Kind::Codec(codec) => codec_shapes(&codec.network),
        Kind::Prior(prior) => prior_shapes(&PriorConfig {
            level: prior.level,
            sample_rate: 1,
            hop_length: 1,
            codebook_size: 1,
            transformer: prior.transformer(),
            labels: None,
            lyrics: None,
            upper: None,
            merged_decoder: prior.merged_decoder,
        }),
    };
    5 * 4 * parameter_count(&shapes)
}

fn parameters(model: &mut impl Parameters) -> u64 {
    let mut count = 0;
    each_parameter(model, |_, p| count += p.shape().iter().map(|d| *d as u64).product::<u64>());
    count
}

/// Takes four steps and an evaluation as a run does.
///
/// # Errors
/// As a run.
pub fn plan<T: Task>(task: &mut T, recipe: &Recipe, device: &Device) -> Result<Plan, TrainError> {
    let mut adam = Adam::new(recipe.optimizer.clone(), task.model());
    let (parts, schedule) = (recipe.run.accumulate, recipe.schedule());
    let mut times = Vec::new();
    for step in 0..=TIMED {
        let begun = Instant::now();
        for part in 0..parts {
            let (_, gradients, _) = task.gradients(step * parts + part)?;
            adam.gather(task.model(), gradients, 1.0 / parts as f32);
        }
        adam.step(task.model(), schedule.rate(step));
        task.after_step(step);
        times.push(begun.elapsed().as_secs_f64());
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    let step_seconds = times[times.len() / 2];
    let begun = Instant::now();
    let mut averaged = task.model().clone();
    adam.put_average(&mut averaged, &device.clone().inner());
    task.evaluate(&mut averaged)?;
    let evaluation_seconds = begun.elapsed().as_secs_f64();
    let steps = schedule.steps as f64;
    Ok(Plan {
        parameters: parameters(task.model()),
        audio_seconds: steps * parts as f64 * task.batch_seconds(),
        step_seconds,
        evaluation_seconds,
        run_seconds: steps * step_seconds + schedule.steps.div_ceil(recipe.run.save_every) as f64 * evaluation_seconds,
    })
}
