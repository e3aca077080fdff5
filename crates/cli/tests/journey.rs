//! The whole way, as a user goes it: recordings, codec, priors, music, and everything that can be done with it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use orchestrion_audio::{Clip, ReadOptions};
use serde_json::Value;
use std::path::Path;
use support::{HOPS, RATE, SMALL_CODEC, SMALL_PRIOR, Studio, melody};

/// Seconds that make several windows at every level: 129, 258 and 1033 tokens with windows of 64.
const SECONDS: f64 = 1.5;

/// Whole tokens of the top level in [`SECONDS`].
const TOP_TOKENS: usize = (SECONDS * RATE as f64) as usize / HOPS[2];

fn frames(path: &Path) -> usize {
    orchestrion_audio::read(path, &ReadOptions::default()).unwrap().len()
}

fn assert_finite(value: &Value, place: &str) {
    match value {
        Value::Null => panic!("{place} is not finite"),
        Value::Number(number) => assert!(number.as_f64().unwrap().is_finite(), "{place}"),
        Value::Array(all) => all.iter().for_each(|v| assert_finite(v, place)),
        Value::Object(all) => all.iter().for_each(|(k, v)| assert_finite(v, &format!("{place}.{k}"))),
        _ => {}
    }
}

#[test]
fn sample_writes_sound_previews_tokens_and_page() {
    let studio = Studio::shared();
    let line = format!("sample --model up0 --seconds {SECONDS} --seed 5 --json --out all");
    let output =
        studio.command(&line).args(["--artist", "bell choir", "--genre", "reel:0.7,hymn:0.3"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["seed"], 5);
    let codes = studio.codes("all/session.safetensors");
    let take = &report["takes"][0];
    for (level, hop) in HOPS.iter().enumerate() {
        assert_eq!(codes[level][0].len(), TOP_TOKENS * HOPS[2] / hop, "tokens of level {level}");
        let file = take["files"][format!("level_{level}")].as_str().unwrap();
        let expected = if level == 0 { "all/take-1.wav".to_owned() } else { format!("all/take-1.level-{level}.wav") };
        assert_eq!(file, expected);
        assert_eq!(frames(&studio.path(file)), TOP_TOKENS * HOPS[2], "{file}");
        let wav = std::fs::read(studio.path(file)).unwrap();
        for word in ["Orchestrion", "bell choir", "reel:0.70,hymn:0.30", "SEED=5"] {
            assert!(wav.windows(word.len()).any(|w| w == word.as_bytes()), "no tag with `{word}` in {file}");
        }
    }
    let tokens = take["tokens"].as_str().unwrap();
    assert_eq!(studio.codes(tokens), codes, "the take's tokens are the session's");
    for measure in ["peak_dbfs", "silent_share", "clipped_samples"] {
        assert_finite(&take[measure], measure);
    }
    let page = std::fs::read_to_string(studio.path(report["page"].as_str().unwrap())).unwrap();
    assert!(page.contains("bell choir") && page.contains("data:audio/flac"), "the page holds labels and sound");
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "the page needs nothing from outside");
}

#[test]
fn a_seed_gives_the_same_music_alone_or_among_takes() {
    let studio = Studio::shared();
    let make = |options: &str, out: &str| {
        studio.good(&format!("sample --model up0 --seconds {SECONDS} --out {out} {options}"));
        studio.codes(&format!("{out}/session.safetensors"))
    };
    let alone = make("--seed 5", "seed-alone");
    assert_eq!(make("--seed 5 --format flac", "seed-again"), alone);
    assert_eq!(frames(&studio.path("seed-again/take-1.flac")), TOP_TOKENS * HOPS[2]);
    assert_ne!(make("--seed 6", "seed-other"), alone);
    let takes = make("--seed 5 --takes 3", "seed-takes");
    for (level, rows) in takes.iter().enumerate() {
        assert_eq!(rows[0], alone[level][0], "level {level} of take 1");
        assert!(rows[1] != rows[0] && rows[2] != rows[1], "level {level}: takes differ");
    }
    let cold = make("--seed 5 --temperature 0", "seed-cold");
    assert_eq!(make("--seed 6 --top-k 1,1,1", "seed-top-1"), cold, "the likeliest token needs no seed");
}

