//! A prior's transformer run one token ahead on Burn's tensors: what GPUs sample with, and the twin of the engine's decoder.

use super::autoregressive::Autoregressive;
use super::tensor_cache::{Sizes, TensorCache};
use super::{Conditions, token_tensor};
use crate::ModelError;
use crate::nn::dense::quick_gelu;
use crate::nn::transformer::{Layer, TransformerConfig};
use burn::tensor::Tensor;
use orchestrion_engine::decode::Pattern;

/// Most positions that pass through the layers together: scores of dense attention are a matrix of them and all before.
const CHUNK: usize = 512;

/// A network with its caches. Positions and tokens are those of the whole stream, lyrics in front included.
pub(super) struct TensorDecoder {
    network: Autoregressive,
    sizes: TransformerConfig,
    /// One a layer.
    patterns: Vec<Pattern>,
    window: Option<Begun>,
}

/// A window under way.
struct Begun {
    /// `[batch, 1, width]`.
    start: Tensor<3>,
    /// `[batch, length, width]`.
    condition: Option<Tensor<3>>,
    batch: usize,
    length: usize,
    /// One a layer.
    caches: Vec<TensorCache>,
    /// Positions computed: one more than there are tokens, once the first logits are known.
    computed: usize,
    /// `[batch, 1, width]`: the activations behind the last layer, from which the next token follows.
    last: Option<Tensor<3>>,
}

impl TensorDecoder {
    /// Takes a network with all its layers.
    ///
    /// # Errors
    /// If a layer's attention cannot be run one token ahead.
    pub(super) fn new(network: Autoregressive, sizes: TransformerConfig) -> Result<Self, ModelError> {
        let (block, prime) = (sizes.context / sizes.blocks, sizes.prime_keys());
        let pattern = |(d, layer): (usize, &Layer)| {
            Pattern::of(layer.attn.func, block, prime).map_err(|what| ModelError::Request(format!("layer {d} {what}")))
        };
        let patterns = network.transformer.layers.iter().enumerate().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { network, sizes, patterns, window: None })
    }

    /// Opens a window of `length` positions and forgets the one before.
    ///
    /// # Errors
    /// If a layer looks at an encoder and there is none.
    pub(super) fn begin(&mut self, conditions: &Conditions, batch: usize, length: usize) -> Result<(), ModelError> {
        self.window = None;
        let device = self.network.pos_emb.device();
        let sizes = Sizes { batch, heads: self.sizes.heads, state: self.sizes.state() };
        let layers = self.network.transformer.layers.iter().zip(&self.patterns);
        let cache = |(layer, pattern): (&Layer, &Pattern)| match (&layer.attn.c_enc_kv, &conditions.encoder) {
            (None, _) => Ok(TensorCache::new(*pattern, sizes, length, &device)),
            (Some(project), Some(states)) => Ok(TensorCache::of_encoder(project.forward(states.clone()), sizes)),
            (Some(_), None) => Err(ModelError::Request("a layer looks at lyrics, and there are none".to_owned())),
        };
        self.window = Some(Begun {
            start: conditions.start.clone().unsqueeze_dim(1),
            condition: conditions.positions.clone(),
            batch,
            length,
            caches: layers.map(cache).collect::<Result<_, _>>()?,
            computed: 0,
            last: None,
        });
        Ok(())
    }

    /// Appends the same number of tokens to every row; the logits of the next token, `[batch, vocabulary]`.
    ///
    /// # Errors
    /// If no window was begun, rows differ in number or length, or no position is left to predict.
    pub(super) fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        let Some(window) = &mut self.window else {
            return Err(ModelError::Request("no window was begun; hint: begin one first".to_owned()));
        };
        let known = window.computed.saturating_sub(1);
        let count = tokens.first().map_or(0, |row| row.len());
        if tokens.len() != window.batch || tokens.iter().any(|row| row.len() != count) {
            let found: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
            let what = format!("rows of {found:?} tokens for a window of {} rows", window.batch);
            return Err(ModelError::Request(format!("{what}; hint: each row takes the same number")));
        }
        if count >= window.length - known {
            let what = format!("{known} and {count} tokens leave none to predict in a window of {}", window.length);
            return Err(ModelError::Request(format!("{what}; hint: begin a new window")));
        }
        while window.computed < known + count + 1 {
            let first = window.computed;
            let end = (known + count + 1).min(first + CHUNK);
            // The token before a position is its input; the start vector is that of the first position.
            let before: Vec<&[u32]> =
                tokens.iter().map(|row| &row[first.max(1) - 1 - known..end - 1 - known]).collect();
            let embedded = (end > first.max(1))
                .then(|| self.network.x_emb.forward(token_tensor(&before, &self.network.pos_emb.device())));
            let start = (first == 0).then(|| window.start.clone());
            let inputs: Vec<Tensor<3>> = start.into_iter().chain(embedded).collect();
            window.pass(Tensor::cat(inputs, 1), &self.network);
        }
        let Some(last) = window.last.clone() else { return Ok(Vec::new()) };
        Ok(self.network.logits(last).into_data().iter().collect())
    }
}

impl Begun {
    /// Passes the embedded tokens before the next positions, `[batch, n, width]`, through the network.
    fn pass(&mut self, embedded: Tensor<3>, network: &Autoregressive) {
        let [_, n, _] = embedded.dims();
        let condition = self.condition.as_ref().map(|c| c.clone().narrow(1, self.computed, n));
        let mut x = embedded + network.pos_emb.clone().narrow(0, self.computed, n).unsqueeze();
        if let Some(condition) = &condition {
            x = x + condition.clone();
        }
        let scale = network.transformer.scale;
        let caches = std::mem::take(&mut self.caches);
        for (layer, cache) in network.transformer.layers.iter().zip(caches) {
            let projected = layer.attn.c_attn.forward(layer.ln_0.forward(x.clone()));
            let (cache, found) = cache.attend(projected, self.computed);
            self.caches.push(cache);
            let a = layer.attn.c_proj.forward(found);
            let hidden = quick_gelu(layer.c_fc.forward(layer.ln_1.forward(x.clone() + a.clone())));
            x = x + (a + layer.c_proj.forward(hidden)).mul_scalar(scale);
        }
        if let (None, Some(condition)) = (&network.x_out, condition) {
            x = x + condition;
        }
        self.last = Some(x.narrow(1, n - 1, 1));
        self.computed += n;
    }
}
