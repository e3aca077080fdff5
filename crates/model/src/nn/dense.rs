//! Projections, layer norm and embeddings.

use super::{Parameter, Parameters, Random, Visitor, ops};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor, TensorData};
use orchestrion_engine::Numbers;

/// Normal values with the given deviation.
pub(crate) fn normal(shape: [usize; 2], deviation: f64, random: &mut Random, device: &Device) -> Tensor<2> {
    if random.is_idle() {
        return Tensor::zeros(shape, device);
    }
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.normal() * deviation as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `x w + b`, with the weight stored as `[in, out]` (Jukebox's "Conv1D").
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[in, out]`.
    pub w: Tensor<2>,
    /// `[out]`.
    pub b: Tensor<1>,
}

impl Linear {
    /// Weights are normal with this deviation (0 for an output that starts silent); the bias is zero.
    pub fn init(shape: [usize; 2], deviation: f64, random: &mut Random, device: &Device) -> Self {
        Self { w: normal(shape, deviation, random, device), b: Tensor::zeros([shape[1]], device) }
    }

    /// `[batch, time, in]` to `[batch, time, out]`; kernels multiply in `numbers`.
    pub fn forward(&self, x: Tensor<3>, numbers: Numbers) -> Tensor<3> {
        if ops::has_kernels(&x.device()) {
            return ops::linear(x, self.w.clone(), self.b.clone(), numbers);
        }
        let [batch, time, inputs] = x.dims();
        let [_, outputs] = self.w.dims();
        let y = x.reshape([batch * time, inputs]).matmul(self.w.clone()) + self.b.clone().unsqueeze();
        y.reshape([batch, time, outputs])
    }
}

impl Parameters for Linear {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("w", Parameter::Matrix(&mut self.w));
        visitor.show("b", Parameter::Vector(&mut self.b));
    }
}

/// Layer norm over the last axis, epsilon 1e-5.
#[derive(Debug, Clone)]
pub struct Norm {
    /// Gain.
    pub weight: Tensor<1>,
    /// Offset.
    pub bias: Tensor<1>,
}

impl Norm {
    /// Gain one, offset zero.
    pub fn init(width: usize, device: &Device) -> Self {
        Self { weight: Tensor::ones([width], device), bias: Tensor::zeros([width], device) }
    }

    /// `[batch, time, width]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        if ops::has_kernels(&x.device()) {
            return ops::layer_norm(x, self.weight.clone(), self.bias.clone());
        }
        let centred = x.clone() - x.mean_dim(2);
        let deviation = (centred.clone().square().mean_dim(2) + 1e-5).sqrt();
        centred / deviation * self.weight.clone().unsqueeze() + self.bias.clone().unsqueeze()
    }
}

impl Parameters for Norm {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("weight", Parameter::Vector(&mut self.weight));
        visitor.show("bias", Parameter::Vector(&mut self.bias));
    }
}

/// A table of vectors.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// `[entries, width]`.
    pub weight: Tensor<2>,
}

impl Embedding {
    /// Normal values with this deviation.
    pub fn init(shape: [usize; 2], deviation: f64, random: &mut Random, device: &Device) -> Self {
        Self { weight: normal(shape, deviation, random, device) }
    }

    /// `[batch, time]` to `[batch, time, width]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, time] = ids.dims();
        let [_, width] = self.weight.dims();
        self.weight.clone().select(0, ids.reshape([batch * time])).reshape([batch, time, width])
    }

    /// Product of each vector of `[batch, time, width]` with every row: `[batch, time, entries]`.
    pub fn scores(&self, x: Tensor<3>) -> Tensor<3> {
        let ([batch, time, width], [entries, _]) = (x.dims(), self.weight.dims());
        let table = self.weight.clone().swap_dims(0, 1);
        x.reshape([batch * time, width]).matmul(table).reshape([batch, time, entries])
    }
}

impl Parameters for Embedding {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("weight", Parameter::Matrix(&mut self.weight));
    }
}

/// `x * sigmoid(1.702 x)`.
pub fn quick_gelu(x: Tensor<3>) -> Tensor<3> {
    if ops::has_kernels(&x.device()) {
        return ops::quick_gelu(x);
    }
    x.clone() * sigmoid(x.mul_scalar(1.702))
}
