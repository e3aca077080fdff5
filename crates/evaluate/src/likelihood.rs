//! Bits a token of a prior on held-out tokens.

use crate::compressor::compressed_bits;
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
    /// The same with artist and genre unknown.
    pub no_labels: f64,
    /// Half the width of its 95 % interval.
    pub no_labels_interval: f64,
    /// Interpolated bigram fitted on the training tokens.
    pub bigram: f64,
    /// Half the width of its 95 % interval.
    pub bigram_interval: f64,
    /// Unigram fitted on the training tokens.
    pub unigram: f64,
    /// Half the width of its 95 % interval.
    pub unigram_interval: f64,
    /// A general compressor over each track's windows, one after the other: it has seen no training tokens.
    pub compressor: f64,
    /// Half the width of its 95 % interval.
    pub compressor_interval: f64,
    /// Bits by place in the window: its eighths, in order. Late tokens have more context.
    pub by_position: Vec<f64>,
    /// Bits by time in the song: its eighths, in order; those without a measured token are left out.
    pub by_time: Vec<TimeBits>,
}

/// Bits of tokens of one part of their songs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TimeBits {
    /// Where in the song the part begins, 0 to 1.
    pub from: f64,
    /// Mean bits a token.
    pub bits: f64,
}

/// Parts of a window or song of which bits are told.
const PARTS: usize = 8;

/// Sums and counts of bits by part.
#[derive(Default)]
struct Parts([(f64, f64); PARTS]);

impl Parts {
    fn add(&mut self, place: f64, bits: f64) {
        let part = &mut self.0[((place * PARTS as f64) as usize).min(PARTS - 1)];
        *part = (part.0 + bits, part.1 + 1.0);
    }

    /// Mean of each part that has tokens, with where it begins.
    fn means(&self) -> impl Iterator<Item = TimeBits> {
        let parts = self.0.iter().enumerate().filter(|(_, (_, count))| *count > 0.0);
        parts.map(|(i, (sum, count))| TimeBits { from: i as f64 / PARTS as f64, bits: sum / count })
    }
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

/// Bits of the tokens of a window that the windows before it lack.
fn bits(prior: &mut dyn Scores, window: &TokenWindow, labels: Labels) -> Result<Vec<f64>, EvaluateError> {
    let upper = window.upper.as_deref().map(|u| [u]);
    let upper = upper.as_ref().map(|u| &u[..]);
    let of = Window { start: 0, length: window.codes.len(), labels: &[labels], upper };
    Ok(prior.bits(&of, &window.codes)?.into_iter().skip(window.seen).collect())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
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
    let [mut right, mut wrong, mut none, mut bigram, mut unigram] = [const { BTreeMap::<usize, Vec<f64>>::new() }; 5];
    let mut streams = BTreeMap::<usize, Vec<u32>>::new();
    let (mut by_position, mut by_time) = (Parts::default(), Parts::default());
    for (i, window) in chosen.iter().enumerate() {
        let track = window.track;
        let found = bits(prior, window, labels(window, window))?;
        for (at, bits) in (window.seen..).zip(&found) {
            by_position.add(at as f64 / config.window() as f64, *bits);
            let sample = window.offset as f64 + (at * config.hop_length) as f64;
            by_time.add(sample / window.total_length.max(1) as f64, *bits);
        }
        right.entry(track).or_default().push(mean(&found));
        let other = (1..chosen.len())
            .map(|d| &chosen[(i + d * 7) % chosen.len()])
            .find(|o| o.artist != window.artist || o.genres != window.genres);
        if let Some(other) = other {
            wrong.entry(track).or_default().push(mean(&bits(prior, window, labels(window, other))?));
        }
        let unknown = TokenWindow { artist: 0, genres: vec![0], ..window.clone() };
        none.entry(track).or_default().push(mean(&bits(prior, window, labels(window, &unknown))?));
        bigram.entry(track).or_default().push(ngram.bigram_bits(&window.codes));
        unigram.entry(track).or_default().push(ngram.unigram_bits(&window.codes));
        streams.entry(track).or_default().extend(window.codes.iter().skip(window.seen));
    }
    let packed = streams.iter().map(|(track, codes)| Ok((*track, vec![compressed_bits(codes)?])));
    let packed = packed.collect::<Result<BTreeMap<usize, Vec<f64>>, EvaluateError>>()?;
    let ((bits, half), (shuffled_labels, shuffled_interval)) = (interval(&right), interval(&wrong));
    let ((no_labels, no_labels_interval), (bigram, bigram_interval)) = (interval(&none), interval(&bigram));
    let ((unigram, unigram_interval), (compressor, compressor_interval)) = (interval(&unigram), interval(&packed));
    Ok(LikelihoodReport {
        windows: chosen.len(),
        tracks: right.len(),
        bits,
        interval: half,
        shuffled_labels,
        shuffled_interval,
        no_labels,
        no_labels_interval,
        bigram,
        bigram_interval,
        unigram,
        unigram_interval,
        compressor,
        compressor_interval,
        by_position: by_position.means().map(|part| part.bits).collect(),
        by_time: by_time.means().collect(),
    })
}
