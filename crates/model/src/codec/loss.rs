//! Reconstruction losses (Jukebox, section 3.2): waveform errors and spectral distance.

use super::config::{Bandwidth, LossConfig, RESOLUTIONS};
use crate::nn::ops::spectral_distance;
use burn::tensor::{Int, Tensor, TensorData};
use orchestrion_engine::spectral::Resolution;

/// Mean absolute error in units of the data's mean absolute sample.
pub fn l1(target: Tensor<2>, output: Tensor<2>, bandwidth: &Bandwidth) -> Tensor<1> {
    (output - target).abs().mean().div_scalar(bandwidth.l1)
}

/// Mean square error in units of the data's variance.
pub fn l2(target: Tensor<2>, output: Tensor<2>, bandwidth: &Bandwidth) -> Tensor<1> {
    (output - target).square().mean().div_scalar(bandwidth.l2)
}

/// Mean of each clip's `k` largest square errors, in units of the data's variance.
pub fn linf(target: Tensor<2>, output: Tensor<2>, k: usize, bandwidth: &Bandwidth) -> Tensor<1> {
    let [batch, time] = target.dims();
    let k = k.clamp(1, time);
    let square = (output - target).square();
    let values: Vec<f32> = square.clone().detach().into_data().iter::<f32>().collect();
    let mut largest = Vec::with_capacity(batch * k);
    for row in values.chunks_exact(time) {
        let mut order: Vec<i64> = (0..time as i64).collect();
        if k < time {
            order.select_nth_unstable_by(k, |&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        }
        largest.extend_from_slice(&order[..k]);
    }
    let largest = Tensor::<2, Int>::from_data(TensorData::new(largest, [batch, k]), &square.device());
    square.gather(1, largest).mean().div_scalar(bandwidth.l2)
}

/// Mean distance of the clips' magnitude spectrograms, in units of the data's spectral norm.
pub fn spectral(target: Tensor<2>, output: Tensor<2>, resolution: Resolution, bandwidth: &Bandwidth) -> Tensor<1> {
    spectral_distance(output, target, resolution).mean().div_scalar(bandwidth.spectral)
}

/// The spectral loss averaged over the paper's three resolutions.
pub fn multispectral(target: Tensor<2>, output: Tensor<2>, bandwidth: &Bandwidth) -> Tensor<1> {
    let [a, b, c] = RESOLUTIONS.map(|r| spectral(target.clone(), output.clone(), r, bandwidth));
    (a + b + c).div_scalar(3.0)
}

/// Distance of the magnitude spectrograms relative to the target's norm, mean over clips; a target whose norm is at most
/// `silence` counts as zero.
pub fn spectral_convergence(target: Tensor<2>, output: Tensor<2>, resolution: Resolution, silence: f32) -> f32 {
    let nothing = target.zeros_like();
    let distance: Vec<f32> = spectral_distance(output, target.clone(), resolution).into_data().iter().collect();
    let norm: Vec<f32> = spectral_distance(target, nothing, resolution).into_data().iter().collect();
    let ratios = distance.iter().zip(&norm).map(|(d, n)| if *n > silence { d / n } else { 0.0 });
    ratios.sum::<f32>() / distance.len().max(1) as f32
}

/// Weighted waveform errors of `[batch, time]` clips.
pub fn waveform(target: Tensor<2>, output: Tensor<2>, weights: &LossConfig, bandwidth: &Bandwidth) -> Tensor<1> {
    let mut sum = Tensor::zeros([1], &target.device());
    if weights.l1 != 0.0 {
        sum = sum + l1(target.clone(), output.clone(), bandwidth).mul_scalar(weights.l1);
    }
    if weights.l2 != 0.0 {
        sum = sum + l2(target.clone(), output.clone(), bandwidth).mul_scalar(weights.l2);
    }
    if weights.linf != 0.0 {
        sum = sum + linf(target, output, weights.linf_k, bandwidth).mul_scalar(weights.linf);
    }
    sum
}
