//! `orchestrion train`.

use crate::failure::Failure;
use crate::manifest;
use crate::memory;
use crate::model::{self, DeviceChoice};
use crate::progress::{Meter, duration};
use burn::tensor::Device;
use orchestrion_data::{Split, TokenCache};
use orchestrion_engine::Numbers;
use orchestrion_generate::Cancel;
use orchestrion_model::nn::Work;
use orchestrion_train::{
    CodecTask, Event, Kind, Outcome, Preview, PriorTask, Recipe, RunFolder, Task, Trainer, least_memory, plan,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Options of `orchestrion train`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Recipe: what to train, and how
    recipe: PathBuf,
    /// Folder of the run; it is also a model folder, and a stopped run goes on in it
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Manifest of the recordings (for a codec)
    #[arg(long, value_name = "MANIFEST")]
    data: Option<PathBuf>,
    /// Folder with the tokens that `data tokenize` wrote (for a prior)
    #[arg(long, value_name = "FOLDER")]
    tokens: Option<PathBuf>,
    /// Model folder with the codec, and the priors trained so far (for a prior)
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// Model folder to take the first weights from
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Change of the recipe, as in `--set run.steps=100`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    changes: Vec<String>,
    /// Say what would be trained, on what and for how long, after a few steps that leave nothing behind
    #[arg(long)]
    plan: bool,
    /// Train even if the memory that is free does not suffice
    #[arg(long)]
    force: bool,
    /// Make no sound samples
    #[arg(long)]
    no_samples: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    orchestrion_engine::keep_freed_memory();
    let recipe = Recipe::read(&arguments.recipe, &arguments.changes)?;
    let device = arguments.device.open()?.autodiff();
    eprintln!("{}", how(recipe.run.work()));
    let from = arguments.from.as_deref().map(model::open).transpose()?;
    memory::refuse_beyond_free(least_memory(&recipe), "this training", arguments.force)?;
    let cancel = Cancel::new();
    match &recipe.kind {
        Kind::Codec(_) => {
            let path = need(&arguments.data, "--data")?;
            let run = (!arguments.plan).then(|| RunFolder::open(&arguments.out)).transpose()?;
            let manifest = manifest::open(path)?;
            eprintln!("reading recordings");
            let mut task = CodecTask::new(&recipe, &manifest, from.as_ref(), &device)?;
            let Some(run) = run else {
                let tracks = |split| {
                    let all = manifest.of_split(split).map(|entry| entry.duration);
                    all.fold((0, 0.0), |(count, seconds), duration| (count + 1, seconds + duration))
                };
                let (train, held_out) = (tracks(Split::Train), tracks(Split::Valid));
                let data = format!(
                    "{} tracks, {} to learn from, {} held out",
                    train.0 + held_out.0,
                    duration(train.1),
                    duration(held_out.1)
                );
                return tell_plan(&mut task, &recipe, &device, &data);
            };
            let preview = (!arguments.no_samples).then(|| super::preview::CodecPreview::new(&manifest)).flatten();
            go(task, recipe, run, device, preview, cancel)
        }
        Kind::Prior(_) => {
            let (tokens, model) = (need(&arguments.tokens, "--tokens")?, need(&arguments.model, "--model")?);
            let run = (!arguments.plan).then(|| RunFolder::open(&arguments.out)).transpose()?;
            let cache = TokenCache::open(tokens)?;
            let mut task = PriorTask::new(&recipe, &cache, model::open(model)?, from.as_ref(), &device)?;
            let Some(run) = run else {
                let data = format!("{} tracks of tokens", cache.tracks().len());
                return tell_plan(&mut task, &recipe, &device, &data);
            };
            let preview = (!arguments.no_samples).then(|| super::preview::PriorPreview { cancel: cancel.clone() });
            go(task, recipe, run, device, preview, cancel)
        }
    }
}

