//! From tokens to the logits of the next one: inputs, the chunks that pass through the layers, and the output head.

use rayon::prelude::*;

use super::cache::Cache;
use super::layer::{Chunk, Layer, Scratch};
use super::panels::Panels;
use super::weights::{TransformerWeights, table};
use crate::EngineError;
use crate::lanes::{Isa, padded};

/// Rows (positions times batch) that pass through a layer together when many tokens are known.
const ROWS_A_CHUNK: usize = 192;

/// Rows that one thread takes at a time. Fewer are hardly worth handing over (at width 256 two threads make a step of two
/// rows slower, and one of four rows a tenth faster); more would push intermediate results out of the second cache.
const ROWS_A_TASK: std::ops::RangeInclusive<usize> = 4..=24;

/// A transformer that runs one token ahead, with its caches.
///
/// The input at position `t` is the embedding of token `t - 1` (at 0: the start vector) plus the position's embedding and
/// the condition at `t`; the logits at `t` predict token `t`. There is no norm behind the last layer, and the output
/// projection has no bias (Jukebox, arXiv 2005.00341, and its published weights).
#[derive(Debug)]
pub struct Decoder {
    isa: Isa,
    width: usize,
    heads: usize,
    context: usize,
    columns: usize,
    vocab: usize,
    residual_scale: f32,
    add_condition_after: bool,
    /// `[vocab, width]`.
    embedding: Vec<f32>,
    /// `[context, width]`.
    position: Vec<f32>,
    layers: Vec<Layer>,
    head: Panels,
    window: Option<Window>,
    scratch: Scratch,
    /// `[batch, chunk, padded width]`.
    stream: Vec<f32>,
    /// `[batch, padded vocab]`.
    padded_logits: Vec<f32>,
    /// `[batch, vocab]`.
    logits: Vec<f32>,
}

/// What was begun and how far it came.
#[derive(Debug)]
struct Window {
    batch: usize,
    length: usize,
    /// `[batch, width]`.
    start: Vec<f32>,
    /// `[batch, length, width]`.
    condition: Option<Vec<f32>>,
    /// Positions computed: one more than there are tokens, once the first logits are known.
    computed: usize,
    /// `[layers][batch]`.
    caches: Vec<Vec<Cache>>,
}

impl Decoder {
    /// Packs the weights for this machine.
    ///
    /// # Errors
    /// If a slice has not the size that the others call for, if heads or blocks don't divide what they cut, or if a
    /// size is 0.
    pub fn new(weights: TransformerWeights) -> Result<Self, EngineError> {
        Self::with_isa(weights, Isa::detect())
    }

