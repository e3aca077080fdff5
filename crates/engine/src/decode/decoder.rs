//! From tokens to the logits of the next one: inputs, the chunks that pass through the layers, and the output head.

use std::sync::Arc;

use super::Precision;
use super::cache::Cache;
use super::layer::{Chunk, Layer, Scratch};
use super::matrix::Matrix;
use super::pattern::Pattern;
use super::product::Finish;
use super::weights::{LayerWeights, TransformerWeights};
use super::window::{Conditions, Window, too_large};
use crate::EngineError;
use crate::lanes::{Isa, padded};
use crate::team::{Crew, Team};

/// Rows (positions times batch) that pass through a layer together when many tokens are known.
const ROWS_A_CHUNK: usize = 192;

/// A transformer that runs one token ahead, with its caches.
///
/// The input at position `t` is the embedding of token `t - 1` (at 0: the start vector) plus the position's embedding and
/// the condition at `t`; the logits at `t` predict token `t`. There is no norm behind the last layer, and the output
/// projection has no bias (Jukebox, arXiv 2005.00341, and its published weights).
#[derive(Debug)]
pub struct Decoder {
    pub(super) isa: Isa,
    pub(super) team: Arc<Team>,
    pub(super) width: usize,
    pub(super) heads: usize,
    context: usize,
    pub(super) vocab: usize,
    residual_scale: f32,
    pub(super) add_condition_after: bool,
    /// `[vocab, width]`.
    embedding: Vec<f32>,
    /// `[context, width]`.
    position: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) head: Matrix,
    pub(super) window: Option<Window>,
    pub(super) scratch: Scratch,
    /// `[batch, chunk, padded width]`.
    pub(super) stream: Vec<f32>,
    /// `[batch, padded vocab]`.
    padded_logits: Vec<f32>,
    /// `[batch, vocab]`.
    logits: Vec<f32>,
}

impl Decoder {
    /// Packs the weights for this machine, in `precision`, for as many threads as the current `rayon` pool has. Blocks are taken one at a time, first to last, and let go of when packed: beside
    /// the packed weights there is never more than one in memory.
    ///
    /// # Errors
    /// If a slice has not the size that the others call for, if heads or blocks don't divide what they cut, if a size is 0,
    /// if a block's attention cannot be run one token ahead, or the first error that `layers` gives.
    pub fn new<E: From<EngineError>>(
        weights: TransformerWeights,
        layers: impl IntoIterator<Item = Result<LayerWeights, E>>,
        precision: Precision,
    ) -> Result<Self, E> {
        Self::on(weights, layers, precision, Isa::detect(), rayon::current_num_threads())
    }

