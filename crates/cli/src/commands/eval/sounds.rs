//! Sets of sound files, as the command line names them.

use crate::failure::Failure;
use orchestrion_audio::ReadOptions;
use orchestrion_data::Split;
use std::path::{Path, PathBuf};

/// Endings of files that are taken from a folder.
const ENDINGS: [&str; 8] = ["wav", "flac", "mp3", "ogg", "m4a", "aac", "aiff", "aif"];

/// The sound files of a folder (in the order of their names, without the previews that `sample` leaves beside its takes),
/// of a manifest, or of one split of it (`songs.jsonl:test`); or one file.
pub fn files(set: &str) -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new(set);
    let found = if path.is_dir() {
        let entries = std::fs::read_dir(path)
            .map_err(|e| Failure::usage(format!("`{set}`: {e}; hint: name a folder that can be read")))?;
        let mut all: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|p| sounds(p) && !preview(p)).collect();
        all.sort();
        all
    } else if sounds(path) {
        vec![path.to_owned()]
    } else {
        let (file, split) = match set.rsplit_once(':') {
            Some((file, "train")) => (file, Some(Split::Train)),
            Some((file, "valid")) => (file, Some(Split::Valid)),
            Some((file, "test")) => (file, Some(Split::Test)),
            _ => (set, None),
        };
        let manifest = crate::manifest::open(Path::new(file))?;
        let wanted = manifest.entries.iter().filter(|e| split.is_none_or(|split| e.is_in(split)));
        wanted.map(|entry| manifest.audio_path(entry)).collect()
    };
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "`{set}` holds no sound; hint: name a folder, a manifest or `MANIFEST:test`"
        )));
    }
    Ok(found)
}

fn sounds(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// Whether a file is an upper level of a take, such as `take-1.level-2.wav`.
fn preview(path: &Path) -> bool {
    name(path).contains(".level-")
}

/// At most `seconds` from the beginning of a file, mono, at a rate.
pub fn read(path: &Path, seconds: f64, sample_rate: u32) -> Result<Vec<f32>, Failure> {
    let clip = orchestrion_audio::read(path, &ReadOptions::part(0.0, seconds))?;
    Ok(orchestrion_audio::resample(&clip, sample_rate)?.mono())
}

/// A file's name without folder and ending.
pub fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
