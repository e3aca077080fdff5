//! The folder of a run: fit to be written, nobody else's, and in the hands of one program.

use crate::TrainError;
use crate::checkpoint::{NEWEST, PREVIOUS};
use orchestrion_data::{Lock, clear_unfinished};
use std::fs;
use std::path::{Path, PathBuf};

/// The model with the best held-out value.
const BEST: &str = "best";
/// The same while it is written, and the one that it replaces.
const COMING: &str = ".best.coming";
const GOING: &str = ".best.going";

/// A run's folder, which this process owns until the value is dropped. While it does, `run.lock` lies in it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Folders that were not there before, outermost first: an empty one does not stay.
    made: Vec<PathBuf>,
    lock: Option<Lock>,
}

impl RunFolder {
    /// Takes a new folder, or that of a run to go on with. All that could keep a run from being saved is found out here,
    /// before anything is trained.
    ///
    /// # Errors
    /// If it cannot be made or written, another program works in it, or it holds something else than a run.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Io { path: path.to_owned(), source };
        let mut made: Vec<PathBuf> = path.ancestors().take_while(|p| !p.exists()).map(Path::to_owned).collect();
        made.retain(|p| !p.as_os_str().is_empty());
        made.reverse();
        fs::create_dir_all(path).map_err(failed)?;
        let mut folder = Self { path: path.to_owned(), made, lock: None };
        // Before the lock, so that a stranger's folder stays as it is.
        if let Some(name) = folder.foreign().map_err(failed)? {
            return Err(TrainError::Foreign { path: path.to_owned(), name });
        }
        folder.lock = Some(Lock::take(path, path.join("run.lock"))?);
        clear_unfinished(path, None);
        folder.settle_best().map_err(failed)?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Something in the folder that is no run's, if no run was saved in it.
    fn foreign(&self) -> std::io::Result<Option<String>> {
        if self.path.join(NEWEST).exists() || self.path.join(PREVIOUS).exists() {
            return Ok(None);
        }
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // What a run leaves that was killed before its first state.
            let own = ["metrics.jsonl", "run.lock", BEST].contains(&name.as_str())
                || name.starts_with("events.out.tfevents.");
            if !own && !name.starts_with('.') {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Replaces the best model by what `write` makes in a new folder.
    pub(crate) fn put_best(&self, write: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
        let [best, coming, going] = [BEST, COMING, GOING].map(|name| self.path.join(name));
        let failed = |source| TrainError::Io { path: best.clone(), source };
        fs::create_dir_all(&coming).map_err(failed)?;
        write(&coming)?;
        if best.exists() {
            fs::rename(&best, &going).map_err(failed)?;
        }
        fs::rename(&coming, &best).map_err(failed)?;
        self.settle_best().map_err(failed)
    }

    /// Ends what a killed process may have left between two steps of [`Self::put_best`].
    fn settle_best(&self) -> std::io::Result<()> {
        let [best, coming, going] = [BEST, COMING, GOING].map(|name| self.path.join(name));
        if going.exists() && !best.exists() {
            fs::rename(&going, &best)?;
        }
        for left in [coming, going] {
            if left.exists() {
                fs::remove_dir_all(left)?;
            }
        }
        Ok(())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.lock = None;
        for folder in self.made.iter().rev() {
            // It stays if there is anything in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_new_a_run_s_or_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a b/🎵 run");
        let held = RunFolder::open(&path).unwrap();
        let second = RunFolder::open(&path).unwrap_err().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        drop(held);
        assert!(!root.path().join("a b").exists(), "an empty folder does not stay");

        fs::create_dir_all(&path).unwrap();
        for (name, accepted) in [("metrics.jsonl", true), (".hidden", true), ("thesis.tex", false), (NEWEST, true)] {
            fs::write(path.join(name), "x").unwrap();
            match RunFolder::open(&path) {
                Ok(_) => assert!(accepted, "{name}"),
                Err(error) => assert!(!accepted && error.to_string().contains("thesis.tex"), "{name}: {error}"),
            }
        }
        assert_eq!(fs::read(path.join("thesis.tex")).unwrap(), b"x");
        let long = root.path().join("n".repeat(255));
        drop(RunFolder::open(&long).unwrap());
        assert!(RunFolder::open(&root.path().join("n".repeat(256))).is_err());
        assert!(RunFolder::open(&path.join(".hidden")).unwrap_err().to_string().contains(".hidden"));
    }

    #[test]
    fn what_a_killed_process_left_is_cleared() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path();
        for state in [&[GOING][..], &[GOING, COMING], &[BEST, GOING], &[BEST, COMING], &[BEST]] {
            for name in state {
                fs::create_dir(run.join(name)).unwrap();
                fs::write(run.join(name).join("x"), *name).unwrap();
            }
            fs::write(run.join(".state.safetensors.4711-0.part"), "half").unwrap();
            drop(RunFolder::open(run).unwrap());
            let left: Vec<_> = fs::read_dir(run).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(left, [BEST], "{state:?}");
            fs::remove_dir_all(run.join(BEST)).unwrap();
        }
    }
}
