//! Priors with words learn them, in both designs.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use orchestrion_data::{
    CachedStream, CodecIdentity, Entry, LabelTable, Manifest, Split, TokenCache, TokenStream, Tokens, fingerprint,
};
use orchestrion_model::nn::Random;
use orchestrion_model::store::{Dtype, ModelConfig, ModelFolder, Source, save_model, weights_of};
use orchestrion_train::{Adam, PriorTask, Recipe, Task};
use serde_json::{Map, json};
use std::path::Path;

const SEPARATE: &str = r#"
name = "separate"
[prior]
level = 0
timing_bins = 4
[prior.transformer]
width = 16
depth = 4
heads = 2
context = 16
blocks = 4
attn_order = 6
[prior.lyrics]
tokens = 8
vocabulary = 79
loss_share = 0.4
[prior.lyrics.encoder]
width = 8
depth = 2
heads = 2
context = 8
blocks = 2
attn_order = 2
[data]
batch = 4
[optimizer]
lr = 1e-2
[run]
steps = 10
"#;

const SINGLE: &str = r#"
name = "single"
[prior]
level = 0
timing_bins = 4
[prior.transformer]
width = 16
depth = 16
heads = 2
context = 24
blocks = 4
attn_order = 12
[prior.lyrics]
tokens = 8
vocabulary = 79
loss_share = 0.4
[data]
batch = 4
[optimizer]
lr = 1e-2
[run]
steps = 10
"#;

/// A codec of one level, and songs that were encoded with it.
fn material(folder: &Path) -> (ModelFolder, TokenCache) {
    let config: ModelConfig = serde_json::from_value(json!({
        "format": 1, "name": "codec", "terms": ["Not for sale."],
        "codec": {
            "sample_rate": 100, "strides": [[2]], "embedding_width": 2, "codebook_size": 8, "width": 2,
            "resnet": {"depth": 1, "hidden": 1.0, "dilation_growth": 1}, "multipliers": [1],
        },
    }))
    .unwrap();
    let mut codec = config.codec.init(&mut Random::new(1), &Device::flex()).unwrap();
    save_model(folder, &config, &[weights_of("codec", &mut codec)], Dtype::F32, "").unwrap();
    std::fs::write(folder.join("labels.v2.json"), "{}").unwrap();
    let base = ModelFolder::open(Source::Folder(folder.to_owned())).unwrap();

    let song = |n: usize| Entry {
        lyrics: Some(["la la la la la", "dum di dum di dum", "oh"][n].into()),
        split: Some(if n < 2 { Split::Train } else { Split::Valid }),
        ..Entry::new(format!("{n}.wav"), 2.0, 100)
    };
    let manifest = Manifest { entries: (0..3).map(song).collect(), ..Manifest::default() };
    let identity = CodecIdentity {
        fingerprint: fingerprint([b"codec"]),
        sample_rate: 100,
        streams: vec![CachedStream { level: 0, hop_length: 2, codebook_size: 8 }],
    };
    let cache =
        TokenCache::create(&folder.join("tokens"), identity, &manifest, LabelTable::from_manifest(&manifest)).unwrap();
    for track in 0..3 {
        let codes: Vec<u32> = (0..100).map(|i| (i * (track as u32 + 1)) % 8).collect();
        let stream = TokenStream::from_rows(0, 2, 8, &[codes]).unwrap();
        cache.add(track, 200, Tokens::new(100, vec![stream], Map::new()).unwrap()).unwrap();
    }
    (base, cache)
}

/// Trains on some batches; gives the losses, and the names of the encoder's parameters that the last gradient reached.
fn train(text: &str, changes: &[String], batches: u64) -> (Vec<f64>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (base, cache) = material(folder.path());
    let path = folder.path().join("recipe.toml");
    std::fs::write(&path, text).unwrap();
    let recipe = Recipe::read(&path, changes).unwrap();
    let device = Device::flex().autodiff();
    let mut task = PriorTask::new(&recipe, &cache, base, None, &device).unwrap();
    assert!(task.warnings().is_empty());
    let mut adam = Adam::new(recipe.optimizer.clone(), task.model());
    let (mut losses, mut reached) = (Vec::new(), Vec::new());
    for batch in 0..batches {
        let (loss, gradients, metrics) = task.gradients(batch).unwrap();
        assert!(metrics["bits/lyrics"].is_finite() && metrics["bits/train"].is_finite());
        losses.push(loss);
        adam.gather(task.model(), gradients, 1.0);
        let hears = |s: &&orchestrion_train::Slot| s.name.starts_with("prime_") && s.gradient.iter().any(|g| *g != 0.0);
        reached = adam.slots.iter().filter(hears).map(|s| s.name.clone()).collect();
        adam.step(task.model(), recipe.optimizer.lr).unwrap();
    }

    // What was trained is a model folder like any other.
    let mut model = task.model().clone();
    assert!(task.evaluate(&mut model).unwrap()["held-out bits/lyric"].is_finite());
    let (config, weights) = task.folder(&mut model).unwrap();
    let out = folder.path().join("out");
    save_model(&out, &config, &weights, Dtype::F32, "").unwrap();
    let trained = ModelFolder::open(Source::Folder(out)).unwrap();
    trained.prior(0, &Device::flex()).unwrap();
    trained.codec(&Device::flex()).unwrap();
    assert_eq!(trained.card().unwrap().trim(), "Not for sale.", "the codec's terms go with it");
    assert!(trained.file("labels.v2.json").unwrap().is_some(), "and so do its tables");
    (losses, reached)
}

#[test]
fn losses_of_lyric_priors_fall() {
    for text in [SEPARATE, SINGLE] {
        let (losses, reached) = train(text, &[], 40);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&losses[..3]), mean(&losses[37..]));
        assert!(last < 0.7 * first, "from {first} to {last}");
        let encoder = reached.iter().any(|name| name == "prime_x_out.weight");
        assert_eq!(encoder, text == SEPARATE, "{reached:?}");
    }
}

#[test]
fn the_music_s_gradient_reaches_the_encoder() {
    let (_, reached) = train(SEPARATE, &["prior.lyrics.loss_share=0.0".into()], 4);
    for name in ["prime_prior.x_emb.weight", "prime_prior.start_token", "prime_state_proj.w", "prime_state_ln.bias"] {
        assert!(reached.iter().any(|r| r == name), "no gradient: {name}");
    }
}
