//! What a prior makes of a recording: the hidden states behind one of its layers, for music analysis.

use std::collections::HashMap;
use std::path::Path;

use orchestrion_data::{DataError, write_whole};
use orchestrion_model::condition::Labels;
use orchestrion_model::prior::{PriorConfig, PriorDecoder, Window};
use safetensors::tensor::{Dtype, TensorView};

use crate::{GenerateError, WindowLayout};

/// Most bytes of states that are kept.
const MOST_BYTES: usize = 1 << 30;
/// Share of the context by which windows move: every token but the first ones has at least half a context before it.
const HOP_FRACTION: f64 = 0.5;
/// Seconds below the longest song that a model knows that longer recordings pretend to have.
const MARGIN_SECONDS: f64 = 1.0;

/// What becomes of the tokens' states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// One vector a token.
    None,
    /// Their mean.
    Mean,
}

/// Hidden states of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct HiddenStates {
    /// `[tokens, width]`, or `[1, width]` for the mean.
    pub values: Vec<f32>,
    /// Values of a state.
    pub width: usize,
}

/// Hidden states behind `layer` (0 is the first) of a prior that reads `codes`, and for an upsampler `upper`, the codes of
/// the level above for the same stretch. The state at a token has seen those before it.
///
/// Recordings longer than the context are read in windows that overlap by half; of each window the states count that the
/// windows before it lack. Artist and genre are unknown, there are no words. A recording shorter or longer than the songs
/// that the model knows pretends, in its timing label, to be the shortest or the longest of them. `done` is told the
/// tokens read so far.
///
/// # Errors
/// If there are no codes, they don't fit the prior or those of the level above, there is no such layer, or there would be
/// more than 1 GiB of states.
pub fn hidden_states(
    prior: &mut PriorDecoder,
    config: &PriorConfig,
    (codes, upper): (&[u32], Option<&[u32]>),
    layer: usize,
    pool: Pool,
    done: &mut dyn FnMut(usize),
) -> Result<HiddenStates, GenerateError> {
    let (level, width) = (config.level, config.transformer.width);
    let failed = |source| GenerateError::Model { level, source };
    if pool == Pool::None && codes.len().saturating_mul(4 * width) > MOST_BYTES {
        return Err(GenerateError::TooManyStates { tokens: codes.len(), width });
    }
    let ratio = config.upper.as_ref().map_or(1, |upper| upper.ratio());
    let above = upper.map_or(codes.len(), |upper| upper.len().saturating_mul(ratio));
    if codes.is_empty() || above != codes.len() {
        return Err(GenerateError::Recording { level, tokens: codes.len(), above });
    }
    let layout = WindowLayout::from_fraction(codes.len(), config.window(), HOP_FRACTION, ratio)
        .map_err(|source| GenerateError::Windows { level, source })?;
    let mut values = Vec::new();
    let mut sums = vec![0.0f64; width];
    for plan in layout.windows(0) {
        let labels = [labels(config, codes.len(), plan.start, plan.length)];
        let upper = upper.map(|upper| &upper[plan.start / ratio..plan.end() / ratio]);
        let upper = upper.as_ref().map(std::slice::from_ref);
        // Where in the song the window is, its labels say.
        let window = Window { start: 0, length: plan.length, labels: &labels, upper };
        let states = prior.hidden(layer, &window, &[&codes[plan.start..plan.end()]]).map_err(failed)?;
        let new = &states[plan.known * width..];
        match pool {
            Pool::None => values.extend_from_slice(new),
            Pool::Mean => new.chunks_exact(width).for_each(|state| {
                sums.iter_mut().zip(state).for_each(|(sum, value)| *sum += f64::from(*value));
            }),
        }
        done(plan.end());
    }
    if pool == Pool::Mean {
        values = sums.iter().map(|sum| (sum / codes.len() as f64) as f32).collect();
    }
    Ok(HiddenStates { values, width })
}

/// Nobody in particular, at a place that the model's timing tables know.
fn labels(config: &PriorConfig, tokens: usize, start: usize, length: usize) -> Labels {
    let hop = config.hop_length as u64;
    let mut total = tokens as u64 * hop;
    if let Some(timing) = config.labels.as_ref().and_then(|labels| labels.timing.as_ref()) {
        let samples = |seconds: f64| seconds * f64::from(config.sample_rate);
        let shortest = samples(timing.min_seconds).ceil() as u64;
        let longest = samples(timing.max_seconds - MARGIN_SECONDS) as u64;
        total = total.min(longest).max(shortest);
    }
    let offset = (start as u64 * hop).min(total.saturating_sub(length as u64 * hop));
    let unknown = vec![(0, 1.0)];
    Labels { artist: unknown.clone(), genre: unknown, total_length: total, offset, lyrics: Vec::new() }
}

impl HiddenStates {
    /// Writes the states as a safetensors file with the one tensor `hidden`, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path, metadata: HashMap<String, String>) -> Result<(), DataError> {
        let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let file = TensorView::new(Dtype::F32, self.shape().to_vec(), &bytes)
            .and_then(|view| safetensors::serialize([("hidden", view)], Some(metadata)))
            .map_err(|error| DataError::Format {
                path: path.to_owned(),
                what: error.to_string(),
                hint: "this is a fault of the program; please report it",
            })?;
        write_whole(path, &file)
    }

    /// `[tokens, width]`
    pub fn shape(&self) -> [usize; 2] {
        [self.values.len() / self.width.max(1), self.width]
    }
}
