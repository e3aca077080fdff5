//! Checkpoints that were cut, flipped, swapped or removed: the one before is taken, with a word, or an error says what is wrong.

use crate::material::{codec_task, count, prior_task, recipe, rows, sit};
use orchestrion_train::{Outcome, Recipe, TrainError};
use std::fs;
use std::path::Path;

const NEWEST: &str = "state.safetensors";
const PREVIOUS: &str = "state.previous.safetensors";

/// A run of eight steps, saved every four.
fn run(folder: &Path) -> (Recipe, std::path::PathBuf) {
    let recipe = recipe("top", &["run.steps=8", "run.save_every=4", "run.log_every=1"]);
    let run = folder.join("run");
    sit(prior_task(&recipe, folder).unwrap(), &recipe, &run, 0).0.unwrap();
    (recipe, run)
}

/// Goes on with a run that is finished; where it began, and what it warned of.
fn again(folder: &Path, recipe: &Recipe, run: &Path) -> Result<(u64, Vec<String>), TrainError> {
    let (outcome, warnings, first) = sit(prior_task(recipe, folder).unwrap(), recipe, run, 0);
    outcome.map(|_| (first.unwrap(), warnings))
}

#[test]
fn whatever_is_damaged_the_state_before_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, run) = run(folder.path());
    let losses = rows(&run);
    let (newest, previous) = (fs::read(run.join(NEWEST)).unwrap(), fs::read(run.join(PREVIOUS)).unwrap());
    let header = 8 + u64::from_le_bytes(newest[..8].try_into().unwrap()) as usize;
    let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
    // Every 4 KiB would be a whole training each; the reader alone is tried at all of them below.
    for length in [0, 7, 4096, newest.len() / 2, newest.len() - 1] {
        damages.push((format!("cut to {length}"), newest[..length].to_vec()));
    }
    for at in [0, 9, header / 2, header + 1, newest.len() - 1] {
        let mut flipped = newest.clone();
        flipped[at] ^= 1;
        damages.push((format!("bit of byte {at}"), flipped));
    }
    for (what, bytes) in damages {
        fs::write(run.join(NEWEST), &bytes).unwrap();
        fs::write(run.join(PREVIOUS), &previous).unwrap();
        let (first, warnings) = again(folder.path(), &recipe, &run).unwrap();
        assert_eq!(first, 4, "{what}");
        let word = warnings.iter().any(|w| w.contains("is damaged (") && w.contains("step 4"));
        assert!(word, "{what}: {warnings:?}");
        assert_eq!(fs::read(run.join("state.damaged.safetensors")).unwrap(), bytes, "{what}: it is put aside");
        assert_eq!(rows(&run), losses, "{what}: the same steps again");
        assert!(fs::read(run.join(NEWEST)).unwrap() == newest, "{what}: and the same state");
    }

    // Killed between the two renames: the newest is not there.
    fs::remove_file(run.join(NEWEST)).unwrap();
    fs::write(run.join(PREVIOUS), &newest).unwrap();
    assert_eq!(again(folder.path(), &recipe, &run).unwrap().0, 8);
    // States of two steps swapped: each is whole, and the older one is gone on with.
    fs::write(run.join(NEWEST), &previous).unwrap();
    fs::write(run.join(PREVIOUS), &newest).unwrap();
    assert_eq!(again(folder.path(), &recipe, &run).unwrap().0, 4);
    assert_eq!(rows(&run), losses);
    // Both damaged: an error that names the file, and nothing is written over.
    for name in [NEWEST, PREVIOUS] {
        fs::write(run.join(name), &newest[..100]).unwrap();
    }
    let message = again(folder.path(), &recipe, &run).unwrap_err().to_string();
    assert!(message.contains(NEWEST) && message.contains("is damaged") && message.contains("; hint: "), "{message}");
    assert_eq!(fs::read(run.join(NEWEST)).unwrap().len(), 100);
}

/// Damage at many places; an empty run of the trainer reads each, so that it is the real door.
#[test]
fn no_flipped_bit_and_no_cut_is_read_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, run) = run(folder.path());
    let whole = fs::read(run.join(NEWEST)).unwrap();
    fs::remove_file(run.join(PREVIOUS)).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let flips = count("ORCHESTRION_FLIPS", 60);
    let refused = |what: String, bytes: &[u8]| {
        fs::write(run.join(NEWEST), bytes).unwrap();
        match again(folder.path(), &recipe, &run) {
            Err(TrainError::Damaged { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    };
    for n in 0..flips {
        // Every other one in the description.
        let at = if n % 2 == 0 { next(header) } else { next(whole.len()) };
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << next(8);
        refused(format!("bit of byte {at} of {}", whole.len()), &flipped);
    }
    let every = if flips >= 1000 { 4096 } else { whole.len() / 20 };
    for length in (0..whole.len()).step_by(every) {
        refused(format!("cut to {length}"), &whole[..length]);
    }
}

#[test]
fn states_without_hashes_are_read_and_later_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, run) = run(folder.path());
    let whole = fs::read(run.join(NEWEST)).unwrap();
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    let described: serde_json::Value =
        serde_json::from_str(header["__metadata__"]["orchestrion"].as_str().unwrap()).unwrap();
    let mut put = |described: serde_json::Value| {
        header["__metadata__"]["orchestrion"] = described.to_string().into();
        let text = serde_json::to_vec(&header).unwrap();
        let bytes = [&(text.len() as u64).to_le_bytes()[..], &text, &whole[8 + length..]].concat();
        fs::write(run.join(NEWEST), bytes).unwrap();
    };
    put(serde_json::json!({ "format": 1, "step": 8, "updates": 8, "recipe": described["recipe"] }));
    assert_eq!(again(folder.path(), &recipe, &run).unwrap().0, 8);
    let mut later = described.clone();
    later["format"] = 3.into();
    put(later);
    let message = again(folder.path(), &recipe, &run).unwrap_err().to_string();
    assert!(message.contains("format 3") && message.contains("hint: go on with the version"), "{message}");
}

#[test]
fn a_state_that_cannot_be_written_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("codec", &["run.steps=4", "run.save_every=1", "run.log_every=1"]);
    let run = folder.path().join("run");
    sit(codec_task(&recipe, folder.path()).unwrap(), &recipe, &run, 2).0.unwrap();
    // The rename of the old state fails, and so would that of the new one.
    fs::remove_file(run.join(PREVIOUS)).unwrap();
    fs::create_dir(run.join(PREVIOUS)).unwrap();
    fs::write(run.join(PREVIOUS).join("x"), "").unwrap();
    let state = fs::read(run.join(NEWEST)).unwrap();
    let message = sit(codec_task(&recipe, folder.path()).unwrap(), &recipe, &run, 0).0.unwrap_err().to_string();
    assert!(message.contains(NEWEST) && message.contains("; hint: "), "{message}");
    assert!(fs::read(run.join(NEWEST)).unwrap() == state, "the old state is whole");
    fs::remove_dir_all(run.join(PREVIOUS)).unwrap();
    let (outcome, _, first) = sit(codec_task(&recipe, folder.path()).unwrap(), &recipe, &run, 0);
    assert_eq!((outcome.unwrap(), first), (Outcome::Finished, Some(2)));
}