    /// [`new`](Self::new) for an instruction set and a number of threads.
    pub(super) fn on<E: From<EngineError>>(
        mut weights: TransformerWeights,
        layers: impl IntoIterator<Item = Result<LayerWeights, E>>,
        precision: Precision,
        isa: Isa,
        threads: usize,
    ) -> Result<Self, E> {
        weights.validate()?;
        let TransformerWeights { width, vocab, .. } = weights;
        let pack =
            |table: &[f32]| Matrix::pack([width, vocab], &[], precision, |input, token| table[token * width + input]);
        let head = pack(weights.output.take().as_ref().unwrap_or(&weights.embedding));
        let layers = layers.into_iter().enumerate();
        let layers = layers
            .map(|(index, layer)| Ok(Layer::pack(index, layer?, &weights, precision)?))
            .collect::<Result<_, E>>()?;
        Ok(Self {
            isa,
            team: Team::new(threads),
            width,
            heads: weights.heads,
            context: weights.context,
            vocab,
            residual_scale: weights.residual_scale,
            add_condition_after: weights.add_condition_after,
            layers,
            head,
            embedding: weights.embedding,
            position: weights.position,
            window: None,
            scratch: Scratch::default(),
            stream: Vec::new(),
            padded_logits: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// Opens a window of `length` positions for `batch` rows and forgets the one before. Keys and values of an encoder's
    /// states are computed here, once.
    ///
    /// # Errors
    /// If the batch is empty, the window empty or longer than the context, a slice of the wrong size, an encoder's states
    /// missing, or if there is not enough memory for the caches.
    pub fn begin(&mut self, conditions: Conditions<'_>, batch: usize, length: usize) -> Result<(), EngineError> {
        let mut window = Window::new(conditions, [batch, length], [self.width, self.context])?;
        let reader = self.layers.iter().position(|layer| layer.pattern == Pattern::Encoder);
        if let (Some(layer), None) = (reader, conditions.encoder) {
            let hint = "hint: give the encoder's states to `begin`";
            return Err(EngineError::Request(format!("layer {layer} looks at an encoder, and there is none; {hint}")));
        }
        // Caches fit again if the shape is the same: nothing is read that was not written in this window.
        let shape = |window: &Window| (window.batch, window.length, window.encoder);
        window.caches = match self.window.take().filter(|old| shape(old) == shape(&window)) {
            Some(old) => old.caches,
            None => self.caches(&window).ok_or_else(|| too_large(batch, length))?,
        };
        if let (Some(_), Some(states)) = (reader, conditions.encoder) {
            self.look_up(states, &mut window);
        }
        self.window = Some(window);
        Ok(())
    }

    /// Appends the same number of tokens to every row and returns the logits of the next token, `[batch, vocab]`. With no
    /// tokens: the logits of the next token as they stand, right after [`begin`](Self::begin) those of the first.
    ///
    /// # Errors
    /// If no window was begun, if it was [probed](Self::probe), if rows differ in number or length, if a token is not in the
    /// vocabulary, or if no position is left to predict. The window is then as it was before the call.
    pub fn advance(&mut self, tokens: &[&[u32]]) -> Result<&[f32], EngineError> {
        let Some(mut window) = self.window.take() else {
            return Err(EngineError::Request("no window was begun; hint: call `begin` before `advance`".to_owned()));
        };
        let end = match window.probed {
            None => window.end(tokens, self.vocab),
            Some(probe) => {
                let hint = "hint: begin a new window";
                Err(EngineError::Request(format!("the window is probed for {probe:?}, it gives no logits; {hint}")))
            }
        };
        if let Ok(end) = end {
            self.compute(&mut window, tokens, end);
        }
        self.window = Some(window);
        end.map(|_| self.logits.as_slice())
    }

    /// Computes the positions up to `end`, and the logits at the last one.
    fn compute(&mut self, window: &mut Window, tokens: &[&[u32]], end: usize) {
        let (known, mut crew) = (window.known(), self.team.gather());
        while window.computed < end {
            let chunk = self.inputs(window, tokens, known, end);
            for (layer, caches) in self.layers.iter().zip(&mut window.caches) {
                layer.forward(&mut crew, chunk, &mut self.stream, caches, &mut self.scratch);
            }
            window.computed += chunk.count;
            if window.computed == end {
                self.predict(&mut crew, window, chunk.count);
            }
        }
    }

    /// The next positions before `end`, as many as pass through the layers together; what goes in lies in `stream` then.
    /// `tokens` begin behind the first `known` of the window.
    pub(super) fn inputs(&mut self, window: &Window, tokens: &[&[u32]], known: usize, end: usize) -> Chunk {
        let wide = padded(self.width);
        let count = (ROWS_A_CHUNK / window.batch).max(1).min(end - window.computed);
        let chunk = Chunk {
            isa: self.isa,
            first: window.computed,
            count,
            heads: self.heads,
            encoder: window.encoder,
            residual_scale: self.residual_scale,
        };
        self.stream.clear();
        self.stream.resize(window.batch * count * wide, 0.0);
        let mut inputs = self.stream.chunks_exact_mut(wide);
        for (row, tokens) in tokens.iter().enumerate() {
            for (t, input) in (chunk.first..chunk.first + count).zip(&mut inputs) {
                let token = match t {
                    0 => &window.start[row * self.width..],
                    // Not before `known`: earlier positions were computed by earlier calls.
                    _ => &self.embedding[tokens[t - 1 - known] as usize * self.width..],
                };
                let position = &self.position[t * self.width..];
                for ((to, token), position) in input.iter_mut().zip(&token[..self.width]).zip(position) {
                    *to = token + position;
                }
                window.add_condition(row, t, input, self.width);
            }
        }
        chunk
    }

    /// Logits from the last position of the chunk in `stream`.
    fn predict(&mut self, crew: &mut Crew, window: &Window, count: usize) {
        let wide = padded(self.width);
        for row in 0..window.batch {
            let last = (row * count + count - 1) * wide;
            self.stream.copy_within(last..last + wide, row * wide);
        }
        self.stream.truncate(window.batch * wide);
        if self.add_condition_after {
            for (row, stream) in self.stream.chunks_exact_mut(wide).enumerate() {
                window.add_condition(row, window.computed - 1, stream, self.width);
            }
        }
        let padded_vocab = self.head.padded_outputs();
        self.padded_logits.resize(window.batch * padded_vocab, 0.0);
        self.head.multiply(crew, self.isa, &self.stream, &mut self.padded_logits, Finish::Keep);
        self.logits.clear();
        for row in self.padded_logits.chunks_exact(padded_vocab) {
            self.logits.extend_from_slice(&row[..self.vocab]);
        }
    }

    /// Keys and values of the encoder's states `[batch, encoder positions, width]`, for the layers that look at them.
    fn look_up(&self, states: &[f32], window: &mut Window) {
        let mut crew = self.team.gather();
        let mut rows = vec![0.0; window.encoder * padded(self.width)];
        for (row, states) in states.chunks_exact(window.encoder * self.width).enumerate() {
            for (to, from) in rows.chunks_exact_mut(padded(self.width)).zip(states.chunks_exact(self.width)) {
                to[..self.width].copy_from_slice(from);
            }
            for (layer, caches) in self.layers.iter().zip(&mut window.caches) {
                layer.look_up(&mut crew, self.isa, &rows, &mut caches[row * self.heads..][..self.heads]);
            }
        }
    }

    fn caches(&self, window: &Window) -> Option<Vec<Vec<Cache>>> {
        let of_layer = |layer: &Layer| {
            let extent = layer.pattern.extent(window.length, window.encoder);
            (0..window.batch * self.heads).map(|_| Cache::new(layer.state / self.heads, extent)).collect()
        };
        self.layers.iter().map(of_layer).collect()
    }
}
