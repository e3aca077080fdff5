//! Data that cannot be learnt from is told before the first step.

use crate::material::{device, melody, recipe, songs};
use orchestrion_data::{Manifest, Split};
use orchestrion_train::{CodecTask, Task};

fn told(manifest: &Manifest) -> Result<Vec<String>, String> {
    let mut task = CodecTask::new(&recipe("codec", &[]), manifest, None, &device()).map_err(|e| e.to_string())?;
    Ok(task.warnings())
}

#[test]
fn short_silent_and_unsplit_data_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let long = || melody(0, 20_000);
    assert_eq!(told(&songs(root, &[long(), long(), long()])), Ok(Vec::new()));

    let short = told(&songs(root, &[long(), melody(1, 3000), melody(2, 1000), long()])).unwrap();
    assert!(matches!(&short[..], [w] if w.contains("2 of 3 tracks are shorter than the crop")), "{short:?}");

    let silent = told(&songs(root, &[vec![0.0; 20_000], vec![0.0; 20_000], long()])).unwrap_err();
    assert!(silent.contains("silen") && silent.contains("; hint: "), "{silent}");

    let one = told(&songs(root, &[long()])).unwrap_err();
    assert!(one.contains("no track of the split `train`") && one.contains("; hint: "), "{one}");

    let mut all_train = songs(root, &[long(), long()]);
    all_train.entries.iter_mut().for_each(|e| e.split = Some(Split::Train));
    let unsplit = told(&all_train).unwrap_err();
    assert!(unsplit.contains("no track of the split `test`") && unsplit.contains("--valid"), "{unsplit}");
}