#[test]
fn a_song_in_parts_is_the_song_at_once() {
    let studio = Studio::shared();
    let sample = |options: &str| studio.good(&format!("sample --model up0 --seed 9 {options}"));
    sample(&format!("--seconds {SECONDS} --out parts-whole"));
    let whole = studio.codes("parts-whole/session.safetensors");

    sample(&format!("--seconds {SECONDS} --levels 2 --out parts-top"));
    let top = studio.codes("parts-top/session.safetensors");
    assert_eq!([top[0][0].len(), top[1][0].len(), top[2][0].len()], [0, 0, TOP_TOKENS]);
    assert_eq!(frames(&studio.path("parts-top/take-1.wav")), TOP_TOKENS * HOPS[2], "the preview is the take");
    for (tokens, out) in [("take-1.tokens.safetensors", "parts-a"), ("session.safetensors", "parts-b")] {
        sample(&format!("--upsample parts-top/{tokens} --out {out}"));
        assert_eq!(studio.codes(&format!("{out}/session.safetensors")), whole, "upsampled from {tokens}");
    }
    studio.good("sample --model up0 --continue parts-top/session.safetensors --levels 2,1,0");
    assert_eq!(studio.codes("parts-top/session.safetensors"), whole, "the lower levels added to the session");

    studio.good("sample --model up0 --continue parts-whole/session.safetensors --seconds 2");
    let longer = studio.codes("parts-whole/session.safetensors");
    for level in 0..3 {
        let (short, long) = (&whole[level][0], &longer[level][0]);
        assert!(long.len() > short.len() && long.starts_with(short), "level {level} keeps its beginning");
    }
    assert_eq!(frames(&studio.path("parts-whole/take-1.wav")), 2 * RATE as usize / HOPS[2] * HOPS[2]);
}

#[test]
fn a_recording_is_encoded_decoded_and_continued() {
    let studio = Studio::shared();
    // Stereo at another rate: what a user's file looks like.
    let riff: Vec<f32> = melody(4, 4.0, 1, RATE as usize).iter().flat_map(|s| [*s, *s]).collect();
    let quiet = riff.iter().map(|s| 0.5 * s).collect();
    let clip = Clip { channels: vec![riff, quiet], sample_rate: 2 * RATE };
    orchestrion_audio::write(&studio.path("riff.flac"), &clip, &[]).unwrap();

    studio.good("encode riff.flac --model up0 --out riff.safetensors");
    let encoded = studio.codes("riff.safetensors");
    let top = RATE as usize / HOPS[2];
    assert_eq!(encoded.iter().map(|level| level[0].len()).collect::<Vec<_>>(), HOPS.map(|hop| top * HOPS[2] / hop));
    studio.good("decode riff.safetensors --model codec --out riff.wav");
    studio.good("decode riff.safetensors --model codec --level 2 --out riff-2.wav");
    studio.good("decode riff.safetensors --model codec --level 0 --out riff-0.wav");
    let bytes = |name: &str| std::fs::read(studio.path(name)).unwrap();
    assert_eq!(frames(&studio.path("riff-2.wav")), top * HOPS[2]);
    assert!(bytes("riff.wav") == bytes("riff-0.wav"), "the finest level is the default");
    assert!(bytes("riff.wav") != bytes("riff-2.wav"), "levels sound different");

    studio.good("encode riff.flac --model up0 --seconds 0.5 --out half-riff.safetensors");
    let half = studio.codes("half-riff.safetensors");
    studio.good(&format!(
        "sample --model up0 --prompt riff.flac --prompt-seconds 0.5 --seconds {SECONDS} --seed 2 --out continued"
    ));
    let continued = studio.codes("continued/session.safetensors");
    for level in 0..3 {
        let (prompt, song) = (&half[level][0], &continued[level][0]);
        assert_eq!(song.len(), TOP_TOKENS * HOPS[2] / HOPS[level], "the prompt is part of the length");
        assert!(song.starts_with(prompt), "level {level} begins with the recording");
        assert!(
            encoded[level][0].len() > prompt.len() && !song.starts_with(&encoded[level][0]),
            "and goes on by itself"
        );
    }
    assert_eq!(frames(&studio.path("continued/take-1.wav")), TOP_TOKENS * HOPS[2]);
}

#[test]
fn models_are_shown_merged_and_measured() {
    let studio = Studio::shared();
    let info = studio.json("model info --model up0 --json");
    assert_eq!(info["config"]["artists"], serde_json::json!(["unknown", "bell choir", "reed organ"]));
    assert_eq!(info["config"]["genres"], serde_json::json!(["unknown", "hymn", "reel"]));
    assert!(
        info["parameters"]["codec"].as_u64().unwrap() > 0 && info["parameters"]["priors"]["2"].as_u64().unwrap() > 0
    );
    assert!(studio.good("model info --model up0").contains("level 2: hop 256"));

    studio.good("model merge codec top up1 up0 --bf16 --name pocket --out pocket");
    let merged = studio.json("model info --model pocket --json");
    assert_eq!(merged["parameters"], info["parameters"]);
    assert_eq!(merged["config"]["name"], "pocket");
    let bytes = &merged["stored_bytes"]["prior.2"];
    assert!(bytes["int8"].as_u64().unwrap() < bytes["bf16"].as_u64().unwrap());
    assert_eq!(2 * bytes["bf16"].as_u64().unwrap(), bytes["f32"].as_u64().unwrap());
    let size = |model: &str| {
        let files = std::fs::read_dir(studio.path(model)).unwrap().map(|f| f.unwrap());
        let shards = files.filter(|f| f.path().extension().is_some_and(|e| e == "safetensors"));
        shards.filter(|f| f.file_name() != "state.safetensors").map(|f| f.metadata().unwrap().len()).sum::<u64>()
    };
    assert!(size("pocket") < size("up0") * 6 / 10, "two bytes a weight: {} of {}", size("pocket"), size("up0"));
    studio.good("sample --model pocket --seconds 0.5 --levels 2,1 --seed 1 --out pocket-music");

    let doctor = studio.json("doctor --model up0 --takes 4 --json");
    assert!(doctor["sampling_bytes"].as_u64().unwrap() > 0 && doctor["threads"].as_u64().unwrap() > 0);
    assert!(studio.good("doctor --model up0").contains("threads"));

    let reconstruction = studio.json("eval reconstruction --data songs.jsonl --model codec --seconds 2 --json");
    assert!(reconstruction["recordings"].as_u64().unwrap() >= 1);
    assert!(reconstruction["rows"].as_array().unwrap().len() >= 4, "three levels and a baseline");
    assert_finite(&reconstruction, "reconstruction");
    for level in 0..3 {
        let bits = |weights: &str| {
            let of = format!("--tokens tokens --model up0 --level {level} --split valid --limit 3 --json {weights}");
            let likelihood = studio.json(&format!("eval likelihood {of}"));
            assert_finite(&likelihood, "likelihood");
            likelihood["bits"].as_f64().unwrap()
        };
        let whole = bits("");
        assert!(whole > 0.0);
        for (weights, most) in [("auto", 1e-4), ("f32", 1e-4), ("bf16", 0.05), ("int8", 0.05)] {
            let decoded = bits(&format!("--weights {weights}"));
            assert!((decoded - whole).abs() <= most, "level {level}, {weights}: {decoded} for {whole}");
        }
    }
}

