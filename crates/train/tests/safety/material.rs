//! Songs, tokens and recipes small enough for hundreds of steps.

use burn::tensor::Device;
use orchestrion_audio::Clip;
use orchestrion_data::{
    CachedStream, CodecIdentity, Entry, LabelTable, Manifest, Split, TokenCache, TokenStream, Tokens, fingerprint,
};
use orchestrion_model::nn::Random;
use orchestrion_model::store::{Dtype, ModelConfig, ModelFolder, Source, save_model, weights_of};
use orchestrion_train::{CodecTask, Event, Kind, Outcome, PriorTask, Recipe, RunFolder, Task, TrainError, Trainer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub const RATE: u32 = 22_050;
const HOPS: [usize; 3] = [64, 128, 256];
const CODES: usize = 16;

const EVERY: &[&str] = &["data.batch=2", "run.evaluation_batches=1", "run.warmup=2", "run.seed=5"];
const CODEC: &[&str] = &["codec.crop=4096", "codec.network.width=8", "codec.network.codebook_size=16"];
const PRIOR: &[&str] = &[
    "prior.min_seconds=0.1",
    "prior.transformer.width=32",
    "prior.transformer.depth=3",
    "prior.transformer.heads=2",
    "prior.transformer.context=64",
    "prior.transformer.blocks=8",
];

/// A recipe of the shipped model at a small size, with changes.
pub fn recipe(name: &str, changes: &[&str]) -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/tiny").join(format!("{name}.toml"));
    let small = if name == "codec" { CODEC } else { PRIOR };
    let conditioner: &[&str] = if name.starts_with("upsampler") { &["prior.conditioner.width=16"] } else { &[] };
    let all: Vec<String> = [EVERY, small, conditioner, changes].concat().iter().map(|c| (*c).to_owned()).collect();
    Recipe::read(&path, &all).unwrap()
}

/// A manifest of songs with these samples; the last is held out.
pub fn songs(folder: &Path, songs: &[Vec<f32>]) -> Manifest {
    let entry = |(n, samples): (usize, &Vec<f32>)| {
        let name = format!("{n}.wav");
        let seconds = samples.len() as f64 / f64::from(RATE);
        orchestrion_audio::write(&folder.join(&name), &Clip::from_mono(samples.clone(), RATE), &[]).unwrap();
        let split = Some(if n + 1 < songs.len() { Split::Train } else { Split::Valid });
        Entry { split, artist: Some(format!("artist {}", n % 2)), ..Entry::new(name, seconds, RATE) }
    };
    let entries = songs.iter().enumerate().map(entry).collect();
    Manifest { folder: folder.to_owned(), entries, ..Manifest::default() }
}

/// A few notes.
pub fn melody(number: usize, length: usize) -> Vec<f32> {
    let sample = |i: usize| {
        let (time, pitch) = (i as f32 / RATE as f32, 220.0 * (1 + (i / 3000 + number) % 5) as f32);
        0.3 * (std::f32::consts::TAU * pitch * time).sin() * (1.0 - (i % 3000) as f32 / 3000.0)
    };
    (0..length).map(sample).collect()
}

pub fn device() -> Device {
    Device::flex().autodiff()
}

pub fn codec_task(recipe: &Recipe, folder: &Path) -> Result<CodecTask, TrainError> {
    let manifest = songs(folder, &[melody(0, 20_000), melody(1, 30_000), melody(2, 20_000), melody(3, 20_000)]);
    CodecTask::new(recipe, &manifest, None, &device())
}

/// A prior's task on random tokens of a codec that nobody trained.
pub fn prior_task(recipe: &Recipe, folder: &Path) -> Result<PriorTask, TrainError> {
    let Kind::Codec(codec) = self::recipe("codec", &[]).kind else { unreachable!() };
    let base = folder.join("base");
    if !base.exists() {
        let network = serde_json::to_value(&codec.network).unwrap();
        let config: ModelConfig =
            serde_json::from_value(json!({ "format": 1, "name": "codec", "codec": network })).unwrap();
        let mut codec = config.codec.init(&mut Random::new(1), &Device::flex()).unwrap();
        save_model(&base, &config, &[weights_of("codec", &mut codec)], Dtype::F32, "").unwrap();
    }
    let song = |n: usize| {
        let split = Some(if n < 3 { Split::Train } else { Split::Valid });
        Entry { split, artist: Some(format!("artist {}", n % 2)), ..Entry::new(format!("{n}.wav"), 2.0, RATE) }
    };
    let manifest = Manifest { entries: (0..4).map(song).collect(), ..Manifest::default() };
    let stream = |level: usize| CachedStream { level, hop_length: HOPS[level], codebook_size: CODES };
    let identity =
        CodecIdentity { fingerprint: fingerprint([b"c"]), sample_rate: RATE, streams: (0..3).map(stream).collect() };
    let labels = LabelTable::from_manifest(&manifest);
    let cache = TokenCache::create(&folder.join("tokens"), identity, &manifest, labels).unwrap();
    for track in 0..4_usize {
        let codes = |hop: usize| (0..44_100 / hop).map(|i| ((i * i + track * i) % CODES) as u32).collect::<Vec<_>>();
        let stream = |level: usize| TokenStream::from_rows(level, HOPS[level], CODES, &[codes(HOPS[level])]).unwrap();
        let tokens = Tokens::new(RATE, (0..3).map(stream).collect(), Map::new()).unwrap();
        cache.add(track, 44_100, tokens).unwrap();
    }
    PriorTask::new(recipe, &cache, ModelFolder::open(Source::Folder(base)).unwrap(), None, &device())
}

/// One sitting of a run: it ends by itself, or is stopped after the step `until`. What it warned of comes back.
pub fn sit<T: Task>(
    task: T,
    recipe: &Recipe,
    run: &Path,
    until: u64,
) -> (Result<Outcome, TrainError>, Vec<String>, Option<u64>) {
    let stop = AtomicBool::new(false);
    let (mut warnings, mut first) = (Vec::new(), None);
    let mut report = |event: Event| match event {
        Event::Started { step, .. } => first = Some(step),
        Event::Step { step, .. } if step == until => stop.store(true, Ordering::Relaxed),
        Event::Warning(text) => warnings.push(text),
        _ => {}
    };
    let run = RunFolder::open(run).unwrap();
    let (recipe, device) = (recipe.clone(), device());
    let outcome = Trainer { task, run, recipe, device, stop: &stop, report: &mut report, preview: None }.run();
    (outcome, warnings, first)
}

/// Rows of a run's metrics, without what depends on the clock.
pub fn rows(run: &Path) -> Vec<BTreeMap<String, Value>> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<BTreeMap<String, Value>>(line).unwrap());
    rows.map(|row| row.into_iter().filter(|(name, _)| name != "speed/real time").collect()).collect()
}

/// Content of all files below a folder, but for the page and the metrics, which know the clock.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            all.extend(files(&entry));
        } else if !entry.ends_with("metrics.jsonl") {
            all.insert(entry.clone(), std::fs::read(entry).unwrap());
        }
    }
    all
}

/// A number that the environment may raise above that of a short run.
pub fn count(name: &str, short: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}
