//! One residual block over a chunk of positions.

use rayon::prelude::*;

use super::Precision;
use super::activation::quick_gelu;
use super::attention::Attend;
use super::cache::Cache;
use super::norm::PackedNorm;
use super::panels::Panels;
use super::pattern::Pattern;
use super::weights::{LayerWeights, Linear, TransformerWeights};
use crate::EngineError;
use crate::lanes::{Isa, padded};

/// A residual block with packed weights.
#[derive(Debug)]
pub(super) struct Layer {
    pub pattern: Pattern,
    /// Width of queries, keys and values.
    pub state: usize,
    ln_0: PackedNorm,
    pub c_attn: Panels,
    encoder_kv: Option<Panels>,
    c_proj: Panels,
    ln_1: PackedNorm,
    c_fc: Panels,
    mlp_proj: Panels,
}

/// The positions a call computes: `count` from `first`, of every row of the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub isa: Isa,
    pub first: usize,
    pub count: usize,
    pub heads: usize,
    /// Positions of the encoder.
    pub encoder: usize,
    pub residual_scale: f32,
    /// Rows that one thread takes at a time.
    pub task: usize,
}

/// Room for what a layer computes, `[rows, padded ...]` each; grows to the largest layer and chunk.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub normal: Vec<f32>,
    /// Queries, keys and values.
    pub triple: Vec<f32>,
    pub attended: Vec<f32>,
    added: Vec<f32>,
    hidden: Vec<f32>,
}

/// The probabilities that a probe asks of [`Layer::attend`].
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub head: usize,
    pub keys: usize,
    /// `[count, keys]`, zero where a position sees nothing.
    pub found: &'a mut [f32],
}

impl Layer {
    /// Checks and packs layer `index`; each matrix is let go of as soon as it is packed.
    pub(super) fn pack(
        index: usize,
        weights: LayerWeights,
        of: &TransformerWeights,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let pattern = weights.validate(index, of)?;
        let pack = |linear: Linear| {
            let size = [linear.inputs, linear.outputs];
            Panels::pack(size, &linear.b, precision, |i, o| linear.w[i * linear.outputs + o])
        };
        Ok(Self {
            pattern,
            state: weights.state(),
            ln_0: PackedNorm::pack(&weights.ln_0),
            c_attn: pack(weights.c_attn),
            encoder_kv: weights.encoder_kv.map(pack),
            c_proj: pack(weights.c_proj),
            ln_1: PackedNorm::pack(&weights.ln_1),
            c_fc: pack(weights.c_fc),
            mlp_proj: pack(weights.mlp_proj),
        })
    }

    /// Fills the cache of one row of the batch with the keys and values of an encoder's states `[positions, padded width]`,
    /// `task` positions a thread at a time. Nothing happens in layers that don't look at an encoder.
    pub(super) fn look_up(&self, isa: Isa, states: &[f32], width: usize, task: usize, cache: &mut Cache) {
        let Some(encoder_kv) = &self.encoder_kv else { return };
        let (wide, both_wide) = (padded(width), encoder_kv.padded_outputs());
        let mut both = vec![0.0; states.len() / wide * both_wide];
        states
            .par_chunks(task * wide)
            .zip(both.par_chunks_mut(task * both_wide))
            .for_each(|(states, both)| encoder_kv.multiply(isa, states, both));
        for (slot, both) in both.chunks_exact(both_wide).enumerate() {
            let (key, value) = both.split_at(self.state);
            cache.write(0, slot, key, &value[..self.state]);
        }
    }

