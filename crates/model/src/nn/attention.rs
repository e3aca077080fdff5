//! Factorised self-attention: a sequence seen as `[blocks, block]` rows (Jukebox, section 4.2; Sparse Transformers).

use super::dense::Linear;
use super::{Parameters, Random, Visitor};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor};
pub use orchestrion_engine::decode::AttnFunc;

/// Attention with one fused projection to queries, keys and values.
#[derive(Debug, Clone)]
pub struct Attention {
    pub(crate) func: AttnFunc,
    /// `[width, 3 * state]`.
    pub(crate) c_attn: Linear,
    /// `[state, width]`.
    pub(crate) c_proj: Linear,
    heads: usize,
    /// Positions of a block.
    block: usize,
}

/// Sizes of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct AttentionSizes {
    /// Channels in and out.
    pub width: usize,
    /// Channels of queries, keys and values.
    pub state: usize,
    /// Heads.
    pub heads: usize,
    /// Positions of a block.
    pub block: usize,
}

impl Attention {
    /// Weights are normal with the given deviations.
    pub fn init(
        func: AttnFunc,
        sizes: AttentionSizes,
        deviation: f64,
        output_deviation: f64,
        random: &mut Random,
        device: &Device,
    ) -> Self {
        Self {
            func,
            c_attn: Linear::init([sizes.width, 3 * sizes.state], deviation, random, device),
            c_proj: Linear::init([sizes.state, sizes.width], output_deviation, random, device),
            heads: sizes.heads,
            block: sizes.block,
        }
    }

    /// `[batch, time, width]` to the same shape; `time` is a multiple of the block for all but dense attention.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, time, _] = x.dims();
        let mut parts = self.c_attn.forward(x).chunk(3, 2).into_iter();
        let (Some(q), Some(k), Some(v)) = (parts.next(), parts.next(), parts.next()) else {
            return Tensor::zeros([batch, time, 0], &self.c_attn.w.device());
        };
        let state = q.dims()[2];
        let (block, blocks) = (self.block, time / self.block);
        let rows = |x: Tensor<3>| x.reshape([batch * blocks, block, state]);
        let a = match self.func {
            AttnFunc::Dense => self.attend(q, k, v, true),
            AttnFunc::Block => self.attend(rows(q), rows(k), rows(v), true).reshape([batch, time, state]),
            AttnFunc::TransposeBlock => {
                let columns = |x: Tensor<3>| {
                    x.reshape([batch, blocks, block, state]).swap_dims(1, 2).reshape([batch * block, blocks, state])
                };
                self.attend(columns(q), columns(k), columns(v), true)
                    .reshape([batch, block, blocks, state])
                    .swap_dims(1, 2)
                    .reshape([batch, time, state])
            }
            AttnFunc::PreviousBlock => {
                // The first block looks at a block of zero keys and values.
                let previous = |x: Tensor<3>| {
                    let none = Tensor::zeros([batch, block, state], &x.device());
                    Tensor::cat(vec![none, x.narrow(1, 0, time - block)], 1)
                };
                self.attend(rows(q), rows(previous(k)), rows(previous(v)), false).reshape([batch, time, state])
            }
        };
        self.c_proj.forward(a)
    }

    /// Multi-head attention within each row: `[rows, time, state]`.
    fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, causal: bool) -> Tensor<3> {
        let [rows, time, state] = q.dims();
        let size = state / self.heads;
        let split = |x: Tensor<3>| x.reshape([rows, time, self.heads, size]).swap_dims(1, 2);
        let scores = split(q).mul_scalar(1.0 / (size as f64).sqrt()).matmul(split(k).swap_dims(2, 3));
        let scores = if causal {
            let mask = Tensor::<2, Bool>::tril_mask([time, time], 0, &scores.device());
            scores.mask_fill(mask.unsqueeze::<4>().expand([rows, self.heads, time, time]), -1e9)
        } else {
            scores
        };
        softmax(scores, 3).matmul(split(v)).swap_dims(1, 2).reshape([rows, time, state])
    }
}

impl Parameters for Attention {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("c_attn", &mut self.c_attn);
        visitor.enter("c_proj", &mut self.c_proj);
    }
}
