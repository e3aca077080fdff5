//! Weights of a transformer as plain slices, and the check that they fit together.

use super::AttnFunc;
use super::pattern::Pattern;
use crate::EngineError;

/// `y = x · w + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[inputs, outputs]`, row-major.
    pub w: Vec<f32>,
    /// `[outputs]`.
    pub b: Vec<f32>,
    /// Length of `x`.
    pub inputs: usize,
    /// Length of `y`.
    pub outputs: usize,
}

/// Layer normalisation: gain and bias, both `[width]`; epsilon 1e-5.
#[derive(Debug, Clone)]
pub struct Norm {
    /// Gain.
    pub g: Vec<f32>,
    /// Bias.
    pub b: Vec<f32>,
}

/// One residual block: `a = c_proj(attention(c_attn(ln_0(x))))`, `m = mlp_proj(quick_gelu(c_fc(ln_1(x + a))))`,
/// `x + residual_scale * (a + m)`.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// Attention pattern.
    pub attn_func: AttnFunc,
    /// Norm before the attention.
    pub ln_0: Norm,
    /// Queries, keys and values side by side: `width -> 3 * state`; `state` is a multiple of the heads. With
    /// [`AttnFunc::Encoder`] queries alone: `width -> state`.
    pub c_attn: Linear,
    /// With [`AttnFunc::Encoder`], and only then: keys and values side by side, of the encoder's states:
    /// `width -> 2 * state`.
    pub encoder_kv: Option<Linear>,
    /// `state -> width`.
    pub c_proj: Linear,
    /// Norm before the feed-forward part.
    pub ln_1: Norm,
    /// `width -> hidden`.
    pub c_fc: Linear,
    /// `hidden -> width`.
    pub mlp_proj: Linear,
}

/// A transformer over one token stream, but for its blocks: those are handed over one at a time.
#[derive(Debug, Clone)]
pub struct TransformerWeights {
    /// Size of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Longest window, in positions.
    pub context: usize,
    /// Rows of the factorised patterns; divides `context`.
    pub blocks: usize,
    /// Positions at the front of the window that layers with [`AttnFunc::Prime`] look at; 0 if there are none. The published
    /// models look at `(lyric tokens / blocks + 1) * blocks`, a few more than there are lyric tokens.
    pub prime: usize,
    /// What a block's contribution is multiplied with: 1, or 1 / depth.
    pub residual_scale: f32,
    /// Number of tokens.
    pub vocab: usize,
    /// Input embedding, `[vocab, width]`.
    pub embedding: Vec<f32>,
    /// Position embedding, `[context, width]`.
    pub position: Vec<f32>,
    /// Output projection `[vocab, width]`; `None`: the input embedding serves.
    pub output: Option<Vec<f32>>,
    /// Whether the condition is added once more behind the last block.
    pub add_condition_after: bool,
}

impl TransformerWeights {
    /// Checks every size against every other.
    pub(super) fn validate(&self) -> Result<(), EngineError> {
        let Self { width, heads, context, blocks, vocab, .. } = *self;
        for (name, value) in
            [("width", width), ("heads", heads), ("context", context), ("blocks", blocks), ("vocab", vocab)]
        {
            if value == 0 {
                return Err(misfit(format!("`{name}` is 0")));
            }
        }
        if !context.is_multiple_of(blocks) {
            return Err(misfit(format!("a context of {context} positions cannot be cut into {blocks} equal blocks")));
        }
        if !self.residual_scale.is_finite() {
            return Err(misfit(format!("`residual_scale` is {}", self.residual_scale)));
        }
        table("embedding", &self.embedding, vocab, width)?;
        table("position", &self.position, context, width)?;
        if let Some(output) = &self.output {
            table("output", output, vocab, width)?;
        }
        Ok(())
    }
}

impl LayerWeights {
    /// Width of queries, keys and values.
    pub(super) fn state(&self) -> usize {
        self.c_attn.outputs / self.projections()
    }

    /// What `c_attn` makes: queries, keys and values, or queries alone.
    fn projections(&self) -> usize {
        if self.attn_func == AttnFunc::Encoder { 1 } else { 3 }
    }

    /// Checks the sizes of layer `index` and finds its pattern.
    pub(super) fn validate(&self, index: usize, of: &TransformerWeights) -> Result<Pattern, EngineError> {
        let TransformerWeights { width, heads, .. } = *of;
        let at = |name: &str| format!("layers[{index}].{name}");
        let pattern = Pattern::of(self.attn_func, of.context / of.blocks, of.prime)
            .map_err(|what| EngineError::Request(format!("`layers[{index}]` {what}")))?;
        let (state, parts) = (self.state(), self.projections());
        if state == 0 || self.c_attn.outputs != parts * state || !state.is_multiple_of(heads) {
            let (name, outputs) = (at("c_attn"), self.c_attn.outputs);
            return Err(misfit(format!(
                "`{name}` has {outputs} outputs, not {parts} times a multiple of {heads} heads"
            )));
        }
        if self.encoder_kv.is_some() != (pattern == Pattern::Encoder) {
            let (name, function) = (at("encoder_kv"), self.attn_func);
            return Err(misfit(format!(
                "`{name}` belongs to Encoder layers and to no others; this one is {function:?}"
            )));
        }
        let hidden = self.c_fc.outputs;
        for (name, norm) in [("ln_0", &self.ln_0), ("ln_1", &self.ln_1)] {
            table(&at(&format!("{name}.g")), &norm.g, 1, width)?;
            table(&at(&format!("{name}.b")), &norm.b, 1, width)?;
        }
        let own = [
            ("c_attn", &self.c_attn, width, parts * state),
            ("c_proj", &self.c_proj, state, width),
            ("c_fc", &self.c_fc, width, hidden),
            ("mlp_proj", &self.mlp_proj, hidden, width),
        ];
        let encoder = self.encoder_kv.iter().map(|linear| ("encoder_kv", linear, width, 2 * state));
        for (name, linear, inputs, outputs) in own.into_iter().chain(encoder) {
            let name = at(name);
            if linear.inputs != inputs || linear.outputs != outputs || inputs == 0 || outputs == 0 {
                let (a, b) = (linear.inputs, linear.outputs);
                return Err(misfit(format!("`{name}` maps {a} to {b} values where {inputs} to {outputs} are needed")));
            }
            table(&format!("{name}.w"), &linear.w, inputs, outputs)?;
            table(&format!("{name}.b"), &linear.b, 1, outputs)?;
        }
        Ok(pattern)
    }
}

fn misfit(what: String) -> EngineError {
    EngineError::Request(format!(
        "transformer weights don't fit together: {what}; hint: the configuration belongs to other weights"
    ))
}

/// Checks that `values` is a `[rows, columns]` table.
pub(super) fn table(name: &str, values: &[f32], rows: usize, columns: usize) -> Result<(), EngineError> {
    let expected = rows.checked_mul(columns).ok_or_else(|| misfit(format!("`{name}` of {rows} x {columns} values")))?;
    if values.len() == expected {
        return Ok(());
    }
    Err(EngineError::Length { name: format!("`{name}` [{rows}, {columns}]"), expected, found: values.len() })
}