    /// Passes the residual stream `[batch, count, padded width]` through the block; `caches` has one entry a row of the
    /// batch.
    pub(super) fn forward(
        &self,
        chunk: Chunk,
        stream: &mut [f32],
        width: usize,
        caches: &mut [Cache],
        s: &mut Scratch,
    ) {
        let rows = caches.len() * chunk.count;
        let wide = padded(width);
        let (triple_wide, state_wide) = (self.c_attn.padded_outputs(), padded(self.state));
        let hidden_wide = self.c_fc.padded_outputs();
        let normal = sized(&mut s.normal, rows * wide);
        let triple = sized(&mut s.triple, rows * triple_wide);
        let attended = sized(&mut s.attended, rows * state_wide);
        let added = sized(&mut s.added, rows * wide);
        let hidden = sized(&mut s.hidden, rows * hidden_wide);

        let task = chunk.task;
        if rows <= task {
            self.project(chunk, stream, normal, triple);
            for (row, cache) in caches.iter_mut().enumerate() {
                let size = chunk.count * triple_wide;
                let out = &mut attended[row * chunk.count * state_wide..][..chunk.count * state_wide];
                self.attend(chunk, &triple[row * size..][..size], cache, out, None);
            }
            self.feed_forward(chunk, attended, stream, normal, added, hidden);
            return;
        }
        stream
            .par_chunks(task * wide)
            .zip(normal.par_chunks_mut(task * wide))
            .zip(triple.par_chunks_mut(task * triple_wide))
            .for_each(|((stream, normal), triple)| self.project(chunk, stream, normal, triple));
        caches
            .par_iter_mut()
            .zip(triple.par_chunks(chunk.count * triple_wide))
            .zip(attended.par_chunks_mut(chunk.count * state_wide))
            .for_each(|((cache, triple), out)| self.attend(chunk, triple, cache, out, None));
        stream
            .par_chunks_mut(task * wide)
            .zip(attended.par_chunks(task * state_wide))
            .zip(normal.par_chunks_mut(task * wide))
            .zip(added.par_chunks_mut(task * wide))
            .zip(hidden.par_chunks_mut(task * hidden_wide))
            .for_each(|((((stream, attended), normal), added), hidden)| {
                self.feed_forward(chunk, attended, stream, normal, added, hidden);
            });
    }

    /// Queries, keys and values.
    pub(super) fn project(&self, chunk: Chunk, stream: &[f32], normal: &mut [f32], triple: &mut [f32]) {
        normal.copy_from_slice(stream);
        self.ln_0.apply(chunk.isa, normal);
        self.c_attn.multiply(chunk.isa, normal, triple);
    }

    /// Attention of one row of the batch, position after position: a position's key and value are written before it
    /// looks, and later ones may take the place of those that no one sees any more.
    pub(super) fn attend(
        &self,
        chunk: Chunk,
        triple: &[f32],
        cache: &mut Cache,
        attended: &mut [f32],
        mut wanted: Option<Wanted<'_>>,
    ) {
        let state = self.state;
        let head_width = state / chunk.heads;
        let mut scores = std::mem::take(&mut cache.scores);
        let rows = triple.chunks_exact(self.c_attn.padded_outputs()).zip(attended.chunks_exact_mut(padded(state)));
        for (index, (triple, attended)) in rows.enumerate() {
            let place = self.pattern.place(chunk.first + index, chunk.encoder);
            let (query, rest) = triple.split_at(state);
            if let Some((strip, slot)) = place.own {
                let (key, value) = rest.split_at(state);
                cache.write(strip, slot, key, &value[..state]);
            }
            attended.fill(0.0);
            if place.seen == 0 {
                continue;
            }
            for head in 0..chunk.heads {
                let (keys, values) = cache.read(head, place.seen_strip);
                let (query, out) = (&query[head * head_width..], &mut attended[head * head_width..]);
                let sum = Attend {
                    query: &query[..head_width],
                    keys,
                    values,
                    seen: place.seen,
                    scores: &mut scores,
                    out: &mut out[..head_width],
                }
                .run_on(chunk.isa);
                if let Some(wanted) = wanted.as_mut().filter(|wanted| wanted.head == head) {
                    let found = &mut wanted.found[index * wanted.keys..][..place.seen];
                    for (found, share) in found.iter_mut().zip(scores.as_flattened()) {
                        *found = share / sum;
                    }
                }
            }
        }
        cache.scores = scores;
    }

    /// The rest of the block: projection, feed-forward part and both residual sums.
    fn feed_forward(
        &self,
        chunk: Chunk,
        attended: &[f32],
        stream: &mut [f32],
        normal: &mut [f32],
        added: &mut [f32],
        hidden: &mut [f32],
    ) {
        self.c_proj.multiply(chunk.isa, attended, added);
        for ((sum, x), a) in normal.iter_mut().zip(stream.iter()).zip(added.iter()) {
            *sum = x + a;
        }
        self.ln_1.apply(chunk.isa, normal);
        self.c_fc.multiply(chunk.isa, normal, hidden);
        quick_gelu(chunk.isa, hidden);
        self.mlp_proj.multiply(chunk.isa, hidden, normal);
        for ((x, a), m) in stream.iter_mut().zip(added.iter()).zip(normal.iter()) {
            *x += chunk.residual_scale * (a + m);
        }
    }
}

/// The first `size` values of a buffer that grows when it must.
pub(super) fn sized(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}
