//! Tests of the decoder: against plain arithmetic, against itself, against golden numbers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod laws;
mod naive;
mod parity;
mod probes;
mod refusals;
mod speed;
mod twins;

pub(crate) use speed::product_in_cache;

use super::{AttnFunc, Conditions, Decoder, LayerWeights, Linear, Norm, Precision, TransformerWeights};
use crate::EngineError;
use crate::lanes::Isa;
pub(super) use crate::tests::Numbers;

/// Sizes of a random transformer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub width: usize,
    pub heads: usize,
    pub head_width: usize,
    pub hidden: usize,
    pub columns: usize,
    pub blocks: usize,
    pub vocab: usize,
}

/// Every function that can be decoded; the first four need neither an encoder nor a front.
pub(super) const ALL: [AttnFunc; 6] = [
    AttnFunc::Dense,
    AttnFunc::Block,
    AttnFunc::TransposeBlock,
    AttnFunc::PreviousBlock,
    AttnFunc::Encoder,
    AttnFunc::Prime,
];

pub(super) const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// A transformer with its blocks.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub weights: TransformerWeights,
    pub layers: Vec<LayerWeights>,
}

impl Model {
    pub fn decoder(self) -> Result<Decoder, EngineError> {
        self.decoder_on(Precision::F32, Isa::detect(), 2)
    }
    pub fn decoder_on(self, precision: Precision, isa: Isa, threads: usize) -> Result<Decoder, EngineError> {
        Decoder::on(self.weights, self.layers.into_iter().map(Ok::<_, EngineError>), precision, isa, threads)
    }
}

/// What the rows of a window are conditioned on.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub start: Vec<f32>,
    pub positions: Option<Vec<f32>>,
    pub encoder: Vec<f32>,
}

impl Given {
    /// Random conditions for `[batch, length]` beside `encoder` positions.
    pub fn random([batch, length]: [usize; 2], encoder: usize, width: usize, n: &mut Numbers) -> Self {
        Self {
            start: n.many(batch * width, 1.0),
            positions: (n.next() < 0.0).then(|| n.many(batch * length * width, 0.5)),
            encoder: n.many(batch * encoder * width, 1.0),
        }
    }
    /// The conditions of one row of `batch`.
    pub fn row(&self, row: usize, batch: usize) -> Self {
        let part = |all: &[f32]| all[row * all.len() / batch..(row + 1) * all.len() / batch].to_vec();
        Self { start: part(&self.start), positions: self.positions.as_deref().map(part), encoder: part(&self.encoder) }
    }
    pub fn conditions(&self) -> Conditions<'_> {
        Conditions { start: &self.start, positions: self.positions.as_deref(), encoder: Some(&self.encoder) }
    }
}

pub(super) fn random(sizes: Sizes, functions: &[AttnFunc], n: &mut Numbers) -> Model {
    let Sizes { width, heads, head_width, hidden, columns, blocks, vocab } = sizes;
    let linear = |n: &mut Numbers, inputs: usize, outputs: usize| Linear {
        w: n.many(inputs * outputs, (3.0 / inputs as f32).sqrt()),
        b: n.many(outputs, 0.2),
        inputs,
        outputs,
    };
    let norm =
        |n: &mut Numbers| Norm { g: n.many(width, 0.3).iter().map(|g| 1.0 + g).collect(), b: n.many(width, 0.2) };
    let state = heads * head_width;
    let layer = |attn_func: AttnFunc, n: &mut Numbers| {
        let encoder = attn_func == AttnFunc::Encoder;
        LayerWeights {
            attn_func,
            ln_0: norm(n),
            c_attn: linear(n, width, if encoder { state } else { 3 * state }),
            encoder_kv: encoder.then(|| linear(n, width, 2 * state)),
            c_proj: linear(n, state, width),
            ln_1: norm(n),
            c_fc: linear(n, width, hidden),
            mlp_proj: linear(n, hidden, width),
        }
    };
    let layers = functions.iter().map(|&function| layer(function, n)).collect();
    let context = columns * blocks;
    let weights = TransformerWeights {
        width,
        heads,
        context,
        blocks,
        prime: 1 + n.below(context),
        residual_scale: if n.next() < 0.0 { 1.0 } else { 0.5 },
        embedding: n.many(vocab * width, 1.0),
        position: n.many(context * width, 0.5),
        output: (n.next() < 0.0).then(|| n.many(vocab * width, 0.3)),
        add_condition_after: n.next() < 0.0,
        vocab,
    };
    Model { weights, layers }
}
