//! Names and sizes of all parameters, from a configuration alone: what a model of billions is checked and counted by before
//! there is memory for it. A test holds them equal to the walk over the networks.

use super::ModelConfig;
use crate::codec::VqVaeConfig;
use crate::nn::attention::AttnFunc;
use crate::nn::resnet::ResnetConfig;
use crate::nn::transformer::TransformerConfig;
use crate::prior::PriorConfig;

/// Name and sizes of a tensor.
pub type Shape = (String, Vec<usize>);

/// The list, and the path of the part that is being listed.
#[derive(Default)]
struct List {
    path: String,
    all: Vec<Shape>,
}

impl List {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.all.push((format!("{}{name}", self.path), shape.to_vec()));
    }

    fn within(&mut self, name: &str, part: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(name);
        self.path.push('.');
        part(self);
        self.path.truncate(length);
    }

    /// A convolution; the bias is as long as `out`.
    fn conv(&mut self, name: &str, weight: [usize; 3], out: usize) {
        self.add(&format!("{name}.weight"), &weight);
        self.add(&format!("{name}.bias"), &[out]);
    }

    fn linear(&mut self, name: &str, [from, to]: [usize; 2]) {
        self.add(&format!("{name}.w"), &[from, to]);
        self.add(&format!("{name}.b"), &[to]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.weight"), &[width]);
        self.add(&format!("{name}.bias"), &[width]);
    }

    fn table(&mut self, name: &str, rows: usize, width: usize) {
        self.add(&format!("{name}.weight"), &[rows, width]);
    }

    fn stack(&mut self, list: &str, config: &ResnetConfig, width: usize) {
        let hidden = (config.hidden * width as f64) as usize;
        for d in 0..config.depth {
            self.conv(&format!("{list}.{d}.model.1"), [hidden, width, 3], hidden);
            self.conv(&format!("{list}.{d}.model.3"), [width, hidden, 1], width);
        }
    }

    /// The up-sampling block that codecs and conditioners share; `list` is what it calls its residual blocks.
    fn decoder_block(&mut self, list: &str, sizes: [usize; 3], strides: &[usize], resnet: &ResnetConfig) {
        let [input, width, output] = sizes;
        self.conv("model.0", [width, input, 3], width);
        for (i, stride) in strides.iter().enumerate() {
            let to = if i + 1 == strides.len() { output } else { width };
            self.within(&format!("model.{}.0", i + 1), |l| l.stack(list, resnet, width));
            self.conv(&format!("model.{}.1", i + 1), [width, to, 2 * stride], to);
        }
    }

    fn codec_level(&mut self, config: &VqVaeConfig, level: usize, times: usize) {
        let (width, emb) = (config.width * times, config.embedding_width);
        let resnet = ResnetConfig { depth: config.resnet.depth * times, ..config.resnet.clone() };
        let strides = || config.strides.iter().take(level + 1).enumerate();
        for (b, strides) in strides() {
            self.within(&format!("encoders.{level}.level_blocks.{b}"), |l| {
                let mut from = if b == 0 { 1 } else { emb };
                for (i, stride) in strides.iter().enumerate() {
                    l.conv(&format!("model.{i}.0"), [width, from, 2 * stride], width);
                    l.within(&format!("model.{i}.1"), |l| l.stack("model", &resnet, width));
                    from = width;
                }
                l.conv(&format!("model.{}", strides.len()), [emb, width, 3], emb);
            });
        }
        for (b, strides) in strides() {
            let strides: Vec<usize> = strides.iter().rev().copied().collect();
            let sizes = [emb, width, emb];
            self.within(&format!("decoders.{level}.level_blocks.{b}"), |l| {
                l.decoder_block("model", sizes, &strides, &resnet);
            });
        }
        self.conv(&format!("decoders.{level}.out"), [1, emb, 3], 1);
        self.add(&format!("bottleneck.level_blocks.{level}.k"), &[config.codebook_size, emb]);
    }

    fn transformer(&mut self, config: &TransformerConfig) {
        let (width, state) = (config.width, config.state());
        let hidden = (config.mlp_width * width as f64) as usize;
        for d in 0..config.depth {
            let to_encoder = config.func(d).is_ok_and(|func| func == AttnFunc::Encoder);
            self.within(&format!("transformer._attn_mods.{d}"), |l| {
                l.linear("attn.c_attn", [width, if to_encoder { state } else { 3 * state }]);
                l.linear("attn.c_proj", [state, width]);
                if to_encoder {
                    l.linear("attn.c_enc_kv", [width, 2 * state]);
                }
                l.norm("ln_0", width);
                l.linear("mlp.c_fc", [width, hidden]);
                l.linear("mlp.c_proj", [hidden, width]);
                l.norm("ln_1", width);
            });
        }
    }

    /// Tables and transformer; `output`: a table of its own for the logits.
    fn network(&mut self, config: &TransformerConfig, tokens: usize, start: bool, output: bool) {
        self.table("x_emb", tokens, config.width);
        self.add("pos_emb.pos_emb", &[config.context, config.width]);
        if start {
            self.add("start_token", &[1, config.width]);
        }
        self.transformer(config);
        if output {
            self.table("x_out", tokens, config.width);
        }
    }
}

/// All parameters of a codec.
pub fn codec_shapes(config: &VqVaeConfig) -> Vec<Shape> {
    let mut list = List::default();
    for (level, times) in config.multipliers.iter().enumerate().take(config.levels()) {
        list.codec_level(config, level, *times);
    }
    list.all
}

/// All parameters of a prior.
pub fn prior_shapes(config: &PriorConfig) -> Vec<Shape> {
    let mut list = List::default();
    let width = config.transformer.width;
    list.within("prior", |l| {
        l.network(&config.transformer, config.vocabulary(), config.labels.is_none(), config.merged_decoder);
    });
    if let Some(labels) = &config.labels {
        list.within("y_emb", |l| {
            l.table("bow_genre_emb.emb", labels.genres, width);
            l.table("artist_emb.emb", labels.artists, width);
            for name in ["total_length_emb", "absolute_pos_emb", "relative_pos_emb"] {
                if let Some(timing) = &labels.timing {
                    l.table(&format!("{name}.emb"), timing.bins, width);
                }
            }
        });
    }
    if let Some(upper) = &config.upper {
        list.within("conditioner_blocks.0", |l| {
            l.table("x_emb", upper.codebook_size, width);
            l.within("cond", |l| {
                l.decoder_block("blocks", [width, upper.width, width], &upper.strides, &upper.resnet);
            });
            l.norm("ln", width);
        });
    }
    if let Some((lyrics, encoder)) = config.lyrics.as_ref().and_then(|l| Some((l, l.encoder.as_ref()?))) {
        list.within("prime_prior", |l| l.network(encoder, lyrics.vocabulary, true, false));
        list.linear("prime_state_proj", [encoder.width, width]);
        list.norm("prime_state_ln", width);
        list.table("prime_x_out", lyrics.vocabulary, width);
    }
    list.all
}

impl ModelConfig {
    /// All parts of the model, as the folder names them, with their parameters.
    pub fn parts(&self) -> Vec<(String, Vec<Shape>)> {
        let priors = self.priors.iter().map(|(level, prior)| (format!("prior.{level}"), prior_shapes(prior)));
        std::iter::once(("codec".to_owned(), codec_shapes(&self.codec))).chain(priors).collect()
    }
}
