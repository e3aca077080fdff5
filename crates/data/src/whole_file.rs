//! Files that are whole or absent.

use crate::DataError;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes names of unfinished files differ between threads of this process.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// Writes a file so that, whatever happens meanwhile, `path` holds either its old content or all of `bytes`.
///
/// The bytes go to a hidden sibling `.NAME.PROCESS-NUMBER.part`, reach the disk, and are renamed. On failure
/// the sibling is removed; after a power cut one may be left over and can be deleted.
///
/// # Errors
/// [`DataError::Io`] if the folder is missing, can't be written, or is full; then `path` is as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    replace_whole(path, None, |file| file.write_all(bytes))
}

/// [`write_whole`] of what `write` writes, a piece at a time. Once the new content is on the disk, the old one moves to
/// `previous`, if that is told: a process that ends between the two renames leaves it there, and nothing at `path`.
///
/// # Errors
/// [`DataError::Io`] as [`write_whole`]; then `path` is as it was, unless only the last rename failed: then `previous` is.
pub fn replace_whole(
    path: &Path,
    previous: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), DataError> {
    let unfinished = unfinished_sibling(path)?;
    let outcome = write_through(&unfinished, write).and_then(|()| {
        if let Some(previous) = previous
            && path.exists()
        {
            fs::rename(path, previous)?;
        }
        fs::rename(&unfinished, path)
    });
    if let Err(source) = outcome {
        // The first error is the one to tell; a sibling that could not be made is not there to remove.
        let _ = fs::remove_file(&unfinished);
        return Err(DataError::io(path, source));
    }
    sync_folder(path);
    Ok(())
}

fn unfinished_sibling(path: &Path) -> Result<PathBuf, DataError> {
    let Some(name) = path.file_name() else {
        return Err(DataError::io(path, ErrorKind::IsADirectory.into()));
    };
    let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{number}.part", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn write_through(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    // Truncating: the only file of this name is a leftover of a dead process with our number.
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, file);
    write(&mut buffered)?;
    buffered.into_inner()?.sync_all()
}

/// Makes the rename itself survive a power cut, where folders can be synced. The file is whole already, so a
/// file system that refuses is no reason to fail.
fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Removes the unfinished siblings that killed processes left in a folder, all or those of one file. Whoever calls it holds
/// the folder, or the file: what somebody else is writing would go too.
pub fn clear_unfinished(folder: &Path, file: Option<&OsStr>) {
    let start = file.map(|name| format!(".{}.", name.to_string_lossy())).unwrap_or(".".into());
    let is_ours = |name: &str| {
        let number = name.strip_prefix(&start)?.strip_suffix(".part")?.rsplit('.').next()?;
        let (process, count) = number.split_once('-')?;
        [process, count].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())).then_some(())
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_ours(&entry.file_name().to_string_lossy()).is_some() {
            // One that stays is harmless, but for its size.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// [`write_whole`] of what [`read_limited`] reads again: at most `limit` bytes.
pub(crate) fn write_limited(path: &Path, bytes: &[u8], limit: u64, hint: &'static str) -> Result<(), DataError> {
    check_size(path, bytes.len() as u64, limit, hint)?;
    write_whole(path, bytes)
}

fn check_size(path: &Path, size: u64, limit: u64, hint: &'static str) -> Result<(), DataError> {
    if size <= limit {
        return Ok(());
    }
    Err(DataError::Limit { path: path.to_path_buf(), what: "size in bytes", size, limit, hint })
}

/// Reads a whole file of at most `limit` bytes; `hint` tells what to do about a larger one.
pub(crate) fn read_limited(path: &Path, limit: u64, hint: &'static str) -> Result<Vec<u8>, DataError> {
    let file = open_regular(path)?;
    let size = file.metadata().map_err(|source| DataError::io(path, source))?.len();
    check_size(path, size, limit, hint)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // The file may grow while it is read: never take more than one byte over the limit.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|source| DataError::io(path, source))?;
    check_size(path, bytes.len() as u64, limit, hint)?;
    Ok(bytes)
}

/// Opens a file and makes sure that it is one: reading a folder fails late, a pipe or device may never end.
pub(crate) fn open_regular(path: &Path) -> Result<File, DataError> {
    let metadata = fs::metadata(path).map_err(|source| DataError::io(path, source))?;
    if metadata.is_dir() {
        return Err(DataError::io(path, ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(DataError::format(path, "not a regular file", "copy its content to a file first"));
    }
    File::open(path).map_err(|source| DataError::io(path, source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn replaces_the_content_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_whole(&path, b"first").unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_old_content_moves_aside_when_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, before) = (folder.path().join("a"), folder.path().join("before"));
        for n in 0..3_u8 {
            replace_whole(&path, Some(&before), |file| file.write_all(&[n; 9])).unwrap();
            assert_eq!((fs::read(&path).unwrap(), before.exists()), (vec![n; 9], n > 0));
        }
        let full = |file: &mut dyn Write| file.write_all(b"half").and(Err(ErrorKind::StorageFull.into()));
        let message = replace_whole(&path, Some(&before), full).unwrap_err().to_string();
        assert!(message.contains("free some space"), "{message}");
        assert_eq!((fs::read(&path).unwrap(), fs::read(&before).unwrap()), (vec![2; 9], vec![1; 9]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no part is left");
    }

    #[test]
    fn leftovers_of_killed_processes_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let names = [".a.17-0.part", ".a.b.17-12.part", ".a.17-.part", ".a.part", "a.17-0.part", ".a.x-1.part", "a"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let left = || fs::read_dir(folder.path()).unwrap().count();
        clear_unfinished(folder.path(), Some(OsStr::new("b")));
        assert_eq!(left(), 7);
        clear_unfinished(folder.path(), Some(OsStr::new("a.b")));
        assert_eq!(left(), 6);
        clear_unfinished(folder.path(), None);
        assert_eq!(left(), 5);
    }

    #[test]
    fn failures_name_the_path_and_leave_no_part_files() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no such folder").join("a.json");
        let message = write_whole(&missing, b"x").unwrap_err().to_string();
        assert!(message.contains("no such folder") && message.contains("; hint: "), "{message}");
        // A folder stands where the file should go: the rename fails after the sibling was written.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"x").unwrap();
        write_whole(&taken, b"x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_whole(Path::new("/"), b"x").unwrap_err();
    }

    #[test]
    fn limits_hold_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, [0; 10]).unwrap();
        assert_eq!(read_limited(&path, 10, "x").unwrap().len(), 10);
        let error = read_limited(&path, 9, "split it").unwrap_err();
        assert!(matches!(error, DataError::Limit { size: 10, limit: 9, .. }));
        read_limited(folder.path(), 9, "x").unwrap_err();
    }
}
