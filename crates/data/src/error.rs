//! What can go wrong with tokens and data sets.

use crate::Holder;
use std::path::{Path, PathBuf};

/// Error of this crate. Every message is one line, names the thing at fault and ends with a hint.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder could not be read or written.
    #[error("`{}`: {source}; hint: {}", path.display(), io_hint(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("`{}`: {what}; hint: {hint}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Something is larger than this program takes.
    #[error("`{}`: {what} is {size}, more than the limit of {limit}; hint: {hint}", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
        /// What to do.
        hint: &'static str,
    },
    /// Another program works on it.
    #[error("`{}` is in use by {holder}; hint: wait for it or stop it", path.display())]
    Locked {
        /// The file or folder.
        path: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// A sound file could not be decoded or resampled.
    #[error("{0}")]
    Audio(#[from] orchestrion_audio::AudioError),
    /// Tokens that contradict themselves.
    #[error("tokens: {0}; hint: codes are row-major `[batch, codebook, time]`, below the codebook size")]
    Tokens(String),
    /// A label that the table does not hold.
    #[error("no {kind} `{}`; hint: {}", one_line(name), near_hint(near))]
    UnknownLabel {
        /// `artist` or `genre`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest names of the table, best first.
        near: Vec<String>,
    },
    /// A blend such as `a:0.7,b:0.3` that can't be read.
    #[error("blend `{text}`: {what}; hint: write one name, or names with weights as in `a:0.7,b:0.3`")]
    Blend {
        /// The blend as written.
        text: String,
        /// What is wrong.
        what: String,
    },
    /// A setting or a request that the data can't serve.
    #[error("{what}; hint: {hint}")]
    Request {
        /// What was asked for and why it can't be had.
        what: String,
        /// What to do.
        hint: &'static str,
    },
}

impl DataError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn format(path: &Path, what: impl Into<String>, hint: &'static str) -> Self {
        Self::Format { path: path.to_path_buf(), what: one_line(&what.into()), hint }
    }

    pub(crate) fn request(what: impl Into<String>, hint: &'static str) -> Self {
        Self::Request { what: what.into(), hint }
    }
}

/// Most characters that a message quotes.
const QUOTED: usize = 500;

/// Text from outside (a damaged header, a parser quoting it), fit for a message: on one line, without control characters,
/// and cut. A hint at its end stays.
#[must_use]
pub fn one_line(text: &str) -> String {
    let (what, hint) = text.rfind("; hint: ").map_or((text, ""), |at| text.split_at(at));
    let plain =
        |text: &str| -> String { text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect() };
    let cut = if what.chars().nth(QUOTED).is_some() { "…" } else { "" };
    plain(what) + cut + &plain(hint)
}

fn io_hint(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "check the spelling, and that its folder exists",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "check the permissions, or choose another place",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or choose another place",
        ErrorKind::IsADirectory => "name a file, not a folder",
        ErrorKind::NotADirectory => "name a folder, not a file",
        _ => "check that the place exists and can be read and written",
    }
}

fn near_hint(near: &[String]) -> String {
    if near.is_empty() {
        return "the table holds no names; leave the label out".into();
    }
    let names: Vec<String> = near.iter().map(|name| format!("`{}`", one_line(name))).collect();
    format!("near names are {}", names.join(", "))
}
