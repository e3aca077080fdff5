//! Jukebox's transformer: pre-norm blocks without a final norm.

use super::attention::{Attention, AttentionSizes, AttnFunc};
use super::dense::{Linear, Norm, quick_gelu};
use super::{Parameters, Random, Visitor};
use crate::ModelError;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Sizes of a transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Channels.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Positions.
    pub context: usize,
    /// Rows that factorised attention splits the context into.
    pub blocks: usize,
    /// Which attention each layer has: 0 dense; 2 row, column, previous row in turn; 9 the same and dense.
    pub attn_order: usize,
    /// Channels of queries, keys and values, in units of the width.
    #[serde(default = "quarter")]
    pub attention_width: f64,
    /// Hidden channels of the MLP, in units of the width.
    #[serde(default = "one")]
    pub mlp_width: f64,
    /// Scales all initial weights.
    #[serde(default = "one")]
    pub init_scale: f64,
    /// Whether output projections start at zero.
    #[serde(default)]
    pub zero_out: bool,
    /// Whether a block's contribution is divided by the depth.
    #[serde(default)]
    pub residual_scale: bool,
}

fn quarter() -> f64 {
    0.25
}

fn one() -> f64 {
    1.0
}

impl TransformerConfig {
    /// Attention of layer `d`.
    fn func(&self, d: usize) -> Result<AttnFunc, ModelError> {
        use AttnFunc::{Block, Dense, PreviousBlock, TransposeBlock};
        let cycle: &[AttnFunc] = match self.attn_order {
            0 => &[Dense],
            1 => &[Block, TransposeBlock],
            2 => &[Block, TransposeBlock, PreviousBlock],
            9 => &[Block, TransposeBlock, PreviousBlock, Dense],
            other => {
                let what = format!("{other} is not an order this program has; hint: use 0, 1, 2 or 9");
                return Err(ModelError::Config { field: "attn_order", what });
            }
        };
        Ok(cycle[d % cycle.len()])
    }

    /// Channels of queries, keys and values.
    pub fn state(&self) -> usize {
        (self.attention_width * self.width as f64) as usize
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// Names the first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        let bad = |field, what: String| Err(ModelError::Config { field, what });
        for (field, n) in
            [("width", self.width), ("depth", self.depth), ("heads", self.heads), ("context", self.context)]
        {
            if n == 0 || n > 1 << 20 {
                return bad(field, format!("{n} is out of range; hint: use a number from 1 to 1048576"));
            }
        }
        if self.blocks == 0 || !self.context.is_multiple_of(self.blocks) {
            return bad("blocks", format!("{} does not divide the context of {}", self.blocks, self.context));
        }
        if self.state() == 0 || !self.state().is_multiple_of(self.heads) {
            return bad("heads", format!("{} heads do not divide an attention width of {}", self.heads, self.state()));
        }
        if (self.mlp_width * self.width as f64) < 1.0 {
            return bad("mlp_width", format!("{} of {} channels leaves none", self.mlp_width, self.width));
        }
        self.func(0).map(|_| ())
    }

    /// A transformer with random weights.
    ///
    /// # Errors
    /// If the sizes don't fit each other.
    pub fn init(&self, random: &mut Random, device: &Device) -> Result<Transformer, ModelError> {
        self.validate()?;
        let deviation = 0.02 * self.init_scale;
        let out = if self.zero_out { 0.0 } else { deviation };
        let hidden = (self.mlp_width * self.width as f64) as usize;
        let sizes = AttentionSizes {
            width: self.width,
            state: self.state(),
            heads: self.heads,
            block: self.context / self.blocks,
        };
        let mut layers = Vec::with_capacity(self.depth);
        for d in 0..self.depth {
            layers.push(Layer {
                attn: Attention::init(self.func(d)?, sizes, deviation, out, random, device),
                ln_0: Norm::init(self.width, device),
                c_fc: Linear::init([self.width, hidden], deviation, random, device),
                c_proj: Linear::init([hidden, self.width], out, random, device),
                ln_1: Norm::init(self.width, device),
            });
        }
        let scale = if self.residual_scale { 1.0 / self.depth as f64 } else { 1.0 };
        Ok(Transformer { layers, scale })
    }
}

/// `a = attn(ln_0(x)); m = mlp(ln_1(x + a)); x + scale * (a + m)`.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) attn: Attention,
    pub(crate) ln_0: Norm,
    pub(crate) c_fc: Linear,
    pub(crate) c_proj: Linear,
    pub(crate) ln_1: Norm,
}

/// A stack of blocks.
#[derive(Debug, Clone)]
pub struct Transformer {
    pub(crate) layers: Vec<Layer>,
    pub(crate) scale: f64,
}

impl Transformer {
    /// `[batch, time, width]` to the same shape.
    pub fn forward(&self, mut x: Tensor<3>) -> Tensor<3> {
        for layer in &self.layers {
            let a = layer.attn.forward(layer.ln_0.forward(x.clone()));
            let h = quick_gelu(layer.c_fc.forward(layer.ln_1.forward(x.clone() + a.clone())));
            let y = a + layer.c_proj.forward(h);
            x = x + if self.scale == 1.0 { y } else { y.mul_scalar(self.scale) };
        }
        x
    }
}

impl Parameters for Transformer {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        for (d, layer) in self.layers.iter_mut().enumerate() {
            let name = format!("_attn_mods.{d}");
            visitor.enter(format_args!("{name}.attn"), &mut layer.attn);
            visitor.enter(format_args!("{name}.ln_0"), &mut layer.ln_0);
            visitor.enter(format_args!("{name}.mlp.c_fc"), &mut layer.c_fc);
            visitor.enter(format_args!("{name}.mlp.c_proj"), &mut layer.c_proj);
            visitor.enter(format_args!("{name}.ln_1"), &mut layer.ln_1);
        }
    }
}
