//! `orchestrion model info`.

use crate::failure::Failure;
use crate::model::ModelChoice;
use orchestrion_model::shown;
use orchestrion_model::store::{
    Checkpoint, Dtype, ModelConfig, ModelFolder, SamplingMemory, parameter_count, stored_bytes,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Options of `model info`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelChoice,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs it. No weight is read.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = &arguments.model.model;
    match (path.is_file(), arguments.json) {
        (true, true) => checkpoint_json(&Checkpoint::open(path)?),
        (true, false) => checkpoint_text(&Checkpoint::open(path)?),
        (false, true) => folder_json(arguments.model.open()?.config()),
        (false, false) => folder_text(&arguments.model.open()?),
    }
    Ok(())
}

fn folder_json(config: &ModelConfig) {
    let parts = config.parts();
    let count = |part: &str| parts.iter().find(|(name, _)| name == part).map(|(_, shapes)| parameter_count(shapes));
    let priors: BTreeMap<usize, _> = config.priors.keys().map(|l| (*l, count(&format!("prior.{l}")))).collect();
    let stored: BTreeMap<&str, BTreeMap<&str, u64>> = parts
        .iter()
        .map(|(part, shapes)| {
            (part.as_str(), Dtype::ALL.map(|dtype| (dtype.name(), stored_bytes(shapes, dtype))).into())
        })
        .collect();
    let sampling: BTreeMap<&str, _> = Dtype::ALL
        .map(|dtype| {
            let need = config.sampling_memory(1, |_| dtype);
            let parts = json!({
                "total": need.total(), "level": need.level, "weights": need.weights, "cache": need.cache,
                "conditions": need.conditions, "codec": need.codec,
            });
            (dtype.name(), parts)
        })
        .into();
    println!(
        "{:#}",
        json!({
            "config": config,
            "parameters": { "codec": count("codec"), "priors": priors },
            "stored_bytes": stored,
            "sampling_bytes": sampling,
        })
    );
}

fn folder_text(folder: &ModelFolder) {
    let config = folder.config();
    let rate = f64::from(config.codec.sample_rate);
    println!("{}", shown(&config.name));
    println!("{} Hz, {} levels", config.codec.sample_rate, config.codec.levels());
    for level in 0..config.codec.levels() {
        let hop = config.codec.hop_length(level);
        let prior = match config.priors.get(&level) {
            Some(p) => format!(
                "prior of {} layers of {}, context {:.1} s{}",
                p.transformer.depth,
                p.transformer.width,
                (p.window() * hop) as f64 / rate,
                p.lyrics.as_ref().map_or(String::new(), |l| format!(", {} characters of lyrics", l.tokens)),
            ),
            None => "no prior".to_owned(),
        };
        println!(
            "level {level}: hop {hop}, {:.1} tokens a second of {} values, {prior}",
            rate / hop as f64,
            config.codec.codebook_size
        );
    }
    println!("\n{:<10} {:>14} {:>10} {:>10} {:>10}", "part", "parameters", "f32", "bf16", "int8");
    for (part, shapes) in config.parts() {
        let [f32, bf16, int8] = Dtype::ALL.map(|dtype| size(stored_bytes(&shapes, dtype)));
        println!("{part:<10} {:>14} {f32:>10} {bf16:>10} {int8:>10}", parameter_count(&shapes));
    }
    println!("\nsampling one take needs about, with weights held as");
    let needs = Dtype::ALL.map(|dtype| config.sampling_memory(1, |_| dtype));
    let line = |name: &str, of: fn(&SamplingMemory) -> u64| {
        let [f32, bf16, int8] = needs.map(|need| size(of(&need)));
        println!("{name:<25} {f32:>10} {bf16:>10} {int8:>10}");
    };
    println!("{:<25} {:>10} {:>10} {:>10}", "", "f32", "bf16", "int8");
    if let Some(level) = needs[0].level {
        line(&format!("the prior of level {level}"), |need| need.weights);
        line("keys and values, a take", |need| need.cache);
        line("conditions, a take", |need| need.conditions);
    }
    line("codec, a stretch of sound", |need| need.codec);
    line("in all", SamplingMemory::total);
    println!("One prior at a time is in memory; `--weights` chooses.");
    if !config.artists.is_empty() {
        let names = |all: &[String]| all.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        println!("\nartists: {}", names(&config.artists));
        println!("genres: {}", names(&config.genres));
    }
    if let Some(card) = folder.card() {
        let plain = card.replace(|c: char| c.is_control() && c != '\n', " ");
        println!("\n{}", plain.trim_end());
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.2} GB", b / 1e9),
        b => format!("{:.1} MB", b / 1e6),
    }
}

fn checkpoint_json(checkpoint: &Checkpoint) {
    let tensors: BTreeMap<&String, _> = checkpoint
        .tensors()
        .iter()
        .map(|(name, t)| (name, json!({ "dtype": t.element.name(), "shape": t.shape })))
        .collect();
    println!("{:#}", json!({ "hps": checkpoint.settings(), "tensors": tensors }));
}

fn checkpoint_text(checkpoint: &Checkpoint) {
    for (name, value) in checkpoint.settings() {
        println!("{:<28} {}", shown(name), shown(&value.to_string()));
    }
    println!("\n{:<72} {:<5} sizes", "tensor", "type");
    let mut count = 0;
    for (name, tensor) in checkpoint.tensors() {
        count += tensor.count() as u64;
        println!("{:<72} {:<5} {:?}", shown(name), tensor.element.name(), tensor.shape);
    }
    println!("\n{} tensors, {count} numbers", checkpoint.tensors().len());
}
