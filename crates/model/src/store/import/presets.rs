//! The published checkpoints: what each was trained with, for files that do not say so themselves.
//!
//! Facts, by the names of the paper's program; only what a model's sizes follow from.

use serde_json::{Map, Value, json};
use std::fmt::{self, Display};

/// A published checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// `5b/vqvae.pth.tar`
    VqVae,
    /// `5b/prior_level_0.pth.tar`
    Upsampler0,
    /// `5b/prior_level_1.pth.tar`
    Upsampler1,
    /// `5b/prior_level_2.pth.tar`
    FiveB,
    /// `5b_lyrics/prior_level_2.pth.tar`
    FiveBLyrics,
    /// `1b_lyrics/prior_level_2.pth.tar`
    OneBLyrics,
}

impl Published {
    /// All of them, by the names they go by.
    pub const ALL: [(&'static str, Self); 6] = [
        ("vqvae", Self::VqVae),
        ("upsampler-0", Self::Upsampler0),
        ("upsampler-1", Self::Upsampler1),
        ("5b", Self::FiveB),
        ("5b-lyrics", Self::FiveBLyrics),
        ("1b-lyrics", Self::OneBLyrics),
    ];

    /// The settings it was trained with.
    pub(super) fn settings(self) -> Map<String, Value> {
        let settings = match self {
            Self::VqVae => json!({
                "sr": 44_100, "levels": 3, "downs_t": [3, 2, 2], "strides_t": [2, 2, 2], "emb_width": 64, "l_bins": 2048,
                "width": 32, "depth": 4, "m_conv": 1.0, "dilation_growth_rate": 3, "hvqvae_multipliers": [2, 1, 1],
            }),
            Self::Upsampler0 => upsampler(0),
            Self::Upsampler1 => upsampler(1),
            Self::FiveB => json!({
                "level": 2, "n_ctx": 8192, "prior_width": 4800, "prior_depth": 72, "heads": 8, "attn_order": 2,
                "blocks": 128, "init_scale": 0.1, "merged_decoder": true,
                "y_bins": [120, 4111], "max_bow_genre_size": 5, "t_bins": 128, "min_duration": 60.0, "max_duration": 600.0,
            }),
            Self::FiveBLyrics => json!({
                "level": 2, "n_ctx": 8192, "prior_width": 4800, "prior_depth": 79, "heads": 8, "attn_order": 10,
                "blocks": 128, "init_scale": 0.1, "merged_decoder": true,
                "y_bins": [120, 4111], "max_bow_genre_size": 5, "t_bins": 128, "min_duration": 23.8, "max_duration": 600.0,
                "n_tokens": 512, "n_vocab": 80, "prime_loss_fraction": 0.4, "alignment_layer": 68, "alignment_head": 2,
                "prime_width": 1280, "prime_depth": 18, "prime_heads": 4, "prime_attn_order": 2, "prime_blocks": 32,
                "prime_init_scale": 0.7,
            }),
            Self::OneBLyrics => json!({
                "level": 2, "n_ctx": 6144, "prior_width": 2048, "prior_depth": 72, "heads": 2, "attn_order": 12,
                "blocks": 64, "init_scale": 0.2,
                "y_bins": [604, 7898], "labels_v3": true, "max_bow_genre_size": 1, "t_bins": 64,
                "min_duration": 17.84, "max_duration": 600.0,
                "n_tokens": 384, "n_vocab": 79, "single_enc_dec": true, "prime_loss_fraction": 0.4,
                "alignment_layer": 63, "alignment_head": 0,
            }),
        };
        match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        }
    }
}

fn upsampler(level: usize) -> Value {
    json!({
        "level": level, "n_ctx": 8192, "prior_width": 1920, "prior_depth": 72, "heads": 1, "attn_order": 2,
        "blocks": 128, "init_scale": 0.4, "y_bins": [120, 4111], "max_bow_genre_size": 5,
        "cond_width": 1024, "cond_depth": 16, "cond_dilation_growth_rate": 3, "cond_dilation_cycle": 8,
        "cond_res_scale": level == 1,
    })
}

impl Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, p)| p == self).map_or("", |(name, _)| name))
    }
}
