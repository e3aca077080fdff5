//! `orchestrion decode`.

use crate::failure::Failure;
use crate::model::{DeviceChoice, ModelChoice};
use orchestrion_audio::Clip;
use orchestrion_data::Tokens;
use orchestrion_model::codec::Codec;
use std::path::PathBuf;

/// Options of `orchestrion decode`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Token file, or session
    tokens: PathBuf,
    /// Sound file to write: `.wav` or `.flac`; several takes get a number each
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Level to decode: 0 is the finest; the finest there is by default
    #[arg(long)]
    level: Option<usize>,
    #[command(flatten)]
    model: ModelChoice,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let tokens = Tokens::load(&arguments.tokens)?;
    let codec = arguments.model.open()?.codec(&arguments.device.open()?)?;
    let spec = codec.spec();
    let place = arguments.tokens.display();
    let stream = match arguments.level {
        Some(level) => tokens.level(level),
        None => tokens.streams.iter().find(|s| s.time > 0),
    };
    let Some(stream) = stream.filter(|s| s.time > 0) else {
        let levels: Vec<String> = tokens.streams.iter().filter(|s| s.time > 0).map(|s| s.level.to_string()).collect();
        return Err(Failure::usage(format!(
            "`{place}` has no tokens of that level; hint: it has level {}",
            levels.join(", ")
        )));
    };
    let fits = spec.streams.get(stream.level).is_some_and(|s| {
        s.hop_length == stream.hop_length
            && s.codebook_size == stream.codebook_size
            && tokens.sample_rate == spec.sample_rate
    });
    if !fits {
        return Err(Failure::usage(format!(
            "`{place}` was made by another codec; hint: give its model with `--model`"
        )));
    }
    for take in 0..stream.batch {
        let codes = stream.row(take, 0).unwrap_or_default();
        let clip = Clip::from_mono(codec.decode(codes, stream.level)?, spec.sample_rate);
        let path = match stream.batch {
            1 => arguments.out.clone(),
            _ => {
                let stem = arguments.out.file_stem().unwrap_or_default().to_string_lossy();
                let ending = arguments.out.extension().unwrap_or_default().to_string_lossy();
                arguments.out.with_file_name(format!("{stem}-{}.{ending}", take + 1))
            }
        };
        orchestrion_audio::write(&path, &clip, &[("SOFTWARE".to_owned(), "Orchestrion".to_owned())])?;
        println!("{}", path.display());
    }
    Ok(())
}
