//! Convolutions over `[batch, channels, time]`: dilated, strided, transposed.
//!
//! Strided and transposed ones deal the samples out by phase, so that all of them are the dilated one underneath.

use super::ops::{Taps, convolution};
use super::{Parameter, Parameters, Random, Visitor};
use crate::ModelError;
use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_engine::conv::stream::{self, Network};

/// Uniform in `±1/sqrt(fan_in)`: PyTorch's default for convolutions.
fn uniform<const D: usize>(shape: [usize; D], fan_in: usize, random: &mut Random, device: &Device) -> Tensor<D> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| (random.uniform() * 2.0 - 1.0) * bound).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Weight and bias as the engine takes them.
fn taps(weight: &Tensor<3>, bias: &Tensor<1>) -> stream::Taps {
    stream::Taps { weight: weight.to_data().iter().collect(), bias: bias.to_data().iter().collect() }
}

/// Stride 1, odd kernel, as many samples out as in.
#[derive(Debug, Clone)]
pub struct Conv1d {
    /// `[out, in, taps]`.
    weight: Tensor<3>,
    bias: Tensor<1>,
    dilation: usize,
    /// Whether the input passes a ReLU first.
    relu: bool,
}

impl Conv1d {
    /// A convolution with `kernel` taps `dilation` samples apart.
    pub fn init(
        [channels_in, channels_out]: [usize; 2],
        kernel: usize,
        dilation: usize,
        relu: bool,
        random: &mut Random,
        device: &Device,
    ) -> Self {
        let fan_in = channels_in * kernel;
        Self {
            weight: uniform([channels_out, channels_in, kernel], fan_in, random, device),
            bias: uniform([channels_out], fan_in, random, device),
            dilation,
            relu,
        }
    }

    /// `[batch, in, time]` to `[batch, out, time]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let pad = (self.weight.dims()[2] - 1) * self.dilation / 2;
        let taps = Taps { dilation: self.dilation, padding: [pad, pad], relu: self.relu };
        convolution(x, self.weight.clone(), self.bias.clone(), taps)
    }

    /// Samples on each side that an output sample depends on.
    pub fn radius(&self) -> usize {
        (self.weight.dims()[2] - 1) * self.dilation / 2
    }

    /// Samples between two taps.
    pub(super) fn dilation(&self) -> usize {
        self.dilation
    }

    /// Weight and bias as the engine takes them.
    pub(super) fn taps(&self) -> stream::Taps {
        taps(&self.weight, &self.bias)
    }

    /// Adds the convolution, which has no dilation and no ReLU, to a network.
    pub(crate) fn extend(&self, network: &mut Network) -> Result<(), ModelError> {
        Ok(network.plain(&self.taps())?)
    }
}

impl Parameters for Conv1d {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("weight", Parameter::Cube(&mut self.weight));
        visitor.show("bias", Parameter::Vector(&mut self.bias));
    }
}

/// Twice as many taps as the stride, half a stride of padding: `time / stride` samples out.
#[derive(Debug, Clone)]
pub struct StridedConv1d {
    /// `[out, in, 2 * stride]`.
    weight: Tensor<3>,
    bias: Tensor<1>,
    stride: usize,
}

impl StridedConv1d {
    /// A convolution that keeps one sample in `stride` (even).
    pub fn init([channels_in, channels_out]: [usize; 2], stride: usize, random: &mut Random, device: &Device) -> Self {
        let fan_in = channels_in * 2 * stride;
        Self {
            weight: uniform([channels_out, channels_in, 2 * stride], fan_in, random, device),
            bias: uniform([channels_out], fan_in, random, device),
            stride,
        }
    }

    /// `[batch, in, time]` to `[batch, out, time / stride]`; `time` is a multiple of the stride.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, channels, time] = x.dims();
        let s = self.stride;
        let edge = Tensor::zeros([batch, channels, s / 2], &x.device());
        let phases = Tensor::cat(vec![edge.clone(), x, edge], 2)
            .reshape([batch, channels, time / s + 1, s])
            .permute([0, 1, 3, 2])
            .reshape([batch, channels * s, time / s + 1]);
        let [out, _, _] = self.weight.dims();
        let weight =
            self.weight.clone().reshape([out, channels, 2, s]).permute([0, 1, 3, 2]).reshape([out, channels * s, 2]);
        convolution(phases, weight, self.bias.clone(), Taps { dilation: 1, padding: [0, 0], relu: false })
    }
}

impl StridedConv1d {
    /// Adds the convolution to a network.
    pub(crate) fn extend(&self, network: &mut Network) -> Result<(), ModelError> {
        Ok(network.strided(&taps(&self.weight, &self.bias), self.stride)?)
    }
}

impl Parameters for StridedConv1d {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("weight", Parameter::Cube(&mut self.weight));
        visitor.show("bias", Parameter::Vector(&mut self.bias));
    }
}

/// The transpose of [`StridedConv1d`]: `time * stride` samples out.
#[derive(Debug, Clone)]
pub struct TransposedConv1d {
    /// `[in, out, 2 * stride]`.
    weight: Tensor<3>,
    bias: Tensor<1>,
    stride: usize,
}

impl TransposedConv1d {
    /// A convolution that makes `stride` (even) samples of one.
    pub fn init([channels_in, channels_out]: [usize; 2], stride: usize, random: &mut Random, device: &Device) -> Self {
        let fan_in = channels_out * 2 * stride;
        Self {
            weight: uniform([channels_in, channels_out, 2 * stride], fan_in, random, device),
            bias: uniform([channels_out], fan_in, random, device),
            stride,
        }
    }

    /// `[batch, in, time]` to `[batch, out, time * stride]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, channels, time] = x.dims();
        let [_, out, _] = self.weight.dims();
        let s = self.stride;
        // Output sample s * u + p (before half a stride is cut off) hears tap p of input u and tap s + p of input u - 1.
        let weight = self.weight.clone().reshape([channels, out, 2, s]).flip([2]).permute([1, 3, 0, 2]).reshape([
            out * s,
            channels,
            2,
        ]);
        let bias = self.bias.clone().reshape([out, 1]).expand([out, s]).reshape([out * s]);
        convolution(x, weight, bias, Taps { dilation: 1, padding: [1, 1], relu: false })
            .reshape([batch, out, s, time + 1])
            .permute([0, 1, 3, 2])
            .reshape([batch, out, (time + 1) * s])
            .narrow(2, s / 2, time * s)
    }
}

impl TransposedConv1d {
    /// Adds the convolution to a network.
    pub(crate) fn extend(&self, network: &mut Network) -> Result<(), ModelError> {
        Ok(network.transposed(&taps(&self.weight, &self.bias), self.stride)?)
    }
}

impl Parameters for TransposedConv1d {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("weight", Parameter::Cube(&mut self.weight));
        visitor.show("bias", Parameter::Vector(&mut self.bias));
    }
}
