//! The golden checkpoints: one small prior in three forms.

use orchestrion_model::store::{Checkpoint, SafetensorsFile};
use std::path::Path;

#[test]
fn jukebox_parity_checkpoints() {
    let other = std::env::var_os("ORCHESTRION_JUKEBOX_FIXTURES");
    let folder = other.clone().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/jukebox").into());
    let folder = Path::new(&folder);
    let all = || std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    let named = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let Some(expected) = all().find(|path| named(path) == "checkpoint_expected.safetensors") else {
        assert!(other.is_some(), "no checkpoint_expected.safetensors in {}", folder.display());
        println!("no checkpoint_expected.safetensors: nothing compared");
        return;
    };
    let bytes = std::fs::read(&expected).unwrap();
    let truth = SafetensorsFile::parse("expected", bytes.into()).unwrap();
    let mut compared = 0;
    for path in all().filter(|path| named(path).starts_with("checkpoint_")) {
        let checkpoint = Checkpoint::open(&path).unwrap();
        let names: Vec<&str> = checkpoint.tensors().keys().map(String::as_str).collect();
        assert_eq!(names, truth.names().collect::<Vec<_>>(), "{}", path.display());
        for name in &names {
            assert_eq!(checkpoint.tensors()[*name].shape, truth.shape(name).unwrap(), "{name}");
            assert_eq!(checkpoint.values(name).unwrap(), truth.values(name).unwrap(), "{name}");
        }
        compared += 1;
        let settings = checkpoint.settings().len();
        println!("{:<36} {} tensors and {settings} settings, exact", named(&path), names.len());
    }
    assert!(compared > 1, "no checkpoint in {} beside what is expected", folder.display());
}
