//! `orchestrion eval`.

mod compare;
mod corpus;
mod distance;
#[cfg(feature = "fingerprint")]
mod fingerprint;
mod listen;
mod memory;
mod report;
mod sounds;
mod structure;
mod takes;

use crate::failure::Failure;
use crate::model::{DeviceChoice, ModelChoice, Weights};
use crate::progress::Meter;
use orchestrion_data::{Split, TokenCache};
use orchestrion_evaluate::{Fidelity, Scores, likelihood, reconstruction};
use orchestrion_model::prior::PriorDecoder;
use std::path::PathBuf;

/// Verbs of measuring.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// How near the codec's output is to held-out recordings, level by level
    Reconstruction(ReconstructionArguments),
    /// Bits a token of a prior on held-out tokens
    Likelihood(LikelihoodArguments),
    /// How far sets of songs are from a reference, by what the codec hears
    Distance(distance::Arguments),
    /// Whether songs are copied from the training set, and whether the model knows it by heart
    Memory(memory::Arguments),
    /// Whether songs hold a stretch of the very sound of recordings
    #[cfg(feature = "fingerprint")]
    Fingerprint(fingerprint::Arguments),
    /// Whether songs go somewhere, come back, and differ from each other
    Structure(structure::Arguments),
    /// Make a blind listening test, or put together what people said
    Listen(listen::Arguments),
    /// Everything about a model on one page
    Report(report::Arguments),
    /// What changed from one report to another
    Compare(compare::Arguments),
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
    /// Tell every genre's figures too
    #[arg(long)]
    genres: bool,
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
    /// Measure the prior as it samples, with its matrices held in these numbers [default: as it is trained, in f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    weights: Option<Weights>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs a verb.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Distance(a) => distance::run(a)?,
        Verb::Memory(a) => memory::run(a)?,
        #[cfg(feature = "fingerprint")]
        Verb::Fingerprint(a) => fingerprint::run(&a)?,
        Verb::Structure(a) => structure::run(a)?,
        Verb::Listen(a) => listen::run(&a)?,
        Verb::Report(a) => report::run(a)?,
        Verb::Compare(a) => compare::run(&a)?,
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
                "{:<24} {:>8} {:>8} {:>8} {:>12} {:>8} {:>8} {:>6}",
                "", "log-mel", "STFT", "SI-SDR", "convergence", "loudness", "chroma", "onset"
            );
            let line = |name: &str, f: &Fidelity| {
                println!(
                    "{name:<24} {:>8.3} {:>8.3} {:>8.2} {:>12.3} {:>8.2} {:>8.3} {:>6.3}",
                    f.log_mel, f.stft, f.si_sdr, f.convergence, f.loudness, f.chroma, f.onset
                );
            };
            for row in &report.rows {
                line(&row.name, &row.all);
                if a.genres {
                    row.genres.iter().for_each(|(genre, f)| line(&format!("  {genre}"), f));
                }
            }
            for row in &report.rows {
                if let Some(c) = &row.codebook {
                    println!(
                        "{:<24} {:.0} bit/s, entropy {:.2} bits a token, perplexity {:.0}, {:.0} % of entries used, efficiency {:.3}",
                        row.name,
                        c.bit_rate,
                        c.entropy,
                        c.perplexity,
                        100.0 * c.used,
                        c.efficiency
                    );
                }
            }
        }
        Verb::Likelihood(a) => {
            let (folder, device) = (a.model.open()?, a.device.open()?);
            let cache = TokenCache::open(&a.tokens)?;
            let mut prior: Box<dyn Scores> = match a.weights {
                None => Box::new(folder.prior(a.level, &device)?),
                Some(weights) => Box::new(PriorDecoder::open(&folder, a.level, &device, weights.dtype())?),
            };
            let report = likelihood(prior.as_mut(), &cache, a.split.into(), a.limit)?;
            if a.json {
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
                return Ok(());
            }
            println!("level {}: {} windows of {} tracks", a.level, report.windows, report.tracks);
            let line = |name: &str, bits: f64, ci: f64| println!("{name:<24} {bits:>7.3} ± {ci:.3} bits a token");
            line("prior", report.bits, report.interval);
            line("labels of another track", report.shuffled_labels, report.shuffled_interval);
            line("no labels", report.no_labels, report.no_labels_interval);
            line("bigram of training", report.bigram, report.bigram_interval);
            line("unigram of training", report.unigram, report.unigram_interval);
            line("compressor (DEFLATE)", report.compressor, report.compressor_interval);
            let list =
                |all: &mut dyn Iterator<Item = f64>| all.map(|b| format!("{b:.2}")).collect::<Vec<_>>().join(" ");
            println!("by place in the window   {}", list(&mut report.by_position.iter().copied()));
            println!("by time in the song      {}", list(&mut report.by_time.iter().map(|t| t.bits)));
        }
    }
    Ok(())
}
