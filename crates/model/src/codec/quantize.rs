//! Vector quantisation with a codebook kept by moving averages, and restarts of unused entries (Jukebox, section 3.1).

use crate::nn::Random;
use crate::nn::ops::nearest;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How a codebook learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodebookUpdate {
    /// Moving averages of the vectors that chose an entry (van den Oord et al. 2017, appendix A.1).
    #[default]
    Ema,
    /// The paper's codebook loss: gradient descent on the distance to those vectors.
    Gradient,
}

/// Sums behind a codebook: what training needs beside the entries themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct CodebookSums {
    /// Moving sum of the vectors that chose each entry, `[size, width]`.
    pub sum: Vec<f32>,
    /// Moving count of them, `[size]`.
    pub count: Vec<f32>,
}

/// A table of latent vectors.
#[derive(Debug, Clone)]
pub struct Codebook {
    /// Entries, `[size, width]`.
    pub(crate) k: Tensor<2>,
    /// Present once training has begun.
    pub(crate) sums: Option<CodebookSums>,
}

/// How a codebook's moving averages move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmaUpdate {
    /// Decay.
    pub mu: f32,
    /// Count below which an entry is restarted.
    pub threshold: f32,
    /// Whether a restarted entry's sums start afresh from its new place. The paper's program goes on with the old ones:
    /// with small batches such an entry drifts to the mean of all latents.
    pub fresh: bool,
}

/// Use of a codebook in one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Exponential of the entropy of the codes: how many entries the batch effectively used.
    pub perplexity: f32,
    /// Entries with a moving count of at least the threshold.
    pub used: usize,
    /// Entries restarted.
    pub restarted: usize,
    /// Root mean square change of an entry's values.
    pub change: f32,
}

/// What quantising gives.
#[derive(Debug)]
pub struct Quantized {
    /// Codes, `[batch, time]` row-major.
    pub codes: Vec<usize>,
    /// Entries in place of the latents, with the latents' gradient: `[batch, width, time]`.
    pub output: Tensor<3>,
    /// Mean square distance of latents to their (fixed) entries: the commitment loss.
    pub commit: Tensor<1>,
    /// Mean square distance of entries to their (fixed) latents: the codebook loss.
    pub codebook: Tensor<1>,
    /// Mean square distance of a latent vector to its entry, summed over the channels.
    pub fit: f32,
    /// The latents as rows, `[batch * time, width]`.
    pub rows: Vec<f32>,
}

impl Codebook {
    /// All entries zero: training fills them from its first batch.
    pub fn init(size: usize, width: usize, device: &Device) -> Self {
        Self { k: Tensor::zeros([size, width], device), sums: None }
    }

    /// Whether the entries come from data or a file.
    pub fn is_filled(&self) -> bool {
        self.sums.is_some()
    }

    /// The sums, once training has begun.
    pub fn sums(&self) -> Option<&CodebookSums> {
        self.sums.as_ref()
    }

    /// Puts back sums read from a checkpoint.
    pub fn set_sums(&mut self, sums: CodebookSums) {
        self.sums = Some(sums);
    }

    /// Entries and channels.
    pub fn dims(&self) -> [usize; 2] {
        self.k.dims()
    }

    /// Nearest entry of each row `[rows, width]` (the first on a tie) and the square distance.
    pub fn nearest(&self, rows: Tensor<2>) -> (Vec<usize>, Vec<f32>) {
        nearest(self.k.clone().detach(), rows)
    }

