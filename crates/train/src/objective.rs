//! What a codec is trained for: the losses of a level, and what its codebook learns from a batch.

use crate::recipe::{CodecRecipe, Restart};
use crate::trainer::Metrics;
use burn::tensor::Tensor;
use orchestrion_model::codec::{Bandwidth, Codebook, CodebookUpdate, EmaUpdate, Usage, VqVae, loss, perplexity};
use std::collections::HashSet;

/// Losses and their scale.
#[derive(Debug, Clone)]
pub struct Objective {
    /// Weights of the losses, and how codebooks learn.
    pub recipe: CodecRecipe,
    /// Statistics of the data, which scale the losses.
    pub bandwidth: Bandwidth,
}

/// What a level's quantiser saw in a batch: the codebook learns from it after the step.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Latents, `[batch * time, width]`.
    pub rows: Vec<f32>,
    /// Their codes, `[batch * time]`.
    pub codes: Vec<usize>,
}

/// Loss of one level on a batch.
#[derive(Debug)]
pub struct LevelLoss {
    /// The weighted sum that training lowers.
    pub loss: Tensor<1>,
    /// What the quantiser saw.
    pub seen: Seen,
    /// The parts of the loss.
    pub parts: Metrics,
}

impl Objective {
    /// Loss of one level on crops `[batch, 1, time]`.
    pub fn level(&self, codec: &VqVae, l: usize, audio: &Tensor<3>) -> LevelLoss {
        let level = &codec.levels[l];
        let [batch, _, time] = audio.dims();
        let quantized = level.quantize(level.encode(audio.clone()));
        let output = level.decode(quantized.output).reshape([batch, time]);
        let target = audio.clone().reshape([batch, time]);
        let weights = &self.recipe.loss;
        let waveform = loss::waveform(target.clone(), output.clone(), weights, &self.bandwidth);
        let spectral = loss::multispectral(target, output, &self.bandwidth);
        let value = |t: &Tensor<1>| f64::from(t.clone().detach().into_scalar::<f32>());
        let parts = Metrics::from([
            (format!("waveform/level {l}"), value(&waveform)),
            (format!("spectral/level {l}"), value(&spectral)),
            (format!("commit/level {l}"), value(&quantized.commit)),
            (format!("fit/level {l}"), f64::from(quantized.fit)),
        ]);
        let mut loss =
            waveform + spectral.mul_scalar(weights.multispectral) + quantized.commit.mul_scalar(weights.commit);
        if self.recipe.codebook == CodebookUpdate::Gradient {
            loss = loss + quantized.codebook;
        }
        LevelLoss { loss, seen: Seen { rows: quantized.rows, codes: quantized.codes }, parts }
    }

    /// Lets a codebook learn from a batch; unused entries restart from the rows of `candidates` `[size, width]`.
    pub fn learn(&self, book: &mut Codebook, seen: &Seen, candidates: &[f32]) -> Usage {
        let [size, _] = book.dims();
        match self.recipe.codebook {
            CodebookUpdate::Ema => {
                let by = EmaUpdate {
                    mu: self.recipe.codebook_decay,
                    threshold: self.recipe.restart.threshold(seen.codes.len(), size),
                    fresh: matches!(self.recipe.restart, Restart::Share(_)),
                };
                if self.recipe.restart == Restart::Never {
                    // Entries that nothing chooses take their own place.
                    let all: Vec<usize> = (0..size).collect();
                    let entries = book.lookup(&all, [1, size]).swap_dims(1, 2).into_data();
                    let usage = book.update(&seen.rows, &seen.codes, &entries.iter::<f32>().collect::<Vec<_>>(), &by);
                    let used = seen.codes.iter().collect::<HashSet<_>>().len();
                    return Usage { used, restarted: 0, ..usage };
                }
                book.update(&seen.rows, &seen.codes, candidates, &by)
            }
            CodebookUpdate::Gradient => {
                let mut count = vec![0.0; size];
                seen.codes.iter().for_each(|c| count[*c] += 1.0);
                let used = count.iter().filter(|c| **c > 0.0).count();
                Usage { perplexity: perplexity(&count), used, restarted: 0, change: 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use burn::tensor::Device;
    use orchestrion_model::codec::{LossConfig, VqVaeConfig};

    #[test]
    fn without_restarts_an_unused_entry_stays_for_good() {
        let network: VqVaeConfig = serde_json::from_value(serde_json::json!({
            "sample_rate": 8000, "strides": [[2]], "embedding_width": 1, "codebook_size": 3, "width": 1,
            "resnet": { "depth": 1, "dilation_growth": 3 }, "multipliers": [1],
        }))
        .unwrap();
        let recipe = CodecRecipe {
            network,
            crop: 2048,
            loss: LossConfig::default(),
            codebook: CodebookUpdate::Ema,
            codebook_decay: 0.5,
            restart: Restart::Never,
        };
        let objective = Objective { recipe, bandwidth: Bandwidth { l1: 1.0, l2: 1.0, spectral: 1.0 } };
        let mut book = Codebook::init(3, 1, &Device::flex());
        book.fill(vec![0.0, 1.0, 9.0], objective.recipe.restart.first_count(4, 3));
        let seen = Seen { rows: vec![0.2, 0.2, 1.1, 1.1], codes: vec![0, 0, 1, 1] };
        for _ in 0..300 {
            let usage = objective.learn(&mut book, &seen, &[5.0, 6.0, 7.0]);
            assert_eq!((usage.used, usage.restarted), (2, 0));
        }
        let entries: Vec<f32> = book.lookup(&[0, 1, 2], [1, 3]).into_data().iter().collect();
        assert!((entries[0] - 0.2).abs() < 1e-5 && (entries[1] - 1.1).abs() < 1e-5 && entries[2] == 9.0, "{entries:?}");
    }
}
