//! A folder of sound files to a manifest.

use crate::parallel::in_parallel;
use crate::{DataError, Entry, Manifest};
use orchestrion_audio::{probe, read_tags};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that sound files end in.
const EXTENSIONS: [&str; 9] = ["wav", "flac", "mp3", "ogg", "oga", "m4a", "aac", "aiff", "aif"];
/// Most sound files of one folder, as many as a manifest may have lines.
const MOST_FILES: usize = 10_000_000;

/// What the first folder below the scanned one names, for files without tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TopFolder {
    /// Nothing in particular.
    #[default]
    Nothing,
    /// The artist: `artist/album/song.mp3`.
    Artist,
    /// The genre: `genre/song.wav`.
    Genre,
}

/// What to take and how to label it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanOptions {
    /// Shorter files are skipped, in seconds.
    pub min_seconds: f64,
    /// What the first folder names.
    pub top_folder: TopFolder,
}

/// A file or folder that is not in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it was skipped: a line that names it.
    pub why: String,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanReport {
    /// The tracks, in order of their paths, relative to the scanned folder.
    pub manifest: Manifest,
    /// What was left out, in order of paths.
    pub skipped: Vec<Skipped>,
}

/// Lists the sound files (wav, flac, mp3, ogg, oga, m4a, aac, aiff, aif) in a folder and all folders below it, with
/// length and sample rate as their headers tell and title, artist and genres as their tags tell.
///
/// Links are followed, every folder is seen once; files and folders whose names begin with a dot are passed over.
/// Files that can't be read and files that are too short are reported and skipped. `progress` gets the number of
/// files looked at and of all.
///
/// # Errors
/// [`DataError::Io`] if the folder itself can't be read, [`DataError::Limit`] if it holds too many sound files.
pub fn scan(
    folder: &Path,
    options: ScanOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<ScanReport, DataError> {
    let mut skipped = Vec::new();
    let files = sound_files(folder, &mut skipped)?;
    let mut entries: Vec<Option<Entry>> = vec![None; files.len()];
    let mut looked_at = 0;
    let look = |index: usize| look_at(folder, &files[index], options);
    in_parallel(files.len(), look, |index, result| {
        match result {
            Ok(entry) => entries[index] = Some(entry),
            Err(why) => skipped.push(Skipped { path: files[index].clone(), why }),
        }
        looked_at += 1;
        progress(looked_at, files.len());
        true
    });
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(ScanReport {
        manifest: Manifest {
            folder: folder.to_path_buf(),
            entries: entries.into_iter().flatten().collect(),
            ..Manifest::default()
        },
        skipped,
    })
}

/// Paths of all sound files, sorted.
fn sound_files(folder: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<PathBuf>, DataError> {
    let mut files = BTreeSet::new();
    let mut seen = BTreeSet::new();
    // A set, so that of two ways to one folder the same is taken every time.
    let mut waiting = BTreeSet::from([folder.to_path_buf()]);
    while let Some(current) = waiting.pop_first() {
        let listed = list(&current, &mut seen);
        let inside = match listed {
            Ok(inside) => inside,
            Err(source) if current == folder => return Err(DataError::io(folder, source)),
            Err(source) => {
                let why = DataError::io(&current, source).to_string();
                skipped.push(Skipped { path: current, why });
                continue;
            }
        };
        for path in inside {
            if path.is_dir() {
                waiting.insert(path);
            } else if is_sound(&path) {
                files.insert(path);
            }
        }
        if files.len() > MOST_FILES {
            return Err(DataError::Limit {
                path: folder.to_path_buf(),
                what: "the number of sound files",
                size: files.len() as u64,
                limit: MOST_FILES as u64,
                hint: "scan its folders one by one",
            });
        }
    }
    Ok(files.into_iter().collect())
}

/// What a folder holds, except hidden things; nothing if the folder was listed before by another way.
fn list(folder: &Path, seen: &mut BTreeSet<PathBuf>) -> std::io::Result<Vec<PathBuf>> {
    if !seen.insert(folder.canonicalize()?) {
        return Ok(Vec::new());
    }
    let hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let mut inside = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !hidden(&path) {
            inside.push(path);
        }
    }
    Ok(inside)
}

fn is_sound(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

fn look_at(folder: &Path, file: &Path, options: ScanOptions) -> Result<Entry, String> {
    let info = probe(file).map_err(|error| error.to_string())?;
    if info.duration_seconds < options.min_seconds {
        return Err(format!(
            "`{}` is {:.2} s long, shorter than {} s",
            file.display(),
            info.duration_seconds,
            options.min_seconds
        ));
    }
    let path = file.strip_prefix(folder).unwrap_or(file);
    if path.to_str().is_none() {
        return Err(format!("`{}` is not named in Unicode, which a manifest needs", file.display()));
    }
    let mut entry = Entry::new(path, info.duration_seconds, info.sample_rate);
    for (name, value) in read_tags(file).map_err(|error| error.to_string())? {
        let value = value.trim().to_string();
        match name.as_str() {
            _ if value.is_empty() => {}
            "TITLE" => entry.title = entry.title.or(Some(value)),
            "ARTIST" => entry.artist = entry.artist.or(Some(value)),
            "GENRE" => entry.genre.push(value),
            "LICENSE" => entry.licence = entry.licence.or(Some(value)),
            _ => {}
        }
    }
    if let Some(top) = top_folder(path) {
        match options.top_folder {
            TopFolder::Nothing => {}
            TopFolder::Artist => entry.artist = entry.artist.or(Some(top)),
            TopFolder::Genre if entry.genre.is_empty() => entry.genre = vec![top],
            TopFolder::Genre => {}
        }
    }
    Ok(entry)
}

/// The first folder of a relative path, if it has one.
fn top_folder(path: &Path) -> Option<String> {
    let mut parts = path.iter();
    let first = parts.next()?;
    parts.next()?;
    first.to_str().map(String::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn wav(path: &Path, seconds: f64, tags: &[(&str, &str)]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let samples = vec![0.1; (seconds * 8000.0) as usize];
        let clip = orchestrion_audio::Clip::from_mono(samples, 8000);
        let tags: Vec<_> = tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        orchestrion_audio::write(path, &clip, &tags).unwrap();
    }

    fn paths(report: &ScanReport) -> Vec<&str> {
        let entries = report.manifest.entries.iter();
        entries.map(|entry| entry.path.to_str().unwrap()).collect()
    }

    #[test]
    fn files_are_found_sorted_and_labelled_and_bad_ones_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        wav(&at("b/one.WAV"), 1.0, &[]);
        wav(&at("a/album/two.wav"), 0.5, &[("ARTIST", "Nina"), ("TITLE", "Two"), ("GENRE", "Jazz")]);
        wav(&at("top.flac"), 1.0, &[("LICENSE", "CC0")]);
        wav(&at("short.wav"), 0.1, &[]);
        wav(&at(".hidden/x.wav"), 1.0, &[]);
        fs::write(at("a/noise.mp3"), b"no sound").unwrap();
        fs::write(at("a/notes.txt"), b"no sound").unwrap();
        let options = ScanOptions { min_seconds: 0.3, top_folder: TopFolder::Artist };
        let mut seen = Vec::new();
        let report = scan(folder.path(), options, |done, all| seen.push((done, all))).unwrap();
        assert_eq!(paths(&report), ["a/album/two.wav", "b/one.WAV", "top.flac"]);
        assert_eq!(seen.last(), Some(&(5, 5)));
        let [two, one, top] = &report.manifest.entries[..] else { panic!() };
        assert_eq!((two.duration, two.sample_rate, &two.genre[..]), (0.5, 8000, &["Jazz".to_string()][..]));
        assert_eq!((two.artist.as_deref(), two.title.as_deref()), (Some("Nina"), Some("Two")));
        assert_eq!((one.artist.as_deref(), top.artist.as_deref()), (Some("b"), None));
        assert_eq!(top.licence.as_deref(), Some("CC0"));
        let skipped: Vec<_> = report.skipped.iter().map(|s| s.path.clone()).collect();
        assert_eq!(skipped, [at("a/noise.mp3"), at("short.wav")]);

        let written = at("set.jsonl");
        report.manifest.write(&written).unwrap();
        assert_eq!(Manifest::read(&written).unwrap().entries, report.manifest.entries);
        let genre = ScanOptions { top_folder: TopFolder::Genre, ..options };
        let report = scan(folder.path(), genre, |_, _| {}).unwrap();
        assert_eq!(report.manifest.entries[0].genre, ["Jazz"]);
        assert_eq!(report.manifest.entries[1].genre, ["b"]);
    }

    #[cfg(unix)]
    #[test]
    fn circular_links_end_and_a_missing_folder_is_told() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        wav(&inner.join("a.wav"), 0.2, &[]);
        symlink(folder.path(), inner.join("loop")).unwrap();
        symlink(&inner, folder.path().join("other")).unwrap();
        symlink("nowhere", inner.join("broken.wav")).unwrap();
        let options = ScanOptions { min_seconds: 0.0, top_folder: TopFolder::Nothing };
        let report = scan(folder.path(), options, |_, _| {}).unwrap();
        assert_eq!(paths(&report), ["inner/a.wav"]);
        assert_eq!(report.skipped.len(), 1);
        let missing = folder.path().join("missing");
        let message = scan(&missing, options, |_, _| {}).unwrap_err().to_string();
        assert!(message.contains("missing") && message.contains("; hint: "), "{message}");
    }
}
