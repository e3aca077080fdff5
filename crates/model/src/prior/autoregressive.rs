//! The network under a prior and under its lyrics encoder: each position sees the tokens before it (Jukebox, section 4).

use crate::ModelError;
use crate::nn::dense::{Embedding, normal};
use crate::nn::transformer::{Transformer, TransformerConfig};
use crate::nn::{Parameter, Parameters, Random, Visitor};
use burn::tensor::{Device, Int, Tensor};

/// Token and position tables around a transformer.
#[derive(Debug, Clone)]
pub(crate) struct Autoregressive {
    /// `[tokens, width]`.
    pub(crate) x_emb: Embedding,
    /// `[context, width]`.
    pub(crate) pos_emb: Tensor<2>,
    /// `[1, width]`, in place of the token before the first, where no labels stand there.
    pub(crate) start_token: Option<Tensor<2>>,
    pub(crate) transformer: Transformer,
    /// The output's own table (merged decoder); none: the input's serves, and the condition is added once more.
    pub(crate) x_out: Option<Embedding>,
}

/// Which parts a network has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables {
    /// Different tokens.
    pub(crate) tokens: usize,
    /// Whether it learns what stands before the first token.
    pub(crate) start_token: bool,
    /// Whether the output has its own.
    pub(crate) output: bool,
    /// Whether the transformer has its layers, or somebody else keeps them.
    pub(crate) layers: bool,
}

impl Autoregressive {
    /// Random weights.
    pub(crate) fn init(
        tables: Tables,
        config: &TransformerConfig,
        random: &mut Random,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let TransformerConfig { width, context, init_scale: scale, .. } = *config;
        Ok(Self {
            x_emb: Embedding::init([tables.tokens, width], 0.02 * scale, random, device),
            pos_emb: normal([context, width], 0.01 * scale, random, device),
            start_token: tables.start_token.then(|| normal([1, width], 0.01 * scale, random, device)),
            transformer: if tables.layers { config.init(random, device)? } else { config.hollow() },
            x_out: tables.output.then(|| Embedding::init([tables.tokens, width], 0.02 * scale, random, device)),
        })
    }

    /// The vector before the first token of each of `batch` rows, where it is learned.
    pub(crate) fn start(&self, batch: usize) -> Tensor<2> {
        let [_, width] = self.x_emb.weight.dims();
        let token = self.start_token.clone();
        token.unwrap_or_else(|| Tensor::zeros([1, width], &self.pos_emb.device())).expand([batch, width])
    }

    /// Activations `[batch, time, width]` at every position of tokens `[batch, time]`, from `start` `[batch, width]` in place
    /// of the token before the first and the vectors `condition` `[batch, time, width]`.
    pub(crate) fn forward(
        &self,
        tokens: Tensor<2, Int>,
        start: Tensor<2>,
        condition: Option<&Tensor<3>>,
        encoder: Option<&Tensor<3>>,
    ) -> Tensor<3> {
        let [batch, time] = tokens.dims();
        let [_, width] = self.x_emb.weight.dims();
        let start = start.reshape([batch, 1, width]);
        let shifted = if time > 1 {
            Tensor::cat(vec![start, self.x_emb.forward(tokens.narrow(1, 0, time - 1))], 1)
        } else {
            start
        };
        let mut h = shifted + self.pos_emb.clone().narrow(0, 0, time).unsqueeze();
        if let Some(condition) = condition {
            h = h + condition.clone();
        }
        h = self.transformer.forward(h, encoder);
        match (&self.x_out, condition) {
            (None, Some(condition)) => h + condition.clone(),
            _ => h,
        }
    }

    /// Logits `[batch, time, tokens]` of activations.
    pub(crate) fn logits(&self, h: Tensor<3>) -> Tensor<3> {
        self.x_out.as_ref().unwrap_or(&self.x_emb).scores(h)
    }
}

impl Parameters for Autoregressive {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("x_emb", &mut self.x_emb);
        visitor.show("pos_emb.pos_emb", Parameter::Matrix(&mut self.pos_emb));
        if let Some(token) = &mut self.start_token {
            visitor.show("start_token", Parameter::Matrix(token));
        }
        visitor.enter("transformer", &mut self.transformer);
        if let Some(out) = &mut self.x_out {
            visitor.enter("x_out", out);
        }
    }
}
