//! Tests of the decoder: against plain arithmetic, against itself, against golden numbers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod laws;
mod naive;
mod parity;
mod refusals;
mod speed;
mod twins;

pub(crate) use speed::product_in_cache;

use super::{AttnFunc, LayerWeights, Linear, Norm, TransformerWeights};

/// A small generator: the same numbers on every machine.
pub(super) struct Numbers(pub u64);

impl Numbers {
    /// Between -1 and 1.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
    pub fn many(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| scale * self.next()).collect()
    }
    pub fn below(&mut self, bound: usize) -> usize {
        (((self.next() + 1.0) * 0.5 * bound as f32) as usize).min(bound - 1)
    }
    pub fn tokens(&mut self, count: usize, vocab: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(vocab) as u32).collect()
    }
}

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

pub(super) const ALL: [AttnFunc; 4] =
    [AttnFunc::Dense, AttnFunc::Block, AttnFunc::TransposeBlock, AttnFunc::PreviousBlock];

pub(super) fn random(sizes: Sizes, functions: &[AttnFunc], n: &mut Numbers) -> TransformerWeights {
    let Sizes { width, heads, head_width, hidden, columns, blocks, vocab } = sizes;
    let linear = |n: &mut Numbers, inputs: usize, outputs: usize| Linear {
        w: n.many(inputs * outputs, (3.0 / inputs as f32).sqrt()),
        b: n.many(outputs, 0.2),
        inputs,
        outputs,
    };
    let norm =
        |n: &mut Numbers| Norm { g: n.many(width, 0.3).iter().map(|g| 1.0 + g).collect(), b: n.many(width, 0.2) };
    let layers = functions
        .iter()
        .map(|&attn_func| LayerWeights {
            attn_func,
            ln_0: norm(n),
            c_attn: linear(n, width, 3 * heads * head_width),
            c_proj: linear(n, heads * head_width, width),
            ln_1: norm(n),
            c_fc: linear(n, width, hidden),
            mlp_proj: linear(n, hidden, width),
        })
        .collect();
    TransformerWeights {
        width,
        heads,
        context: columns * blocks,
        blocks,
        residual_scale: if n.next() < 0.0 { 1.0 } else { 0.5 },
        embedding: n.many(vocab * width, 1.0),
        position: n.many(columns * blocks * width, 0.5),
        layers,
        output: (n.next() < 0.0).then(|| n.many(vocab * width, 0.3)),
        add_condition_after: n.next() < 0.0,
        vocab,
    }
}
