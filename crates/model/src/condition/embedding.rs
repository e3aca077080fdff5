//! Artist, genre and timing as vectors (Jukebox, section 4.1).

use super::Labels;
use crate::ModelError;
use crate::nn::dense::Embedding;
use crate::nn::{Parameters, Random, Visitor};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Sizes of the label tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsConfig {
    /// Rows of the artist table.
    pub artists: usize,
    /// Rows of the genre table.
    pub genres: usize,
    /// Timing, for top levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<TimingConfig>,
    /// Where the names of the rows stand.
    #[serde(default)]
    pub naming: Naming,
    /// Most genre words of a song.
    #[serde(default = "five")]
    pub genre_words: usize,
}

/// Where the names of the label tables' rows stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    /// In `config.json`.
    #[default]
    Own,
    /// In the model folder's `labels.v2.json`: the published tables of 5b and the upsamplers.
    V2,
    /// In the model folder's `labels.v3.json`: those of 1b_lyrics.
    V3,
}

fn five() -> usize {
    5
}

/// How lengths and positions become table rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingConfig {
    /// Rows of each timing table.
    pub bins: usize,
    /// Shortest song, in seconds.
    pub min_seconds: f64,
    /// Length that all songs stay below, in seconds.
    pub max_seconds: f64,
}

/// Where a window lies in its song, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Length of the whole song.
    pub total: u64,
    /// First sample of the window.
    pub offset: u64,
    /// Samples that the model's whole context stands for.
    pub length: u64,
}

/// Tables for the three timing signals.
#[derive(Debug, Clone)]
struct Timing {
    total: Embedding,
    absolute: Embedding,
    relative: Embedding,
    config: TimingConfig,
    sample_rate: u32,
}

/// Tables for all labels.
#[derive(Debug, Clone)]
pub struct LabelEmbedding {
    artist: Embedding,
    genre: Embedding,
    timing: Option<Timing>,
}

/// Row of a table of `bins` for each of `n` positions from `start` to `end` within `[low, high)`: positions in f32 and in
/// this order of operations, the range's width rounded once, as the paper's program has it. Positions beyond the range
/// take the nearest row.
pub fn position_bins(bins: usize, [low, high]: [f64; 2], [start, end]: [f32; 2], n: usize) -> Vec<usize> {
    let (low, range) = (low as f32, (high - low) as f32);
    (0..n)
        .map(|i| {
            let at = start + (end - start) * (i as f32 / n as f32);
            let bin = (bins as f32 * ((at - low) / range)).floor();
            (bin.max(0.0) as usize).min(bins.saturating_sub(1))
        })
        .collect()
}

impl TimingConfig {
    /// Table rows for the total length (one) and for absolute and relative positions (`n` each).
    pub fn bins(&self, span: Span, sample_rate: u32, n: usize) -> [Vec<usize>; 3] {
        let rate = f64::from(sample_rate);
        let (shortest, longest) = (self.min_seconds * rate, self.max_seconds * rate);
        let (total, start) = (span.total as f32, span.offset as f32);
        let end = span.offset.saturating_add(span.length) as f32;
        let relative = [start / total, (end / total).min(1.0)];
        [
            position_bins(self.bins, [shortest, longest], [total, total], 1),
            position_bins(self.bins, [0.0, longest], [start, end], n),
            position_bins(self.bins, [0.0, 1.0], relative, n),
        ]
    }

    /// Checks that a song's length is one the model knows.
    ///
    /// # Errors
    /// If it is too short or too long, with the range.
    pub fn check(&self, total: u64, sample_rate: u32) -> Result<(), ModelError> {
        let seconds = total as f64 / f64::from(sample_rate);
        if seconds >= self.min_seconds && seconds < self.max_seconds {
            return Ok(());
        }
        Err(ModelError::Request(format!(
            "a song of {seconds:.2} s is outside the model's range; hint: use a song length from {} s to just below {} s",
            self.min_seconds, self.max_seconds
        )))
    }
}

impl LabelsConfig {
    /// Tables with random rows.
    pub fn init(
        &self,
        width: usize,
        sample_rate: u32,
        init_scale: f64,
        random: &mut Random,
        device: &Device,
    ) -> LabelEmbedding {
        let mut table = |rows: usize| Embedding::init([rows, width], 0.01 * init_scale, random, device);
        LabelEmbedding {
            artist: table(self.artists),
            genre: table(self.genres),
            timing: self.timing.as_ref().map(|config| Timing {
                total: table(config.bins),
                absolute: table(config.bins),
                relative: table(config.bins),
                config: config.clone(),
                sample_rate,
            }),
        }
    }
}

