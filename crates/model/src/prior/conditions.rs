//! What a window is conditioned on, as vectors and tokens.

use super::{Prior, token_tensor};
use crate::ModelError;
use crate::condition::{Labels, Span};
use crate::nn::with_kernels;
use burn::tensor::{Int, Tensor, TensorData};
use orchestrion_data::lyrics::window;

/// What a window is conditioned on.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// In place of the first token, `[batch, width]`.
    pub start: Tensor<2>,
    /// Added at every position, `[batch, positions, width]`. At lyric tokens in front of the music it is zero.
    pub positions: Option<Tensor<3>>,
    /// What encoder attention attends to, `[batch, lyric tokens, width]`.
    pub encoder: Option<Tensor<3>>,
    /// Lyric tokens of the window, a row a song; in one stream with the music they are its first tokens.
    pub lyrics: Option<Vec<Vec<u32>>>,
}

impl Prior {
    /// Vectors for a window of `time` music tokens that begins `start` tokens into the session, one row a song.
    ///
    /// # Errors
    /// If a label is not in its table, or codes of the level above are missing or of the wrong number.
    pub fn conditions(
        &self,
        labels: &[Labels],
        start: usize,
        time: usize,
        upper: Option<&[&[u32]]>,
    ) -> Result<Conditions, ModelError> {
        let config = self.config();
        let hop = config.hop_length as u64;
        let span = |l: &Labels| Span {
            total: l.total_length,
            offset: l.offset.saturating_add(start as u64 * hop),
            length: config.window() as u64 * hop,
        };
        let (start_vector, timing) = match &self.labels {
            Some(tables) => {
                tables.check(labels)?;
                let spans: Vec<Span> = labels.iter().map(span).collect();
                let timing = tables.positions(&spans, config.window()).map(|p| p.narrow(1, 0, time));
                (tables.start(labels)?, timing)
            }
            None => (self.network.start(labels.len()), None),
        };
        let upper = match (&self.upper, upper) {
            (Some(network), Some(codes)) => {
                let codes = self.upper_codes(codes, labels.len(), time)?;
                Some(with_kernels(self.work().kernels, || network.forward(codes)))
            }
            (None, _) => None,
            (Some(_), None) => {
                let level = config.level;
                return Err(ModelError::Request(format!("level {level} needs the codes of level {}", level + 1)));
            }
        };
        let positions = match (timing, upper) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        let lyrics = labels.iter().map(|l| self.lyric_window(l, span(l))).collect::<Result<Option<Vec<_>>, _>>()?;
        Ok(Conditions {
            start: start_vector,
            positions: positions.map(|p| self.behind_lyrics(p)),
            encoder: self.encoder.as_ref().zip(lyrics.as_ref()).map(|(encoder, lyrics)| {
                let rows: Vec<&[u32]> = lyrics.iter().map(Vec::as_slice).collect();
                with_kernels(self.work().kernels, || encoder.states(token_tensor(&rows, &self.device())))
            }),
            lyrics,
        })
    }

    /// Lyric tokens of a window of a song; none if the prior knows no words.
    fn lyric_window(&self, labels: &Labels, span: Span) -> Result<Option<Vec<u32>>, ModelError> {
        let Some(config) = &self.config().lyrics else { return Ok(None) };
        if let Some(token) = labels.lyrics.iter().find(|t| **t as usize >= config.vocabulary) {
            let what = format!("lyric token {token} is not in the model's vocabulary of {}", config.vocabulary);
            return Err(ModelError::Request(what));
        }
        let window = window(&labels.lyrics, config.tokens, span.total, span.offset, span.length);
        Ok(Some(window.map_err(|e| ModelError::Request(e.to_string()))?.tokens))
    }

    /// Zeros at the positions of lyrics in front.
    fn behind_lyrics(&self, positions: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = positions.dims();
        match self.config().lyrics_in_front() {
            0 => positions,
            front => Tensor::cat(vec![Tensor::zeros([batch, front, width], &positions.device()), positions], 1),
        }
    }

    fn upper_codes(&self, codes: &[&[u32]], batch: usize, time: usize) -> Result<Tensor<2, Int>, ModelError> {
        let Some(config) = &self.config().upper else {
            return Err(ModelError::Request("a top level takes no codes from above".into()));
        };
        let expected = time / config.ratio();
        let mut ids = Vec::with_capacity(batch * expected);
        for row in codes {
            if row.len() != expected || row.iter().any(|c| *c as usize >= config.codebook_size) {
                return Err(ModelError::Request(format!(
                    "codes of level {}: {} found, {expected} below {} needed",
                    self.config().level + 1,
                    row.len(),
                    config.codebook_size
                )));
            }
            ids.extend(row.iter().map(|c| i64::from(*c)));
        }
        if codes.len() != batch || !time.is_multiple_of(config.ratio()) {
            return Err(ModelError::Request(format!("codes from above for {} rows, {batch} needed", codes.len())));
        }
        Ok(Tensor::from_data(TensorData::new(ids, [batch, expected]), &self.device()))
    }
}
