//! `orchestrion model import`.

use crate::failure::Failure;
use crate::progress::Meter;
use orchestrion_data::PublishedTables;
use orchestrion_model::store::{Checkpoint, Dtype, ImportSettings, ModelFolder, Published, Source, TERMS, import};
use std::path::PathBuf;

/// Options of `model import`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Checkpoints: files that `torch.save` wrote, old form or new, or safetensors. Nothing in them is run
    #[arg(value_name = "FILE", required_unless_present = "labels")]
    files: Vec<PathBuf>,
    /// Model folder to write. Begin with the codec (`vqvae.pth.tar`); priors are added to it, together or one by one
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// What each file is, in their order, where they do not say it themselves:
    /// `vqvae`, `upsampler-0`, `upsampler-1`, `5b`, `5b-lyrics`, `1b-lyrics`
    #[arg(long = "as", value_name = "NAME", value_delimiter = ',', value_parser = published)]
    published: Vec<Published>,
    /// How to store weights
    #[arg(long, value_enum, default_value_t = Storage::F32)]
    dtype: Storage,
    /// Folder with the published label tables: `v2_artist_ids.txt`, `v2_genre_ids.txt`, and those of v3. Without them
    /// labels are given by number
    #[arg(long, value_name = "DIR")]
    labels: Option<PathBuf>,
    /// You know the weights' terms and accept them
    #[arg(long)]
    accept_license: bool,
    /// Name of the model; the folder's where there is none
    #[arg(long)]
    name: Option<String>,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// Four bytes a weight, exact
    F32,
    /// Two bytes, rounded to 8 bits
    Bf16,
    /// One byte for the matrices of transformers, with a scale for each output; two for the rest
    Int8,
}

impl From<Storage> for Dtype {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::F32 => Self::F32,
            Storage::Bf16 => Self::Bf16,
            Storage::Int8 => Self::Int8,
        }
    }
}

fn published(name: &str) -> Result<Published, String> {
    let known = Published::ALL.iter().find(|(known, _)| *known == name);
    known.map(|(_, published)| *published).ok_or_else(|| {
        let names: Vec<&str> = Published::ALL.iter().map(|(name, _)| *name).collect();
        format!("the published checkpoints are {}", names.join(", "))
    })
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = &arguments.files;
    if !arguments.accept_license && !files.is_empty() {
        let hint = "if you accept that, say so with `--accept-license`";
        return Err(Failure::usage(format!("these weights have terms of their own. {TERMS}; hint: {hint}")));
    }
    if !arguments.published.is_empty() && arguments.published.len() != files.len() {
        let (names, files) = (arguments.published.len(), files.len());
        let hint = "give one name for each file, in their order, with commas between";
        return Err(Failure::usage(format!("`--as` has {names} names for {files} files; hint: {hint}")));
    }
    // Whatever can be wrong with the tables is told before gigabytes are read.
    let tables = arguments.labels.as_deref().map(PublishedTables::read).transpose()?;
    if files.is_empty() {
        ModelFolder::open(Source::Folder(arguments.out.clone()))?;
    }
    let mut checkpoints = Vec::new();
    for (i, path) in files.iter().enumerate() {
        let checkpoint = Checkpoint::open(path)?;
        checkpoints.push((checkpoint.kind()?, checkpoint, arguments.published.get(i).copied()));
    }
    // The codec first: priors are checked against it.
    checkpoints.sort_by_key(|(kind, ..)| *kind);
    for (_, checkpoint, published) in &checkpoints {
        let settings =
            ImportSettings { published: *published, dtype: arguments.dtype.into(), name: arguments.name.clone() };
        let label = checkpoint.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut meter = None;
        let part = import(&arguments.out, checkpoint, &settings, |done, all| {
            let meter = meter.get_or_insert_with(|| Meter::new(&label, 0, all));
            meter.set(done, || format!("{:.2} of {:.2} G weights", done as f64 / 1e9, all as f64 / 1e9));
        })?;
        if let Some(meter) = meter {
            meter.finish(&format!("is `{part}` now"));
        }
    }
    if let Some(tables) = tables {
        for file in tables.write(&arguments.out)? {
            eprintln!("{file:<22} written");
        }
    }
    println!("{}", arguments.out.display());
    Ok(())
}