/// Weighted sum of table rows for each song: `[batch, width]`.
fn blend<'a>(
    table: &Embedding,
    what: &str,
    blends: impl Iterator<Item = &'a [(u32, f32)]>,
) -> Result<Tensor<2>, ModelError> {
    let [rows, _] = table.weight.dims();
    let mut weights = Vec::new();
    for blend in blends {
        let from = weights.len();
        weights.resize(from + rows, 0.0f32);
        for &(id, weight) in blend {
            let at = (id as usize) < rows && weight.is_finite();
            if !at {
                return Err(ModelError::Request(format!(
                    "{what} {id} (weight {weight}) is not in the model's table of {rows}"
                )));
            }
            weights[from + id as usize] += weight;
        }
    }
    let batch = weights.len() / rows;
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [batch, rows]), &table.weight.device());
    Ok(weights.matmul(table.weight.clone()))
}

impl LabelEmbedding {
    /// The vector in place of the first token: artist plus all genre words, `[batch, width]`.
    ///
    /// # Errors
    /// If an id is not in its table.
    pub fn start(&self, labels: &[Labels]) -> Result<Tensor<2>, ModelError> {
        let artist = blend(&self.artist, "artist", labels.iter().map(|l| l.artist.as_slice()))?;
        Ok(artist + blend(&self.genre, "genre", labels.iter().map(|l| l.genre.as_slice()))?)
    }

    /// The timing vectors of `n` positions, `[batch, n, width]`; `None` for levels without timing.
    pub fn positions(&self, spans: &[Span], n: usize) -> Option<Tensor<3>> {
        let timing = self.timing.as_ref()?;
        let mut ids: [Vec<i64>; 3] = Default::default();
        for span in spans {
            let bins = timing.config.bins(*span, timing.sample_rate, n);
            for (ids, bins) in ids.iter_mut().zip(bins) {
                ids.extend(bins.into_iter().map(|b| b as i64));
            }
        }
        let device = timing.total.weight.device();
        let [total, absolute, relative] = ids.map(|ids| {
            let n = ids.len() / spans.len().max(1);
            Tensor::<2, Int>::from_data(TensorData::new(ids, [spans.len(), n]), &device)
        });
        Some(timing.total.forward(total) + timing.absolute.forward(absolute) + timing.relative.forward(relative))
    }

    /// Checks the songs' lengths against the timing tables.
    ///
    /// # Errors
    /// If one is outside the model's range.
    pub fn check(&self, labels: &[Labels]) -> Result<(), ModelError> {
        let Some(timing) = &self.timing else { return Ok(()) };
        labels.iter().try_for_each(|l| timing.config.check(l.total_length, timing.sample_rate))
    }
}

impl Parameters for LabelEmbedding {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("bow_genre_emb.emb", &mut self.genre);
        visitor.enter("artist_emb.emb", &mut self.artist);
        if let Some(timing) = &mut self.timing {
            visitor.enter("total_length_emb.emb", &mut timing.total);
            visitor.enter("absolute_pos_emb.emb", &mut timing.absolute);
            visitor.enter("relative_pos_emb.emb", &mut timing.relative);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_long_songs_are_rounded_once() {
        // Above 2^24 an f32 holds even numbers only: the window's end is added up before it is rounded.
        let timing = TimingConfig { bins: 26_460_000, min_seconds: 1.0, max_seconds: 600.0 };
        let span = Span { total: 26_000_000, offset: (1 << 24) + 1, length: 1 };
        let [_, absolute, _] = timing.bins(span, 44_100, 4);
        let bin = |at: f32| (26_460_000.0 * (at / 26_460_000.0)).floor() as usize;
        assert_eq!([absolute[0], absolute[3]], [bin(16_777_216.0), bin(16_777_218.0)]);
    }

    #[test]
    fn positions_beyond_the_range_take_the_nearest_row() {
        assert_eq!(position_bins(4, [10.0, 20.0], [5.0, 25.0], 4), [0, 0, 2, 3]);
        assert_eq!(position_bins(4, [0.0, 1.0], [0.0, 1.0], 4), [0, 1, 2, 3]);
    }
}
