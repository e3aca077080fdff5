//! How fast the program is on this machine, beside what the machine gives.
//!
//! A [`Row`] is one piece of work that users wait for, timed as a median of several runs. Weights and data are drawn at
//! random, but for the row that samples with the shipped model. A row's name is the same in `bench/compare.py`, which sets
//! PyTorch beside it.

mod codec;
mod decoding;
mod report;
mod shipped;
mod training;

pub use report::{Machine, Of, Report, Row, median};

use orchestrion_engine::decode::Precision::{Bf16, F32, Int8};
use orchestrion_engine::{EngineError, Numbers};
use orchestrion_generate::{GenerateError, RequestError};
use orchestrion_model::ModelError;
use orchestrion_model::store::ModelFolder;

/// What can go wrong: a row's model cannot be built or read, or there is no such row.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A model that cannot be built or read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A decoder that cannot be built or run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A song that cannot be asked for.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A song that cannot be made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A name that is not in the list.
    #[error("no row `{name}`; hint: rows are {}", ROWS.map(|(name, _)| name).join(", "))]
    Row {
        /// The name.
        name: String,
    },
}

/// Measures a row; what the rows of the shipped model are about is in its folder.
type Measure = fn(&ModelFolder) -> Result<Row, BenchError>;

/// All rows, by name.
pub const ROWS: [(&str, Measure); 16] = [
    ("train.vqvae.l0.f32", |_| training::codec_step()),
    ("train.prior.512x12.f32", |_| training::prior_step(Numbers::F32)),
    ("train.prior.512x12.bf16", |_| training::prior_step(Numbers::Bf16)),
    ("train.upsampler.tiny", |_| training::upsampler_step()),
    ("decode.512x12.f32.b1", |_| decoding::step(decoding::MIDDLE, F32, 1)),
    ("decode.512x12.bf16.b1", |_| decoding::step(decoding::MIDDLE, Bf16, 1)),
    ("decode.512x12.int8.b1", |_| decoding::step(decoding::MIDDLE, Int8, 1)),
    ("decode.1b.f32.b1", |_| decoding::step(decoding::LARGE, F32, 1)),
    ("decode.1b.bf16.b1", |_| decoding::step(decoding::LARGE, Bf16, 1)),
    ("decode.1b.int8.b1", |_| decoding::step(decoding::LARGE, Int8, 1)),
    ("decode.1b.bf16.b16", |_| decoding::step(decoding::LARGE, Bf16, 16)),
    ("decode.tiny.b1", shipped::step),
    ("prefill.512x12", |_| decoding::prefill(decoding::MIDDLE)),
    ("codec.l0.encode", |_| codec::encode()),
    ("codec.l0.decode", |_| codec::decode()),
    ("sample.tiny.20s", shipped::sample),
];

/// Measures the rows of these names (all, if there are none), and the machine. `shipped` is the model that is part of the
/// program.
///
/// # Errors
/// If a name is not known, or a row cannot be measured.
pub fn run(names: &[String], shipped: &ModelFolder, mut done: impl FnMut(&Row)) -> Result<Report, BenchError> {
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|(row, _)| row == name)) {
        return Err(BenchError::Row { name: unknown.clone() });
    }
    let machine = Machine::measure();
    let mut rows = Vec::new();
    for (name, measure) in ROWS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            let row = measure(shipped)?.beside(name, &machine);
            done(&row);
            rows.push(row);
        }
    }
    Ok(Report { machine, rows })
}
