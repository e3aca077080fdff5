//! What can go wrong in measuring.

use orchestrion_audio::AudioError;
use orchestrion_data::DataError;
use orchestrion_model::ModelError;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// From the sound.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// From the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// From the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is nothing to measure.
    #[error("{0}")]
    Nothing(String),
}
