//! What a prior does over a window of known tokens: its logits, hidden states, and where it is in the words.

use super::decoder::{Transformer, slices};
use super::{PriorDecoder, TokenModel, Window};
use crate::ModelError;
use crate::nn::attention::AttnFunc;
use orchestrion_engine::decode::Probe;
use std::ops::Range;

impl PriorDecoder {
    /// The residual stream behind a layer (0 is the first) at every position of a window whose tokens are all known:
    /// `[batch, length, width]`, from `length` tokens a row. The vector at position `t` has seen the tokens before `t` and
    /// predicts token `t`, so the last token changes nothing. Layers behind are not computed; to sample, begin anew.
    ///
    /// # Errors
    /// As [`begin`](super::TokenModel::begin); if rows have not `length` tokens, a token is outside the codebook, or there is no
    /// such layer.
    pub fn hidden(&mut self, layer: usize, window: &Window<'_>, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        self.probe(Probe::Hidden { layer }, window, tokens, 0..self.prior.config().transformer.width)
    }

    /// The probabilities with which a head looks at each lyric token of the window, at every position of a window whose
    /// tokens are all known: `[batch, length, lyric tokens]`, from `length` tokens a row. Prime attention also sees a few
    /// positions of music; what it spends on them is left out, so that rows may add up to less than 1.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden); if the prior knows no words, the layer does not look at them, or it has no such head.
    pub fn attention(
        &mut self,
        layer: usize,
        head: usize,
        window: &Window<'_>,
        tokens: &[&[u32]],
    ) -> Result<Vec<f32>, ModelError> {
        let config = self.prior.config();
        let Some(lyrics) = config.lyrics.as_ref().map(|lyrics| lyrics.tokens) else {
            let hint = "hint: use a model with lyrics";
            return Err(ModelError::Request(format!("the prior of level {} knows no words; {hint}", config.level)));
        };
        let func = config.transformer.func(layer)?;
        // Dense attention sees the words where they are in the same stream.
        if func == AttnFunc::Dense && config.lyrics_in_front() == 0 {
            return Err(ModelError::Request(format!("layer {layer} has {func:?} attention and sees no words")));
        }
        self.probe(Probe::Attention { layer, head }, window, tokens, 0..lyrics)
    }

    /// The logits at every position of a window whose tokens are all known, `[batch, length, codebook_size]`, from `length`
    /// tokens a row: those with which each token would have been drawn, to the bit.
    ///
    /// # Errors
    /// As [`begin`](TokenModel::begin); if rows have not `length` tokens, or a token is outside the codebook.
    pub fn scores(&mut self, window: &Window<'_>, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        let first = self.prior.config().first_token();
        self.probe(Probe::Logits, window, tokens, first..first + self.codebook_size())
    }

    /// The `kept` of the values that `probe` sees at each position of the music: `[batch, length, kept]`.
    fn probe(
        &mut self,
        probe: Probe,
        window: &Window<'_>,
        tokens: &[&[u32]],
        kept: Range<usize>,
    ) -> Result<Vec<f32>, ModelError> {
        let (length, batch) = (window.length, window.labels.len());
        if tokens.len() != batch || tokens.iter().any(|row| row.len() != length) {
            let found: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
            let what = format!("rows of {found:?} tokens for a window of {batch} rows of {length}");
            return Err(ModelError::Request(format!("{what}; hint: all tokens of the window must be known")));
        }
        let tokens = self.in_stream(tokens)?;
        let known: Vec<&[u32]> = tokens.iter().map(|row| &row[..length.saturating_sub(1)]).collect();
        // The position behind the lyrics is the first of the music.
        let lyrics = self.start(window)?;
        let Transformer::Engine(engine) = &mut self.transformer else {
            let hint = "hint: open the prior on the CPU";
            return Err(ModelError::Request(format!("a prior on a GPU shows nothing of its inside; {hint}")));
        };
        let mut parts = Vec::new();
        if let Some(lyrics) = &lyrics {
            parts.push((1, engine.probe(probe, &slices(lyrics))?));
        }
        parts.push((length - parts.len(), engine.probe(probe, &known)?));
        let positions = self.prior.config().lyrics_in_front() + length;
        let size = parts.iter().map(|(_, part)| part.len()).sum::<usize>() / (batch * positions);
        let mut found = Vec::with_capacity(batch * length * kept.len());
        for row in 0..batch {
            for (count, part) in &parts {
                let ours = part.len() / batch;
                let row = &part[row * ours..][..ours];
                for position in row[ours - count * size..].chunks_exact(size) {
                    found.extend_from_slice(&position[kept.clone()]);
                }
            }
        }
        Ok(found)
    }
}
