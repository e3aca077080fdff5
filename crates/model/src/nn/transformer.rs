//! Jukebox's transformer: pre-norm blocks without a final norm.

use super::attention::{Attention, AttentionSizes, AttnFunc};
use super::dense::{Linear, Norm, quick_gelu};
use super::{Parameters, Random, Visitor, Work, ops};
use crate::ModelError;
use burn::tensor::{Device, Tensor};
use orchestrion_engine::block::BlockShape;
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
    /// Positions, those of lyrics in front included.
    pub context: usize,
    /// Rows that factorised attention splits the context into.
    pub blocks: usize,
    /// Which attention each layer has, see [`TransformerConfig::func`].
    pub attn_order: usize,
    /// Positions at the end of a row that stand for it (order 4).
    #[serde(default)]
    pub spread: usize,
    /// Lyric tokens at the front of the context (order 12).
    #[serde(default)]
    pub prime: usize,
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
    ///
    /// Orders are numbered as in the published settings. 0: dense. 1: row, column in turn. 2: row, column, previous row.
    /// 3, 5: rows and summaries; 4: rows and spread summaries. 6, 7, 8, 10: order 2 with encoder attention after every 3,
    /// 15 or 9 layers, in 10 after the first 18. 9: order 2 with dense attention after every 3 layers. 11, 12: order 2 with
    /// every sixteenth layer replaced by encoder (11) or prime (12) attention, every third of those by dense.
    ///
    /// # Errors
    /// If there is no such order.
    pub fn func(&self, d: usize) -> Result<AttnFunc, ModelError> {
        use AttnFunc::{Block, Dense, Encoder, PreviousBlock, Prime, SpreadSummary, Summary, TransposeBlock};
        const FACTORISED: [AttnFunc; 3] = [Block, TransposeBlock, PreviousBlock];
        /// `n` factorised layers, then one to the encoder.
        fn then_encoder(d: usize, n: usize) -> AttnFunc {
            if d % (n + 1) == n { Encoder } else { FACTORISED[d % (n + 1) % 3] }
        }
        Ok(match self.attn_order {
            0 => Dense,
            1 => [Block, TransposeBlock][d % 2],
            2 => FACTORISED[d % 3],
            3 => [Block, Summary][d % 2],
            4 => [Block, SpreadSummary][d % 2],
            5 => [Block, Summary, Block, Block][d % 4],
            6 => then_encoder(d, 3),
            7 => then_encoder(d, 15),
            8 => then_encoder(d, 9),
            9 => [Block, TransposeBlock, PreviousBlock, Dense][d % 4],
            // Nine layers more in front, and all anew after 79.
            10 if d % 79 < 9 => FACTORISED[d % 79 % 3],
            10 => then_encoder(d % 79 - 9, 9),
            11 if d % 16 == 15 => [Encoder, Encoder, Dense][d % 3],
            12 if d % 16 == 15 => [Prime, Prime, Dense][d % 3],
            11 | 12 => FACTORISED[d % 3],
            other => {
                let what = format!("{other} is not an attention order; hint: use 0 to 12");
                return Err(ModelError::Config { field: "attn_order", what });
            }
        })
    }

    /// Whether a layer has this attention.
    pub fn has(&self, func: AttnFunc) -> bool {
        (0..self.depth).any(|d| self.func(d).is_ok_and(|f| f == func))
    }

    /// Positions at the front that prime attention sees: the lyrics, and with them the music up to the next whole number
    /// of positions a row has blocks. The paper's program rounds so, always upwards, and its models learnt with it.
    pub fn prime_keys(&self) -> usize {
        if self.prime == 0 { 0 } else { (self.prime / self.blocks + 1) * self.blocks }
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
        for (field, share) in [("mlp_width", self.mlp_width), ("attention_width", self.attention_width)] {
            if !(1.0..=(1 << 20) as f64).contains(&(share * self.width as f64)) {
                return bad(field, format!("{share} of {} channels is none, or too many", self.width));
            }
        }
        let block = self.context / self.blocks;
        if self.has(AttnFunc::SpreadSummary) && !(1..=block).contains(&self.spread) {
            return bad(
                "spread",
                format!("{} is out of range; hint: use 1 to {block}, a row's positions", self.spread),
            );
        }
        if self.prime > self.context || (self.prime == 0 && self.has(AttnFunc::Prime)) {
            let what = format!("{} lyric tokens in front of {} positions", self.prime, self.context);
            return bad("prime", format!("{what}; hint: attention order 12 needs lyrics in the same stream"));
        }
        self.func(0).map(|_| ())
    }

    /// A transformer with random weights.
    ///
    /// # Errors
    /// If the sizes don't fit each other.
    pub fn init(&self, random: &mut Random, device: &Device) -> Result<Transformer, ModelError> {
        self.validate()?;
        let layers = (0..self.depth).map(|d| self.layer(d, random, device)).collect::<Result<_, _>>()?;
        Ok(Transformer { layers, ..self.hollow() })
    }

    /// A transformer without its layers.
    pub(crate) fn hollow(&self) -> Transformer {
        let scale = if self.residual_scale { 1.0 / self.depth as f64 } else { 1.0 };
        Transformer { layers: Vec::new(), scale, work: Work::default() }
    }

    /// Layer `d` with random weights, of sizes that were checked.
    pub(crate) fn layer(&self, d: usize, random: &mut Random, device: &Device) -> Result<Layer, ModelError> {
        let func = self.func(d)?;
        let deviation = 0.02 * self.init_scale;
        // Layers to the encoder start silent: without lyrics the rest learns as if they were not there.
        let out = if self.zero_out || func == AttnFunc::Encoder { 0.0 } else { deviation };
        let hidden = (self.mlp_width * self.width as f64) as usize;
        let sizes = AttentionSizes {
            width: self.width,
            state: self.state(),
            heads: self.heads,
            blocks: self.blocks,
            block: self.context / self.blocks,
            spread: self.spread,
            prime: self.prime_keys(),
        };
        Ok(Layer {
            attn: Attention::init(func, sizes, deviation, out, random, device),
            ln_0: Norm::init(self.width, device),
            c_fc: Linear::init([self.width, hidden], deviation, random, device),
            c_proj: Linear::init([hidden, self.width], out, random, device),
            ln_1: Norm::init(self.width, device),
        })
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
    /// How it is trained.
    pub work: Work,
}

