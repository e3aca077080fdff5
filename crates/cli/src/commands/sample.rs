//! `orchestrion sample`.

use super::sample_alignment;
use super::sample_labels::{self, LabelOptions};
use super::sample_output::Output;
use crate::failure::Failure;
use crate::model::{self, DeviceChoice, EMBEDDED, ModelChoice, WeightsChoice};
use crate::progress::Meter;
use burn::tensor::Device;
use orchestrion_data::Tokens;
use orchestrion_generate::{
    Cancel, Event, GenerateError, LevelRequest, Run, SampleRequest, SamplerSettings, Session, SessionFile, SongShape,
    decode_take,
};
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::prior::{PriorDecoder, TokenModel};
use orchestrion_model::store::{ModelConfig, ModelFolder};
use std::path::{Path, PathBuf};

/// Seconds of music when nothing is said.
const SECONDS: f64 = 20.0;

/// Options of `orchestrion sample`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelChoice,
    #[command(flatten)]
    labels: LabelOptions,
    /// Length to make, a prompt included [default: 20]
    #[arg(long, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Length of the whole song that this begins: the timing label
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    song_seconds: Option<f64>,
    /// Variants to make
    #[arg(long)]
    takes: Option<usize>,
    /// The same seed gives the same music [default: a new one]
    #[arg(long)]
    seed: Option<u64>,
    /// Less is safer, 0 takes the likeliest token; one value, or one a level from level 0 up: `0.9,0.95,1`
    #[arg(long, value_delimiter = ',', value_name = "T", allow_negative_numbers = true)]
    temperature: Vec<f64>,
    /// Draw among the K likeliest tokens; one value, or one a level
    #[arg(long, value_delimiter = ',', value_name = "K")]
    top_k: Vec<usize>,
    /// Draw among the likeliest tokens that make up this share; one value, or one a level
    #[arg(long, value_delimiter = ',', value_name = "P", allow_negative_numbers = true)]
    top_p: Vec<f64>,
    /// How far windows move, as a share of the context; one value, or one a level
    #[arg(long, value_delimiter = ',', value_name = "H", allow_negative_numbers = true)]
    hop_fraction: Vec<f64>,
    /// Recording to continue
    #[arg(long, value_name = "AUDIO", conflicts_with_all = ["continue_from", "upsample"])]
    prompt: Option<PathBuf>,
    /// Seconds of the recording to start from [default: all of it]
    #[arg(long, requires = "prompt", allow_negative_numbers = true)]
    prompt_seconds: Option<f64>,
    /// Session to go on with: after a stop, or to make it longer with `--seconds`
    #[arg(long = "continue", value_name = "SESSION", conflicts_with = "upsample")]
    continue_from: Option<PathBuf>,
    /// Token file with upper levels to which the lower ones are made
    #[arg(long, value_name = "TOKENS")]
    upsample: Option<PathBuf>,
    /// Levels to make: `2` gives a quick rough preview [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LEVELS")]
    levels: Vec<usize>,
    /// Folder to write to [default: music/seed-N]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Kind of sound file
    #[arg(long, value_enum, default_value = "wav")]
    format: Format,
    /// Say on stdout what was made, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    weights: WeightsChoice,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Kinds of sound file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// 16-bit PCM
    Wav,
    /// Lossless, half the size
    Flac,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = arguments.model.open()?;
    let device = arguments.device.open()?;
    let codec = folder.codec(&device)?;
    let identity = model::identity(&folder)?;
    let (file, mut session, prompt_seconds) = begin(&arguments, &folder, &codec, &identity)?;
    let out = file.path().parent().map(PathBuf::from).unwrap_or_default();
    let cancel = Cancel::new();
    let flag = cancel.clone();
    ctrlc::set_handler(move || {
        if flag.is_cancelled() {
            std::process::exit(130);
        }
        flag.cancel();
        eprintln!("stopping; once more to stop at once");
    })
    .map_err(|e| Failure::new(format!("cannot listen for interrupts: {e}")))?;
    sample_labels::note_missing_words(&session, folder.config());
    eprintln!("seed {}, model {identity}, session `{}`", session.request().seed, file.path().display());

    let mut output = Output::new(out, arguments.format, &folder, &identity, &session, prompt_seconds)?;
    for level in session.pending_levels() {
        make_level(&folder, &device, &file, &mut session, &cancel, level)
            .map_err(|error| stopped(error, &arguments, &file))?;
    }
    for level in (0..session.shape().levels.len()).rev() {
        for take in 0..session.request().takes {
            if !session.stream(level, take).is_empty() {
                output.level(&session, level, take, decode_take(&codec, &session, level, take)?)?;
            }
        }
    }
    let words = sample_alignment::words(&folder, &session, &cancel).map_err(|e| stopped(e, &arguments, &file))?;
    output.finish(&session, &words, arguments.json)
}

