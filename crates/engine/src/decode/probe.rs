//! Looking into a window of known tokens: what passes behind a layer, or where a head looks.

use super::Decoder;
use super::cache::Cache;
use super::layer::Chunk;
use super::pattern::Pattern;
use super::product::Finish;
use super::window::Window;
use crate::EngineError;
use crate::lanes::padded;
use crate::team::Crew;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The residual stream behind a layer: `width` values a position.
    Hidden {
        /// The layer; 0 is the first.
        layer: usize,
    },
    /// The probabilities with which a head looks at its layer's keys, one value a key: all positions of the window for
    /// `Dense`, of the encoder for `Encoder`, of the window's front for `Prime`. Other functions have no such list.
    Attention {
        /// The layer; 0 is the first.
        layer: usize,
        /// The head; 0 is the first.
        head: usize,
    },
    /// The logits, `vocab` values a position: at every position those that [`Decoder::advance`] gives at the last, to the bit.
    Logits,
}

impl Decoder {
    /// Appends the same number of tokens to every row and returns what `probe` sees at the positions that are computed with
    /// them: `[batch, positions, values]`. As with [`advance`](Self::advance) a first call computes one position more than
    /// it has tokens, and position `t` has seen the tokens before `t`; the bits don't depend on how tokens are split over
    /// calls. Layers behind the probed one are not computed, so a window that was probed gives no logits.
    ///
    /// # Errors
    /// If no window was begun, if it was begun for something else, if there is no such layer or head, if the layer's
    /// attention has no list of keys, or if the tokens don't fit. The window is then as it was before the call.
    pub fn probe(&mut self, probe: Probe, tokens: &[&[u32]]) -> Result<Vec<f32>, EngineError> {
        let Some(mut window) = self.window.take() else {
            return Err(EngineError::Request("no window was begun; hint: call `begin` before `probe`".to_owned()));
        };
        let sizes = if window.computed > 0 && window.probed != Some(probe) {
            let hint = "hint: begin a new window";
            Err(EngineError::Request(format!("the window was begun for something else than {probe:?}; {hint}")))
        } else {
            let values = self.probe_size(probe, window.length, window.encoder);
            values.and_then(|values| Ok((values, window.end(tokens, self.vocab)?)))
        };
        let found = sizes.map(|(values, end)| {
            window.probed = Some(probe);
            self.see(probe, &mut window, tokens, values, end)
        });
        self.window = Some(window);
        found
    }

    /// Computes the positions up to `end`: `values` of each.
    fn see(&mut self, probe: Probe, window: &mut Window, tokens: &[&[u32]], values: usize, end: usize) -> Vec<f32> {
        let (known, first, total) = (window.known(), window.computed, end - window.computed);
        let mut crew = self.team.gather();
        let mut found = vec![0.0; window.batch * total * values];
        while window.computed < end {
            let chunk = self.inputs(window, tokens, known, end);
            let seen = self.look(&mut crew, probe, chunk, values, &mut window.caches);
            let seen = if probe == Probe::Logits { self.scores(&mut crew, window, chunk) } else { seen };
            let part = chunk.count * values;
            for (row, seen) in seen.chunks_exact(part).enumerate() {
                found[(row * total + chunk.first - first) * values..][..part].copy_from_slice(seen);
            }
            window.computed += chunk.count;
        }
        found
    }

    /// Values a position that `probe` gives.
    fn probe_size(&self, probe: Probe, length: usize, encoder: usize) -> Result<usize, EngineError> {
        let (Probe::Hidden { layer } | Probe::Attention { layer, .. }) = probe else { return Ok(self.vocab) };
        let depth = self.layers.len();
        let refused = |what: String| Err(EngineError::Request(what));
        let Some(found) = self.layers.get(layer) else {
            return refused(format!("no layer {layer}; hint: the model has layers 0 to {}", depth.saturating_sub(1)));
        };
        let Probe::Attention { head, .. } = probe else { return Ok(self.width) };
        if head >= self.heads {
            return refused(format!("no head {head} in layer {layer}; hint: it has heads 0 to {}", self.heads - 1));
        }
        match found.pattern {
            Pattern::Dense | Pattern::Encoder | Pattern::Prime { .. } => Ok(found.pattern.extent(length, encoder).1),
            other => refused(format!(
                "layer {layer} has {other:?} attention, whose keys change from position to position; hint: ask for a layer \
                 with Dense, Encoder or Prime attention"
            )),
        }
    }

    /// Passes a chunk from `stream` through the layers up to the probed one: `[batch, count, values]`.
    fn look(
        &mut self,
        crew: &mut Crew,
        probe: Probe,
        chunk: Chunk,
        values: usize,
        caches: &mut [Vec<Cache>],
    ) -> Vec<f32> {
        let whole = match probe {
            Probe::Hidden { layer } => layer + 1,
            Probe::Attention { layer, .. } => layer,
            Probe::Logits => self.layers.len(),
        };
        let (before, behind) = caches.split_at_mut(whole);
        for (layer, caches) in self.layers.iter().zip(before) {
            layer.forward(crew, chunk, &mut self.stream, caches, &mut self.scratch);
        }
        match (probe, self.layers.get(whole), behind.first_mut()) {
            (Probe::Attention { head, .. }, Some(layer), Some(caches)) => {
                layer.probabilities(crew, chunk, [head, values], &self.stream, caches, &mut self.scratch)
            }
            _ => self.stream.chunks_exact(padded(self.width)).flat_map(|row| &row[..self.width]).copied().collect(),
        }
    }

    /// Logits at all positions of the chunk in `stream`: `[batch, count, vocab]`.
    fn scores(&mut self, crew: &mut Crew, window: &Window, chunk: Chunk) -> Vec<f32> {
        let wide = padded(self.width);
        if self.add_condition_after {
            for (row, stream) in self.stream.chunks_exact_mut(chunk.count * wide).enumerate() {
                for (t, stream) in (chunk.first..).zip(stream.chunks_exact_mut(wide)) {
                    window.add_condition(row, t, stream, self.width);
                }
            }
        }
        let padded_vocab = self.head.padded_outputs();
        let mut logits = vec![0.0; self.stream.len() / wide * padded_vocab];
        self.head.multiply(crew, self.isa, &self.stream, &mut logits, Finish::Keep);
        logits.chunks_exact(padded_vocab).flat_map(|row| &row[..self.vocab]).copied().collect()
    }
}
