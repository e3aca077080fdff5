//! `orchestrion eval`.

use crate::failure::Failure;
use crate::model::{DeviceChoice, ModelChoice};
use crate::progress::Meter;
use orchestrion_data::{Split, TokenCache};
use orchestrion_evaluate::{likelihood, reconstruction};
use std::path::PathBuf;

/// Verbs of measuring.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// How near the codec's output is to held-out recordings, level by level
    Reconstruction(ReconstructionArguments),
    /// Bits a token of a prior on held-out tokens
    Likelihood(LikelihoodArguments),
}

/// Parts of a data set.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Part {
    /// Seen in training
    Train,
    /// Held out, used to choose
    Valid,
    /// Held out
    Test,
}

impl From<Part> for Split {
    fn from(part: Part) -> Self {
        match part {
            Part::Train => Self::Train,
            Part::Valid => Self::Valid,
            Part::Test => Self::Test,
        }
    }
}

/// Options of `eval reconstruction`.
#[derive(Debug, clap::Args)]
pub struct ReconstructionArguments {
    /// Manifest of the recordings
    #[arg(long, value_name = "MANIFEST")]
    data: PathBuf,
    #[command(flatten)]
    model: ModelChoice,
    /// Part of the manifest
    #[arg(long, value_enum, default_value = "test")]
    split: Part,
    /// Seconds of each recording
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Most recordings
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Options of `eval likelihood`.
#[derive(Debug, clap::Args)]
pub struct LikelihoodArguments {
    /// Folder with the tokens
    #[arg(long, value_name = "FOLDER")]
    tokens: PathBuf,
    #[command(flatten)]
    model: ModelChoice,
    /// Level of the prior
    #[arg(long)]
    level: usize,
    /// Part of the data
    #[arg(long, value_enum, default_value = "test")]
    split: Part,
    /// Most windows
    #[arg(long, default_value_t = 200)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs a verb.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Reconstruction(a) => {
            let codec = a.model.open()?.codec(&a.device.open()?)?;
            let manifest = crate::manifest::open(&a.data)?;
            let mut meter: Option<Meter> = None;
            let report = reconstruction(&codec, &manifest, a.split.into(), a.seconds, a.limit, |done, all| {
                meter.get_or_insert_with(|| Meter::new("reconstruction", 0, all as u64)).set(done as u64, String::new);
            })?;
            if a.json {
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
                return Ok(());
            }
            println!("{} recordings, means", report.recordings);
            println!(
                "{:<24} {:>8} {:>8} {:>12} {:>8} {:>8} {:>6}",
                "", "log-mel", "SI-SDR", "convergence", "loudness", "chroma", "onset"
            );
            for row in &report.rows {
                println!(
                    "{:<24} {:>8.3} {:>8.2} {:>12.3} {:>8.2} {:>8.3} {:>6.3}",
                    row.name, row.log_mel, row.si_sdr, row.convergence, row.loudness, row.chroma, row.onset
                );
            }
        }
        Verb::Likelihood(a) => {
            let prior = a.model.open()?.prior(a.level, &a.device.open()?)?;
            let cache = TokenCache::open(&a.tokens)?;
            let report = likelihood(&prior, &cache, a.split.into(), a.limit)?;
            if a.json {
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
                return Ok(());
            }
            println!("level {}: {} windows of {} tracks", a.level, report.windows, report.tracks);
            let line = |name: &str, bits: f64, ci: f64| println!("{name:<24} {bits:>7.3} ± {ci:.3} bits a token");
            line("prior", report.bits, report.interval);
            line("labels of another track", report.shuffled_labels, report.shuffled_interval);
            println!("{:<24} {:>7.3} bits a token", "bigram of training", report.bigram);
            println!("{:<24} {:>7.3} bits a token", "unigram of training", report.unigram);
        }
    }
    Ok(())
}
