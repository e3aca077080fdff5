//! Sizes of a prior and what it is conditioned on.

use crate::ModelError;
use crate::condition::{LabelsConfig, UpperConfig};
use crate::nn::attention::AttnFunc;
use crate::nn::transformer::TransformerConfig;
use serde::{Deserialize, Serialize};

/// Sizes of a prior and what it is conditioned on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// Level of the stream: 0 is the finest.
    pub level: usize,
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples of audio for one token.
    pub hop_length: usize,
    /// Different tokens.
    pub codebook_size: usize,
    /// The transformer.
    pub transformer: TransformerConfig,
    /// Label tables; none: the prior starts from a learned vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsConfig>,
    /// The words it is told; none: it knows no words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lyrics: Option<LyricsConfig>,
    /// The conditioner on the level above; none for a top level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<UpperConfig>,
    /// Whether the output table is its own and the condition is added at the input only (the paper's 5b models).
    #[serde(default)]
    pub merged_decoder: bool,
}

/// How a prior is told the words of its window (Jukebox, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LyricsConfig {
    /// Characters of a window.
    pub tokens: usize,
    /// Different characters, the padding included: 80 in the published vocabulary v2, 79 in v3.
    pub vocabulary: usize,
    /// Weight of the loss on lyric tokens, each against one of a music token.
    pub loss_share: f64,
    /// The encoder that encoder attention attends to. None: lyrics and music are one stream of one vocabulary, the lyrics
    /// in front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<TransformerConfig>,
    /// Where the prior shows which character it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<AlignmentConfig>,
}

/// The attention that follows the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignmentConfig {
    /// Layer, counted from 0.
    pub layer: usize,
    /// Head of it.
    pub head: usize,
}

impl PriorConfig {
    /// Lyric tokens in front of the music in one stream with it; 0 if there are none.
    pub fn lyrics_in_front(&self) -> usize {
        self.lyrics.as_ref().filter(|l| l.encoder.is_none()).map_or(0, |l| l.tokens)
    }

    /// Longest window of music, in tokens: the context without lyrics in front.
    pub fn window(&self) -> usize {
        self.transformer.context.saturating_sub(self.lyrics_in_front())
    }

    /// Id of the codebook's first token in the tables: lyrics that share them come first.
    pub fn first_token(&self) -> usize {
        self.lyrics.as_ref().filter(|l| l.encoder.is_none()).map_or(0, |l| l.vocabulary)
    }

    /// Rows of the token tables.
    pub fn vocabulary(&self) -> usize {
        self.first_token() + self.codebook_size
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// Names the first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.transformer.validate()?;
        let bad = |field, what: String| Err(ModelError::Config { field, what });
        if self.codebook_size == 0 || self.codebook_size > 1 << 20 {
            return bad("codebook_size", format!("{} is out of range", self.codebook_size));
        }
        if let Some(labels) = &self.labels {
            for (n, what) in
                [(labels.artists, "artists"), (labels.genres, "genres"), (labels.genre_words, "words of a genre")]
            {
                if n == 0 || n > 1 << 24 {
                    return bad("labels", format!("{n} {what} are out of range; hint: row 0 is the unknown"));
                }
            }
            if let Some(t) = &labels.timing
                && (t.bins == 0
                    || t.bins > 1 << 20
                    || !(0.0..t.max_seconds).contains(&t.min_seconds)
                    || t.max_seconds > 1e6)
            {
                return bad(
                    "labels.timing",
                    format!("{t:?} has no range; hint: min_seconds must be below max_seconds"),
                );
            }
        }
        self.validate_lyrics()?;
        if let Some(upper) = &self.upper {
            upper.resnet.validate(1)?;
            if upper.strides.len() > 12
                || upper.strides.iter().any(|s| *s == 0 || s % 2 != 0 || *s > 256)
                || !self.window().is_multiple_of(upper.ratio().max(1))
            {
                return bad(
                    "upper.strides",
                    format!("{:?} must be even and their product divide the context", upper.strides),
                );
            }
            let sizes = [(upper.width, 1 << 14), (upper.codebook_size, 1 << 20), (upper.resnet.depth, 256)];
            let channels = upper.resnet.hidden * upper.width as f64;
            if sizes.iter().any(|(n, most)| *n == 0 || n > most) || !(1.0..=(1 << 20) as f64).contains(&channels) {
                return bad("upper", "a size is zero, or too large".into());
            }
        }
        Ok(())
    }

    fn validate_lyrics(&self) -> Result<(), ModelError> {
        let bad = |field, what: String| Err(ModelError::Config { field, what });
        let Self { transformer, .. } = self;
        let encoder = self.lyrics.as_ref().and_then(|l| l.encoder.as_ref());
        if encoder.is_none() && transformer.has(AttnFunc::Encoder) {
            let what = format!("{} attends to lyrics; hint: configure `lyrics.encoder`", transformer.attn_order);
            return bad("attn_order", what);
        }
        if transformer.prime != self.lyrics_in_front() {
            let (prime, front) = (transformer.prime, self.lyrics_in_front());
            return bad("prime", format!("{prime} is not the number of lyric tokens in front, {front}"));
        }
        let Some(lyrics) = &self.lyrics else { return Ok(()) };
        if lyrics.tokens == 0 || lyrics.tokens % 2 != 0 || self.window() == 0 {
            let what = format!("{} is no even number below the context of {}", lyrics.tokens, transformer.context);
            return bad("lyrics.tokens", what);
        }
        if lyrics.vocabulary == 0 || lyrics.vocabulary > 1 << 20 {
            return bad("lyrics.vocabulary", format!("{} is out of range", lyrics.vocabulary));
        }
        if !(lyrics.loss_share >= 0.0 && lyrics.loss_share.is_finite()) {
            return bad("lyrics.loss_share", format!("{} is no weight", lyrics.loss_share));
        }
        if let Some(encoder) = encoder {
            encoder.validate()?;
            if encoder.context != lyrics.tokens {
                let (context, tokens) = (encoder.context, lyrics.tokens);
                return bad("lyrics.encoder", format!("has a context of {context} for {tokens} lyric tokens"));
            }
            if encoder.prime != 0 || encoder.has(AttnFunc::Encoder) {
                return bad("lyrics.encoder", "cannot attend to lyrics itself; hint: use attention order 2".into());
            }
        }
        if let Some(AlignmentConfig { layer, head }) = lyrics.alignment {
            let follows =
                transformer.func(layer)? == if encoder.is_some() { AttnFunc::Encoder } else { AttnFunc::Prime };
            if layer >= transformer.depth || head >= transformer.heads || !follows {
                return bad("lyrics.alignment", format!("layer {layer}, head {head} does not attend to lyrics"));
            }
        }
        Ok(())
    }
}
