//! From request to tokens and sound: samplers, windows, the pipeline of levels, and the session that survives a kill.
//!
//! The way through this crate:
//!
//! 1. A [`SampleRequest`] says what to make ([`LabelTables`] has the rows of artists and genres); with the codec's [`SongShape`] and, if wanted, a prompt it becomes a [`Session`].
//! 2. [`Run`] makes the levels from the coarsest to the finest, window by window (Jukebox, section 4.5 of the paper),
//!    and saves the session to its [`SessionFile`] after every window.
//! 3. [`decode_take`] turns a level's tokens into samples; [`take_words`] finds out which word is sung when.
//!
//! [`hidden_states`] goes the other way: what a prior makes of a recording.
//!
//! A draw depends on (seed, take, level, token position) and on the logits, on nothing else, and a window always
//! starts from the same known tokens. So tokens don't depend on how takes are split into batches, nor on where a
//! run was interrupted and continued.

mod align;
mod alignment;
mod decode;
mod error;
mod forecast;
mod hidden;
mod label_tables;
mod pipeline;
mod progress;
mod random;
mod request;
mod request_error;
mod sampler;
mod session;
mod session_file;
mod shape;
mod sung_words;
mod take_labels;
mod take_words;
mod window;

#[cfg(test)]
#[path = "../../../fixtures/jukebox/folder.rs"]
mod fixtures;

pub use align::align;
pub use alignment::Alignment;
pub use decode::decode_take;
pub use error::GenerateError;
pub use forecast::{LevelForecast, forecast_level};
pub use hidden::{HiddenStates, Pool, hidden_states};
pub use label_tables::LabelTables;
pub use pipeline::{Priors, Run};
pub use progress::{Cancel, Event, Progress};
pub use random::uniform;
pub use request::{DEFAULT_LIMIT_SECONDS, LevelRequest, MAX_TAKES, MAX_TOKENS, SampleRequest};
pub use request_error::RequestError;
pub use sampler::{DrawError, Sampler, SamplerSettings, SettingsError};
pub use session::Session;
pub use session_file::{SessionError, SessionFile};
pub use shape::{LevelShape, SongShape};
pub use sung_words::{SungWord, lrc, sung_words};
pub use take_labels::{LevelLabels, Lyrics, TakeLabels};
pub use take_words::{TakeWords, take_words};
pub use window::{WindowError, WindowLayout, WindowPlan, partial_window};
