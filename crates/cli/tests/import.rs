//! Published checkpoints become model folders that the program works with.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "../../model/tests/checkpoints/writer.rs"]
mod writer;

use orchestrion_model::store::{codec_shapes, prior_shapes};
use serde_json::{Value, json};
use std::fs;
use support::Studio;
use writer::Tensor;

/// Small but regular values for these sizes.
fn tensors(shapes: &[(String, Vec<usize>)]) -> Vec<Tensor> {
    let value = |i: usize| ((i * 7919 % 1000) as f32 / 1000.0 - 0.5) * 0.2;
    let one = |(name, shape): &(String, Vec<usize>)| {
        (name.clone(), shape.clone(), (0..shape.iter().product()).map(value).collect())
    };
    shapes.iter().map(one).collect()
}

/// Settings of a small codec and its top prior, by the names of the paper's program, and their tensors.
fn small() -> [(Value, Vec<Tensor>); 2] {
    let codec = json!({
        "sr": 8000, "levels": 2, "downs_t": [2, 1], "strides_t": [2, 4], "emb_width": 4, "l_bins": 16, "width": 4,
        "depth": 2, "dilation_growth_rate": 3, "hvqvae_multipliers": null,
    });
    let prior = json!({
        "level": 1, "n_ctx": 64, "prior_width": 16, "prior_depth": 3, "heads": 2, "attn_order": 2, "blocks": 8,
        "m_attn": 0.5, "y_bins": [3, 5], "t_bins": 4, "min_duration": 0.1, "max_duration": 600.0, "max_bow_genre_size": 5,
    });
    let ours = json!({
        "sample_rate": 8000, "strides": [[2, 2], [4]], "embedding_width": 4, "codebook_size": 16, "width": 4,
        "resnet": { "depth": 2, "dilation_growth": 3 }, "multipliers": [1, 1],
    });
    let codec_tensors = tensors(&codec_shapes(&serde_json::from_value(ours).unwrap()));
    let ours = json!({
        "level": 1, "sample_rate": 8000, "hop_length": 16, "codebook_size": 16,
        "transformer": { "width": 16, "depth": 3, "heads": 2, "context": 64, "blocks": 8, "attn_order": 2,
                         "attention_width": 0.5 },
        "labels": { "artists": 5, "genres": 3, "timing": { "bins": 4, "min_seconds": 0.1, "max_seconds": 600.0 } },
    });
    [(codec, codec_tensors), (prior, tensors(&prior_shapes(&serde_json::from_value(ours).unwrap())))]
}

#[test]
fn published_files_are_imported_shown_and_played() {
    let studio = Studio::empty();
    let [(codec, codec_tensors), (prior, prior_tensors)] = small();
    fs::write(studio.path("vqvae.pth.tar"), writer::old(&codec, &codec_tensors)).unwrap();
    fs::write(studio.path("top.pth.tar"), writer::new(&prior, &prior_tensors)).unwrap();

    // Nothing without the word, and nothing without a codec.
    let refused = |line: &str, code: i32, says: &[&str]| {
        let ended = studio.run(line);
        assert_eq!(ended.code, Some(code), "{line}\n{}", ended.stderr);
        assert_eq!(ended.stderr.matches("hint: ").count(), 1, "{}", ended.stderr);
        says.iter().for_each(|word| assert!(ended.stderr.contains(word), "no `{word}`: {}", ended.stderr));
    };
    refused("model import vqvae.pth.tar --out m", 2, &["Noncommercial Use License", "--accept-license"]);
    refused("model import top.pth.tar --out m --accept-license", 2, &["no codec yet", "vqvae.pth.tar"]);
    refused("model import top.pth.tar --out m --accept-license --as 5b,1b-lyrics", 2, &["2 names for 1 files"]);
    let ended = studio.run("model import top.pth.tar --out m --accept-license --as 7b");
    assert!(ended.code == Some(2) && ended.stderr.contains("upsampler-0"), "{}", ended.stderr);
    refused("model import nothing.pth.tar --out m --accept-license", 1, &["`nothing.pth.tar`"]);
    fs::write(studio.path("evil.pth.tar"), b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.").unwrap();
    refused("model import evil.pth.tar --out m --accept-license", 1, &["`os.system`", "nothing was run"]);
    refused("model info --model evil.pth.tar", 1, &["`os.system`"]);
    // Tables are looked at first, and alone they make no model.
    fs::create_dir(studio.path("labels")).unwrap();
    refused("model import vqvae.pth.tar --out m --labels labels --accept-license", 2, &["`v2_artist_ids.txt`"]);
    fs::write(studio.path("labels/v2_artist_ids.txt"), "unknown;0\nsomebody;4\n").unwrap();
    fs::write(studio.path("labels/v2_genre_ids.txt"), "unknown;0\njazz;1\nrock;2\n").unwrap();
    refused("model import --labels labels --out m", 1, &["`m`", "config.json"]);
    assert!(!studio.path("m").exists());

    // The codec goes first, whatever the order.
    let out = studio.good("model import top.pth.tar vqvae.pth.tar --out m --accept-license --dtype int8 --name small");
    assert_eq!(out, "m\n");
    refused("model import top.pth.tar --out m --accept-license", 2, &["already has a prior of level 1"]);
    studio.good("model import --labels labels --out m");

    let info = studio.json("model info --model m --json");
    assert_eq!(info["config"]["name"], "small");
    assert!(info["sampling_bytes"]["int8"]["cache"].as_u64().unwrap() > 0);
    let text = studio.good("model info --model m");
    assert!(text.contains("prior.1") && text.contains("int8") && text.contains("Noncommercial"), "{text}");
    let file = studio.json("model info --model top.pth.tar --json");
    assert_eq!(file["hps"]["n_ctx"], 64);
    assert_eq!(file["tensors"]["prior.pos_emb.pos_emb"], json!({ "dtype": "F32", "shape": [64, 16] }));
    assert!(studio.good("model info --model vqvae.pth.tar").contains("bottleneck.level_blocks.1.k"));

    fs::write(studio.path("loud.pth.tar"), writer::old(&json!({ "a\x1b[2J": "\u{9b}2J" }), &codec_tensors)).unwrap();
    let text = studio.good("model info --model loud.pth.tar");
    assert!(text.contains("a\\u{1b}[2J") && !text.contains(['\x1b', '\u{9b}']), "no word to the terminal: {text}");

    studio.good("sample --model m --levels 1 --seconds 0.5 --seed 3 --out music");
    assert!(studio.path("music").is_dir());

    // A copy has the names and the terms; a folder is not written while it is read.
    refused("model merge m --out m", 2, &["`m` is to be merged"]);
    studio.good("model merge m --out copy --bf16 --name copy");
    assert!(studio.good("model info --model copy").contains("Noncommercial"));
    studio.good("sample --model copy --artist somebody --genre jazz --levels 1 --seconds 0.5 --seed 3 --out again");
}
