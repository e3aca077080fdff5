//! `orchestrion model`.

use crate::failure::Failure;
use crate::model::{self, ModelChoice};
use burn::tensor::Device;
use orchestrion_data::fingerprint;
use orchestrion_model::nn::count_parameters;
use orchestrion_model::store::{Dtype, SamplingDefaults, Weights, save_model, weights_of};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Verbs on models.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show levels, sizes, labels and the card
    Info(InfoArguments),
    /// Put the codec and the priors of several folders into one
    Merge(MergeArguments),
}

/// Options of `model info`.
#[derive(Debug, clap::Args)]
pub struct InfoArguments {
    #[command(flatten)]
    model: ModelChoice,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Options of `model merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArguments {
    /// Model folders with the same codec; a later one's priors replace those of an earlier one
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Folder to write
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Name of the model
    #[arg(long)]
    name: Option<String>,
    /// Model card to put in
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// What `sample` does when it is told nothing, as a JSON file
    #[arg(long, value_name = "FILE")]
    sampling: Option<PathBuf>,
    /// Store weights in two bytes instead of four
    #[arg(long)]
    bf16: bool,
}

/// Runs a verb.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Info(arguments) => info(&arguments),
        Verb::Merge(arguments) => merge(&arguments),
    }
}

fn info(arguments: &InfoArguments) -> Result<(), Failure> {
    let folder = arguments.model.open()?;
    let device = Device::flex();
    let config = folder.config();
    let codec = count_parameters(&mut folder.codec(&device)?);
    let mut priors = BTreeMap::new();
    for &level in config.priors.keys() {
        priors.insert(level, count_parameters(&mut folder.prior(level, &device)?));
    }
    if arguments.json {
        println!(
            "{:#}",
            json!({
                "identity": model::identity(&folder)?,
                "config": config,
                "parameters": { "codec": codec, "priors": priors },
            })
        );
        return Ok(());
    }
    let rate = f64::from(config.codec.sample_rate);
    println!("{}", model::identity(&folder)?);
    println!("{} Hz, codec of {:.2} M parameters", config.codec.sample_rate, codec as f64 / 1e6);
    for level in 0..config.codec.levels() {
        let hop = config.codec.hop_length(level);
        let prior = match (config.priors.get(&level), priors.get(&level)) {
            (Some(p), Some(n)) => format!(
                "prior of {:.2} M parameters, {} layers of {}, context {:.1} s",
                *n as f64 / 1e6,
                p.transformer.depth,
                p.transformer.width,
                (p.transformer.context * hop) as f64 / rate
            ),
            _ => "no prior".to_owned(),
        };
        println!(
            "level {level}: hop {hop}, {:.1} tokens a second of {} values, {prior}",
            rate / hop as f64,
            config.codec.codebook_size
        );
    }
    if !config.artists.is_empty() {
        println!("artists: {}", config.artists.join(", "));
        println!("genres: {}", config.genres.join(", "));
    }
    if let Some(card) = folder.card() {
        println!("\n{}", card.trim_end());
    }
    Ok(())
}

fn merge(arguments: &MergeArguments) -> Result<(), Failure> {
    let device = Device::flex();
    let mut merged: Option<(orchestrion_model::store::ModelConfig, String)> = None;
    let mut weights: BTreeMap<String, Weights> = BTreeMap::new();
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("`{}`: {e}", path.display())))
    };
    for path in &arguments.folders {
        let folder = model::open(path)?;
        let codec = fingerprint(folder.codec_contents()?);
        let config = folder.config();
        match &mut merged {
            None => {
                merged = Some((config.clone(), codec));
                weights.insert("codec".into(), weights_of("codec", &mut folder.codec(&device)?));
            }
            Some((into, first)) => {
                let labels = into.artists.is_empty()
                    || config.artists.is_empty()
                    || into.artists == config.artists && into.genres == config.genres;
                if *first != codec || !labels {
                    return Err(Failure::usage(format!(
                        "`{}` has another codec or other labels; hint: merge priors trained on one codec's tokens",
                        path.display()
                    )));
                }
                into.priors.extend(config.priors.clone());
                if into.artists.is_empty() {
                    (into.artists, into.genres) = (config.artists.clone(), config.genres.clone());
                }
            }
        }
        for &level in config.priors.keys() {
            let part = format!("prior.{level}");
            weights.insert(part.clone(), weights_of(&part, &mut folder.prior(level, &device)?));
        }
    }
    let Some((mut config, _)) = merged else { return Err(Failure::usage("nothing to merge")) };
    if let Some(name) = &arguments.name {
        config.name = name.clone();
    }
    if let Some(path) = &arguments.sampling {
        config.sampling = serde_json::from_str::<SamplingDefaults>(&read(path)?)
            .map_err(|e| Failure::usage(format!("`{}`: {e}", path.display())))?;
    }
    let card = match &arguments.card {
        Some(path) => read(path)?,
        None => format!("# {}\n", config.name),
    };
    let dtype = if arguments.bf16 { Dtype::Bf16 } else { Dtype::F32 };
    let parts: Vec<Weights> = weights.into_values().collect();
    save_model(&arguments.out, &config, &parts, dtype, &card)?;
    println!("{}", arguments.out.display());
    Ok(())
}
