//! Adam as the paper's program has it, with clipping and moving averages of the weights.
//!
//! It differs from the usual AdamW in two ways: epsilon is added to the root before it is corrected for the start, and the
//! weight decay is multiplied by the corrected rate.

use burn::tensor::{Device, Gradients};
use orchestrion_model::nn::{Parameters, each_parameter};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Settings of the optimiser. The defaults are the paper's program's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Full learning rate.
    pub lr: f64,
    /// Decay of the mean.
    pub beta1: f64,
    /// Decay of the mean square.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Weight decay, on all parameters.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient; 0: no clipping.
    pub clip: f64,
    /// Decay of the averaged weights; 0: no average.
    pub ema: f64,
    /// Whether the average's decay grows from 0.1 to its full value over the first steps, `(1 + n) / (10 + n)` at most,
    /// so that short runs forget their random start.
    pub ema_warmup: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            lr: 3e-4,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            clip: 1.0,
            ema: 0.999,
            ema_warmup: false,
        }
    }
}

/// Values of a task: work is cut evenly, whatever the sizes of the parameters.
const CHUNK: usize = 1 << 14;

/// What the optimiser knows of a parameter, whose values are the model's own.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// Published name.
    pub name: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Mean of the gradient.
    pub mean: Vec<f32>,
    /// Mean of its square.
    pub square: Vec<f32>,
    /// Averaged weights.
    pub average: Vec<f32>,
    /// Gradient gathered since the last step; empty if there is none.
    pub gradient: Vec<f32>,
    /// Whether gradients ever reach it: codebooks kept by moving averages have none.
    pub trained: bool,
}

/// The optimiser over all parameters of a model.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    /// One for each parameter, in the order of the walk.
    pub slots: Vec<Slot>,
    /// Steps taken.
    pub updates: u64,
}

impl Adam {
    /// Fresh state for a model's weights.
    pub fn new(config: AdamConfig, model: &mut impl Parameters) -> Self {
        let mut slots = Vec::new();
        each_parameter(model, |name, p| {
            let average = p.values();
            let (mean, square) = (vec![0.0; average.len()], vec![0.0; average.len()]);
            let name = name.to_owned();
            slots.push(Slot { name, shape: p.shape(), mean, square, average, gradient: Vec::new(), trained: false });
        });
        Self { config, slots, updates: 0 }
    }

    /// Adds a batch's gradients, times `weight`, to those gathered.
    pub fn gather(&mut self, model: &mut impl Parameters, mut gradients: Gradients, weight: f32) {
        let mut slots = self.slots.iter_mut();
        each_parameter(model, |_, p| {
            let (Some(slot), Some(mut gradient)) = (slots.next(), p.take_gradient(&mut gradients)) else { return };
            slot.trained = true;
            if weight != 1.0 {
                gradient.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(|g| *g *= weight));
            }
            if slot.gradient.is_empty() {
                slot.gradient = gradient;
            } else {
                let sums = slot.gradient.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
                sums.for_each(|(sum, more)| sum.iter_mut().zip(more).for_each(|(sum, g)| *sum += g));
            }
        });
    }

    /// Norm of the gathered gradient. The order of the sum does not depend on the number of threads.
    pub fn gradient_norm(&self) -> f64 {
        let square = |chunk: &[f32]| chunk.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let chunks = self.slots.par_iter().flat_map(|slot| slot.gradient.par_chunks(CHUNK).map(square));
        chunks.collect::<Vec<f64>>().iter().sum::<f64>().sqrt()
    }

    /// Forgets the gathered gradient.
    pub fn discard(&mut self) {
        self.slots.iter_mut().for_each(|s| s.gradient = Vec::new());
    }

    /// Takes a step with rate `lr` from the gathered gradient, changes the model's weights where they are, and gives the
    /// gradient's norm. If that is not finite, there is no step: the gradient is forgotten.
    pub fn step(&mut self, model: &mut impl Parameters, lr: f64) -> Option<f64> {
        let norm = self.gradient_norm();
        if !norm.is_finite() {
            self.discard();
            return None;
        }
        self.updates += 1;
        let rates = Rates::new(&self.config, self.updates, norm, lr);
        let mut slots = self.slots.iter_mut();
        each_parameter(model, |_, mut p| {
            let Some(slot) = slots.next().filter(|slot| !slot.gradient.is_empty()) else { return };
            let gradient = std::mem::take(&mut slot.gradient);
            p.update(|values| {
                let state = slot.mean.par_chunks_mut(CHUNK).zip(slot.square.par_chunks_mut(CHUNK));
                let state = state.zip(slot.average.par_chunks_mut(CHUNK)).zip(gradient.par_chunks(CHUNK));
                values.par_chunks_mut(CHUNK).zip(state).for_each(|(value, (((mean, square), average), gradient))| {
                    rates.step(value, mean, square, average, gradient);
                });
            });
        });
        Some(norm)
    }

    /// Puts the averaged weights into a model (a copy for evaluation, say); what no gradient reaches is its own.
    pub fn put_average(&self, model: &mut impl Parameters, device: &Device) {
        let mut slots = self.slots.iter();
        each_parameter(model, |_, mut p| {
            if let Some(slot) = slots.next() {
                let values = if slot.trained { slot.average.clone() } else { p.values() };
                p.set(values, device, device.is_autodiff());
            }
        });
    }
}

