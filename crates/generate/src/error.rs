//! What can go wrong on the way from a request to sound.

use orchestrion_data::DataError;
use orchestrion_model::ModelError;

use crate::{DrawError, RequestError, SessionError, SettingsError, WindowError};

/// Error of making a song. Every message names the thing at fault.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The request cannot be served.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The session file cannot be read, written or owned.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A table of labels or the words are not what they should be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The lengths of a level make no windows.
    #[error("level {level}: {source}")]
    Windows {
        /// The level.
        level: usize,
        /// Which length is at fault.
        source: WindowError,
    },
    /// A sampler out of range.
    #[error("level {level}: {source}")]
    Sampler {
        /// The level.
        level: usize,
        /// What is out of range.
        source: SettingsError,
    },
    /// A prior could not be opened or run.
    #[error("level {level}: {source}")]
    Model {
        /// The level.
        level: usize,
        /// What the model said.
        source: ModelError,
    },
    /// A prior that does not belong to the session's codec.
    #[error("level {level}: the prior has {what}; hint: use the prior that was trained on this codec's tokens")]
    PriorMismatch {
        /// The level.
        level: usize,
        /// What it has, and what was expected.
        what: String,
    },
    /// A codec that does not belong to the session's tokens.
    #[error(
        "the tokens of this session were made for another codec; hint: decode with the model that made the session"
    )]
    CodecMismatch,
    /// A level without tokens.
    #[error("level {level} of take {take} has no tokens to decode; hint: make the level first")]
    NothingToDecode {
        /// The level.
        level: usize,
        /// The take.
        take: usize,
    },
    /// A recording without codes, or whose codes of two levels are of different lengths.
    #[error(
        "level {level}: a recording of {tokens} tokens, beside codes of the level above for {above}; hint: encode one \
         stretch of the recording, a token or longer, at both levels"
    )]
    Recording {
        /// The level.
        level: usize,
        /// Tokens of the recording.
        tokens: usize,
        /// Tokens that the codes of the level above stand for.
        above: usize,
    },
    /// A recording so long that its states would not fit.
    #[error("{tokens} states of {width} values are more than 1 GiB; hint: ask for their mean, or for fewer seconds")]
    TooManyStates {
        /// Tokens of the recording.
        tokens: usize,
        /// Values of a state.
        width: usize,
    },
    /// Logits that are no distribution.
    #[error("level {level}, take {take}, token {position}: {source}")]
    Draw {
        /// The level.
        level: usize,
        /// The take.
        take: usize,
        /// Which token of the stream was to be drawn.
        position: usize,
        /// What is wrong with the logits.
        source: DrawError,
    },
    /// Stopped on demand; the session holds everything up to the last whole window.
    #[error(
        "interrupted at level {level} with {done} of {total} tokens done; hint: continue the session, it gives the same tokens"
    )]
    Interrupted {
        /// The level that was being made.
        level: usize,
        /// Tokens of it that are safe, all takes together.
        done: usize,
        /// Tokens of the whole level, all takes together.
        total: usize,
    },
}
