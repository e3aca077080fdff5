//! Labels of a song: who, what kind, how long, and where in it we are.

use serde::{Deserialize, Serialize};

/// Weighted mixture of rows of an embedding table: `[(id, weight)]`.
///
/// A single entry of weight 1 is an ordinary label. Several entries blend their embeddings linearly.
/// For genres the paper's bag of words is the sum of its words: every word has weight 1.
pub type Blend = Vec<(u32, f32)>;

/// Labels of one song (Jukebox, section 4.1 of the paper: artist, genre and timing).
///
/// Lengths are in audio samples at the model's sample rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Rows of the artist table. Id 0 is "unknown".
    pub artist: Blend,
    /// Rows of the genre table. Id 0 is "unknown".
    pub genre: Blend,
    /// Length of the whole song in samples: the timing label.
    pub total_length: u64,
    /// Where the first token of the session lies in the song, in samples.
    pub offset: u64,
    /// Token ids of the whole song's words, for priors that know words; the prior takes the part of its window from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lyrics: Vec<u32>,
}
