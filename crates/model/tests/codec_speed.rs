//! How fast the shipped model's codec is: `cargo test -p orchestrion-model codec_speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use orchestrion_model::codec::Codec;
use orchestrion_model::nn::Random;
use orchestrion_model::store::{ModelFolder, Source};
use std::time::Instant;

const SECONDS: usize = 20;

#[test]
#[ignore = "a measurement, not a check"]
fn codec_speed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny");
    let codec = ModelFolder::open(Source::Folder(folder.into())).unwrap().codec(&Device::flex()).unwrap();
    let spec = codec.spec();
    let mut random = Random::new(1);
    let samples: Vec<f32> = (0..SECONDS * spec.sample_rate as usize).map(|_| 0.1 * random.normal()).collect();
    for level in 0..spec.streams.len() {
        let codes = codec.encode(&samples, level).unwrap();
        let encode = median(|| drop(codec.encode(&samples, level).unwrap()));
        let decode = median(|| drop(codec.decode(&codes, level).unwrap()));
        let times = |seconds: f64| SECONDS as f64 / seconds;
        println!("level {level}: encodes at {:.0}, decodes at {:.0} times real time", times(encode), times(decode));
    }
}

/// Seconds of the middle one of several runs.
fn median(mut work: impl FnMut()) -> f64 {
    let seconds = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    let mut all: Vec<f64> = (0..5).map(seconds).collect();
    all.sort_by(f64::total_cmp);
    all[2]
}
