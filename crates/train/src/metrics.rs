//! Metrics as one JSON object a line.

use crate::TrainError;
use crate::events::EventFile;
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

/// Values of the steps since the last row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    /// Steps whose values are in the sums.
    taken: u64,
    /// Steps that were left out.
    left_out: u64,
    sums: BTreeMap<String, f64>,
}

impl Gathered {
    /// Adds the values of a step; none if the step was left out.
    pub(crate) fn add(&mut self, values: Option<BTreeMap<String, f64>>) {
        let Some(values) = values else {
            self.left_out += 1;
            return;
        };
        self.taken += 1;
        for (name, value) in values {
            *self.sums.entry(name).or_insert(0.0) += value;
        }
    }

    /// Means over the steps that were taken, and how many were not; it begins anew.
    pub(crate) fn take(&mut self) -> BTreeMap<String, f64> {
        let Self { taken, left_out, sums } = std::mem::take(self);
        let mut values: BTreeMap<_, _> = sums.into_iter().map(|(name, sum)| (name, sum / taken as f64)).collect();
        if left_out > 0 {
            values.insert("left out/steps".into(), left_out as f64);
        }
        values
    }
}

/// The run's `metrics.jsonl`, appended to, and beside it what TensorBoard reads, if that is asked for.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    events: Option<EventFile>,
}

impl MetricsLog {
    /// The log of a run folder. Rows of steps after `step` (left by a run that was killed past its checkpoint) go.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(run: &Path, step: u64) -> Result<Self, TrainError> {
        let path = run.join("metrics.jsonl");
        let log = Self { path, events: None };
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

    /// From now on, rows also go to a new event file of the run folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn with_events(mut self, run: &Path) -> Result<Self, TrainError> {
        self.events = Some(EventFile::create(run)?);
        Ok(self)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, row: &Row) -> Result<(), TrainError> {
        if let Some(events) = &mut self.events {
            events.append(row)?;
        }
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
