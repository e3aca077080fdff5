//! Factorised attention: a sequence seen as `[blocks, block]` rows (Jukebox, section 4.2; Sparse Transformers), and
//! attention to lyrics.

use super::dense::Linear;
use super::{Parameters, Random, Visitor, ops};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use orchestrion_engine::Numbers;
use orchestrion_engine::attention::AttentionShape;
pub use orchestrion_engine::decode::AttnFunc;

/// Attention with one fused projection to queries, keys and values.
#[derive(Debug, Clone)]
pub struct Attention {
    pub(crate) func: AttnFunc,
    /// `[width, 3 * state]`; to an encoder, `[width, state]`: the queries alone.
    pub(crate) c_attn: Linear,
    /// Keys and values of encoder states, `[width, 2 * state]`.
    pub(crate) c_enc_kv: Option<Linear>,
    /// `[state, width]`.
    pub(crate) c_proj: Linear,
    sizes: AttentionSizes,
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
    /// Rows of the whole context.
    pub blocks: usize,
    /// Positions of a row.
    pub block: usize,
    /// Positions at the end of a row that stand for it ([`AttnFunc::SpreadSummary`]).
    pub spread: usize,
    /// Positions at the front that all see ([`AttnFunc::Prime`]).
    pub prime: usize,
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
        let AttentionSizes { width, state, .. } = sizes;
        let mut linear = |shape, deviation| Linear::init(shape, deviation, random, device);
        let encoder = func == AttnFunc::Encoder;
        Self {
            func,
            c_attn: linear([width, if encoder { state } else { 3 * state }], deviation),
            c_enc_kv: encoder.then(|| linear([width, 2 * state], deviation)),
            c_proj: linear([state, width], output_deviation),
            sizes,
        }
    }

    /// Sizes of the attention of whole windows, if it is of the functions that have a kernel.
    pub(super) fn shape(&self, batch: usize, time: usize) -> Option<AttentionShape> {
        let AttentionSizes { state, heads, block, prime, .. } = self.sizes;
        let own = !matches!(self.func, AttnFunc::Summary | AttnFunc::SpreadSummary | AttnFunc::Encoder);
        own.then_some(AttentionShape { func: self.func, batch, time, heads, head_width: state / heads, block, prime })
    }

    /// `[batch, time, width]` to the same shape; `time` is a multiple of the block but for dense, prime and encoder
    /// attention. The last attends to `encoder`, `[batch, encoder positions, width]`; without one it adds its bias alone.
    /// Projections multiply in `numbers`.
    pub fn forward(&self, x: Tensor<3>, encoder: Option<&Tensor<3>>, numbers: Numbers) -> Tensor<3> {
        let [batch, time, _] = x.dims();
        let AttentionSizes { state, blocks: all, block, spread, prime, .. } = self.sizes;
        let (blocks, device) = (time / block, x.device());
        let projected = self.c_attn.forward(x, numbers);
        if let Some(shape) = self.shape(batch, time).filter(|_| ops::has_kernels(&device)) {
            return self.c_proj.forward(ops::attention(projected, shape), numbers);
        }
        let part = |i: usize| projected.clone().narrow(2, i * state, state);
        let rows = |x: Tensor<3>| x.reshape([batch * blocks, block, state]);
        let a = match self.func {
            AttnFunc::Dense => self.attend(part(0), part(1), part(2), later(time, time, &device)),
            AttnFunc::Block => self
                .attend(rows(part(0)), rows(part(1)), rows(part(2)), later(block, block, &device))
                .reshape([batch, time, state]),
            AttnFunc::TransposeBlock => {
                let columns = |x: Tensor<3>| {
                    x.reshape([batch, blocks, block, state]).swap_dims(1, 2).reshape([batch * block, blocks, state])
                };
                self.attend(columns(part(0)), columns(part(1)), columns(part(2)), later(blocks, blocks, &device))
                    .reshape([batch, block, blocks, state])
                    .swap_dims(1, 2)
                    .reshape([batch, time, state])
            }
            AttnFunc::PreviousBlock => {
                // The first block looks at a block of zero keys and values.
                let previous = |x| rows(after_zeros(x, time - block, block));
                self.attend(rows(part(0)), previous(part(1)), previous(part(2)), None).reshape([batch, time, state])
            }
            AttnFunc::Summary => self.summarise(part(0), part(1), part(2), blocks.min(all - 1), 1),
            AttnFunc::SpreadSummary => self.summarise(part(0), part(1), part(2), blocks.min(all - 1), spread),
            AttnFunc::Encoder => match (&self.c_enc_kv, encoder) {
                (Some(project), Some(encoder)) => {
                    let both = project.forward(encoder.clone(), numbers);
                    self.attend(projected, both.clone().narrow(2, 0, state), both.narrow(2, state, state), None)
                }
                _ => Tensor::zeros([batch, time, state], &device),
            },
            AttnFunc::Prime => {
                let seen = prime.min(time);
                self.attend(part(0), part(1).narrow(1, 0, seen), part(2).narrow(1, 0, seen), later(time, seen, &device))
            }
        };
        self.c_proj.forward(a, numbers)
    }

    /// Every position sees `last` zero keys and values, and the `last` positions of each of the first `rows` blocks as far
    /// as they do not lie behind it.
    fn summarise(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, rows: usize, last: usize) -> Tensor<3> {
        let [batch, time, state] = q.dims();
        let block = self.sizes.block;
        let ends = |x: Tensor<3>| {
            let [_, time, _] = x.dims();
            let all = x.reshape([batch, time / block, block, state]).narrow(2, block - last, last);
            after_zeros(all.reshape([batch, time / block * last, state]), rows * last, last)
        };
        let places: Vec<usize> = (0..rows).flat_map(|r| (0..last).map(move |s| (r + 1) * block - last + s)).collect();
        let hidden: Vec<bool> = (0..time)
            .flat_map(|i| [false].repeat(last).into_iter().chain(places.iter().map(move |j| *j > i)))
            .collect();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(hidden, [time, last + places.len()]), &q.device());
        self.attend(q, ends(k), ends(v), Some(mask))
    }

    /// Multi-head attention within each row: queries `[rows, time, state]`, keys and values `[rows, keys, state]`; a query
    /// does not see the keys where `hidden`, `[time, keys]`, is true.
    fn attend(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, hidden: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let [rows, time, state] = q.dims();
        let [_, keys, _] = k.dims();
        let heads = self.sizes.heads;
        let size = state / heads;
        let split = |x: Tensor<3>, n: usize| x.reshape([rows, n, heads, size]).swap_dims(1, 2);
        let scores = split(q, time).mul_scalar(1.0 / (size as f64).sqrt()).matmul(split(k, keys).swap_dims(2, 3));
        let scores = match hidden {
            Some(mask) => scores.mask_fill(mask.unsqueeze::<4>().expand([rows, heads, time, keys]), -1e9),
            None => scores,
        };
        softmax(scores, 3).matmul(split(v, keys)).swap_dims(1, 2).reshape([rows, time, state])
    }
}

/// Where a key lies behind its query, `[queries, keys]`.
fn later(queries: usize, keys: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    Some(Tensor::tril_mask([queries, keys], 0, device))
}

/// The first `n` positions of `[batch, time, state]` behind `zeros` positions of zeros.
fn after_zeros(x: Tensor<3>, n: usize, zeros: usize) -> Tensor<3> {
    let [batch, _, state] = x.dims();
    let none = Tensor::zeros([batch, zeros, state], &x.device());
    if n == 0 { none } else { Tensor::cat(vec![none, x.narrow(1, 0, n)], 1) }
}

impl Parameters for Attention {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("c_attn", &mut self.c_attn);
        visitor.enter("c_proj", &mut self.c_proj);
        if let Some(project) = &mut self.c_enc_kv {
            visitor.enter("c_enc_kv", project);
        }
    }
}
