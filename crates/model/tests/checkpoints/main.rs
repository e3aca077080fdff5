//! Published checkpoints: what they hold comes out exactly, and what is wrong with them is told, by name, in bounded memory
//! and without running anything.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod hostile;
mod imports;
mod parity;
mod sizes;
mod writer;

use orchestrion_model::ModelError;
use orchestrion_model::store::Checkpoint;
use std::io::Write;

/// Opens bytes as a checkpoint file.
fn open(bytes: &[u8]) -> Result<Checkpoint, ModelError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Checkpoint::open(file.path())
}

/// What is said when a file is refused; it names a hint.
fn refusal(bytes: &[u8]) -> String {
    let message = open(bytes).unwrap_err().to_string();
    assert!(message.contains("; hint: ") && message.len() < 2000 && !message.contains('\n'), "{message}");
    message
}