impl Transformer {
    /// `[batch, time, width]` to the same shape; `encoder` is what encoder attention attends to, see [`Attention::forward`].
    pub fn forward(&self, mut x: Tensor<3>, encoder: Option<&Tensor<3>>) -> Tensor<3> {
        let Work { numbers, recompute, .. } = self.work;
        let [batch, time, width] = x.dims();
        // In one piece, a block rounds to bfloat16 but multiplies as in `f32`.
        let whole = ops::has_kernels(&x.device()) && (recompute || !numbers.has_instruction());
        for layer in &self.layers {
            let Layer { attn, ln_0, c_fc, c_proj, ln_1 } = layer;
            if let Some(attention) = attn.shape(batch, time).filter(|_| whole) {
                let shape =
                    BlockShape { attention, width, hidden: c_fc.b.dims()[0], scale: self.scale as f32, numbers };
                let norms = [ln_0, ln_1].map(|norm| [&norm.weight, &norm.bias]);
                let projections = [&attn.c_attn, &attn.c_proj, c_fc, c_proj].map(|linear| (&linear.w, &linear.b));
                x = ops::residual_block(x, norms, projections, shape, recompute);
                continue;
            }
            let a = attn.forward(ln_0.forward(x.clone()), encoder, numbers);
            let h = quick_gelu(c_fc.forward(ln_1.forward(x.clone() + a.clone()), numbers));
            let y = a + c_proj.forward(h, numbers);
            x = x + if self.scale == 1.0 { y } else { y.mul_scalar(self.scale) };
        }
        x
    }
}

impl Parameters for Transformer {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        for (d, layer) in self.layers.iter_mut().enumerate() {
            visitor.enter(format_args!("_attn_mods.{d}"), layer);
        }
    }
}

impl Parameters for Layer {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("attn", &mut self.attn);
        visitor.enter("ln_0", &mut self.ln_0);
        visitor.enter("mlp.c_fc", &mut self.c_fc);
        visitor.enter("mlp.c_proj", &mut self.c_proj);
        visitor.enter("ln_1", &mut self.ln_1);
    }
}
