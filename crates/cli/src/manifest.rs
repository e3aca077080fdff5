//! A manifest, with a word on the lines that are left out.

use crate::failure::Failure;
use orchestrion_data::Manifest;
use std::path::Path;

/// Reads a manifest.
pub fn open(path: &Path) -> Result<Manifest, Failure> {
    let manifest = Manifest::read(path)?;
    if let Some(first) = manifest.broken.first() {
        let (count, path) = (manifest.broken_count, path.display());
        eprintln!(
            "warning: {count} broken lines of `{path}` are left out; the first is line {}: {}",
            first.line, first.what
        );
    }
    Ok(manifest)
}
