//! What can go wrong in training.

use orchestrion_data::{DataError, one_line};
use orchestrion_model::ModelError;
use std::path::PathBuf;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("`{}`: {source}; hint: check that it exists, its permissions and the free space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A recipe that says something wrong.
    #[error("recipe `{place}`: {}", hinted(what, "compare with the recipes that come with the program"))]
    Recipe {
        /// The file.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A checkpoint that cannot be gone on with.
    #[error("checkpoint `{}`: {}", path.display(), hinted(what, "give the run another folder with `--out`"))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A checkpoint that is not as it was written.
    #[error("checkpoint `{}` is damaged: {what}; hint: take it from a copy, or remove it to start anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A run was to be written to a folder that holds something else.
    #[error("`{}` holds `{name}` and no run; hint: name a new folder with `--out`", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        name: String,
    },
    /// The loss or its gradient stayed infinite or undefined.
    #[error(
        "step {step}: {count} steps in a row had no finite gradient; hint: lower `optimizer.lr`; the last good state is kept"
    )]
    Diverged {
        /// The last of them.
        step: u64,
        /// How many.
        count: u32,
    },
    /// The sound samples could not be made.
    #[error("preview: {}", hinted(_0, "train with `--no-samples`"))]
    Preview(String),
    /// From the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// From the data.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Text with a hint: its own if it has one. Text from outside (a parser quoting a recipe) stays on one line.
fn hinted(text: &str, hint: &str) -> String {
    let text = one_line(text);
    if text.contains("; hint: ") { text } else { format!("{text}; hint: {hint}") }
}