/// Makes one level with a progress bar.
fn make_level(
    folder: &ModelFolder,
    device: &Device,
    file: &SessionFile,
    session: &mut Session,
    cancel: &Cancel,
    level: usize,
) -> Result<(), GenerateError> {
    let weights = session.request().weights;
    let mut open = |level: usize| {
        let prior = PriorDecoder::open(folder, level, device, weights)?;
        Ok(Box::new(prior) as Box<dyn TokenModel>)
    };
    let takes = session.request().takes;
    let (rate, hop) = (f64::from(session.shape().sample_rate), session.shape().levels[level].hop_length as f64);
    let begun = std::time::Instant::now();
    let mut first = 0;
    let speed = move |new: usize| new as f64 / takes as f64 * hop / rate / begun.elapsed().as_secs_f64().max(1e-9);
    let mut meter: Option<Meter> = None;
    let mut listen = |event: &Event| match *event {
        Event::LevelStarted { level, done, total } => {
            first = done;
            meter = Some(Meter::new(&format!("level {level}"), done as u64, total as u64));
        }
        Event::TokensDrawn { done, .. } | Event::WindowDone { done, .. } => {
            if let Some(meter) = &mut meter {
                meter.set(done as u64, || format!("{:.2}x real time", speed(done.saturating_sub(first))));
            }
        }
        Event::LevelFinished { total, tokens_per_second, .. } => {
            if let Some(meter) = meter.take() {
                let real_time = speed(total.saturating_sub(first));
                meter.finish(&format!("{total} tokens, {tokens_per_second:.0} a second, {real_time:.2}x real time"));
            }
        }
    };
    let mut run = Run { priors: &mut open, file: Some(file), progress: &mut listen, cancel };
    run.make_level(session, level)
}

/// A failure of making; after an interrupt, with the command that goes on.
fn stopped(error: GenerateError, arguments: &Arguments, file: &SessionFile) -> Failure {
    let GenerateError::Interrupted { level, done, total } = error else { return error.into() };
    let model = &arguments.model.model;
    let choice = if model == Path::new(EMBEDDED) { String::new() } else { format!(" --model {}", model.display()) };
    Failure::interrupted(format!(
        "interrupted at level {level} with {done} of {total} tokens done; hint: `orchestrion sample{choice} --continue {}`",
        file.path().display()
    ))
}

/// The session: new, primed, to be upsampled, or gone on with.
fn begin(
    arguments: &Arguments,
    folder: &ModelFolder,
    codec: &VqVae,
    identity: &str,
) -> Result<(SessionFile, Session, Option<f64>), Failure> {
    if let Some(path) = &arguments.continue_from {
        let (file, mut session) = SessionFile::open(path)?;
        session.check_model(identity)?;
        let request = revise(arguments, session.request().clone(), folder)?;
        if request != *session.request() {
            session.revise(request)?;
            check_priors(folder, &session)?;
            file.save(&session)?;
        }
        return Ok((file, session, None));
    }
    let shape = SongShape::of(&codec.spec())?;
    let mut request = SampleRequest::new(SECONDS, shape.levels.len());
    request.seed = new_seed();
    defaults(&mut request, folder.config());
    sample_labels::defaults(&mut request, folder)?;
    let (mut prompt, mut prompt_seconds) = (None, None);
    if let Some(path) = &arguments.upsample {
        let tokens = Tokens::load(path)?;
        let top = tokens.streams.iter().rev().find(|s| s.time > 0);
        request.seconds = top.map_or(0.0, |s| shape.seconds(s.level, s.time));
        request.takes = tokens.batch();
        prompt = Some(tokens);
    }
    let mut request = revise(arguments, request, folder)?;
    if let Some(path) = &arguments.prompt {
        // The request is checked first: a wrong length should not cost the encoding of a long recording.
        request.validate(&shape)?;
        let tokens = super::encode::encode(codec, path, 0.0, arguments.prompt_seconds)?;
        let seconds = tokens.streams.last().map_or(0.0, |s| shape.seconds(s.level, s.time));
        if seconds >= request.seconds && arguments.seconds.is_none() {
            request.seconds = seconds + SECONDS;
        }
        (prompt, prompt_seconds) = (Some(tokens), Some(seconds));
    }
    if request.levels.is_empty() {
        request.levels = (0..shape.levels.len()).rev().collect();
    }
    stretch_song(&mut request, arguments);
    let session = Session::new(request, shape, identity, prompt.as_ref())?;
    check_priors(folder, &session)?;
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("music/seed-{}", session.request().seed)));
    std::fs::create_dir_all(&out).map_err(|e| {
        Failure::new(format!("cannot write to `{}`: {e}; hint: choose a folder with `--out`", out.display()))
    })?;
    let file = SessionFile::create(&out.join("session.safetensors"), &session)?;
    Ok((file, session, prompt_seconds))
}

