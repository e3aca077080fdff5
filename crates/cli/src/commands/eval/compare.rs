//! `orchestrion eval compare`: what changed from one report to another.

use crate::failure::Failure;
use orchestrion_evaluate::compare;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Options of `eval compare`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Report before: its folder or its `report.json`
    before: PathBuf,
    /// Report after
    after: PathBuf,
    /// Only figures whose names hold this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Longest report, in bytes.
const LONGEST: u64 = 64 << 20;

/// Runs it.
pub fn run(a: &Arguments) -> Result<(), Failure> {
    let only = a.only.as_deref().unwrap_or_default();
    let mut changes = compare(&read(&a.before)?, &read(&a.after)?);
    changes.retain(|change| change.place.contains(only));
    if a.json {
        println!("{}", serde_json::to_string_pretty(&changes).unwrap_or_default());
        return Ok(());
    }
    println!("{:<64} {:>12} {:>12} {:>12}", "", "before", "after", "change");
    for c in changes {
        println!("{:<64} {:>12.4} {:>12.4} {:>+12.4}", c.place, c.before, c.after, c.after - c.before);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value, Failure> {
    let path = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
    let bad = |what: String| {
        Failure::usage(format!("`{}`: {what}; hint: give the folder of an `orchestrion eval report`", path.display()))
    };
    let length = std::fs::metadata(&path).map_err(|e| bad(e.to_string()))?.len();
    if length > LONGEST {
        return Err(bad("longer than 64 MB".into()));
    }
    let bytes = std::fs::read(&path).map_err(|e| bad(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| bad(format!("no JSON: {e}")))
}
