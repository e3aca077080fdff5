//! A session on disk: whole after every window, and owned by one program at a time.

use std::path::{Path, PathBuf};

use orchestrion_data::{DataError, Lock, Tokens, clear_unfinished, one_line};

use crate::Session;

/// Where a session is kept. This program owns it until the value is dropped.
///
/// The file is a token file (safetensors) whose metadata also holds the session's record. While it is owned, a lock
/// file lies beside it, named like it with `.lock` appended.
#[derive(Debug)]
pub struct SessionFile {
    path: PathBuf,
    _lock: Lock,
}

impl SessionFile {
    /// Saves a new session at `path`.
    ///
    /// # Errors
    /// If something is there already, another program owns it, or it cannot be written.
    pub fn create(path: &Path, session: &Session) -> Result<Self, SessionError> {
        let file = Self { path: path.to_owned(), _lock: Lock::take(path, lock_path(path))? };
        if path.exists() {
            return Err(SessionError::Exists { path: path.to_owned() });
        }
        file.save(session)?;
        Ok(file)
    }

    /// Opens the session at `path` to go on with it.
    ///
    /// # Errors
    /// If it is missing or damaged, or another program owns it.
    pub fn open(path: &Path) -> Result<(Self, Session), SessionError> {
        // Before the lock, so that a mistyped path leaves no lock file and is the path that is named.
        if let Err(source) = std::fs::metadata(path) {
            return Err(DataError::Io { path: path.to_owned(), source }.into());
        }
        let file = Self { path: path.to_owned(), _lock: Lock::take(path, lock_path(path))? };
        // What programs that were killed had half written.
        clear_unfinished(
            path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            path.file_name(),
        );
        let session = Session::from_tokens(Tokens::load(path)?)
            .map_err(|what| SessionError::Damaged { path: path.to_owned(), what })?;
        Ok((file, session))
    }

    /// Replaces the file by this state of the session; it then is on the disk.
    ///
    /// # Errors
    /// If it cannot be written; the file is then as it was.
    pub fn save(&self, session: &Session) -> Result<(), SessionError> {
        Ok(session.to_tokens()?.save(&self.path)?)
    }

    /// Where the session is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn lock_path(session: &Path) -> PathBuf {
    let mut name = session.as_os_str().to_os_string();
    name.push(".lock");
    name.into()
}

/// What can go wrong with a session and its file.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file could not be read or written, is no token file, or another program works on it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file is a token file, but no whole session.
    #[error("`{}` is no whole session: {}; hint: it was changed or damaged; begin a new session", path.display(), one_line(what))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A new session would replace something.
    #[error("`{}` exists; hint: continue it, or choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The model is not the one that began the session.
    #[error(
        "the session was begun with model `{began}`, not with `{given}`; hint: continue it with the model that began it"
    )]
    OtherModel {
        /// Model that began it.
        began: String,
        /// Model at hand.
        given: String,
    },
}
