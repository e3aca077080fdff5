//! Golden numbers of the Jukebox family: every file of a folder of fixtures against this project's models.
//!
//! `fixtures/jukebox`, or another of the same form that `ORCHESTRION_JUKEBOX_FIXTURES` names. A file's kind stands in its
//! name, its sizes in its `config` metadata, its weights behind `w.` under the published names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attention;
mod conditions;
mod fixture;
mod losses;
mod prior;
mod probabilities;
mod sizes;
mod vqvae;
mod whole_windows;

use fixture::Fixture;

type Compare = fn(&mut Fixture);

/// What compares a kind of file: the first prefix of the name that fits decides.
const KINDS: [(&str, Compare); 7] = [
    ("vqvae_", vqvae::compare),
    ("losses", losses::compare),
    ("labels_", conditions::compare_labels),
    ("conditioner_", conditions::compare_conditioner),
    ("attention", attention::compare),
    ("transformer_", attention::compare_transformer),
    ("prior_", prior::compare),
];

/// Kinds that other tests compare: steps of training, windows of sampling, reading of checkpoints.
const ELSEWHERE: [&str; 3] = ["train_", "pipeline_", "checkpoint_"];

#[test]
fn jukebox_parity() {
    let folder = fixture::folder();
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    paths.sort();
    let (mut compared, mut unknown, mut failures) = (0, Vec::new(), Vec::new());
    for path in &paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some((_, compare)) = KINDS.iter().find(|(prefix, _)| name.starts_with(prefix)) else {
            if !ELSEWHERE.iter().any(|prefix| name.starts_with(prefix)) {
                unknown.push(name);
            }
            continue;
        };
        let mut fixture = Fixture::open(path);
        compare(&mut fixture);
        println!("{name}: {}", fixture.summary());
        failures.extend(fixture.failures.iter().map(|f| format!("{name}: {f}")));
        compared += 1;
    }
    let values = std::path::Path::new(&folder).join("values.json");
    if values.exists() {
        attention::compare_orders(&serde_json::from_slice(&std::fs::read(values).unwrap()).unwrap());
    }
    assert!(unknown.is_empty(), "no comparison for {}", unknown.join(", "));
    assert!(compared > 0, "{} holds no file of a known kind", folder.display());
    assert!(failures.is_empty(), "{} of the comparisons failed:\n{}", failures.len(), failures.join("\n"));
}
