//! `orchestrion eval report`: everything about a model on one page.

mod figures;
mod page;
mod samples;

use super::corpus::Corpus;
use crate::failure::Failure;
use crate::model::{self, DeviceChoice, ModelChoice};
use crate::progress::duration;
use orchestrion_data::write_whole;
use std::path::PathBuf;
use std::time::Instant;

/// Options of `eval report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelChoice,
    /// Manifest of the recordings
    #[arg(long, value_name = "MANIFEST")]
    data: PathBuf,
    /// Folder with their tokens, by the model's codec: `orchestrion data tokenize`
    #[arg(long, value_name = "FOLDER")]
    tokens: PathBuf,
    /// Songs to make, with the labels of held-out recordings
    #[arg(long, default_value_t = 12)]
    takes: usize,
    /// Seconds of each
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Everything random follows from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Held-out recordings through the codec, ten seconds of each
    #[arg(long, default_value_t = 20)]
    recordings: usize,
    /// Held-out windows for each prior
    #[arg(long, default_value_t = 24)]
    windows: usize,
    /// Clips to continue for each length of prompt
    #[arg(long, default_value_t = 8)]
    clips: usize,
    /// Folder to write `index.html` and `report.json` to
    #[arg(long, value_name = "FOLDER", default_value = "evaluation")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs it.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let begun = Instant::now();
    let folder = a.model.open()?;
    let device = a.device.open()?;
    let codec = folder.codec(&device)?;
    let manifest = crate::manifest::open(&a.data)?;
    let corpus = Corpus::open(&a.tokens, &folder)?;
    std::fs::create_dir_all(&a.out).map_err(|e| {
        Failure::new(format!("cannot write to `{}`: {e}; hint: choose a folder with `--out`", a.out.display()))
    })?;
    let made = samples::Made::new(&a, &folder, &device, &codec, &corpus)?;
    let figures = figures::Figures::measure(&a, &folder, &device, &codec, &manifest, &corpus, &made)?;
    let facts = vec![
        ("model".to_owned(), model::identity(&folder)?),
        ("program".to_owned(), format!("orchestrion {}", env!("CARGO_PKG_VERSION"))),
        ("songs".to_owned(), format!("{} of {} s, seed {}, labels of held-out recordings", a.takes, a.seconds, a.seed)),
        (
            "training set".to_owned(),
            format!("{} tracks, {} held out for the test", corpus.train.len(), corpus.test.len()),
        ),
        ("time".to_owned(), duration(begun.elapsed().as_secs_f64())),
    ];
    let html = page::page(&folder, &codec, &manifest, &figures, &made, facts)?;
    let json =
        serde_json::to_string_pretty(&figures).map_err(|e| Failure::new(format!("no JSON of the figures: {e}")))?;
    write_whole(&a.out.join("report.json"), json.as_bytes())?;
    write_whole(&a.out.join("index.html"), html.as_bytes())?;
    eprintln!("{:<22} {}", "report", duration(begun.elapsed().as_secs_f64()));
    println!("{}", a.out.join("index.html").display());
    Ok(())
}
