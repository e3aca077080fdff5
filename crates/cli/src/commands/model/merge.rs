//! `orchestrion model merge`.

use crate::failure::Failure;
use crate::model;
use orchestrion_model::store::{Dtype, SamplingDefaults, Weights, save_model};
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

/// Runs it. Weights go from shard to shard, whatever the models' size.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("`{}`: {e}", path.display())))
    };
    let folders = arguments.folders.iter().map(|path| model::open(path)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = folders.first() else { return Err(Failure::usage("nothing to merge")) };
    let codec = first.codec_fingerprint()?;
    let mut config = first.config().clone();
    let mut parts = BTreeMap::from([("codec".to_owned(), first)]);
    for (path, folder) in arguments.folders.iter().zip(&folders) {
        if let (Ok(from), Ok(to)) = (path.canonicalize(), arguments.out.canonicalize())
            && from == to
        {
            let hint = "write to another folder; this one is read from";
            return Err(Failure::usage(format!("`{}` is to be merged, and written; hint: {hint}", path.display())));
        }
        let other = folder.config();
        let labels = config.artists.is_empty()
            || other.artists.is_empty()
            || config.artists == other.artists && config.genres == other.genres;
        if folder.codec_fingerprint()? != codec || !labels {
            return Err(Failure::usage(format!(
                "`{}` has another codec or other labels; hint: merge priors trained on one codec's tokens",
                path.display()
            )));
        }
        config.priors.extend(other.priors.clone());
        config.add_terms(&other.terms);
        if config.artists.is_empty() {
            (config.artists, config.genres) = (other.artists.clone(), other.genres.clone());
        }
        parts.extend(other.priors.keys().map(|level| (format!("prior.{level}"), folder)));
    }
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
    let parts: Vec<Weights<'_>> = parts.into_iter().map(|(part, folder)| Weights::Stored { part, folder }).collect();
    save_model(&arguments.out, &config, &parts, dtype, &card)?;
    println!("{}", arguments.out.display());
    Ok(())
}
