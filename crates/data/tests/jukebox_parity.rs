//! Words, names and lyric windows as the paper's program has them: golden values from
//! `fixtures/jukebox`, or from the folder that `ORCHESTRION_JUKEBOX_FIXTURES` names.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../fixtures/jukebox/folder.rs"]
mod fixtures;

use orchestrion_data::PublishedNames;
use orchestrion_data::lyrics::{Vocabulary, window};
use serde_json::Value;

fn values(key: &str) -> Vec<Value> {
    let folder = fixtures::folder();
    let text = std::fs::read_to_string(folder.join("values.json")).unwrap();
    let values: Value = serde_json::from_str(&text).unwrap();
    let cases = values[key].as_array().cloned().unwrap_or_else(|| vec![values[key].clone()]);
    println!("jukebox parity: values.json `{key}`, {} cases, exact", cases.len());
    cases
}

fn number(case: &Value, key: &str) -> u64 {
    case[key].as_u64().unwrap()
}

#[test]
fn words_jukebox_parity() {
    for case in values("text") {
        let vocabulary = if case["v3"].as_bool().unwrap() { Vocabulary::V3 } else { Vocabulary::V2 };
        let input = case["input"].as_str().unwrap();
        let tokens: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
        assert_eq!(vocabulary.clean(input), case["clean"].as_str().unwrap(), "{input}");
        assert_eq!(vocabulary.tokenise(input), tokens, "{input}");
    }
    for (key, vocabulary) in [("vocab_v2", Vocabulary::V2), ("vocab_v3", Vocabulary::V3)] {
        for characters in values(key) {
            let characters = characters.as_str().unwrap();
            assert_eq!(vocabulary.size(), characters.len() + 1);
            let expected: Vec<u32> = (1..vocabulary.size() as u32).collect();
            assert_eq!(vocabulary.tokenise(characters), expected, "{key}");
        }
    }
}

#[test]
fn names_jukebox_parity() {
    for case in values("norm") {
        let (name, expected) = (case[0].as_str().unwrap(), case[1].as_str().unwrap());
        assert_eq!(PublishedNames::V2 { genre_words: 5 }.normalise(name), expected, "{name}");
    }
}

#[test]
fn lyric_windows_jukebox_parity() {
    for case in values("lyric_window") {
        let words: Vec<u32> = (1..=number(&case, "len") as u32).collect();
        let [total, offset, duration] = ["total", "offset", "duration"].map(|key| number(&case, key));
        let found = window(&words, number(&case, "n_tokens") as usize, total, offset, duration);
        if case.get("error").is_some() {
            found.unwrap_err();
            continue;
        }
        let places: Vec<i64> = found.unwrap().places.iter().map(|place| place.map_or(-1, |p| p as i64)).collect();
        let padding = places.iter().filter(|place| **place < 0).count() as u64;
        assert_eq!(places.first().copied(), case["first"].as_i64(), "{case}");
        assert_eq!(places.last().copied(), case["last"].as_i64(), "{case}");
        assert_eq!(padding, number(&case, "n_pad"), "{case}");
    }
}