/// Opens every prior once before anything is written: a fault of a low level should not show after hours of work above.
fn check_priors(folder: &ModelFolder, session: &Session) -> Result<(), Failure> {
    for level in session.pending_levels() {
        PriorDecoder::check(folder, level)?;
        let labels = folder.config().priors.get(&level).and_then(|prior| prior.labels.as_ref());
        if let Some(timing) = labels.and_then(|labels| labels.timing.as_ref()) {
            for take in 0..session.request().takes {
                timing.check(session.labels(level, take).total_length, session.shape().sample_rate)?;
            }
        }
    }
    Ok(())
}

/// A seed that differs from run to run, short enough to read out.
fn new_seed() -> u64 {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    (nanos ^ u64::from(std::process::id()).rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44
}

/// What the model says about itself.
pub fn defaults(request: &mut SampleRequest, config: &ModelConfig) {
    let sampling = &config.sampling;
    for (level, settings) in request.sampling.iter_mut().enumerate() {
        if let Some(t) = sampling.temperature.get(level) {
            settings.sampler.temperature = f64::from(*t);
        }
        settings.sampler.top_p = sampling.top_p.get(level).map(|p| f64::from(*p)).filter(|p| *p < 1.0);
        if let Some(h) = sampling.hop_fraction.get(level) {
            settings.hop_fraction = f64::from(*h);
        }
    }
    request.song_seconds = sampling.song_seconds;
}

/// Lays the command line over a request.
fn revise(arguments: &Arguments, mut request: SampleRequest, folder: &ModelFolder) -> Result<SampleRequest, Failure> {
    if let Some(seconds) = arguments.seconds {
        request.seconds = seconds;
    }
    if let Some(seconds) = arguments.song_seconds {
        request.song_seconds = Some(seconds);
    }
    if let Some(takes) = arguments.takes {
        request.takes = takes;
    }
    if let Some(seed) = arguments.seed {
        request.seed = seed;
    }
    if !arguments.levels.is_empty() {
        request.levels = arguments.levels.clone();
    }
    if arguments.weights.weights.is_some() {
        request.weights = arguments.weights.dtype();
    }
    arguments.labels.apply(&mut request, folder)?;
    let levels = request.sampling.len();
    lay(&arguments.temperature, "temperature", levels, |l, v| sampler(&mut request.sampling, l).temperature = v)?;
    lay(&arguments.top_k, "top-k", levels, |l, v| sampler(&mut request.sampling, l).top_k = Some(v))?;
    lay(&arguments.top_p, "top-p", levels, |l, v| sampler(&mut request.sampling, l).top_p = Some(v))?;
    lay(&arguments.hop_fraction, "hop-fraction", levels, |l, v| request.sampling[l].hop_fraction = v)?;
    stretch_song(&mut request, arguments);
    Ok(request)
}

/// A song that is too short for what is made becomes as long, unless its length was asked for.
fn stretch_song(request: &mut SampleRequest, arguments: &Arguments) {
    if arguments.song_seconds.is_none() {
        let end = request.labels.iter().map(|take| take.offset_seconds).fold(0.0, f64::max) + request.seconds;
        request.song_seconds = request.song_seconds.map(|song| song.max(end));
    }
}

fn sampler(sampling: &mut [LevelRequest], level: usize) -> &mut SamplerSettings {
    &mut sampling[level].sampler
}

/// One value for all levels, or one for each.
fn lay<T: Copy>(values: &[T], option: &str, levels: usize, mut set: impl FnMut(usize, T)) -> Result<(), Failure> {
    match values {
        [] => {}
        [one] => (0..levels).for_each(|l| set(l, *one)),
        all if all.len() == levels => all.iter().enumerate().for_each(|(l, v)| set(l, *v)),
        all => {
            return Err(Failure::usage(format!(
                "`--{option}` has {} values; hint: give one, or one for each of {levels} levels from level 0 up",
                all.len()
            )));
        }
    }
    Ok(())
}
