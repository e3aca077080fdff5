//! One program at a time on a session or a run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DataError;

/// Makes the content of lock files differ between locks of this process.
static LOCKS: AtomicU64 = AtomicU64::new(0);

/// Holds a file or folder for this process until it is dropped.
///
/// The lock is the system's own lock on a file beside it, which ends with the process however that ends: the
/// file that a dead process leaves is simply locked again. What is written in it is only there to tell others who.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Open for as long as the lock is held.
    _file: File,
}

impl Lock {
    /// Locks `owned` by the lock file `path`.
    ///
    /// # Errors
    /// [`DataError::Locked`] if another process, or another part of this one, holds it; [`DataError::Io`] if the lock
    /// file cannot be written.
    pub fn take(owned: &Path, path: PathBuf) -> Result<Self, DataError> {
        let failed = |source| DataError::io(&path, source);
        let text = format!("{} {}\n", std::process::id(), LOCKS.fetch_add(1, Ordering::Relaxed));
        loop {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(DataError::Locked { path: owned.into(), holder: Holder(read_pid(&mut file)) });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            write_over(&mut file, &text).map_err(failed)?;
            // The former holder may have removed the file between our opening and our locking it: then we hold a file
            // that nobody else will ever find, and have to try again with the one that the path names now.
            match fs::read_to_string(&path) {
                Ok(found) if found == text => return Ok(Self { path, _file: file }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that stays is harmless: it is not locked any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Process that holds a lock, if the lock file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder(pub Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => write!(f, "another process"),
        }
    }
}

fn write_over(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn take(owned: &Path) -> Result<Lock, DataError> {
        Lock::take(owned, owned.with_extension("lock"))
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let session = folder.path().join("song");
        let held = take(&session).unwrap();
        let message = take(&session).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(held);
        drop(take(&session).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a lock file was left");
    }

    #[test]
    fn the_lock_file_of_a_dead_process_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let session = folder.path().join("song");
        for leftover in ["999999999 0\n", "", "not a number, but long enough to matter to whoever reads it"] {
            fs::write(session.with_extension("lock"), leftover).unwrap();
            let lock = take(&session).unwrap();
            assert!(
                fs::read_to_string(session.with_extension("lock"))
                    .unwrap()
                    .starts_with(&std::process::id().to_string())
            );
            drop(lock);
        }
    }

    #[test]
    fn of_many_threads_one_at_a_time_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let session = folder.path().join("song");
        let (holders, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(_lock) = take(&session) {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold one lock");
                            taken.fetch_add(1, Ordering::SeqCst);
                            holders.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }
}
