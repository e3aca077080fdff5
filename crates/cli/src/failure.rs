//! How the program ends when it does not succeed.

use orchestrion_data::DataError;
use orchestrion_generate::GenerateError;
use orchestrion_model::ModelError;
use orchestrion_train::TrainError;
use std::fmt::Display;
use std::process::ExitCode;

/// A failure with its exit code: 1 it failed, 2 it was asked wrongly, 130 it was interrupted.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The request itself is wrong.
    pub fn usage(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// The work failed.
    pub fn new(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// The user stopped it.
    pub fn interrupted(message: impl Display) -> Self {
        Self { code: 130, message: message.to_string() }
    }

    /// One line on stderr, with the hint on a line of its own.
    pub fn tell(self) -> ExitCode {
        let message = self.message.replace('\n', " ");
        match message.split_once("; hint: ") {
            Some((what, hint)) => eprintln!("error: {what}\nhint: {hint}"),
            None => eprintln!("error: {message}"),
        }
        ExitCode::from(self.code)
    }
}

macro_rules! failed {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        }
    )*};
}

failed!(
    orchestrion_audio::AudioError,
    orchestrion_evaluate::EvaluateError,
    orchestrion_generate::SessionError,
    orchestrion_page::PageError
);

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::UnknownLabel { .. } | DataError::Blend { .. } | DataError::Request { .. } => Self::usage(error),
            other => Self::new(other),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Request(_) => Self::usage(error),
            other => Self::new(other),
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Recipe { .. } => Self::usage(error),
            TrainError::Data(error) => error.into(),
            TrainError::Model(error) => error.into(),
            other => Self::new(other),
        }
    }
}

impl From<orchestrion_generate::RequestError> for Failure {
    fn from(error: orchestrion_generate::RequestError) -> Self {
        Self::usage(error)
    }
}

impl From<GenerateError> for Failure {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Interrupted { .. } => Self::interrupted(error),
            GenerateError::Request(_) | GenerateError::Model { source: ModelError::Request(_), .. } => {
                Self::usage(error)
            }
            other => Self::new(other),
        }
    }
}
