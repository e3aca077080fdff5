//! Why a request cannot be served.

use crate::SettingsError;
use crate::request::{MAX_TAKES, MAX_TOKENS};
use orchestrion_data::lyrics::MAX_LYRICS;
use orchestrion_model::store::Dtype;

/// A request that cannot be served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Zero, negative, not a number, or beyond the limit.
    #[error("cannot make {given} seconds; hint: ask for more than 0 and at most {limit} seconds")]
    Seconds {
        /// Seconds asked for.
        given: f64,
        /// The limit.
        limit: f64,
    },
    /// Less than one token.
    #[error("{given} seconds are shorter than one top-level token; hint: ask for at least {shortest:.4} seconds")]
    TooShort {
        /// Seconds asked for.
        given: f64,
        /// Length of a token.
        shortest: f64,
    },
    /// Negative, not a number, or so late that the end is beyond the limit.
    #[error("a take from {given} to {end} seconds of a song; hint: begin at 0 or later and end before {limit} seconds")]
    Offset {
        /// Where the take begins.
        given: f64,
        /// Where it ends.
        end: f64,
        /// The limit.
        limit: f64,
    },
    /// The song would be over before the part of it that is made.
    #[error("a song of {given} seconds ends before {end}; hint: use a song length from {end} to {limit} seconds")]
    SongSeconds {
        /// Length of the song.
        given: f64,
        /// Where in it what is made ends.
        end: f64,
        /// The limit.
        limit: f64,
    },
    /// A session whose number of takes would change.
    #[error("a session of {takes} takes cannot go on with {given}; hint: start a new session for more takes")]
    TakesChanged {
        /// Takes asked for.
        given: usize,
        /// Takes of the session.
        takes: usize,
    },
    /// A session whose weights would change.
    #[error(
        "a session begun with weights {} cannot go on with {}; hint: leave the choice of weights out, or start a new session",
        weights_name(*.began), weights_name(*.given)
    )]
    WeightsChanged {
        /// Weights asked for.
        given: Option<Dtype>,
        /// Weights of the session.
        began: Option<Dtype>,
    },
    /// None or too many.
    #[error("cannot make {0} takes; hint: ask for 1 to {MAX_TAKES}")]
    Takes(usize),
    /// Zero rows at once.
    #[error("batches of 0 takes make nothing; hint: use 1 or more")]
    MaxBatch,
    /// More than a session holds.
    #[error("the request comes to {0:.3e} tokens, a session holds {MAX_TOKENS}; hint: ask for fewer takes or seconds")]
    TooManyTokens(f64),
    /// Sampling settings that don't match the levels.
    #[error("sampling settings for {given} levels, but the model has {levels}; hint: give one setting for each level")]
    Sampling {
        /// Settings given.
        given: usize,
        /// Levels of the model.
        levels: usize,
    },
    /// A sampler out of range.
    #[error("level {level}: {source}")]
    Sampler {
        /// The level.
        level: usize,
        /// What is out of range.
        source: SettingsError,
    },
    /// Hop fraction outside `(0, 1]`.
    #[error("level {level}: a hop fraction of {given} is outside (0, 1]; hint: 0.5 is usual, 0.125 for the top level")]
    HopFraction {
        /// The level.
        level: usize,
        /// The fraction.
        given: f64,
    },
    /// No level to make.
    #[error("no level to make; hint: name at least one")]
    NoLevels,
    /// A level that does not exist, or is named twice.
    #[error("level {level} does not exist or is named twice; hint: use each of 0 to {} at most once", count - 1)]
    Level {
        /// The level.
        level: usize,
        /// Levels of the model.
        count: usize,
    },
    /// A level without the one above.
    #[error(
        "level {level} follows the tokens of level {above}, which are not all there; hint: make level {above} too, or give its tokens"
    )]
    MissingAbove {
        /// Level to make.
        level: usize,
        /// The level above.
        above: usize,
    },
    /// Labels that don't match the takes.
    #[error("{given} sets of labels for {takes} takes; hint: give one for all, or one a take")]
    Labels {
        /// Sets given.
        given: usize,
        /// Takes asked for.
        takes: usize,
    },
    /// An empty blend, or a weight that is not a number.
    #[error(
        "the {table} of take {take} is empty or has a weight that is not a number; hint: give names with plain weights"
    )]
    Blend {
        /// The take.
        take: usize,
        /// `artist` or `genre`.
        table: &'static str,
    },
    /// Words of which the model knows no character.
    #[error("the lyrics have no character that the model knows; hint: use letters, digits and punctuation")]
    NoLyrics,
    /// More words than a song has.
    #[error("the lyrics have more than {MAX_LYRICS} characters; hint: give the words of one song")]
    LyricsTooLong,
    /// A prompt longer than the song.
    #[error(
        "level {level}: {given} tokens are there, but the song has only {total}; hint: ask for {seconds:.2} seconds or more, or shorten the prompt"
    )]
    PromptTooLong {
        /// The level.
        level: usize,
        /// Tokens there.
        given: usize,
        /// Tokens of the song.
        total: usize,
        /// Seconds that the tokens take.
        seconds: f64,
    },
    /// Given tokens that don't fit the levels, takes or codebooks.
    #[error("level {level}: {what}; hint: give tokens of this model's own codec, as many rows as takes, or one row")]
    Tokens {
        /// The level.
        level: usize,
        /// What is wrong.
        what: String,
    },
    /// A codec whose levels cannot be made one after the other.
    #[error("the codec does not fit: {0}; hint: use a codec whose levels have one codebook and nested hop lengths")]
    Shape(String),
}

fn weights_name(weights: Option<Dtype>) -> &'static str {
    weights.map_or("as stored", Dtype::name)
}
