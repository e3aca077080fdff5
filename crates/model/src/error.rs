//! What can go wrong with networks and their weights.

use std::path::PathBuf;

/// Error of this crate. Every message names the thing at fault.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A model folder or file is not what it should be.
    #[error("`{place}`: {what}")]
    Format {
        /// File, or file and key.
        place: String,
        /// What is wrong and what was expected.
        what: String,
    },
    /// A configuration that cannot be built.
    #[error("{field}: {what}")]
    Config {
        /// The field at fault.
        field: &'static str,
        /// What is wrong and what was expected.
        what: String,
    },
    /// Weights that don't fit the configuration.
    #[error("weights don't fit the model: {0}")]
    Weights(String),
    /// A request that the model cannot serve.
    #[error("{0}")]
    Request(String),
}
