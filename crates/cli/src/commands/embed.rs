//! `orchestrion embed`.

use crate::failure::Failure;
use crate::model::{self, DeviceChoice, ModelChoice, WeightsChoice};
use crate::progress::Meter;
use burn::tensor::Device;
use orchestrion_audio::ReadOptions;
use orchestrion_generate::{Pool, hidden_states};
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::prior::PriorDecoder;
use orchestrion_model::store::Dtype;
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;

/// Options of `orchestrion embed`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Recording of any length
    audio: PathBuf,
    /// Layer behind which to look; 0 is the first
    #[arg(long, value_name = "L")]
    layer: usize,
    /// Safetensors file to write: one tensor `hidden`, `[tokens, width]`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A state for each token, or their mean
    #[arg(long, value_enum, default_value = "none")]
    pool: Pooling,
    /// Level of the prior [default: the top one]
    #[arg(long)]
    level: Option<usize>,
    /// First second to read
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    offset: f64,
    /// Seconds to read; all by default
    #[arg(long, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Say on stdout what was written, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelChoice,
    #[command(flatten)]
    weights: WeightsChoice,
    #[command(flatten)]
    device: DeviceChoice,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Pooling {
    /// One state a token
    None,
    /// The mean of all states
    Mean,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = arguments.model.open()?;
    let device = arguments.device.open()?;
    let Some(level) = arguments.level.or(folder.config().priors.keys().max().copied()) else {
        return Err(Failure::usage("the model has no prior; hint: use one with priors, see `orchestrion model info`"));
    };
    let config = folder.prior_config(level)?;
    let depth = config.transformer.depth;
    if arguments.layer >= depth {
        return Err(Failure::usage(format!(
            "no layer {} in the prior of level {level}; hint: it has layers 0 to {}",
            arguments.layer,
            depth.saturating_sub(1)
        )));
    }
    let codec = folder.codec(&device)?;
    let [codes, upper] = codes(&arguments, &codec, level, config.upper.is_some())?;
    drop(codec);

    let mut prior = PriorDecoder::open(&folder, level, &Device::flex(), arguments.weights.dtype())?;
    let mut meter = Meter::new(&format!("level {level}"), 0, codes.len() as u64);
    let pool = match arguments.pool {
        Pooling::None => Pool::None,
        Pooling::Mean => Pool::Mean,
    };
    let recording = (codes.as_slice(), config.upper.is_some().then_some(upper.as_slice()));
    let states = hidden_states(&mut prior, config, recording, arguments.layer, pool, &mut |done| {
        meter.set(done as u64, String::new);
    })?;
    meter.finish(&format!("{} tokens", codes.len()));

    let tokens_per_second = f64::from(config.sample_rate) / config.hop_length as f64;
    let facts = [
        ("model", json!(model::identity(&folder)?)),
        ("source", json!(arguments.audio)),
        ("level", json!(level)),
        ("layer", json!(arguments.layer)),
        ("weights", json!(arguments.weights.dtype().map_or("auto", Dtype::name))),
        ("pool", json!(if pool == Pool::Mean { "mean" } else { "none" })),
        ("sample_rate", json!(config.sample_rate)),
        ("hop_length", json!(config.hop_length)),
        ("tokens_per_second", json!(tokens_per_second)),
        ("tokens", json!(codes.len())),
        ("offset_seconds", json!(arguments.offset)),
    ];
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let metadata: HashMap<String, String> = facts.iter().map(|(key, value)| ((*key).to_owned(), word(value))).collect();
    states.save(&arguments.out, metadata)?;
    if arguments.json {
        let mut all: serde_json::Map<_, _> = facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        all.insert("file".to_owned(), json!(arguments.out));
        all.insert("shape".to_owned(), json!(states.shape()));
        println!("{:#}", json!(all));
    } else {
        println!("{}", arguments.out.display());
    }
    Ok(())
}

/// Codes of the level, and of the level above if it is asked for. A recording that ends within a token goes on silent to
/// the token's end.
fn codes(arguments: &Arguments, codec: &VqVae, level: usize, with_upper: bool) -> Result<[Vec<u32>; 2], Failure> {
    let options = ReadOptions { offset: arguments.offset, duration: arguments.seconds, ..ReadOptions::default() };
    let spec = codec.spec();
    let clip = orchestrion_audio::read(&arguments.audio, &options)?;
    let mut samples = orchestrion_audio::resample(&clip, spec.sample_rate)?.mono();
    if samples.is_empty() {
        let audio = arguments.audio.display();
        return Err(Failure::usage(format!("`{audio}` holds no sound; hint: check `--offset`, or the file")));
    }
    let coarsest = spec.streams.get(level + usize::from(with_upper)).map_or(1, |stream| stream.hop_length);
    samples.resize(samples.len().next_multiple_of(coarsest), 0.0);
    let upper = if with_upper { codec.encode(&samples, level + 1)? } else { Vec::new() };
    Ok([codec.encode(&samples, level)?, upper])
}