/// The numbers of one step.
struct Rates {
    scale: f32,
    rate: f32,
    b1: f32,
    b2: f32,
    eps: f32,
    decay: f32,
    mu: f32,
}

impl Rates {
    fn new(c: &AdamConfig, updates: u64, norm: f64, lr: f64) -> Self {
        let t = updates.min(i32::MAX as u64) as i32;
        let young = f64::from(t.saturating_add(1)) / f64::from(t.saturating_add(10));
        Self {
            scale: if c.clip > 0.0 { 1.0 / (norm / c.clip).max(1.0) } else { 1.0 } as f32,
            rate: (lr * (1.0 - c.beta2.powi(t)).sqrt() / (1.0 - c.beta1.powi(t))) as f32,
            b1: c.beta1 as f32,
            b2: c.beta2 as f32,
            eps: c.eps as f32,
            decay: c.weight_decay as f32,
            mu: if c.ema_warmup { c.ema.min(young) } else { c.ema } as f32,
        }
    }

    /// Clips, and moves moments, weights and averages of one stretch: each is read and written once.
    fn step(&self, value: &mut [f32], mean: &mut [f32], square: &mut [f32], average: &mut [f32], gradient: &[f32]) {
        let Self { scale, rate, b1, b2, eps, decay, mu } = *self;
        let n = value.len();
        // Of one length, which the compiler then knows: it takes several values at a time.
        let (mean, square, average, gradient) = (&mut mean[..n], &mut square[..n], &mut average[..n], &gradient[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            mean[i] = b1 * mean[i] + (1.0 - b1) * g;
            square[i] = b2 * square[i] + (1.0 - b2) * g * g;
            value[i] -= rate * (mean[i] / (square[i].sqrt() + eps) + decay * value[i]);
            average[i] = mu * average[i] + (1.0 - mu) * value[i];
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use burn::tensor::Tensor;
    use orchestrion_model::nn::{Parameter, Visitor};

    struct One(Tensor<1>);

    impl Parameters for One {
        fn walk(&mut self, visitor: &mut Visitor<'_>) {
            visitor.show("x", Parameter::Vector(&mut self.0));
        }
    }

    /// Three steps on the slope 2x from x = 1, worked out from the formulas of the paper's program in f64.
    #[test]
    fn steps_follow_the_paper_s_program() {
        let device = Device::flex().autodiff();
        let mut model = One(Tensor::<1>::from_floats([1.0], &device).require_grad());
        let config = AdamConfig { weight_decay: 0.1, clip: 0.5, ema: 0.9, ..AdamConfig::default() };
        let mut adam = Adam::new(config, &mut model);
        let (mut x, mut m, mut v, mut average) = (1.0f64, 0.0f64, 0.0f64, 1.0f64);
        for t in 1..=3 {
            let gradients = model.0.clone().square().sum().backward();
            adam.gather(&mut model, gradients, 1.0);
            adam.step(&mut model, 0.01).unwrap();
            let g = 2.0 * x / (2.0 * x / 0.5).max(1.0);
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let rate = 0.01 * (1.0 - 0.999f64.powi(t)).sqrt() / (1.0 - 0.9f64.powi(t));
            x -= rate * (m / (v.sqrt() + 1e-8) + 0.1 * x);
            average = 0.9 * average + 0.1 * x;
            let now: f32 = model.0.to_data().iter().next().unwrap();
            assert!((f64::from(now) - x).abs() < 1e-5, "step {t}: {now} for {x}");
        }
        assert!((f64::from(adam.slots[0].average[0]) - average).abs() < 1e-5);
    }
}
