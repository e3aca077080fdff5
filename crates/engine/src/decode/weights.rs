//! Weights of a transformer as plain slices, and the check that they fit together.

use super::AttnFunc;
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
    /// Queries, keys and values side by side: `width -> 3 * state`; `state` is a multiple of the heads.
    pub c_attn: Linear,
    /// `state -> width`.
    pub c_proj: Linear,
    /// Norm before the feed-forward part.
    pub ln_1: Norm,
    /// `width -> hidden`.
    pub c_fc: Linear,
    /// `hidden -> width`.
    pub mlp_proj: Linear,
}

/// A whole transformer over one token stream.
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
    /// What a block's contribution is multiplied with: 1, or 1 / depth.
    pub residual_scale: f32,
    /// Number of tokens.
    pub vocab: usize,
    /// Input embedding, `[vocab, width]`.
    pub embedding: Vec<f32>,
    /// Position embedding, `[context, width]`.
    pub position: Vec<f32>,
    /// The blocks, first to last.
    pub layers: Vec<LayerWeights>,
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
        for (index, layer) in self.layers.iter().enumerate() {
            layer.validate(index, width, heads)?;
        }
        Ok(())
    }
}

impl LayerWeights {
    fn validate(&self, index: usize, width: usize, heads: usize) -> Result<(), EngineError> {
        let at = |name: &str| format!("layers[{index}].{name}");
        use AttnFunc::{Encoder, Prime, SpreadSummary, Summary};
        if matches!(self.attn_func, Summary | SpreadSummary | Encoder | Prime) {
            return Err(misfit(format!("`{}` {:?} is not decoded", at("attn_func"), self.attn_func)));
        }
        let state = self.c_attn.outputs / 3;
        if state == 0 || self.c_attn.outputs != 3 * state || !state.is_multiple_of(heads) {
            let (name, outputs) = (at("c_attn"), self.c_attn.outputs);
            return Err(misfit(format!("`{name}` has {outputs} outputs, not three times a multiple of {heads} heads")));
        }
        let hidden = self.c_fc.outputs;
        for (name, norm) in [("ln_0", &self.ln_0), ("ln_1", &self.ln_1)] {
            table(&at(&format!("{name}.g")), &norm.g, 1, width)?;
            table(&at(&format!("{name}.b")), &norm.b, 1, width)?;
        }
        for (name, linear, inputs, outputs) in [
            ("c_attn", &self.c_attn, width, 3 * state),
            ("c_proj", &self.c_proj, state, width),
            ("c_fc", &self.c_fc, width, hidden),
            ("mlp_proj", &self.mlp_proj, hidden, width),
        ] {
            let name = at(name);
            if linear.inputs != inputs || linear.outputs != outputs || inputs == 0 || outputs == 0 {
                let (a, b) = (linear.inputs, linear.outputs);
                return Err(misfit(format!("`{name}` maps {a} to {b} values where {inputs} to {outputs} are needed")));
            }
            table(&format!("{name}.w"), &linear.w, inputs, outputs)?;
            table(&format!("{name}.b"), &linear.b, 1, outputs)?;
        }
        Ok(())
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
