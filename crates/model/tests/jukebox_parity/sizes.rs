//! What a file's `config` metadata says, in this project's words.

use super::fixture::{Config, Fixture};
use orchestrion_model::codec::{Bandwidth, LossConfig, VqVaeConfig};
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, Span, TimingConfig, UpperConfig};
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::prior::{LyricsConfig, PriorConfig};

/// A codec.
pub fn codec(config: &Config) -> VqVaeConfig {
    let steps = config.counts("downs_t").into_iter().zip(config.counts("strides_t"));
    VqVaeConfig {
        sample_rate: config.part("loss").count("sr") as u32,
        strides: steps.map(|(downs, stride)| vec![stride; downs]).collect(),
        embedding_width: config.count("emb_width"),
        codebook_size: config.count("l_bins"),
        width: config.count("width"),
        resnet: ResnetConfig {
            depth: config.count("depth"),
            hidden: config.number("m_conv"),
            dilation_growth: config.count("dilation_growth_rate"),
            dilation_cycle: config.optional("dilation_cycle").map(|c| c as usize),
            residual_scale: false,
        },
        multipliers: config.counts("multipliers"),
        reverse_decoder_dilation: config.flag("reverse_decoder_dilation"),
    }
}

/// The statistics in a file's loss settings.
pub fn bandwidth(hps: &Config) -> Bandwidth {
    let b = hps.part("bandwidth");
    Bandwidth { l1: b.number("l1") as f32, l2: b.number("l2") as f32, spectral: b.number("spec") as f32 }
}

/// The weights that a file's settings give the kind of waveform loss.
pub fn loss_weights(hps: &Config, kind: &str) -> LossConfig {
    let of = |name: &str| match kind {
        "lmix" => hps.number(&format!("lmix_{name}")) as f32,
        other => f32::from(other == name),
    };
    LossConfig {
        l1: of("l1"),
        l2: of("l2"),
        linf: of("linf"),
        linf_k: hps.count("linf_k"),
        multispectral: hps.number("multispectral") as f32,
        commit: hps.number("commit") as f32,
    }
}

/// Label tables; `timing` for top levels.
pub fn labels(config: &Config, timing: bool) -> LabelsConfig {
    LabelsConfig {
        artists: config.count("artist_bins"),
        genres: config.count("genre_bins"),
        timing: timing.then(|| TimingConfig {
            bins: config.count("t_bins"),
            min_seconds: config.number("min_duration"),
            max_seconds: config.number("max_duration"),
        }),
        naming: Naming::Own,
        genre_words: config.count("G"),
    }
}

/// The conditioner, whose residual channels stand under `width`.
pub fn upper(config: &Config, width: &str) -> UpperConfig {
    UpperConfig {
        strides: vec![config.count("cond_stride"); config.count("cond_downs")],
        codebook_size: config.count("bins"),
        width: config.count(width),
        resnet: ResnetConfig {
            depth: config.count("cond_depth"),
            hidden: config.optional("cond_m_conv").or(config.optional("m_conv")).unwrap_or(1.0),
            dilation_growth: config.count("cond_growth"),
            dilation_cycle: config.optional("cond_cycle").map(|c| c as usize),
            residual_scale: config.flag("cond_res_scale"),
        },
    }
}

/// A transformer over `context` positions, `prime` of them lyrics in front. Its width and order stand under these names.
pub fn transformer(config: &Config, [width, order]: [&str; 2], context: usize, prime: usize) -> TransformerConfig {
    let count = |key: &str, missing: usize| config.optional(key).map_or(missing, |n| n as usize);
    TransformerConfig {
        width: config.count(width),
        depth: count("depth", 1),
        heads: config.count("heads"),
        context,
        blocks: count("blocks", 1),
        attn_order: count(order, 0),
        spread: count("spread", 0),
        prime,
        attention_width: config.optional("m_attn").unwrap_or(0.25),
        mlp_width: config.optional("m_mlp").unwrap_or(1.0),
        init_scale: 1.0,
        zero_out: false,
        residual_scale: config.flag("res_scale"),
    }
}

/// A prior in any of its modes.
pub fn prior(config: &Config) -> PriorConfig {
    let steps = config.counts("downs_t").into_iter().zip(config.counts("strides_t"));
    let steps = steps.take(config.count("level") + 1);
    prior_of_hop(config, steps.map(|(downs, stride)| stride.pow(downs as u32)).product())
}

/// A prior whose tokens stand for `hop_length` samples.
pub fn prior_of_hop(config: &Config, hop_length: usize) -> PriorConfig {
    let mode = config.word("mode");
    let tokens = if mode == "none" { 0 } else { config.count("n_tokens") };
    let front = if mode == "single" { tokens } else { 0 };
    PriorConfig {
        level: config.count("level"),
        sample_rate: config.count("sr") as u32,
        hop_length,
        codebook_size: config.count("bins"),
        transformer: transformer(config, ["width", "order"], front + config.count("n_ctx"), front),
        labels: config.flag("labels").then(|| labels(config, config.flag("top"))),
        lyrics: (tokens > 0).then(|| LyricsConfig {
            tokens,
            vocabulary: config.count("n_vocab"),
            loss_share: config.number("prime_frac"),
            encoder: (mode == "sep").then(|| transformer(&config.part("prime"), ["width", "order"], tokens, 0)),
            alignment: None,
        }),
        upper: (!config.flag("top")).then(|| upper(config, "cond_width")),
        merged_decoder: config.flag("merged"),
    }
}

/// Rows `[total, offset, length, artist, genres ..., lyric tokens ...]` under a key as the songs' labels and the windows'
/// places. A song's words are those of its window: as many as fit in, so they are all in it.
pub fn label_rows(fixture: &Fixture, key: &str) -> Vec<(Labels, Span)> {
    let genres = fixture.config.count("G");
    let columns = fixture.shape(key)[1];
    let row = |y: &[i64]| {
        let [total, offset, length] = [y[0], y[1], y[2]].map(|n| u64::try_from(n).unwrap());
        let (words, lyrics) = y[4..].split_at(genres);
        let labels = Labels {
            artist: vec![(u32::try_from(y[3]).unwrap(), 1.0)],
            genre: words.iter().filter_map(|g| u32::try_from(*g).ok()).map(|g| (g, 1.0)).collect(),
            total_length: total,
            offset,
            lyrics: lyrics.iter().map(|t| u32::try_from(*t).unwrap()).collect(),
        };
        (labels, Span { total, offset, length })
    };
    fixture.integers(key).chunks_exact(columns).map(row).collect()
}
