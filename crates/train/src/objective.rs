//! What a codec is trained for: the losses of a level, and what its codebook learns from a batch.

use crate::recipe::{CodecRecipe, Restart};
use crate::trainer::Metrics;
use burn::tensor::Tensor;
use orchestrion_model::codec::{Bandwidth, Codebook, CodebookUpdate, EmaUpdate, Usage, VqVae, loss, perplexity};

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
