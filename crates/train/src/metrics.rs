//! Metrics as one JSON object a line.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// Values measured at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The step.
    pub step: u64,
    /// Name and value, `loss/train` say.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// The run's `metrics.jsonl`, appended to.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
}

impl MetricsLog {
    /// The log of a run folder. Rows of steps after `step` (left by a run that was killed past its checkpoint) go.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(run: &Path, step: u64) -> Result<Self, TrainError> {
        let path = run.join("metrics.jsonl");
        let log = Self { path };
        if log.path.exists() {
            let rows = log.rows()?;
            let kept: Vec<&Row> = rows.iter().filter(|r| r.step <= step).collect();
            if kept.len() < rows.len() {
                let text: String = kept.iter().map(|r| serde_json::to_string(r).unwrap_or_default() + "\n").collect();
                orchestrion_data::write_whole(&log.path, text.as_bytes())?;
            }
        }
        Ok(log)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&self, row: &Row) -> Result<(), TrainError> {
        let line = serde_json::to_string(row).unwrap_or_default() + "\n";
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut f| f.write_all(line.as_bytes()))
            .map_err(|source| TrainError::Io { path: self.path.clone(), source })
    }

    /// Values of the last evaluation; none if there is none.
    pub fn last_held_out(&self) -> BTreeMap<String, f64> {
        let rows = self.rows().unwrap_or_default();
        let held_out = |row: &Row| row.values.keys().any(|k| k.starts_with("held-out"));
        rows.into_iter().rev().find(held_out).map(|row| row.values).unwrap_or_default()
    }

    /// All rows that are whole.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn rows(&self) -> Result<Vec<Row>, TrainError> {
        let file =
            std::fs::File::open(&self.path).map_err(|source| TrainError::Io { path: self.path.clone(), source })?;
        let lines = std::io::BufReader::new(file).lines().map_while(Result::ok);
        Ok(lines.filter_map(|line| serde_json::from_str(&line).ok()).collect())
    }
}
