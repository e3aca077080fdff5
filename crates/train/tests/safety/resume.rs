//! A run in parts is the run at once, bit for bit.

use crate::material::{codec_task, files, prior_task, recipe, rows, sit};
use orchestrion_train::{Outcome, Recipe, Task, TrainError};
use std::path::Path;

/// Steps of a run; evaluations, rows and stops fall on different steps.
const STEPS: u64 = 40;
const CHANGES: &[&str] = &["run.steps=40", "run.save_every=16", "run.log_every=3", "run.accumulate=2"];

fn in_parts<T: Task>(name: &str, task: impl Fn(&Recipe, &Path) -> Result<T, TrainError>) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(name, CHANGES);
    assert!(recipe.optimizer.ema > 0.0, "weights are averaged");
    for parts in [1, 2, 10] {
        // The same name of a run in each, because the model card tells it.
        let run = folder.path().join(parts.to_string());
        for part in 1..=parts {
            let until = part * STEPS / parts;
            let (outcome, warnings, first) = sit(task(&recipe, folder.path()).unwrap(), &recipe, &run, until);
            let expected = if part < parts { Outcome::Stopped } else { Outcome::Finished };
            assert_eq!((outcome.unwrap(), first), (expected, Some((part - 1) * STEPS / parts)), "{name}: {warnings:?}");
        }
    }
    let [whole, halves, tenths] = ["1", "2", "10"].map(|run| folder.path().join(run));
    for run in [halves, tenths] {
        let differs = rows(&whole).into_iter().zip(rows(&run)).find(|(whole, parts)| whole != parts);
        assert!(differs.is_none(), "{name}: {differs:?}");
        assert_eq!(rows(&whole).len(), rows(&run).len(), "{name}");
        let (mut expected, mut found) = (files(&whole), files(&run));
        // A run that was never stopped has an older previous state; all else is the same bytes.
        expected.remove(&whole.join("state.previous.safetensors")).unwrap();
        found.remove(&run.join("state.previous.safetensors")).unwrap();
        let relative = |(path, bytes), root: &Path| -> (std::path::PathBuf, Vec<u8>) {
            let path: std::path::PathBuf = path;
            (path.strip_prefix(root).unwrap().to_owned(), bytes)
        };
        let expected: Vec<_> = expected.into_iter().map(|f| relative(f, &whole)).collect();
        let found: Vec<_> = found.into_iter().map(|f| relative(f, &run)).collect();
        let names = |files: &[(std::path::PathBuf, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&expected), names(&found), "{name}");
        assert!(names(&found).iter().any(|f| f.starts_with("best")), "{name}: the best model is kept");
        for ((file, expected), (_, found)) in expected.iter().zip(&found) {
            assert!(expected == found, "{name}: {} differs", file.display());
        }
    }
}

#[test]
fn a_codec() {
    in_parts("codec", codec_task);
}

#[test]
fn a_top_prior() {
    in_parts("top", prior_task);
}

#[test]
fn an_upsampler() {
    in_parts("upsampler-1", prior_task);
}
