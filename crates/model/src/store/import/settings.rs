//! From the settings of the paper's program (`hps`) to our configurations. What sizes of tensors cannot tell must be there;
//! the rest has that program's own defaults.

use crate::codec::VqVaeConfig;
use crate::condition::{LabelsConfig, Naming, TimingConfig, UpperConfig};
use crate::nn::resnet::ResnetConfig;
use crate::nn::transformer::TransformerConfig;
use crate::prior::{AlignmentConfig, LyricsConfig, PriorConfig};
use serde::Deserialize;
use serde_json::Value;

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}

fn quarter() -> f64 {
    0.25
}

fn cd() -> u32 {
    44_100
}

/// Settings of a codec.
#[derive(Debug, Deserialize)]
pub(super) struct CodecSettings {
    #[serde(default = "cd")]
    sr: u32,
    levels: usize,
    downs_t: Vec<usize>,
    strides_t: Vec<usize>,
    emb_width: usize,
    l_bins: usize,
    width: usize,
    depth: usize,
    #[serde(default = "one")]
    m_conv: f64,
    dilation_growth_rate: usize,
    dilation_cycle: Option<usize>,
    hvqvae_multipliers: Option<Vec<usize>>,
    #[serde(default = "yes")]
    vqvae_reverse_decoder_dilation: bool,
}

impl CodecSettings {
    pub fn config(&self) -> VqVaeConfig {
        let strides = self.downs_t.iter().zip(&self.strides_t).take(self.levels);
        VqVaeConfig {
            sample_rate: self.sr,
            // More steps than any configuration may have are refused there.
            strides: strides.map(|(downs, stride)| vec![*stride; (*downs).min(64)]).collect(),
            embedding_width: self.emb_width,
            codebook_size: self.l_bins,
            width: self.width,
            resnet: ResnetConfig {
                depth: self.depth,
                hidden: self.m_conv,
                dilation_growth: self.dilation_growth_rate,
                dilation_cycle: self.dilation_cycle,
                residual_scale: false,
            },
            multipliers: self.hvqvae_multipliers.clone().unwrap_or_else(|| vec![1; self.levels.min(64)]),
            reverse_decoder_dilation: self.vqvae_reverse_decoder_dilation,
        }
    }
}

/// Settings of a prior.
#[derive(Debug, Deserialize)]
pub(super) struct PriorSettings {
    pub level: usize,
    n_ctx: usize,
    prior_width: usize,
    prior_depth: usize,
    heads: usize,
    attn_order: usize,
    blocks: Option<usize>,
    spread: Option<usize>,
    #[serde(default = "quarter")]
    m_attn: f64,
    #[serde(default = "one")]
    m_mlp: f64,
    #[serde(default = "one")]
    init_scale: f64,
    #[serde(default)]
    zero_out: bool,
    #[serde(default)]
    res_scale: bool,
    #[serde(default)]
    merged_decoder: bool,
    #[serde(default = "yes")]
    labels: bool,
    #[serde(default)]
    labels_v3: bool,
    /// Rows of the tables of genres and artists, or 0.
    #[serde(default)]
    y_bins: Value,
    max_bow_genre_size: Option<usize>,
    t_bins: Option<usize>,
    min_duration: Option<f64>,
    max_duration: Option<f64>,
    #[serde(flatten)]
    lyrics: LyricSettings,
    #[serde(flatten)]
    conditioner: ConditionerSettings,
}

/// Settings of lyrics.
#[derive(Debug, Deserialize)]
struct LyricSettings {
    #[serde(default)]
    n_tokens: usize,
    #[serde(default)]
    n_vocab: usize,
    #[serde(default)]
    single_enc_dec: bool,
    #[serde(default)]
    prime_loss_fraction: f64,
    alignment_layer: Option<usize>,
    alignment_head: Option<usize>,
    prime_width: Option<usize>,
    prime_depth: Option<usize>,
    prime_heads: Option<usize>,
    prime_attn_order: Option<usize>,
    prime_blocks: Option<usize>,
    #[serde(default = "quarter")]
    prime_m_attn: f64,
    #[serde(default = "one")]
    prime_m_mlp: f64,
    #[serde(default = "one")]
    prime_init_scale: f64,
    #[serde(default)]
    prime_zero_out: bool,
    #[serde(default)]
    prime_res_scale: bool,
}

/// Settings of the conditioner on the level above.
#[derive(Debug, Deserialize)]
struct ConditionerSettings {
    cond_width: Option<usize>,
    cond_depth: Option<usize>,
    #[serde(default = "one")]
    cond_m_conv: f64,
    cond_dilation_growth_rate: Option<usize>,
    cond_dilation_cycle: Option<usize>,
    #[serde(default)]
    cond_res_scale: bool,
}

