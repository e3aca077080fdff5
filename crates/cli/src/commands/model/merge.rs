//! `orchestrion model merge`.

use crate::failure::Failure;
use crate::model;
use burn::tensor::Device;
use orchestrion_model::store::{Dtype, SamplingDefaults, Weights, save_model, weights_of};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of `model merge`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
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

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let device = Device::flex();
    let mut merged: Option<(orchestrion_model::store::ModelConfig, String)> = None;
    let mut weights: BTreeMap<String, Weights> = BTreeMap::new();
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("`{}`: {e}", path.display())))
    };
    for path in &arguments.folders {
        let folder = model::open(path)?;
        let codec = folder.codec_fingerprint()?;
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
