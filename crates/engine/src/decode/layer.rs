//! One residual block over a chunk of positions.

use super::Precision;
use super::attention::Attend;
use super::cache::Cache;
use super::matrix::Matrix;
use super::norm::PackedNorm;
use super::pattern::Pattern;
use super::product::Finish;
use super::weights::{LayerWeights, Linear, TransformerWeights};
use crate::EngineError;
use crate::lanes::{Isa, padded};
use crate::team::{Crew, Grid};

/// A residual block with packed weights.
#[derive(Debug)]
pub(super) struct Layer {
    pub pattern: Pattern,
    /// Width of queries, keys and values.
    pub state: usize,
    ln_0: PackedNorm,
    pub c_attn: Matrix,
    encoder_kv: Option<Matrix>,
    c_proj: Matrix,
    ln_1: PackedNorm,
    c_fc: Matrix,
    mlp_proj: Matrix,
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
}

/// Room for what a layer computes, `[rows, padded ...]` each; grows to the largest layer and chunk.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    normal: Vec<f32>,
    /// Queries, keys and values.
    pub triple: Vec<f32>,
    attended: Vec<f32>,
    added: Vec<f32>,
    hidden: Vec<f32>,
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
            Matrix::pack(size, &linear.b, precision, |i, o| linear.w[i * linear.outputs + o])
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

    /// Fills the caches of the heads of one row of the batch with the keys and values of an encoder's states
    /// `[positions, padded width]`. Nothing happens in layers that don't look at an encoder.
    pub(super) fn look_up(&self, crew: &mut Crew, isa: Isa, states: &[f32], caches: &mut [Cache]) {
        let Some(encoder_kv) = &self.encoder_kv else { return };
        let wide = encoder_kv.padded_outputs();
        let mut both = vec![0.0; states.len() / padded(encoder_kv.inputs) * wide];
        encoder_kv.multiply(crew, isa, states, &mut both, Finish::Keep);
        let head_width = self.state / caches.len();
        for (slot, both) in both.chunks_exact(wide).enumerate() {
            let (keys, values) = both.split_at(self.state);
            let heads = keys.chunks_exact(head_width).zip(values.chunks_exact(head_width));
            for (cache, (key, value)) in caches.iter_mut().zip(heads) {
                cache.write(0, slot, key, value);
            }
        }
    }

    /// Passes the residual stream `[batch, count, padded width]` through the block; `caches` has one entry a row of the
    /// batch and head.
    pub(super) fn forward(
        &self,
        crew: &mut Crew,
        chunk: Chunk,
        stream: &mut [f32],
        caches: &mut [Cache],
        s: &mut Scratch,
    ) {
        let rows = caches.len() / chunk.heads * chunk.count;
        let added = sized(&mut s.added, stream.len());
        let attended = sized(&mut s.attended, rows * padded(self.state));
        let hidden = sized(&mut s.hidden, rows * self.c_fc.padded_outputs());
        let normal = sized(&mut s.normal, stream.len());
        let triple = sized(&mut s.triple, rows * self.c_attn.padded_outputs());
        self.project(crew, chunk, stream, normal, triple);
        self.attend(crew, chunk, triple, caches, attended);
        self.c_proj.multiply(crew, chunk.isa, attended, added, Finish::Keep);
        self.ln_1.apply(crew, chunk.isa, stream, Some(added), normal);
        self.c_fc.multiply(crew, chunk.isa, normal, hidden, Finish::QuickGelu);
        let residual = Finish::Residual { added, scale: chunk.residual_scale };
        self.mlp_proj.multiply(crew, chunk.isa, hidden, stream, residual);
    }

    /// Probabilities with which `head` looks at each of `keys` keys, `[batch, count, keys]`, zero where a position sees
    /// nothing.
    pub(super) fn probabilities(
        &self,
        crew: &mut Crew,
        chunk: Chunk,
        [head, keys]: [usize; 2],
        stream: &[f32],
        caches: &mut [Cache],
        s: &mut Scratch,
    ) -> Vec<f32> {
        let rows = caches.len() / chunk.heads * chunk.count;
        let triple = sized(&mut s.triple, rows * self.c_attn.padded_outputs());
        self.project(crew, chunk, stream, sized(&mut s.normal, stream.len()), triple);
        self.shares(crew, chunk, [head, keys], triple, caches)
    }

    /// The same, from queries, keys and values.
    pub(super) fn shares(
        &self,
        crew: &mut Crew,
        chunk: Chunk,
        [head, keys]: [usize; 2],
        triple: &[f32],
        caches: &mut [Cache],
    ) -> Vec<f32> {
        let wide = self.c_attn.padded_outputs();
        let mut found = vec![0.0; triple.len() / wide * keys];
        let mut of_head: Vec<&mut Cache> = caches.iter_mut().skip(head).step_by(chunk.heads).collect();
        let grid = Grid { values: &mut found, stride: keys, columns: keys, tile: [chunk.count, keys] };
        crew.tiles(grid, &mut of_head, |mut found, cache| {
            let mut out = vec![0.0; self.state / chunk.heads];
            for (index, triple) in triple[found.row * wide..].chunks_exact(wide).take(chunk.count).enumerate() {
                let (seen, sum) = self.look(chunk, index, head, triple, cache, &mut out);
                for (found, share) in found.row(index)[..seen].iter_mut().zip(cache.scores.as_flattened()) {
                    *found = share / sum;
                }
            }
        });
        found
    }

    /// Queries, keys and values.
    fn project(&self, crew: &mut Crew, chunk: Chunk, stream: &[f32], normal: &mut [f32], triple: &mut [f32]) {
        self.ln_0.apply(crew, chunk.isa, stream, None, normal);
        self.c_attn.multiply(crew, chunk.isa, normal, triple, Finish::Keep);
    }

    /// Attention of all rows and heads.
    pub(super) fn attend(
        &self,
        crew: &mut Crew,
        chunk: Chunk,
        triple: &[f32],
        caches: &mut [Cache],
        attended: &mut [f32],
    ) {
        let (wide, head_width) = (self.c_attn.padded_outputs(), self.state / chunk.heads);
        let (stride, tile) = (padded(self.state), [chunk.count, head_width]);
        let grid = Grid { values: attended, stride, columns: self.state, tile };
        crew.tiles(grid, caches, |mut out, cache| {
            let head = out.column / head_width;
            for (index, triple) in triple[out.row * wide..].chunks_exact(wide).take(chunk.count).enumerate() {
                self.look(chunk, index, head, triple, cache, out.row(index));
            }
        });
    }

    /// Attention of one head at a position of the chunk. Its key and value are written before it looks, and later ones may
    /// take the place of those that no one sees any more: positions must come in order. Returns how many keys it saw, and
    /// what the shares that the cache's scores then hold add up to.
    fn look(
        &self,
        chunk: Chunk,
        index: usize,
        head: usize,
        triple: &[f32],
        cache: &mut Cache,
        out: &mut [f32],
    ) -> (usize, f32) {
        let (state, head_width) = (self.state, self.state / chunk.heads);
        let part = |part: usize| &triple[part * state + head * head_width..][..head_width];
        let place = self.pattern.place(chunk.first + index, chunk.encoder);
        if let Some((strip, slot)) = place.own {
            cache.write(strip, slot, part(1), part(2));
        }
        if place.seen == 0 {
            out.fill(0.0);
            return (0, 0.0);
        }
        let (keys, values, scores) = cache.read(place.seen_strip);
        let sum = Attend { query: part(0), keys, values, seen: place.seen, scores, out }.run_on(chunk.isa);
        (place.seen, sum)
    }
}

/// The first `size` values of a buffer that grows when it must.
fn sized(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}