    /// Entries of codes `[batch, time]`, as latents `[batch, width, time]`.
    pub fn lookup(&self, codes: &[usize], [batch, time]: [usize; 2]) -> Tensor<3> {
        let width = self.k.dims()[1];
        let ids: Vec<i64> = codes.iter().map(|&c| c as i64).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [codes.len()]), &self.k.device());
        self.k.clone().select(0, ids).reshape([batch, time, width]).swap_dims(1, 2)
    }

    /// Quantises latents `[batch, width, time]`; gradients pass straight through.
    pub fn quantize(&self, latents: Tensor<3>) -> Quantized {
        let [batch, width, time] = latents.dims();
        let rows = latents.clone().detach().swap_dims(1, 2).reshape([batch * time, width]);
        let (codes, distance) = self.nearest(rows.clone());
        let entries = self.lookup(&codes, [batch, time]);
        let fixed = entries.clone().detach();
        let commit = (fixed.clone() - latents.clone()).square().mean();
        let codebook = (entries - latents.clone().detach()).square().mean();
        let output = latents.clone() + (fixed - latents).detach();
        let fit = distance.iter().sum::<f32>() / distance.len().max(1) as f32;
        Quantized { codes, output, commit, codebook, fit, rows: rows.into_data().iter().collect() }
    }

    /// Fills the entries with `candidates` (`[size, width]` rows of the first batch), each counting as `count` latents
    /// (1 in the paper's program).
    pub fn fill(&mut self, candidates: Vec<f32>, count: f32) {
        let dims = self.k.dims();
        self.put(candidates, dims);
        self.restore(count);
    }

    /// Takes the entries as they are, each counting as `count` latents: what a codebook read from a file starts from.
    pub fn restore(&mut self, count: f32) {
        let [size, _] = self.k.dims();
        let sum = self.k.to_data().iter::<f32>().map(|v| v * count).collect();
        self.sums = Some(CodebookSums { sum, count: vec![count; size] });
    }

    /// One step of the moving averages, from the rows quantised with the present entries. Entries whose count falls
    /// below the threshold take the row of `candidates` (`[size, width]`) at their place instead.
    pub fn update(&mut self, rows: &[f32], codes: &[usize], candidates: &[f32], by: &EmaUpdate) -> Usage {
        let EmaUpdate { mu, threshold, fresh } = *by;
        let [size, width] = self.k.dims();
        let mut sum = vec![0.0f32; size * width];
        let mut count = vec![0.0f32; size];
        for (row, &code) in rows.chunks_exact(width).zip(codes) {
            count[code] += 1.0;
            for (s, v) in sum[code * width..(code + 1) * width].iter_mut().zip(row) {
                *s += v;
            }
        }
        let old: Vec<f32> = self.k.to_data().iter().collect();
        let sums = self.sums.get_or_insert_with(|| CodebookSums { sum: old.clone(), count: vec![1.0; size] });
        let mut entries = vec![0.0; size * width];
        let (mut used, mut change) = (0, 0.0f64);
        for (e, &chosen) in count.iter().enumerate() {
            sums.count[e] = mu * sums.count[e] + (1.0 - mu) * chosen;
            let keep = sums.count[e] >= threshold;
            used += usize::from(keep);
            for i in e * width..(e + 1) * width {
                sums.sum[i] = mu * sums.sum[i] + (1.0 - mu) * sum[i];
                entries[i] = if keep { sums.sum[i] / sums.count[e] } else { candidates[i] };
                change += f64::from(entries[i] - old[i]).powi(2);
                if fresh && !keep {
                    sums.sum[i] = candidates[i] * threshold;
                }
            }
            if fresh && !keep {
                sums.count[e] = threshold;
            }
        }
        let change = (change / entries.len().max(1) as f64).sqrt() as f32;
        self.put(entries, [size, width]);
        Usage { perplexity: perplexity(&count), used, restarted: size - used, change }
    }

    /// Rows to fill or restart entries with: different ones of the batch, repeated with a little noise if it is small.
    pub fn candidates(&self, rows: &[f32], random: &mut Random) -> Vec<f32> {
        let [size, width] = self.k.dims();
        let mut tiled = rows.to_vec();
        if rows.len() < size * width && !rows.is_empty() {
            let repeats = (size * width).div_ceil(rows.len());
            tiled = rows.repeat(repeats);
            let deviation = 0.01 / (width as f32).sqrt();
            for value in &mut tiled {
                *value += random.normal() * deviation;
            }
        }
        let chosen = random.choose(tiled.len() / width, size);
        chosen.iter().flat_map(|&r| tiled[r * width..(r + 1) * width].iter().copied()).collect()
    }

    fn put(&mut self, entries: Vec<f32>, dims: [usize; 2]) {
        let kept = self.k.is_require_grad();
        self.k = Tensor::from_data(TensorData::new(entries, dims), &self.k.device()).set_require_grad(kept);
    }
}

/// Exponential of the entropy of a histogram.
pub fn perplexity(count: &[f32]) -> f32 {
    let total: f32 = count.iter().sum::<f32>().max(1.0);
    let entropy: f32 = count.iter().filter(|c| **c > 0.0).map(|c| -(c / total) * (c / total).ln()).sum();
    entropy.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_entries_restart_and_used_ones_follow_their_rows() {
        let device = Device::flex();
        let mut book = Codebook::init(3, 1, &device);
        book.fill(vec![0.0, 1.0, 9.0], 1.0);
        let rows = [0.2, 0.2, 1.1, 1.1];
        let codes = book.nearest(Tensor::from_data(TensorData::new(rows.to_vec(), [4, 1]), &device)).0;
        assert_eq!(codes, [0, 0, 1, 1]);
        let usage = book.update(&rows, &codes, &[5.0, 6.0, 7.0], &EmaUpdate { mu: 0.5, threshold: 1.0, fresh: false });
        let k: Vec<f32> = book.k.to_data().iter().collect();
        // Entry 0: sum 0.5 * 0 + 0.5 * 0.4, count 0.5 * 1 + 0.5 * 2. Entry 2: count 0.5, below the threshold.
        assert!((k[0] - 0.2 / 1.5).abs() < 1e-6 && k[2] == 7.0, "{k:?}");
        assert_eq!((usage.used, usage.restarted), (2, 1));
        assert!((usage.perplexity - 2.0).abs() < 1e-5);
    }
}
