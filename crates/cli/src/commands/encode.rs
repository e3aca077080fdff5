//! `orchestrion encode`.

use crate::failure::Failure;
use crate::model::{self, DeviceChoice, ModelChoice};
use orchestrion_audio::ReadOptions;
use orchestrion_data::{TokenStream, Tokens};
use orchestrion_model::codec::{Codec, VqVae};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Options of `orchestrion encode`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Recording: WAV, FLAC, MP3, Ogg Vorbis, AAC, ALAC, AIFF
    audio: PathBuf,
    /// Token file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// First second to encode
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    offset: f64,
    /// Seconds to encode; all by default
    #[arg(long, allow_negative_numbers = true)]
    seconds: Option<f64>,
    #[command(flatten)]
    model: ModelChoice,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = arguments.model.open()?;
    let codec = folder.codec(&arguments.device.open()?)?;
    let mut tokens = encode(&codec, &arguments.audio, arguments.offset, arguments.seconds)?;
    tokens.metadata = Map::from_iter([
        ("source".to_owned(), Value::from(arguments.audio.display().to_string())),
        ("model".to_owned(), Value::from(model::identity(&folder)?)),
        ("offset_seconds".to_owned(), json!(arguments.offset)),
    ]);
    tokens.save(&arguments.out)?;
    println!("{}", arguments.out.display());
    Ok(())
}

/// A stretch of a recording as tokens of every level, cut to whole top-level tokens.
pub fn encode(codec: &VqVae, audio: &Path, offset: f64, seconds: Option<f64>) -> Result<Tokens, Failure> {
    let options = ReadOptions { offset, duration: seconds, ..ReadOptions::default() };
    let spec = codec.spec();
    let clip = orchestrion_audio::resample(&orchestrion_audio::read(audio, &options)?, spec.sample_rate)?;
    let mut samples = clip.mono();
    let coarsest = spec.streams.iter().map(|s| s.hop_length).max().unwrap_or(1);
    samples.truncate(samples.len() / coarsest * coarsest);
    if samples.is_empty() {
        return Err(Failure::usage(format!(
            "`{}` holds less than one token of the top level ({coarsest} samples); hint: give a longer recording",
            audio.display()
        )));
    }
    let mut streams = Vec::new();
    for (level, s) in spec.streams.iter().enumerate() {
        let codes = codec.encode(&samples, level)?;
        streams.push(TokenStream::from_rows(level, s.hop_length, s.codebook_size, &[codes])?);
    }
    Ok(Tokens::new(spec.sample_rate, streams, Map::new())?)
}
