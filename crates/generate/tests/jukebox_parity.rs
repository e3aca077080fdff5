//! Whole runs at several levels against golden tokens, from `fixtures/jukebox` or the folder that
//! `ORCHESTRION_JUKEBOX_FIXTURES` names: windows, offsets of labels, windows of lyrics, and the likeliest token at every step.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(dead_code, reason = "the reader of golden files is shared with the model's tests, which use all of it")]

#[path = "../../model/tests/jukebox_parity/fixture.rs"]
mod fixture;
#[path = "../../model/tests/jukebox_parity/sizes.rs"]
mod sizes;

use burn::tensor::Device;
use fixture::{Config, Fixture};
use orchestrion_generate::{
    Cancel, Event, LevelLabels, LevelShape, Lyrics, Run, SampleRequest, Session, SongShape, TakeLabels,
};
use orchestrion_model::nn::Random;
use orchestrion_model::prior::{Prior, PriorDecoder, TokenModel};
use orchestrion_model::store::Dtype;
use serde_json::json;
use std::path::Path;

#[test]
fn pipelines_jukebox_parity() {
    let folder = fixture::folder();
    let mut compared = 0;
    for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.starts_with("pipeline_") && path.extension().is_some_and(|e| e == "safetensors") {
            compare(&name, &path);
            compared += 1;
        }
    }
    assert!(
        compared > 0 || std::env::var_os("ORCHESTRION_JUKEBOX_FIXTURES").is_some(),
        "no golden file of pipelines in {}",
        Path::new(&folder).display()
    );
}

fn compare(name: &str, path: &Path) {
    let mut fixture = Fixture::open(path);
    let config = fixture.config.clone();
    let (samples, batch) = (config.count("sample_length"), config.count("batch"));
    let priors: Vec<Config> = config.0["priors"].as_array().unwrap().iter().cloned().map(Config).collect();
    let golden: Vec<Vec<Vec<u32>>> = (0..priors.len()).map(|l| fixture.tokens(&format!("out.z{l}"))).collect();
    let hops: Vec<usize> = golden.iter().map(|rows| samples / rows[0].len()).collect();
    let steps: Vec<usize> =
        hops.iter().enumerate().map(|(l, hop)| hop / if l == 0 { 1 } else { hops[l - 1] }).collect();
    let rate = priors[0].count("sr");
    let levels = hops.iter().zip(&priors);
    let shape = SongShape {
        sample_rate: rate as u32,
        levels: levels.map(|(&hop_length, p)| LevelShape { hop_length, codebook_size: p.count("bins") }).collect(),
    };

    let mut request = SampleRequest::new(samples as f64 / rate as f64, priors.len());
    request.song_seconds = Some(config.number("song_length") / rate as f64);
    request.takes = batch;
    request.labels = (0..batch).map(|take| labels(&fixture, &priors, take)).collect();
    for (level, sampling) in request.sampling.iter_mut().enumerate() {
        sampling.sampler.temperature = 0.0;
        sampling.hop_fraction = config.0["hop_fraction"][level].as_f64().unwrap();
    }
    let mut session = Session::new(request, shape, "golden", None).unwrap();

    // The golden table lists windows from the top down: level, start, known tokens, new ones.
    let mut windows = Vec::new();
    for level in (0..priors.len()).rev() {
        let context = priors[level].count("n_ctx");
        let plans = session.layout(level, context).unwrap().windows(0);
        windows.extend(plans.flat_map(|w| [level, w.start, w.known, w.new_tokens()].map(|n| n as i64)));
    }
    fixture.equal("windows_level_start_have_new", &windows, |_| false);

    let mut open = |level: usize| {
        let mut config = priors[level].clone();
        config.0["downs_t"] = json!(vec![1; priors.len()]);
        config.0["strides_t"] = json!(steps);
        let decoder = PriorDecoder::new(prior(&fixture, &config, level), Dtype::F32)?;
        Ok(Box::new(decoder) as Box<dyn TokenModel>)
    };
    let cancel = Cancel::new();
    let mut run = Run { priors: &mut open, file: None, progress: &mut |_: &Event| {}, cancel: &cancel };
    run.make_all(&mut session).unwrap();
    for level in 0..priors.len() {
        let ours: Vec<i64> = (0..batch).flat_map(|take| session.stream(level, take)).map(|&t| i64::from(t)).collect();
        fixture.equal(&format!("z{level}"), &ours, |_| false);
    }
    println!("{name}: {}", fixture.summary());
    assert!(fixture.failures.is_empty(), "{name}: {}", fixture.failures.join("\n"));
}

fn prior(fixture: &Fixture, config: &Config, level: usize) -> Prior {
    let device = Device::flex();
    let sizes = sizes::prior(config);
    let mut prior = sizes.init(&mut Random::new(0), &device).unwrap();
    let spare: &[&str] = if sizes.merged_decoder { &[] } else { &["prior.x_out.weight"] };
    fixture.fill_from(&format!("w.p{level}."), &mut prior, spare, &device);
    prior
}

/// Labels of a take: rows `[total, offset, length, artist, genres.., ..]` of every level, and the song's words.
fn labels(fixture: &Fixture, priors: &[Config], take: usize) -> TakeLabels {
    let row = |level: usize| -> Vec<i64> {
        let columns = fixture.shape(&format!("in.y{level}"))[1];
        fixture.integers(&format!("in.y{level}"))[take * columns..][..columns].to_vec()
    };
    let rows = |level: usize| {
        let row = row(level);
        let genres = row[4..][..priors[level].count("G")].iter().filter_map(|g| u32::try_from(*g).ok());
        LevelLabels { artist: vec![(row[3] as u32, 1.0)], genre: genres.map(|g| (g, 1.0)).collect() }
    };
    let lyrics = format!("in.lyrics{take}");
    let tokens = fixture.has(&lyrics).then(|| fixture.integers(&lyrics).iter().map(|t| *t as u32).collect());
    let top = rows(priors.len() - 1);
    TakeLabels {
        artist: top.artist,
        genre: top.genre,
        levels: (0..priors.len() - 1).map(|level| (level, rows(level))).collect(),
        offset_seconds: row(0)[1] as f64 / priors[0].number("sr"),
        lyrics: tokens.map(|tokens| Lyrics { text: String::new(), tokens }),
    }
}
