//! A prior run one token ahead: its conditions on Burn, its transformer on the engine.

use super::{Prior, TokenModel, Window};
use crate::ModelError;
use crate::nn::dense::{Linear as DenseLinear, Norm as DenseNorm};
use burn::tensor::Tensor;
use orchestrion_engine::EngineError;
use orchestrion_engine::decode::{Decoder, LayerWeights, Linear, Norm, TransformerWeights};

/// A prior whose transformer was handed to the engine.
pub struct PriorDecoder {
    prior: Prior,
    engine: Decoder,
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter().collect()
}

fn linear(layer: &DenseLinear) -> Linear {
    let [inputs, outputs] = layer.w.dims();
    Linear { w: values(&layer.w), b: values(&layer.b), inputs, outputs }
}

fn norm(layer: &DenseNorm) -> Norm {
    Norm { g: values(&layer.weight), b: values(&layer.bias) }
}

impl From<EngineError> for ModelError {
    fn from(error: EngineError) -> Self {
        Self::Request(error.to_string())
    }
}

impl PriorDecoder {
    /// Hands the weights to the engine.
    ///
    /// # Errors
    /// If the engine refuses the sizes.
    pub fn new(mut prior: Prior) -> Result<Self, ModelError> {
        let config = prior.config().clone();
        let transformer = &config.transformer;
        let weights = TransformerWeights {
            width: transformer.width,
            heads: transformer.heads,
            context: transformer.context,
            blocks: transformer.blocks,
            residual_scale: prior.network.transformer.scale as f32,
            vocab: config.vocabulary(),
            embedding: values(&prior.network.x_emb.weight),
            position: values(&prior.network.pos_emb),
            layers: prior
                .network
                .transformer
                .layers
                .drain(..)
                .map(|layer| LayerWeights {
                    attn_func: layer.attn.func,
                    ln_0: norm(&layer.ln_0),
                    c_attn: linear(&layer.attn.c_attn),
                    c_proj: linear(&layer.attn.c_proj),
                    ln_1: norm(&layer.ln_1),
                    c_fc: linear(&layer.c_fc),
                    mlp_proj: linear(&layer.c_proj),
                })
                .collect(),
            output: prior.network.x_out.as_ref().map(|t| values(&t.weight)),
            add_condition_after: !config.merged_decoder,
        };
        Ok(Self { prior, engine: Decoder::new(weights)? })
    }
}

impl TokenModel for PriorDecoder {
    fn level(&self) -> usize {
        self.prior.config().level
    }

    fn hop_length(&self) -> usize {
        self.prior.config().hop_length
    }

    fn context(&self) -> usize {
        self.prior.config().window()
    }

    fn codebook_size(&self) -> usize {
        self.prior.config().codebook_size
    }

    fn upper_ratio(&self) -> Option<usize> {
        self.prior.config().upper.as_ref().map(|u| u.ratio())
    }

    fn begin(&mut self, window: &Window<'_>) -> Result<(), ModelError> {
        if window.length > self.context() {
            let (length, context) = (window.length, self.context());
            return Err(ModelError::Request(format!("a window of {length} tokens exceeds the context of {context}")));
        }
        let conditions = self.prior.conditions(window.labels, window.start, window.length, window.upper)?;
        let positions = conditions.positions.map(|p| values(&p));
        self.engine.begin(&values(&conditions.start), positions.as_deref(), window.labels.len(), window.length)?;
        Ok(())
    }

    fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        Ok(self.engine.advance(tokens)?.to_vec())
    }
}
