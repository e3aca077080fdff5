//! A transformer's residual block over whole windows, forward and backward, as one piece of work:
//!
//! ```text
//! a = attention(norm(x)) · w + b
//! m = QuickGELU(norm(x + a) · w + b) · w + b
//! y = x + scale · (a + m)
//! ```
//!
//! Between its products a block has many cheap passes over rows: norms, activations, biases, sums. Here a task takes
//! [`TASK`] rows through all of them and through the products between, so that they stay in the second-level cache. Only
//! attention, which mixes rows, and the gradients of weights, which are sums over all of them, are passes of their own.
//!
//! What backward needs and cannot make again cheaply is in [`Kept`]; without it the block is computed once more, with the
//! same bits. Tasks are a fixed number of rows and every sum has an order that the shapes alone decide, so results don't
//! depend on the number of threads.

mod backward;
mod forward;
mod outer;
mod panels;
#[cfg(test)]
mod tests;

pub use backward::backward;
pub use forward::forward;

use crate::attention::AttentionShape;
use crate::{EngineError, Numbers};

/// Rows of a task: whole tiles.
const TASK: usize = 96;

/// Sizes of a block, and how it multiplies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockShape {
    /// Its attention; not of the functions 4, 5 and 6.
    pub attention: AttentionShape,
    /// Channels.
    pub width: usize,
    /// Channels within the feed-forward part.
    pub hidden: usize,
    /// What its contribution is multiplied with.
    pub scale: f32,
    /// In what numbers projections multiply. Attention itself is in `f32`.
    pub numbers: Numbers,
}

/// One value for each parameter of a block: of a norm gain and bias, `[width]` each; of a projection weight `[inputs,
/// outputs]` and bias `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts<T> {
    /// The norm before attention.
    pub ln_0: [T; 2],
    /// To queries, keys and values.
    pub c_attn: [T; 2],
    /// From attention.
    pub c_proj: [T; 2],
    /// The norm before the feed-forward part.
    pub ln_1: [T; 2],
    /// Into the feed-forward part.
    pub c_fc: [T; 2],
    /// Out of it.
    pub mlp_proj: [T; 2],
}

impl<T> Parts<T> {
    /// From the order of the fields.
    pub fn new([a, b, c, d, e, f, g, h, i, j, k, l]: [T; 12]) -> Self {
        Self { ln_0: [a, b], c_attn: [c, d], c_proj: [e, f], ln_1: [g, h], c_fc: [i, j], mlp_proj: [k, l] }
    }

    /// In the order of the fields.
    pub fn into_array(self) -> [T; 12] {
        let Self { ln_0: [a, b], c_attn: [c, d], c_proj: [e, f], ln_1: [g, h], c_fc: [i, j], mlp_proj: [k, l] } = self;
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

/// What a forward pass leaves to the backward pass.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Queries, keys and values, `[rows, 3 * state]`.
    qkv: Vec<f32>,
    /// `[rows, state]`.
    attended: Vec<f32>,
    /// Logarithms of the sums of exponentials of attention.
    sums: Vec<f32>,
    /// `x + a`, `[rows, width]`.
    middle: Vec<f32>,
    /// What QuickGELU was given, `[rows, hidden]`.
    hidden: Vec<f32>,
}

/// Gradients of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockGradients {
    /// Of its input, `[rows, width]`.
    pub x: Vec<f32>,
    /// Of its parameters.
    pub weights: Parts<Vec<f32>>,
}

impl BlockShape {
    fn rows(&self) -> usize {
        self.attention.batch * self.attention.time
    }

    fn state(&self) -> usize {
        self.attention.heads * self.attention.head_width
    }

    fn check(&self, weights: &Parts<&[f32]>, x: &[f32]) -> Result<(), EngineError> {
        self.attention.validate()?;
        let (width, state, hidden) = (self.width, self.state(), self.hidden);
        if width * hidden == 0 {
            return Err(EngineError::Request(format!("a block without channels: {self:?}; hint: check its sizes")));
        }
        let same = |name: &str, expected: usize, found: &[f32]| {
            if found.len() == expected {
                return Ok(());
            }
            Err(EngineError::Length { name: format!("`{name}`"), expected, found: found.len() })
        };
        let pair = |name: &str, of: [usize; 2], [w, b]: [&[f32]; 2]| {
            same(&format!("{name}.w"), of[0] * of[1], w).and(same(&format!("{name}.b"), of[1], b))
        };
        same("x", self.rows() * width, x)?;
        pair("ln_0", [1, width], weights.ln_0)?;
        pair("c_attn", [width, 3 * state], weights.c_attn)?;
        pair("c_proj", [state, width], weights.c_proj)?;
        pair("ln_1", [1, width], weights.ln_1)?;
        pair("c_fc", [width, hidden], weights.c_fc)?;
        pair("mlp_proj", [hidden, width], weights.mlp_proj)
    }
}

/// The first `size` values of a buffer that grows when it must.
fn sized<T: Copy + Default>(buffer: &mut Vec<T>, size: usize) -> &mut [T] {
    if buffer.len() < size {
        buffer.resize(size, T::default());
    }
    &mut buffer[..size]
}
