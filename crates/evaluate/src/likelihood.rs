//! Bits a token of a prior on held-out tokens.

use crate::ngram::Ngram;
use crate::{EvaluateError, Scores};
use orchestrion_data::lyrics::Vocabulary;
use orchestrion_data::{Balance, ShortTracks, Split, TokenCache, TokenWindow, TokenWindows, WindowSettings};
use orchestrion_model::condition::Labels;
use orchestrion_model::prior::Window;
use serde::Serialize;
use std::collections::BTreeMap;

/// Bits a token, with intervals over tracks.
#[derive(Debug, Clone, Serialize)]
pub struct LikelihoodReport {
    /// Windows measured.
    pub windows: usize,
    /// Tracks they come from.
    pub tracks: usize,
    /// Mean bits a token.
    pub bits: f64,
    /// Half the width of its 95 % interval over tracks.
    pub interval: f64,
    /// The same with the labels of another track.
    pub shuffled_labels: f64,
    /// Half the width of its 95 % interval.
    pub shuffled_interval: f64,
    /// Interpolated bigram fitted on the training tokens.
    pub bigram: f64,
    /// Unigram fitted on the training tokens.
    pub unigram: f64,
}

fn labels(window: &TokenWindow, of: &TokenWindow) -> Labels {
    Labels {
        artist: vec![(of.artist, 1.0)],
        genre: of.genres.iter().map(|g| (*g, 1.0)).collect(),
        total_length: window.total_length,
        offset: window.offset,
        lyrics: window.lyrics.to_vec(),
    }
}

/// Mean bits of the tokens of a window that the windows before it lack.
fn bits(prior: &mut dyn Scores, window: &TokenWindow, labels: Labels) -> Result<f64, EvaluateError> {
    let upper = window.upper.as_deref().map(|u| [u]);
    let upper = upper.as_ref().map(|u| &u[..]);
    let of = Window { start: 0, length: window.codes.len(), labels: &[labels], upper };
    let bits = prior.bits(&of, &window.codes)?;
    let new = &bits[window.seen.min(bits.len())..];
    Ok(new.iter().sum::<f64>() / new.len().max(1) as f64)
}

/// Mean over tracks and half the width of its 95 % interval.
fn interval(by_track: &BTreeMap<usize, Vec<f64>>) -> (f64, f64) {
    let means: Vec<f64> = by_track.values().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect();
    let n = means.len().max(1) as f64;
    let mean = means.iter().sum::<f64>() / n;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, 1.96 * (variance / n).sqrt())
}

/// Measures a prior on at most `limit` windows of a split, spread evenly.
///
/// # Errors
/// If the cache has no tracks of the split that are long enough, or the prior refuses a label.
pub fn likelihood(
    prior: &mut dyn Scores,
    cache: &TokenCache,
    split: Split,
    limit: usize,
) -> Result<LikelihoodReport, EvaluateError> {
    let config = prior.config().clone();
    let vocabulary = config.lyrics.as_ref().map(|l| Vocabulary::of_size(l.vocabulary)).transpose()?;
    let settings = |split, short| WindowSettings {
        level: config.level,
        context: config.window(),
        split,
        seed: 0,
        balance: Balance::Length,
        short,
        vocabulary,
    };
    let held_out = TokenWindows::load(cache, settings(split, ShortTracks::Drop))?;
    let every = held_out.sequential().count().div_ceil(limit.max(1)).max(1);
    let chosen: Vec<TokenWindow> = held_out.sequential().step_by(every).collect();
    if chosen.is_empty() {
        return Err(EvaluateError::Nothing(
            "no held-out track is as long as the context; hint: choose another split".into(),
        ));
    }
    let train = TokenWindows::load(cache, settings(Split::Train, ShortTracks::Use))?;
    let train: Vec<TokenWindow> = train.sequential().collect();
    let tuning: Vec<&[u32]> =
        train.iter().step_by(train.len().div_ceil(16).max(1)).map(|w| w.codes.as_slice()).collect();
    let ngram = Ngram::fit(config.codebook_size, train.iter().map(|w| &w.codes[w.seen.min(w.codes.len())..]), &tuning);
    let (mut right, mut wrong) = (BTreeMap::<usize, Vec<f64>>::new(), BTreeMap::<usize, Vec<f64>>::new());
    let (mut bigram, mut unigram) = (0.0, 0.0);
    for (i, window) in chosen.iter().enumerate() {
        right.entry(window.track).or_default().push(bits(prior, window, labels(window, window))?);
        let other = (1..chosen.len())
            .map(|d| &chosen[(i + d * 7) % chosen.len()])
            .find(|o| o.artist != window.artist || o.genres != window.genres);
        if let Some(other) = other {
            wrong.entry(window.track).or_default().push(bits(prior, window, labels(window, other))?);
        }
        bigram += ngram.bigram_bits(&window.codes);
        unigram += ngram.unigram_bits(&window.codes);
    }
    let n = chosen.len() as f64;
    let ((mean, half), (shuffled, shuffled_half)) = (interval(&right), interval(&wrong));
    Ok(LikelihoodReport {
        windows: chosen.len(),
        tracks: right.len(),
        bits: mean,
        interval: half,
        shuffled_labels: shuffled,
        shuffled_interval: shuffled_half,
        bigram: bigram / n,
        unigram: unigram / n,
    })
}
