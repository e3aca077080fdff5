//! A window: what was begun, and how far it came.

use super::cache::Cache;
use super::probe::Probe;
use super::weights::table;
use crate::EngineError;

/// What a window of `length` positions is conditioned on.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// What stands in place of the embedding of a token before the first, `[batch, width]`.
    pub start: &'a [f32],
    /// Added at every position, and behind the last layer if the weights say so: `[batch, length, width]`.
    pub positions: Option<&'a [f32]>,
    /// States of an encoder, for layers that look at one: `[batch, encoder positions, width]`.
    pub encoder: Option<&'a [f32]>,
}

/// What was begun and how far it came.
#[derive(Debug)]
pub(super) struct Window {
    pub batch: usize,
    pub length: usize,
    /// Positions of the encoder; 0 without one.
    pub encoder: usize,
    /// `[batch, width]`.
    pub start: Vec<f32>,
    /// `[batch, length, width]`.
    condition: Option<Vec<f32>>,
    /// Positions computed: one more than there are tokens, once the first logits are known.
    pub computed: usize,
    /// What the window is probed for, if it is.
    pub probed: Option<Probe>,
    /// `[layers][batch * heads]`.
    pub caches: Vec<Vec<Cache>>,
}

impl Window {
    /// A window whose conditions have the right sizes, still without caches.
    pub(super) fn new(
        conditions: Conditions<'_>,
        [batch, length]: [usize; 2],
        [width, context]: [usize; 2],
    ) -> Result<Self, EngineError> {
        if batch == 0 {
            return Err(EngineError::Request("a window without rows; hint: ask for at least one".to_owned()));
        }
        if length == 0 || length > context {
            let hint = format!("hint: a window has 1 to {context} positions");
            return Err(EngineError::Request(format!("a window of {length} positions; {hint}")));
        }
        let Conditions { start, positions, encoder } = conditions;
        table("start", start, batch, width)?;
        let rows = |count: usize| batch.checked_mul(count).ok_or_else(|| too_large(batch, count));
        if let Some(positions) = positions {
            table("condition", positions, rows(length)?, width)?;
        }
        let states = encoder.map_or(0, |states| states.len() / start.len());
        if let Some(encoder) = encoder {
            // At least one state a row: a layer that sees none has nothing to say.
            table("encoder", encoder, rows(states.max(1))?, width)?;
        }
        Ok(Self {
            batch,
            length,
            encoder: states,
            start: start.to_vec(),
            condition: positions.map(<[f32]>::to_vec),
            computed: 0,
            probed: None,
            caches: Vec::new(),
        })
    }

    /// Tokens that are in.
    pub(super) fn known(&self) -> usize {
        self.computed.saturating_sub(1)
    }

    /// Number of positions that are computed once `tokens` are in.
    pub(super) fn end(&self, tokens: &[&[u32]], vocab: usize) -> Result<usize, EngineError> {
        let count = tokens.first().map_or(0, |row| row.len());
        if tokens.len() != self.batch || tokens.iter().any(|row| row.len() != count) {
            let found: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
            return Err(EngineError::Request(format!(
                "rows of {found:?} tokens for a window of {} rows; hint: each row takes the same number",
                self.batch
            )));
        }
        let known = self.known();
        if count >= self.length - known {
            return Err(EngineError::Request(format!(
                "{known} and {count} tokens leave none to predict in a window of {}; hint: begin a new window",
                self.length
            )));
        }
        if let Some(token) = tokens.iter().copied().flatten().find(|token| **token as usize >= vocab) {
            return Err(EngineError::Request(format!(
                "token {token} is outside the vocabulary of {vocab}; hint: the tokens belong to another codec or level"
            )));
        }
        Ok(known + count + 1)
    }

    /// Adds the condition of a row at position `t`, if there is one.
    pub(super) fn add_condition(&self, row: usize, t: usize, to: &mut [f32], width: usize) {
        if let Some(condition) = &self.condition {
            for (to, c) in to.iter_mut().zip(&condition[(row * self.length + t) * width..][..width]) {
                *to += c;
            }
        }
    }
}

pub(super) fn too_large(batch: usize, length: usize) -> EngineError {
    EngineError::Request(format!(
        "no memory for the caches of {batch} rows of {length} positions; hint: decode fewer takes at a time"
    ))
}
