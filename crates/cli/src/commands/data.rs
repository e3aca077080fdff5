//! `orchestrion data`: recordings to manifest, recordings to tokens.

use crate::failure::Failure;
use crate::model::{self, DeviceChoice};
use crate::progress::Meter;
use orchestrion_audio::ReadOptions;
use orchestrion_data::{
    CachedStream, CodecIdentity, LabelTable, ScanOptions, Shares, TokenCache, TokenStream, Tokens, TopFolder,
    assign_splits, scan,
};
use orchestrion_model::codec::Codec;
use std::path::PathBuf;

/// Verbs on data.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Look through a folder of recordings and write a manifest
    Scan(ScanArguments),
    /// Encode all recordings of a manifest once, for the training of priors
    Tokenize(TokenizeArguments),
}

/// Options of `data scan`.
#[derive(Debug, clap::Args)]
pub struct ScanArguments {
    /// Folder of recordings
    folder: PathBuf,
    /// Manifest to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Shortest recording to take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    min_seconds: f64,
    /// What the first level of folders is named after, where tags are missing
    #[arg(long, value_enum, default_value = "nothing")]
    folders: Folders,
    /// Share of the tracks held out for validation
    #[arg(long, default_value_t = 0.05)]
    valid: f64,
    /// Share of the tracks held out for tests
    #[arg(long, default_value_t = 0.05)]
    test: f64,
}

/// What folders are named after.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Folders {
    /// Nothing in particular
    Nothing,
    /// Artists
    Artist,
    /// Genres
    Genre,
}

/// Options of `data tokenize`.
#[derive(Debug, clap::Args)]
pub struct TokenizeArguments {
    /// Manifest of the recordings
    manifest: PathBuf,
    /// Model folder with the codec
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// Folder for the tokens; a stopped run goes on in it
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs a verb.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Scan(arguments) => run_scan(arguments),
        Verb::Tokenize(arguments) => run_tokenize(arguments),
    }
}

fn run_scan(arguments: ScanArguments) -> Result<(), Failure> {
    let top_folder = match arguments.folders {
        Folders::Nothing => TopFolder::Nothing,
        Folders::Artist => TopFolder::Artist,
        Folders::Genre => TopFolder::Genre,
    };
    let mut meter: Option<Meter> = None;
    let options = ScanOptions { min_seconds: arguments.min_seconds, top_folder };
    let mut report = scan(&arguments.folder, options, |done, all| {
        meter.get_or_insert_with(|| Meter::new("scanning", 0, all as u64)).set(done as u64, String::new);
    })?;
    let counts = assign_splits(&mut report.manifest, Shares { valid: arguments.valid, test: arguments.test })?;
    report.manifest.write(&arguments.out)?;
    let seconds: f64 = report.manifest.entries.iter().map(|e| e.duration).sum();
    if let Some(meter) = meter {
        meter.finish(&format!("{} recordings, {:.2} hours", report.manifest.entries.len(), seconds / 3600.0));
    }
    for skipped in report.skipped.iter().take(20) {
        eprintln!("skipped: {}", skipped.why);
    }
    if report.skipped.len() > 20 {
        eprintln!("skipped: {} more", report.skipped.len() - 20);
    }
    eprintln!("train {}, valid {}, test {}", counts.train, counts.valid, counts.test);
    println!("{}", arguments.out.display());
    Ok(())
}

fn run_tokenize(arguments: TokenizeArguments) -> Result<(), Failure> {
    let folder = model::open(&arguments.model)?;
    let codec = folder.codec(&arguments.device.open()?)?;
    let spec = codec.spec();
    let identity = CodecIdentity {
        fingerprint: folder.codec_fingerprint()?,
        sample_rate: spec.sample_rate,
        streams: (0..)
            .zip(&spec.streams)
            .map(|(level, s)| CachedStream { level, hop_length: s.hop_length, codebook_size: s.codebook_size })
            .collect(),
    };
    let manifest = crate::manifest::open(&arguments.manifest)?;
    let labels = LabelTable::from_manifest(&manifest);
    let cache = TokenCache::create(&arguments.out, identity, &manifest, labels)?;
    let missing = cache.missing();
    let entries = &manifest.entries;
    let total: f64 = missing.iter().filter_map(|&i| entries.get(i)).map(|e| e.duration).sum();
    let mut meter = Meter::new("tokenizing", 0, total as u64);
    let (mut done, begun, mut failed) = (0.0, std::time::Instant::now(), 0);
    for index in missing {
        let Some(entry) = entries.get(index) else { continue };
        let tokens = (|| -> Result<(u64, Tokens), Failure> {
            let clip = orchestrion_audio::read(&manifest.audio_path(entry), &ReadOptions::default())?;
            let clip = orchestrion_audio::resample(&clip, spec.sample_rate)?;
            let samples = clip.mono();
            let length = samples.len() as u64;
            let mut streams = Vec::new();
            for (level, s) in spec.streams.iter().enumerate() {
                let codes = codec.encode(&samples, level)?;
                streams.push(TokenStream::from_rows(level, s.hop_length, s.codebook_size, &[codes])?);
            }
            Ok((length, Tokens::new(spec.sample_rate, streams, Default::default())?))
        })();
        match tokens {
            Ok((length, tokens)) => cache.add(index, length, tokens)?,
            Err(failure) => {
                failed += 1;
                let _ = failure.tell();
            }
        }
        done += entry.duration;
        meter.set(done as u64, || format!("{:.0}x real time", done / begun.elapsed().as_secs_f64().max(1e-9)));
    }
    meter.finish(&format!("{:.2} hours in `{}`", done / 3600.0, arguments.out.display()));
    if failed > 0 {
        return Err(Failure::new(format!(
            "{failed} recordings could not be tokenized; hint: take them out of the manifest"
        )));
    }
    println!("{}", arguments.out.display());
    Ok(())
}
