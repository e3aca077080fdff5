//! The lyrics encoder of priors that have one beside the music (Jukebox, section 5.2).

use super::PriorConfig;
use super::autoregressive::{Autoregressive, Tables};
use crate::ModelError;
use crate::nn::dense::{Embedding, Linear, Norm};
use crate::nn::{Parameters, Random, Visitor};
use burn::tensor::{Device, Int, Tensor};

/// A transformer over the words of a window, trained to tell each character from those before it.
#[derive(Debug, Clone)]
pub(crate) struct LyricEncoder {
    pub(crate) network: Autoregressive,
    /// Its width to the prior's.
    project: Linear,
    norm: Norm,
    /// `[vocabulary, prior's width]`.
    x_out: Embedding,
}

impl LyricEncoder {
    /// Random weights; none if the prior has no encoder.
    pub(crate) fn init(config: &PriorConfig, random: &mut Random, device: &Device) -> Result<Option<Self>, ModelError> {
        let Some((lyrics, encoder)) = config.lyrics.as_ref().and_then(|l| Some((l, l.encoder.as_ref()?))) else {
            return Ok(None);
        };
        let (width, scale) = (config.transformer.width, encoder.init_scale);
        let tables = Tables { tokens: lyrics.vocabulary, start_token: true, output: false, layers: true };
        Ok(Some(Self {
            network: Autoregressive::init(tables, encoder, random, device)?,
            project: Linear::init([encoder.width, width], 0.02 * scale, random, device),
            norm: Norm::init(width, device),
            x_out: Embedding::init([lyrics.vocabulary, width], 0.02 * scale, random, device),
        }))
    }

    /// States `[batch, tokens, prior's width]` of lyric tokens `[batch, tokens]`: what encoder attention attends to.
    pub(crate) fn states(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, _] = tokens.dims();
        let h = self.network.forward(tokens, self.network.start(batch), None, None);
        self.norm.forward(self.project.forward(h, self.network.transformer.work.numbers))
    }

    /// Logits of the lyric tokens themselves, `[batch, tokens, vocabulary]`, of its states.
    pub(crate) fn logits(&self, states: Tensor<3>) -> Tensor<3> {
        self.x_out.scores(states)
    }
}

impl Parameters for LyricEncoder {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("prime_prior", &mut self.network);
        visitor.enter("prime_state_proj", &mut self.project);
        visitor.enter("prime_state_ln", &mut self.norm);
        visitor.enter("prime_x_out", &mut self.x_out);
    }
}
