//! What a model folder's `config.json` holds.

use crate::ModelError;
use crate::codec::{Bandwidth, VqVaeConfig};
use crate::condition::Naming;
use crate::prior::{LyricsConfig, PriorConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the folder's layout.
pub const MODEL_FORMAT: u32 = 1;

/// Most layers of a stack.
const MOST_LAYERS: usize = 1024;

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Version of the folder's layout.
    pub format: u32,
    /// Name to show.
    pub name: String,
    /// The codec.
    pub codec: VqVaeConfig,
    /// Statistics of the audio that the codec was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// The priors, by level.
    #[serde(default)]
    pub priors: BTreeMap<usize, PriorConfig>,
    /// Names of the artists; place = row of the table, row 0 is the unknown.
    #[serde(default)]
    pub artists: Vec<String>,
    /// Names of the genres.
    #[serde(default)]
    pub genres: Vec<String>,
    /// What `sample` does when it is told nothing.
    #[serde(default)]
    pub sampling: SamplingDefaults,
    /// Terms that the weights carry, a sentence or two each. They go wherever the weights go, and the card has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
}

/// Settings of sampling that suit a model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingDefaults {
    /// Artist label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// Genre label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// Temperature for each level, finest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub temperature: Vec<f32>,
    /// Nucleus for each level, finest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_p: Vec<f32>,
    /// Fraction of the context by which windows move, for each level, finest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hop_fraction: Vec<f32>,
    /// Length of the whole song in seconds, the timing label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub song_seconds: Option<f64>,
}

impl ModelConfig {
    /// The prior that sings, and how it is told the words: of those that know words the one of the highest level. The
    /// others know the same characters, because a song has one text.
    pub fn singer(&self) -> Option<(&PriorConfig, &LyricsConfig)> {
        self.priors.values().rev().find_map(|prior| Some((prior, prior.lyrics.as_ref()?)))
    }

    /// Takes over the terms of a model that weights come from.
    pub fn add_terms(&mut self, terms: &[String]) {
        for term in terms {
            if !self.terms.contains(term) {
                self.terms.push(term.clone());
            }
        }
    }

    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// Names the first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        let bad = |field, what: String| Err(ModelError::Config { field, what });
        if self.format != MODEL_FORMAT {
            return bad(
                "format",
                format!("{} is not {MODEL_FORMAT}; hint: this model was written by another version", self.format),
            );
        }
        self.codec.validate()?;
        self.validate_layers()?;
        for (&level, prior) in &self.priors {
            prior.validate()?;
            if level >= self.codec.levels() || prior.level != level {
                return bad(
                    "priors",
                    format!("a prior of level {} stands at level {level} of {}", prior.level, self.codec.levels()),
                );
            }
            if prior.hop_length != self.codec.hop_length(level)
                || prior.codebook_size != self.codec.codebook_size
                || prior.sample_rate != self.codec.sample_rate
            {
                return bad("priors", format!("the prior of level {level} was made for another codec"));
            }
            if let Some(upper) = &prior.upper {
                let ratio = self.codec.strides.get(level + 1).map(|s| s.iter().product::<usize>());
                if ratio != Some(upper.ratio()) || upper.codebook_size != self.codec.codebook_size {
                    return bad("priors", format!("the conditioner of level {level} does not fit the level above"));
                }
            }
            if let (Some(lyrics), Some((singer, known))) = (&prior.lyrics, self.singer())
                && lyrics.vocabulary != known.vocabulary
            {
                let (ours, theirs) = (lyrics.vocabulary, known.vocabulary);
                return bad(
                    "lyrics.vocabulary",
                    format!("{ours} characters at level {level}, {theirs} at level {}", singer.level),
                );
            }
            if let Some(labels) = prior.labels.as_ref().filter(|l| l.naming == Naming::Own)
                && (labels.artists != self.artists.len() || labels.genres != self.genres.len())
            {
                return bad("artists", format!("tables of level {level} have other sizes than the lists of names"));
            }
        }
        Ok(())
    }

    /// A limit on what sizes and counts are listed for before any weight is seen.
    fn validate_layers(&self) -> Result<(), ModelError> {
        let most = self.codec.multipliers.iter().max().copied().unwrap_or(1);
        let codec = ("resnet.depth", self.codec.resnet.depth.saturating_mul(most));
        let priors = self.priors.values().flat_map(|prior| {
            let encoder = prior.lyrics.as_ref().and_then(|l| l.encoder.as_ref());
            [
                ("transformer.depth", prior.transformer.depth),
                ("lyrics.encoder.depth", encoder.map_or(0, |e| e.depth)),
                ("upper.resnet.depth", prior.upper.as_ref().map_or(0, |u| u.resnet.depth)),
            ]
        });
        match std::iter::once(codec).chain(priors).find(|(_, depth)| *depth > MOST_LAYERS) {
            None => Ok(()),
            Some((field, depth)) => Err(ModelError::Config {
                field,
                what: format!("{depth} layers are more than the limit of {MOST_LAYERS}"),
            }),
        }
    }
}