    pub(super) fn with_isa(weights: TransformerWeights, isa: Isa) -> Result<Self, EngineError> {
        weights.validate()?;
        let TransformerWeights { width, vocab, .. } = weights;
        let output = weights.output.as_ref().unwrap_or(&weights.embedding);
        let head = Panels::pack(width, vocab, &[], |input, token| output[token * width + input]);
        Ok(Self {
            isa,
            width,
            heads: weights.heads,
            context: weights.context,
            columns: weights.context / weights.blocks,
            vocab,
            residual_scale: weights.residual_scale,
            add_condition_after: weights.add_condition_after,
            layers: weights.layers.iter().map(Layer::pack).collect(),
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

    /// Opens a window of `length` positions for `batch` rows and forgets the one before.
    ///
    /// `start` is `[batch, width]`: what stands in place of the embedding of a token before the first. `condition` is
    /// `[batch, length, width]`: added at every position, and behind the last layer if the weights say so.
    ///
    /// # Errors
    /// If the batch is empty, the window empty or longer than the context, a slice of the wrong size, or if there is not
    /// enough memory for the caches.
    pub fn begin(
        &mut self,
        start: &[f32],
        condition: Option<&[f32]>,
        batch: usize,
        length: usize,
    ) -> Result<(), EngineError> {
        let (width, context) = (self.width, self.context);
        if batch == 0 {
            return Err(EngineError::Request("a window without rows; hint: ask for at least one".to_owned()));
        }
        if length == 0 || length > context {
            let hint = format!("hint: a window has 1 to {context} positions");
            return Err(EngineError::Request(format!("a window of {length} positions; {hint}")));
        }
        table("start", start, batch, width)?;
        if let Some(condition) = condition {
            let rows = batch.checked_mul(length).ok_or_else(|| too_large(batch, length))?;
            table("condition", condition, rows, width)?;
        }
        // Caches fit again if the shape is the same: nothing is read that was not written in this window.
        let same = |old: &Window| old.batch == batch && old.length == length;
        let caches = match self.window.take().filter(same) {
            Some(old) => old.caches,
            None => self.caches(batch, length).ok_or_else(|| too_large(batch, length))?,
        };
        self.window = Some(Window {
            batch,
            length,
            start: start.to_vec(),
            condition: condition.map(<[f32]>::to_vec),
            computed: 0,
            caches,
        });
        Ok(())
    }

    /// Appends the same number of tokens to every row and returns the logits of the next token, `[batch, vocab]`. With no
    /// tokens: the logits of the next token as they stand, right after [`begin`](Self::begin) those of the first.
    ///
    /// # Errors
    /// If no window was begun, if rows differ in number or length, if a token is not in the vocabulary, or if no position
    /// is left to predict. The window is then as it was before the call.
    pub fn advance(&mut self, tokens: &[&[u32]]) -> Result<&[f32], EngineError> {
        let Some(mut window) = self.window.take() else {
            return Err(EngineError::Request("no window was begun; hint: call `begin` before `advance`".to_owned()));
        };
        let end = self.check(&window, tokens);
        if let Ok(end) = end {
            if window.batch * (end - window.computed) > *ROWS_A_TASK.start() {
                rayon::scope(|_| self.compute(&mut window, tokens, end));
            } else {
                self.compute(&mut window, tokens, end);
            }
        }
        self.window = Some(window);
        end.map(|_| self.logits.as_slice())
    }

    /// Number of positions that are computed once `tokens` are in.
    fn check(&self, window: &Window, tokens: &[&[u32]]) -> Result<usize, EngineError> {
        let count = tokens.first().map_or(0, |row| row.len());
        if tokens.len() != window.batch || tokens.iter().any(|row| row.len() != count) {
            let found: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
            return Err(EngineError::Request(format!(
                "rows of {found:?} tokens for a window of {} rows; hint: each row takes the same number",
                window.batch
            )));
        }
        let known = window.computed.saturating_sub(1);
        if count >= window.length - known {
            return Err(EngineError::Request(format!(
                "{known} and {count} tokens leave none to predict in a window of {}; hint: begin a new window",
                window.length
            )));
        }
        let vocab = self.vocab;
        if let Some(token) = tokens.iter().copied().flatten().find(|token| **token as usize >= vocab) {
            return Err(EngineError::Request(format!(
                "token {token} is outside the vocabulary of {vocab}; hint: the tokens belong to another codec or level"
            )));
        }
        Ok(known + count + 1)
    }

    /// Computes the positions up to `end`, and the logits at the last one.
    fn compute(&mut self, window: &mut Window, tokens: &[&[u32]], end: usize) {
        let known = window.computed.saturating_sub(1);
        let at_once = (ROWS_A_CHUNK / window.batch).max(1);
        let wide = padded(self.width);
        while window.computed < end {
            let count = at_once.min(end - window.computed);
            let share = (window.batch * count).div_ceil(rayon::current_num_threads());
            let chunk = Chunk {
                isa: self.isa,
                first: window.computed,
                count,
                heads: self.heads,
                columns: self.columns,
                residual_scale: self.residual_scale,
                task: share.clamp(*ROWS_A_TASK.start(), *ROWS_A_TASK.end()),
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
            for (layer, caches) in self.layers.iter().zip(&mut window.caches) {
                layer.forward(chunk, &mut self.stream, self.width, caches, &mut self.scratch);
            }
            window.computed += count;
            if window.computed == end {
                self.predict(window, count, chunk.task);
            }
        }
    }

    /// Logits from the last position of the chunk in `stream`.
    fn predict(&mut self, window: &Window, count: usize, task: usize) {
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
        self.stream
            .par_chunks(task * wide)
            .zip(self.padded_logits.par_chunks_mut(task * padded_vocab))
            .for_each(|(stream, logits)| self.head.multiply(self.isa, stream, logits));
        self.logits.clear();
        for row in self.padded_logits.chunks_exact(padded_vocab) {
            self.logits.extend_from_slice(&row[..self.vocab]);
        }
    }

    fn caches(&self, batch: usize, length: usize) -> Option<Vec<Vec<Cache>>> {
        let of_layer = |layer: &Layer| {
            let extent = layer.attn_func.extent(length, self.columns);
            (0..batch).map(|_| Cache::new(self.heads, layer.state / self.heads, extent)).collect()
        };
        self.layers.iter().map(of_layer).collect()
    }
}

impl Window {
    /// Adds the condition of a row at position `t`, if there is one.
    fn add_condition(&self, row: usize, t: usize, to: &mut [f32], width: usize) {
        if let Some(condition) = &self.condition {
            for (to, c) in to.iter_mut().zip(&condition[(row * self.length + t) * width..][..width]) {
                *to += c;
            }
        }
    }
}

fn too_large(batch: usize, length: usize) -> EngineError {
    EngineError::Request(format!(
        "no memory for the caches of {batch} rows of {length} positions; hint: decode fewer takes at a time"
    ))
}
