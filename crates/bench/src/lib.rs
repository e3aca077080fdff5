//! How fast the program is on this machine, beside what the machine gives.
//!
//! A [`Row`] is one piece of work that users wait for, timed as a median of several runs on weights and data that are drawn
//! at random. Its name is the same in `bench/compare.py`, which sets PyTorch beside it.

mod report;
mod training;

pub use report::{Machine, Report, Row, median};
pub use training::{codec_step, prior_step, upsampler_step};

use orchestrion_model::ModelError;

/// What can go wrong: a row's model cannot be built, or there is no such row.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A model that cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A name that is not in the list.
    #[error("no row `{name}`; hint: rows are {}", ROWS.map(|(name, _)| name).join(", "))]
    Row {
        /// The name.
        name: String,
    },
}

type Measure = fn() -> Result<Row, BenchError>;

/// All rows, by name.
pub const ROWS: [(&str, Measure); 3] = [
    ("train.vqvae.l0.f32", codec_step),
    ("train.prior.512x12.f32", prior_step),
    ("train.upsampler.tiny", upsampler_step),
];

/// Measures the rows of these names (all, if there are none), and the machine.
///
/// # Errors
/// If a name is not known.
pub fn run(names: &[String], mut done: impl FnMut(&Row)) -> Result<Report, BenchError> {
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|(row, _)| row == name)) {
        return Err(BenchError::Row { name: unknown.clone() });
    }
    let machine = Machine::measure();
    let mut rows = Vec::new();
    for (name, measure) in ROWS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            let row = measure()?.beside(&machine);
            done(&row);
            rows.push(row);
        }
    }
    Ok(Report { machine, rows })
}