#[test]
fn weights_are_held_as_asked_and_a_session_goes_on_with_its_own() {
    let studio = Studio::shared();
    studio.good("model merge up0 --bf16 --name light --out light");
    let sample = |weights: &str, out: &str| {
        studio.good(&format!("sample --model light --seconds 0.5 --levels 2,1 --seed 4 {weights} --out {out}"));
        studio.codes(&format!("{out}/session.safetensors"))
    };
    let stored = sample("", "light-auto");
    assert_eq!(sample("--weights f32", "light-f32"), stored, "bf16 stands for itself");
    // So little trained a model may draw the same tokens with rounder numbers.
    sample("--weights int8", "light-int8");

    let on = |options: &str| {
        studio.run(&format!("sample --model light --continue light-int8/session.safetensors {options}"))
    };
    let refused = on("--weights bf16");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("begun with weights int8 cannot go on with bf16\nhint: "), "{}", refused.stderr);
    assert_eq!(on("--seconds 1").code, Some(0), "the session knows its weights");
    assert_eq!(on("--seconds 1 --weights int8").code, Some(0));
    assert_eq!(
        studio.codes("light-int8/session.safetensors")[2][0],
        {
            studio.good("sample --model light --seconds 0.5 --levels 2,1 --seed 4 --weights int8 --out light-whole");
            studio.good("sample --model light --continue light-whole/session.safetensors --seconds 1 --weights int8");
            studio.codes("light-whole/session.safetensors")[2][0].clone()
        },
        "with or without saying so"
    );
}

#[test]
#[cfg(unix)]
fn training_stopped_and_gone_on_with_is_training_at_once() {
    let studio = Studio::shared();
    let codec = format!("train recipes/codec.toml --data songs.jsonl {SMALL_CODEC} --set run.steps=24");
    let top = format!("train recipes/top.toml --tokens tokens --model codec {SMALL_PRIOR} --set run.steps=60");
    for (name, line) in [("codec", codec), ("top", top)] {
        let (whole, parts) = (format!("{name}-whole"), format!("{name}-parts"));
        studio.good(&format!("{line} --out {whole}"));
        assert!(studio.path(&whole).join("samples").read_dir().unwrap().count() > 0, "{name}: sound samples");
        let line = format!("{line} --out {parts}");
        let mut run = studio.start(&line, &parts);
        let metrics = studio.path(&parts).join("metrics.jsonl");
        let rows = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
        run.wait_until("the third step", |_| rows(&metrics) >= 3);
        run.interrupt();
        let ended = run.end();
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        assert!(ended.stderr.contains("error: stopped\nhint: "), "{}", ended.stderr);
        assert!(rows(&metrics) < rows(&studio.path(&whole).join("metrics.jsonl")), "{name}: it was stopped on the way");
        studio.good(&line);
        for file in studio.path(&whole).read_dir().unwrap().map(|f| f.unwrap().file_name()) {
            let read = |run: &str| std::fs::read(studio.path(run).join(&file)).unwrap_or_default();
            if file.to_string_lossy().ends_with(".safetensors") {
                assert!(read(&whole) == read(&parts), "{name}: {file:?} differs after a stop");
            }
        }
        let losses = |run: &str| -> Vec<(u64, f64)> {
            let text = std::fs::read_to_string(studio.path(run).join("metrics.jsonl")).unwrap();
            let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            rows.filter_map(|row| Some((row["step"].as_u64()?, row["loss/train"].as_f64()?))).collect()
        };
        assert_eq!(losses(&whole), losses(&parts), "{name}: one row a step, with the same losses");
    }
}
