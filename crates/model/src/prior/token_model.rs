//! The contract between a prior and the decoding loop: logits over one stream, one token ahead.

use crate::ModelError;
use crate::condition::Labels;

/// What one window of tokens is conditioned on.
///
/// A window is the stretch of a stream that a prior sees at once: token positions `start .. start + length`
/// of the song, with `length` at most [`TokenModel::context`]. Rows of a batch are takes of the same song;
/// they share the window's place in time and differ in labels and upper-level codes.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// First token of the window, in tokens from the start of the song.
    pub start: usize,
    /// Tokens in the window, prefix and new ones together. Fewer than the context only for songs shorter than it.
    pub length: usize,
    /// Labels of each row. Their `offset` is the song's own; the prior adds `start * hop_length`.
    pub labels: &'a [Labels],
    /// Codes of the level above for exactly this window, one slice of `length / upper_ratio` a row;
    /// `None` for a top level.
    pub upper: Option<&'a [&'a [u32]]>,
}

/// A prior over one token stream that can be run one token ahead.
///
/// Use: [`begin`](Self::begin) a window, then [`advance`](Self::advance) with the tokens already known
/// (none at the start of a song); it returns the logits of the next token; sample, and advance by that
/// token, until the window is full. Results don't depend on how tokens are split over calls nor on the
/// number of rows.
pub trait TokenModel {
    /// Level of the stream: 0 is the finest.
    fn level(&self) -> usize;
    /// Samples of audio a token stands for.
    fn hop_length(&self) -> usize;
    /// Longest window, in tokens; lyrics that a prior reads in front of the music don't count.
    fn context(&self) -> usize;
    /// Number of different tokens.
    fn codebook_size(&self) -> usize;
    /// Tokens of this level for one token of the level above; `None` for a top level.
    fn upper_ratio(&self) -> Option<usize>;
    /// Starts a window: forgets all tokens, computes its conditions.
    ///
    /// # Errors
    /// If the window is longer than the context, if codes of the level above are missing or of the wrong
    /// number, or if a label lies outside the model's tables.
    fn begin(&mut self, window: &Window<'_>) -> Result<(), ModelError>;
    /// Appends the same number of tokens to every row and returns the logits of the next token,
    /// row-major `[batch, codebook_size]`. With no tokens, right after `begin`: the logits of the first.
    ///
    /// # Errors
    /// If no window was begun, if the window overflows, or a token is outside the codebook.
    fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError>;
}
