//! The prior over one level's tokens: network, labels, lyrics, conditioner (Jukebox, section 4).

use super::autoregressive::{Autoregressive, Tables};
use super::lyrics::LyricEncoder;
use super::{Conditions, PriorConfig};
use crate::ModelError;
use crate::condition::{LabelEmbedding, UpperConditioner};
use crate::nn::{Parameters, Random, Visitor, Work, ops, with_kernels};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// A prior with its conditioners.
#[derive(Debug, Clone)]
pub struct Prior {
    config: PriorConfig,
    pub(crate) network: Autoregressive,
    pub(crate) labels: Option<LabelEmbedding>,
    pub(crate) upper: Option<UpperConditioner>,
    pub(crate) encoder: Option<LyricEncoder>,
}

/// What training lowers, in bits.
#[derive(Debug, Clone)]
pub struct Losses {
    /// Mean over all tokens of a window, lyric tokens weighted by their share.
    pub total: Tensor<1>,
    /// Mean of the music tokens.
    pub music: Tensor<1>,
    /// Mean of the lyric tokens; none without lyrics.
    pub lyrics: Option<Tensor<1>>,
}

impl PriorConfig {
    /// A prior with random weights.
    ///
    /// # Errors
    /// If the sizes don't fit each other.
    pub fn init(&self, random: &mut Random, device: &Device) -> Result<Prior, ModelError> {
        self.build(true, random, device)
    }

    /// A prior without its transformer's layers, whose weights are about to be read.
    pub(crate) fn hollow(&self, device: &Device) -> Result<Prior, ModelError> {
        self.build(false, &mut Random::idle(), device)
    }

    fn build(&self, layers: bool, random: &mut Random, device: &Device) -> Result<Prior, ModelError> {
        self.validate()?;
        let (width, scale) = (self.transformer.width, self.transformer.init_scale);
        let (tokens, start_token, output) = (self.vocabulary(), self.labels.is_none(), self.merged_decoder);
        let tables = Tables { tokens, start_token, output, layers };
        Ok(Prior {
            network: Autoregressive::init(tables, &self.transformer, random, device)?,
            labels: self.labels.as_ref().map(|l| l.init(width, self.sample_rate, scale, random, device)),
            upper: self.upper.as_ref().map(|u| u.init(width, scale, random, device)),
            encoder: LyricEncoder::init(self, random, device)?,
            config: self.clone(),
        })
    }
}

impl Prior {
    /// The sizes it was built from.
    pub fn config(&self) -> &PriorConfig {
        &self.config
    }

    /// Device of the weights.
    pub fn device(&self) -> Device {
        self.network.pos_emb.device()
    }

    /// Sets how the transformers are trained.
    pub fn set_work(&mut self, work: Work) {
        self.network.transformer.work = work;
        if let Some(encoder) = &mut self.encoder {
            encoder.network.transformer.work = work;
        }
    }

    /// How the transformers are trained.
    pub fn work(&self) -> Work {
        self.network.transformer.work
    }

    /// Logits `[batch, positions, vocabulary]` of every token given those before it, for music tokens `[batch, time]`. In one
    /// stream with lyrics, those come first, in positions as in the vocabulary.
    pub fn forward(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Tensor<3> {
        let Conditions { start, positions, encoder, .. } = conditions;
        let tokens = self.stream(tokens, conditions);
        with_kernels(self.work().kernels, || {
            self.network.logits(self.network.forward(tokens, start.clone(), positions.as_ref(), encoder.as_ref()))
        })
    }

    /// Music tokens as the network counts them, behind the lyrics if they share a stream.
    fn stream(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Tensor<2, Int> {
        match (self.config.lyrics_in_front(), &conditions.lyrics) {
            (1.., Some(lyrics)) => {
                let rows: Vec<&[u32]> = lyrics.iter().map(Vec::as_slice).collect();
                let lyrics = token_tensor(&rows, &self.device());
                Tensor::cat(vec![lyrics, tokens.add_scalar(self.config.first_token() as i64)], 1)
            }
            _ => tokens,
        }
    }

    /// Losses on whole windows of music tokens `[batch, time]`.
    pub fn losses(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Losses {
        let [_, time] = tokens.dims();
        let (lyrics, music) = with_kernels(self.work().kernels, || self.all_bits(tokens, conditions));
        let music = music.mean();
        let (Some(lyrics), Some(config)) = (lyrics, &self.config.lyrics) else {
            return Losses { total: music.clone(), music, lyrics: None };
        };
        let lyrics = lyrics.mean();
        let all = (config.tokens + time) as f64;
        let total = lyrics.clone().mul_scalar(config.loss_share * config.tokens as f64 / all)
            + music.clone().mul_scalar(time as f64 / all);
        Losses { total, music, lyrics: Some(lyrics) }
    }

    /// Bits of every music token, `[batch, time]`.
    pub fn bits(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Tensor<2> {
        with_kernels(self.work().kernels, || self.all_bits(tokens, conditions).1)
    }

    /// Bits of the lyric tokens and of the music tokens.
    fn all_bits(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> (Option<Tensor<2>>, Tensor<2>) {
        let [_, time] = tokens.dims();
        let logits = self.forward(tokens.clone(), conditions);
        let all = bits(logits, self.stream(tokens, conditions));
        match (self.config.lyrics_in_front(), &self.encoder, &conditions.encoder, &conditions.lyrics) {
            (front @ 1.., ..) => (Some(all.clone().narrow(1, 0, front)), all.narrow(1, front, time)),
            (_, Some(encoder), Some(states), Some(lyrics)) => {
                let rows: Vec<&[u32]> = lyrics.iter().map(Vec::as_slice).collect();
                let lyrics = bits(encoder.logits(states.clone()), token_tensor(&rows, &self.device()));
                (Some(lyrics), all)
            }
            _ => (None, all),
        }
    }
}

/// Bits `[batch, time]` that the logits `[batch, time, n]` give to tokens.
fn bits(logits: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<2> {
    let [batch, time, vocabulary] = logits.dims();
    let device = logits.device();
    if ops::has_kernels(&device) {
        let targets: Vec<u32> = tokens.into_data().iter::<i64>().map(|t| t as u32).collect();
        let nats = ops::cross_entropy(logits.reshape([batch * time, vocabulary]), targets.into());
        return nats.reshape([batch, time]).div_scalar(std::f64::consts::LN_2);
    }
    let picked = log_softmax(logits, 2).gather(2, tokens.reshape([batch, time, 1])).reshape([batch, time]);
    picked.div_scalar(-std::f64::consts::LN_2)
}

/// Rows of tokens as a tensor `[batch, time]`.
pub fn token_tensor(rows: &[&[u32]], device: &Device) -> Tensor<2, Int> {
    let time = rows.first().map_or(0, |r| r.len());
    let ids: Vec<i64> = rows.iter().flat_map(|r| r.iter().map(|c| i64::from(*c))).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), time]), device)
}

impl Parameters for Prior {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("prior", &mut self.network);
        if let Some(labels) = &mut self.labels {
            visitor.enter("y_emb", labels);
        }
        if let Some(upper) = &mut self.upper {
            visitor.enter("conditioner_blocks.0", upper);
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.walk(visitor);
        }
    }
}
