//! Recipes: those of the repository are sound, bases and changes lie on top of each other, faults are named.

#![allow(clippy::unwrap_used, clippy::panic)]

use orchestrion_train::{Kind, Recipe};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes")
}

#[test]
fn every_recipe_of_the_repository_reads() {
    let mut count = 0;
    for family in std::fs::read_dir(repository()).unwrap() {
        for file in std::fs::read_dir(family.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let recipe = Recipe::read(&path, &[]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if let Kind::Prior(prior) = &recipe.kind {
                prior.transformer().validate().unwrap();
            }
            count += 1;
        }
    }
    assert!(count >= 9, "{count} recipes");
}

#[test]
fn the_paper_s_codec_has_the_paper_s_hops() {
    let recipe = Recipe::read(&repository().join("jukebox/vqvae.toml"), &[]).unwrap();
    let Kind::Codec(codec) = recipe.kind else { panic!("not a codec") };
    assert_eq!([0, 1, 2].map(|l| codec.network.hop_length(l)), [8, 32, 128]);
}

#[test]
fn a_base_and_changes_lie_on_top_of_each_other() {
    let path = repository().join("jukebox/upsampler-0.toml");
    let recipe = Recipe::read(&path, &["run.steps=7".into(), "name=other".into()]).unwrap();
    assert_eq!((recipe.run.steps, recipe.name.as_str(), recipe.run.accumulate), (7, "other", 192));
    let Kind::Prior(prior) = recipe.kind else { panic!("not a prior") };
    assert_eq!((prior.level, prior.transformer.depth), (0, 72));
    assert!(!prior.conditioner.unwrap().resnet.residual_scale);
}

#[test]
fn faults_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str, changes: &[String]| {
        let path = folder.path().join("r.toml");
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path, changes).unwrap_err().to_string()
    };
    let good = std::fs::read_to_string(repository().join("tiny/codec.toml")).unwrap();
    assert!(read("name = [", &[]).contains("r.toml"));
    assert!(read(&good.replace("crop =", "corp ="), &[]).contains("corp"));
    assert!(read(&good, &["run.steps=0".into()]).contains("steps"));
    assert!(read(&good, &["codec.crop=32769".into()]).contains("codec.crop"));
    assert!(read(&good, &["codec.network.strides=[[3]]".into()]).contains("stride"));
    assert!(read(&good, &["optimizer.lr=-1".into()]).contains("optimizer"));
    assert!(read(&good, &["nonsense".into()]).contains("hint"));
    assert!(read("base = \"r.toml\"", &[]).contains("circle"));
    assert!(Recipe::read(Path::new("/no/such.toml"), &[]).unwrap_err().to_string().contains("/no/such.toml"));
}