/// A setting that this model needs.
fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, &'static str> {
    value.ok_or(name)
}

/// Rows of the context, which dense attention (order 0) has no use for.
fn rows(value: Option<usize>, attn_order: usize, name: &'static str) -> Result<usize, &'static str> {
    if attn_order == 0 { Ok(value.unwrap_or(1)) } else { needed(value, name) }
}

impl PriorSettings {
    /// The prior over tokens of `codec`, which has its level.
    ///
    /// # Errors
    /// The name of a setting that is missing.
    pub fn config(&self, codec: &VqVaeConfig) -> Result<PriorConfig, &'static str> {
        let lyrics = (self.lyrics.n_tokens > 0).then(|| self.lyrics.config()).transpose()?;
        let in_front = if self.lyrics.single_enc_dec { self.lyrics.n_tokens } else { 0 };
        Ok(PriorConfig {
            level: self.level,
            sample_rate: codec.sample_rate,
            hop_length: codec.hop_length(self.level),
            codebook_size: codec.codebook_size,
            transformer: TransformerConfig {
                width: self.prior_width,
                depth: self.prior_depth,
                heads: self.heads,
                context: self.n_ctx.saturating_add(in_front),
                blocks: rows(self.blocks, self.attn_order, "blocks")?,
                attn_order: self.attn_order,
                spread: self.spread.unwrap_or(0),
                prime: in_front,
                attention_width: self.m_attn,
                mlp_width: self.m_mlp,
                init_scale: self.init_scale,
                zero_out: self.zero_out,
                residual_scale: self.res_scale,
            },
            labels: self.labels(codec)?,
            lyrics,
            upper: codec
                .strides
                .get(self.level + 1)
                .map(|strides| self.conditioner.config(strides, codec))
                .transpose()?,
            merged_decoder: self.merged_decoder,
        })
    }

    fn labels(&self, codec: &VqVaeConfig) -> Result<Option<LabelsConfig>, &'static str> {
        let rows = serde_json::from_value::<[usize; 2]>(self.y_bins.clone());
        let (true, Ok([genres, artists])) = (self.labels, rows) else { return Ok(None) };
        // The clock is the top level's alone.
        let timing = if self.level + 1 == codec.levels() { Some(self.timing()?) } else { None };
        Ok(Some(LabelsConfig {
            artists,
            genres,
            timing,
            naming: if self.labels_v3 { Naming::V3 } else { Naming::V2 },
            genre_words: needed(self.max_bow_genre_size, "max_bow_genre_size")?,
        }))
    }

    fn timing(&self) -> Result<TimingConfig, &'static str> {
        Ok(TimingConfig {
            bins: needed(self.t_bins, "t_bins")?,
            min_seconds: needed(self.min_duration, "min_duration")?,
            max_seconds: needed(self.max_duration, "max_duration")?,
        })
    }
}

impl LyricSettings {
    fn config(&self) -> Result<LyricsConfig, &'static str> {
        Ok(LyricsConfig {
            tokens: self.n_tokens,
            vocabulary: self.n_vocab,
            loss_share: self.prime_loss_fraction,
            encoder: if self.single_enc_dec { None } else { Some(self.encoder()?) },
            alignment: self
                .alignment_layer
                .zip(self.alignment_head)
                .map(|(layer, head)| AlignmentConfig { layer, head }),
        })
    }

    fn encoder(&self) -> Result<TransformerConfig, &'static str> {
        let attn_order = needed(self.prime_attn_order, "prime_attn_order")?;
        Ok(TransformerConfig {
            width: needed(self.prime_width, "prime_width")?,
            depth: needed(self.prime_depth, "prime_depth")?,
            heads: needed(self.prime_heads, "prime_heads")?,
            context: self.n_tokens,
            blocks: rows(self.prime_blocks, attn_order, "prime_blocks")?,
            attn_order,
            spread: 0,
            prime: 0,
            attention_width: self.prime_m_attn,
            mlp_width: self.prime_m_mlp,
            init_scale: self.prime_init_scale,
            zero_out: self.prime_zero_out,
            residual_scale: self.prime_res_scale,
        })
    }
}

impl ConditionerSettings {
    fn config(&self, strides: &[usize], codec: &VqVaeConfig) -> Result<UpperConfig, &'static str> {
        Ok(UpperConfig {
            strides: strides.to_vec(),
            codebook_size: codec.codebook_size,
            width: needed(self.cond_width, "cond_width")?,
            resnet: ResnetConfig {
                depth: needed(self.cond_depth, "cond_depth")?,
                hidden: self.cond_m_conv,
                dilation_growth: needed(self.cond_dilation_growth_rate, "cond_dilation_growth_rate")?,
                dilation_cycle: self.cond_dilation_cycle,
                residual_scale: self.cond_res_scale,
            },
        })
    }
}