/// How the run computes, in words.
fn how(work: Work) -> String {
    let numbers = match work.numbers {
        Numbers::F32 => "products in f32",
        Numbers::Bf16 => "products in bf16",
    };
    let recompute = if work.recompute { ", blocks computed again for the gradient" } else { "" };
    let kernels = if work.kernels { "" } else { ", without the engine's kernels" };
    format!("{numbers}{recompute}{kernels}")
}

/// Says what a run would be.
fn tell_plan<T: Task>(task: &mut T, recipe: &Recipe, device: &Device, data: &str) -> Result<(), Failure> {
    for warning in task.warnings() {
        eprintln!("warning: {warning}");
    }
    let plan = plan(task, recipe, device)?;
    let (run, kind) = (&recipe.run, if matches!(recipe.kind, Kind::Codec(_)) { "codec" } else { "prior" });
    println!("trains       {}: a {kind} with {:.2} million numbers", recipe.name, plan.parameters as f64 / 1e6);
    println!("on           {data}");
    println!("steps        {} of {} batches of {}", run.steps, run.accumulate, recipe.data.batch);
    println!("sees         {} of audio", duration(plan.audio_seconds));
    println!(
        "a step       {:.3} s; an evaluation, every {} steps, {:.1} s",
        plan.step_seconds, run.save_every, plan.evaluation_seconds
    );
    println!("takes        {} here, without sound samples", duration(plan.run_seconds));
    if let (Some(peak), Some([_, free])) = (memory::peak(), memory::memory()) {
        // What the plan itself took is part of what is not free now.
        println!("memory       {:.2} GB; {:.2} GB are free", peak as f64 / 1e9, (free + peak) as f64 / 1e9);
    }
    Ok(())
}

fn need<'a>(option: &'a Option<PathBuf>, name: &str) -> Result<&'a Path, Failure> {
    let missing = || Failure::usage(format!("this recipe needs `{name}`; hint: see `orchestrion train --help`"));
    option.as_deref().ok_or_else(missing)
}

fn go<T: Task>(
    task: T,
    recipe: Recipe,
    run: RunFolder,
    device: Device,
    mut preview: Option<impl Preview>,
    cancel: Cancel,
) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        cancel.cancel();
        eprintln!("stopping after this step; once more to stop at once");
    });
    handler.map_err(|e| Failure::new(format!("cannot listen for interrupts: {e}")))?;
    let mut meter: Option<Meter> = None;
    let mut smooth = None;
    let name = recipe.name.clone();
    let mut report = |event: Event| match event {
        Event::Started { step, steps } => {
            if step > 0 {
                eprintln!("going on after step {step}");
            }
            meter = Some(Meter::new(&format!("training {name}"), step, steps));
        }
        Event::Step { step, loss, speed } => {
            let mean = smooth.map_or(loss, |m: f64| 0.95 * m + 0.05 * loss);
            if loss.is_finite() {
                smooth = Some(mean);
            }
            if let Some(meter) = &mut meter {
                meter.set(step, || format!("step {step}  loss {mean:.3}  {speed:.2}x real time"));
            }
        }
        Event::Saved { step, metrics } => {
            let held_out: Vec<String> =
                metrics.iter().filter(|(k, _)| k.starts_with("held-out")).map(|(k, v)| format!("{k} {v:.3}")).collect();
            eprintln!("saved step {step}  {}", held_out.join("  "));
        }
        Event::Warning(text) => eprintln!("warning: {text}"),
    };
    let begun = std::time::Instant::now();
    let folder = run.path().to_owned();
    let preview = preview.as_mut().map(|preview| preview as &mut dyn Preview);
    let outcome = Trainer { task, run, recipe, device, stop: &stop, report: &mut report, preview }.run()?;
    let folder = folder.display();
    match outcome {
        Outcome::Finished => {
            eprintln!("finished in {}: `{folder}` is a model folder", duration(begun.elapsed().as_secs_f64()));
            Ok(())
        }
        Outcome::Stopped => {
            Err(Failure::interrupted(format!("stopped; hint: the same command goes on from `{folder}`")))
        }
    }
}
