//! Figures of a model, from the commands that a researcher types.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use orchestrion_audio::Clip;
use serde_json::Value;
use std::fs;
use support::{HOPS, RATE, Studio, melody};

fn finite(value: &Value, place: &str) {
    match value {
        Value::Null => panic!("{place} is not finite"),
        Value::Array(all) => all.iter().for_each(|v| finite(v, place)),
        Value::Object(all) => all.iter().for_each(|(k, v)| finite(v, &format!("{place}.{k}"))),
        _ => {}
    }
}

#[test]
fn a_report_holds_every_part_and_compares_with_itself() {
    let studio = Studio::shared();
    let page = studio.good(
        "eval report --data songs.jsonl --tokens tokens --model up0 --takes 2 --seconds 2.5 --recordings 1 --windows 2 \
         --clips 1 --out report",
    );
    let html = fs::read_to_string(studio.path(page.trim())).unwrap();
    for word in
        ["Songs beside the training set", "The codec", "The priors", "Memory and control", "Vendi", "white noise"]
    {
        assert!(html.contains(word), "the page lacks `{word}`");
    }
    assert!(html.contains("data:audio/flac") && !html.contains("src=\"http"));
    let report: Value = serde_json::from_slice(&fs::read(studio.path("report/report.json")).unwrap()).unwrap();
    finite(&report, "report");
    for part in ["reconstruction", "likelihood", "distances", "control", "memory", "structure", "held_out_structure"] {
        assert!(!report[part].is_null(), "the report lacks `{part}`");
    }
    assert_eq!(report["distances"].as_array().unwrap().len(), 3, "the features of every level");
    let changes = studio.json("eval compare report report/report.json --json");
    assert!(changes.as_array().unwrap().len() > 100);
    assert!(changes.as_array().unwrap().iter().all(|c| c["before"] == c["after"]));
    assert!(studio.good("eval compare report report --only likelihood").contains("level 2.bits"));
}

#[test]
fn sets_are_measured_against_a_reference() {
    let studio = Studio::shared();
    let found = studio.json("eval distance songs.jsonl songs.jsonl:train --reference songs.jsonl --model up0 --json");
    finite(&found, "distance");
    let distance = |name: &str| {
        let rows = found["rows"].as_array().unwrap();
        rows.iter().find(|r| r["name"] == name).unwrap()["distance"].as_f64().unwrap()
    };
    assert!(distance("songs.jsonl") < 1e-3, "a set is no distance from itself");
    assert!(distance("songs.jsonl:train") < distance("white noise"));
    assert!(found["name"].as_str().unwrap().contains("level 2"), "the features are named");
}

#[test]
fn songs_are_looked_at_for_structure() {
    let studio = Studio::shared();
    // Eight notes of a second, again and again.
    let clip = Clip::from_mono(melody(4, 1.0, 1, 20 * RATE as usize), RATE);
    orchestrion_audio::write(&studio.path("riff.wav"), &clip, &[]).unwrap();
    let found = studio.json("eval structure riff.wav riff.wav --model up0 --json");
    finite(&found, "structure");
    assert!(found["songs"][0]["repetition"].as_f64().unwrap() > 0.3, "{found}");
    assert!(found["diversity"]["vendi"].as_f64().unwrap() < 1.01, "one song twice is one song");
}

#[test]
fn a_training_track_is_found_to_be_a_copy() {
    let studio = Studio::shared();
    let manifest = fs::read_to_string(studio.path("songs.jsonl")).unwrap();
    let entries = manifest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let train =
        entries.filter(|e| e["split"] == "train").map(|e| e["path"].as_str().unwrap().to_owned()).next().unwrap();
    fs::copy(studio.path(&train), studio.path("copy.wav")).unwrap();
    studio.good("encode copy.wav --model up0 --out copy.safetensors");
    let memory = studio.json("eval memory copy.safetensors --tokens tokens --model up0 --clips 1 --json");
    finite(&memory, "memory");
    let copy = &memory["songs"][0];
    let whole = 3 * RATE as usize / HOPS[2];
    assert_eq!(copy["longest"]["tokens"].as_u64().unwrap() as usize, whole, "all of it is there");
    assert!(copy["neighbours"][0]["similarity"].as_f64().unwrap() > 0.999);
    let refused = studio.run("eval memory copy.safetensors --tokens tokens --model up0 --prompts 99");
    assert!(refused.stderr.contains("a prompt of 99 seconds"), "{}", refused.stderr);
}

#[test]
fn a_listening_test_is_made_and_scored() {
    let studio = Studio::shared();
    studio.good(
        "eval listen a=songs.jsonl b=songs.jsonl:train --reference songs.jsonl --pieces 2 --seconds 1 --out test",
    );
    let html = fs::read_to_string(studio.path("test/index.html")).unwrap();
    for word in ["hymn", "bell choir", "\"anchor\"", "\"reference\""] {
        assert!(!html.contains(word), "the page tells `{word}`");
    }
    let key: Value = serde_json::from_slice(&fs::read(studio.path("test/key.json")).unwrap()).unwrap();
    let stimuli = key["stimuli"].as_object().unwrap();
    // Two pieces of a, b, reference and anchor, and a check.
    assert_eq!(stimuli.len(), 9);
    let code = |system: &str| stimuli.iter().find(|(_, s)| s["system"] == system).unwrap().0;
    let mut csv = "test,rater,scale,stimulus,other,value,seconds\n".to_owned();
    for rater in ["Ann", "\"Bo, \"\"B\"\"\"", "Cy"] {
        for (code, stimulus) in stimuli {
            let liked = match stimulus["system"].as_str().unwrap() {
                "reference" => 5.0,
                "anchor" => 1.0,
                "a" => 4.0,
                "check" if rater == "Cy" => 1.0,
                "check" => stimulus["check"].as_f64().unwrap(),
                _ => 2.0,
            };
            csv.push_str(&format!("listening test,{rater},overall,{code},,{liked},3.0\n"));
        }
        csv.push_str(&format!("listening test,{rater},pair,{},{},1,3.0\n", code("a"), code("b")));
    }
    fs::write(studio.path("answers.csv"), &csv).unwrap();
    let report = studio.json("eval listen --score answers.csv --key test/key.json --json");
    assert_eq!(report["raters"], 2);
    assert_eq!(report["dropped"][0]["rater"], "Cy");
    let opinions = report["opinions"].as_array().unwrap();
    let mean = |system: &str| opinions.iter().find(|o| o["system"] == system).unwrap()["mean"].as_f64().unwrap();
    assert_eq!([mean("reference"), mean("a"), mean("b"), mean("anchor")], [5.0, 4.0, 2.0, 1.0]);
    assert_eq!(report["strengths"][0]["system"], "a");
    fs::write(studio.path("answers.csv"), csv.replace(",4,3.0", ",nine,3.0")).unwrap();
    let refused = studio.run("eval listen --score answers.csv --key test/key.json");
    assert!(refused.code == Some(1) && refused.stderr.contains("answers.csv`: line "), "{}", refused.stderr);
}
