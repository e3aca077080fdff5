//! The recipes of the repository.
#![allow(clippy::unwrap_used)]

use orchestrion_train::{CodecRecipe, Kind, Recipe, Restart};
use std::path::{Path, PathBuf};

fn recipes(folder: &str) -> Vec<(String, Recipe)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), Recipe::read(path, &[]).unwrap())).collect()
}

#[test]
fn all_recipes_can_be_read() {
    for folder in ["tiny", "jukebox", "ablations"] {
        assert!(recipes(folder).len() >= 4, "{folder}");
    }
}

#[test]
fn an_ablation_changes_one_thing_of_its_base() {
    let all = recipes("ablations");
    let codec = |name: &str| -> (CodecRecipe, u64) {
        let (_, recipe) = all.iter().find(|(n, _)| n == name).unwrap();
        match &recipe.kind {
            Kind::Codec(codec) => (codec.clone(), recipe.run.steps),
            Kind::Prior(_) => panic!("{name} is no codec"),
        }
    };
    let (base, steps) = codec("base");
    type Change = fn(&mut CodecRecipe);
    let changes: [(&str, Change); 5] = [
        ("hops-short", |c| c.network.strides = vec![vec![4, 4, 2], vec![2], vec![2]]),
        ("hops-long", |c| c.network.strides = vec![vec![8, 4, 4], vec![2], vec![2]]),
        ("no-spectral-loss", |c| c.loss.multispectral = 0.0),
        ("no-restarts", |c| c.restart = Restart::Never),
        ("gradient-codebook", |c| c.codebook = orchestrion_model::codec::CodebookUpdate::Gradient),
    ];
    assert_eq!(all.len(), 1 + changes.len());
    for (name, change) in changes {
        let mut expected = base.clone();
        change(&mut expected);
        assert_eq!(codec(name), (expected, steps), "{name}");
    }
}
