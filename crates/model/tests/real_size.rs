//! A model of the published 5b's shape, made of random bytes, is opened and run in less than 8 GB.
//!
//! Writes 5 GB: `ORCHESTRION_REAL_SIZE=FOLDER cargo test -p orchestrion-model --test real_size -- --ignored --nocapture`. The folder
//! stays, as a model that `orchestrion sample --levels 2` takes.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use orchestrion_model::condition::Labels;
use orchestrion_model::nn::{Random, each_parameter};
use orchestrion_model::prior::{PriorDecoder, TokenModel, Window};
use orchestrion_model::store::{Dtype, ModelConfig, ModelFolder, Shape, Source, prior_shapes, save_model, weights_of};
use safetensors::tensor::{Dtype as FileDtype, TensorView};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The configuration that `model import --as 5b` gives the published files.
fn config() -> ModelConfig {
    let resnet = json!({ "depth": 4, "dilation_growth": 3 });
    serde_json::from_value(json!({
        "format": 1, "name": "5b",
        "codec": { "sample_rate": 44_100, "strides": [[2, 2, 2], [2, 2], [2, 2]], "embedding_width": 64,
                   "codebook_size": 2048, "width": 32, "resnet": resnet, "multipliers": [2, 1, 1] },
        "priors": { "2": {
            "level": 2, "sample_rate": 44_100, "hop_length": 128, "codebook_size": 2048, "merged_decoder": true,
            "transformer": { "width": 4800, "depth": 72, "heads": 8, "context": 8192, "blocks": 128, "attn_order": 2 },
            "labels": { "artists": 4111, "genres": 120, "naming": "v2",
                        "timing": { "bins": 128, "min_seconds": 60.0, "max_seconds": 600.0 } } } },
    }))
    .unwrap()
}

/// Tensors of a shape as they are stored: matrices of the transformer as bytes of a bell's shape, small numbers for the rest.
fn tensors(name: &str, shape: &[usize], random: &mut Random) -> Vec<(String, FileDtype, Vec<usize>, Vec<u8>)> {
    let (count, width) = (shape.iter().product(), shape[shape.len() - 1]);
    if name.contains("._attn_mods.") && name.ends_with(".w") {
        let pattern: Vec<u8> = (0..65_521).map(|_| (random.normal() * 30.0).clamp(-127.0, 127.0) as i8 as u8).collect();
        let mut bytes: Vec<u8> = pattern.iter().copied().cycle().take(count).collect();
        // The largest of an output has the largest byte, as whoever stores weights sees to.
        bytes[..width].fill(127);
        let scale = 0.7 / (shape[0] as f32).sqrt() / 30.0;
        let scales = scale.to_le_bytes().repeat(width);
        return vec![
            (name.to_owned(), FileDtype::I8, shape.to_vec(), bytes),
            (format!("{name}.scale"), FileDtype::F32, vec![width], scales),
        ];
    }
    let around = if name.ends_with(".weight") && shape.len() == 1 { 1.0 } else { 0.0 };
    let value = |_| (around + random.normal() * 0.02).to_bits().to_be_bytes();
    let bytes = (0..count).map(value).flat_map(|b| [b[1], b[0]]).collect();
    vec![(name.to_owned(), FileDtype::BF16, shape.to_vec(), bytes)]
}

/// Writes the prior beside a codec, a tensor a shard.
fn write(folder: &Path, config: &ModelConfig) {
    let mut codec = config.codec.init(&mut Random::new(1), &Device::flex()).unwrap();
    each_parameter(&mut codec, |name, mut p| {
        if name.ends_with(".k") {
            let random = &mut Random::new(2);
            p.set((0..p.values().len()).map(|_| random.normal()).collect(), &Device::flex(), false);
        }
    });
    save_model(folder, config, &[weights_of("codec", &mut codec)], Dtype::Bf16, "# 5b\n").unwrap();
    let index_path = folder.join("model.safetensors.index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&index_path).unwrap()).unwrap();
    let random = &mut Random::new(3);
    let shapes: Vec<Shape> = prior_shapes(&config.priors[&2]);
    for (place, (name, shape)) in shapes.iter().enumerate() {
        let file = format!("prior-2-{place:05}.safetensors");
        let tensors = tensors(&format!("prior.2.{name}"), shape, random);
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        safetensors::serialize_to_file(views, None, &folder.join(&file)).unwrap();
        for (name, ..) in &tensors {
            index["weight_map"][name] = file.clone().into();
        }
        // Any name for the content tells it from others, and nobody has to read it for that.
        index["metadata"]["sha256"][&file] = format!("{place:064x}").into();
    }
    std::fs::write(index_path, serde_json::to_vec(&index).unwrap()).unwrap();
}

/// Largest resident memory so far, in bytes.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

#[test]
#[ignore = "writes and runs 5 GB"]
fn a_5b_in_int8_samples_in_less_than_8_gb() {
    let Some(folder) = std::env::var_os("ORCHESTRION_REAL_SIZE").map(PathBuf::from) else {
        panic!("ORCHESTRION_REAL_SIZE names the folder to write");
    };
    let config = config();
    if !folder.join("config.json").exists() {
        let begun = Instant::now();
        write(&folder, &config);
        println!("written in {:.0} s, {:.2} GB", begun.elapsed().as_secs_f64(), peak() / 1e9);
    }
    let model = ModelFolder::open(Source::Folder(folder)).unwrap();
    let forecast = model.sampling_memory(1, None).unwrap();
    let begun = Instant::now();
    let mut decoder = PriorDecoder::open(&model, 2, &Device::flex(), None).unwrap();
    println!("opened in {:.0} s, {:.2} GB", begun.elapsed().as_secs_f64(), peak() / 1e9);

    // A whole window: its caches and conditions are all there.
    let labels = [Labels {
        artist: vec![(3, 1.0)],
        genre: vec![(2, 1.0)],
        total_length: 44_100 * 90,
        offset: 0,
        lyrics: vec![],
    }];
    decoder.begin(&Window { start: 0, length: decoder.context(), labels: &labels, upper: None }).unwrap();
    let mut known: Vec<u32> = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..12 {
        let begun = Instant::now();
        let logits = decoder.advance(&[&known]).unwrap();
        seconds.push(begun.elapsed().as_secs_f64());
        assert!(logits.iter().all(|logit| logit.is_finite()));
        known = vec![(0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32];
    }
    seconds.sort_by(f64::total_cmp);
    let peak = peak() / 1e9;
    println!("{:.3} s a token, {peak:.2} GB (forecast {:.2} GB)", seconds[6], forecast.total() as f64 / 1e9);
    assert!(peak < 8.0, "{peak} GB");
}
