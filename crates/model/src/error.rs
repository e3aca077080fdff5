//! What can go wrong with networks and their weights.

use orchestrion_data::one_line;
use std::path::PathBuf;

/// Error of this crate. Every message names the thing at fault.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error(
        "`{}`: {source}; hint: check that it exists, its permissions and the free space",
        one_line(&path.display().to_string())
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A model folder or file is not what it should be.
    #[error(
        "`{}`: {}",
        one_line(place),
        hinted(&one_line(what), "the model is damaged or of another version; copy or train it again")
    )]
    Format {
        /// File, or file and key.
        place: String,
        /// What is wrong and what was expected.
        what: String,
    },
    /// A configuration that cannot be built.
    #[error("{field}: {}", hinted(&one_line(what), "compare with the recipes that come with the program"))]
    Config {
        /// The field at fault.
        field: &'static str,
        /// What is wrong and what was expected.
        what: String,
    },
    /// Weights that don't fit the configuration.
    #[error(
        "weights don't fit the model: {}",
        hinted(_0, "they are damaged or another model's; copy or train it again")
    )]
    Weights(String),
    /// A request that the model cannot serve.
    #[error("{}", hinted(_0, "change the request, or use another model"))]
    Request(String),
}

/// Most characters of a foreign name that are shown.
const SHOWN: usize = 200;

/// A name or value out of a file that anybody may have written, fit for a message or a terminal: control and other unseen
/// characters escaped, and cut at 200 characters.
pub fn shown(name: &str) -> String {
    let quotes = |c: char| matches!(c, '"' | '\'' | '\\');
    let mut text = String::new();
    for c in name.chars().take(SHOWN) {
        if quotes(c) { text.push(c) } else { text.extend(c.escape_debug()) }
    }
    if name.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

/// Text with a hint: its own if it has one. Text from outside (a parser quoting a damaged file) stays on one line.
fn hinted(text: &str, hint: &str) -> String {
    // Lists of weights are whole, and long: their names were cut when they were read.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.contains("; hint: ") { text } else { format!("{text}; hint: {hint}") }
}
