//! Hot operations with a backward pass of their own: on the CPU they run on `orchestrion-engine`'s kernels.
//!
//! Burn dispatches [`EngineOps`] by device. The implementation for `Autodiff` records what the backward pass needs; that
//! for `Flex`, the CPU, hands plain slices to the kernels. Other devices compute the same with Burn's own convolution
//! and a Fourier basis as a matrix.

use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata, backend_extension};
use burn::tensor::activation::relu;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use orchestrion_engine::conv::{self, ConvShape};
use orchestrion_engine::spectral::{self, Resolution};

/// What a convolution does beside its weights: see [`ConvShape`].
#[derive(Debug, Clone, Copy)]
pub struct Taps {
    /// Samples between taps.
    pub dilation: usize,
    /// Zeros before and after each row.
    pub padding: [usize; 2],
    /// Whether the input passes a ReLU first.
    pub relu: bool,
}

/// Operations beyond Burn's own. Shapes are checked by the callers in `nn`; a kernel that refuses one is a bug there.
#[backend_extension(Flex, Autodiff)]
pub trait EngineOps: Backend {
    /// `x [batch, in, time] * w [out, in, taps] + b [out]` with stride 1: `[batch, out, time']`.
    fn convolution(x: FloatTensor<Self>, w: FloatTensor<Self>, b: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self>;
    /// Gradient of [`convolution`](Self::convolution) for its input.
    fn convolution_grad_input(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        taps: Taps,
    ) -> FloatTensor<Self>;
    /// Gradients of [`convolution`](Self::convolution) for its weight and bias.
    fn convolution_grad_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kernel: usize,
        taps: Taps,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Distance of the magnitude spectrograms of `x` and `y`, both `[batch, time]`: `[batch]`; and its gradient for `x`.
    fn spectral_distance(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        resolution: Resolution,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Whether a device is the CPU, which has kernels here; others use Burn's own operations.
fn has_kernels(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Convolution with stride 1, differentiable in `x`, `w` and `b`.
pub(crate) fn convolution(x: Tensor<3>, w: Tensor<3>, b: Tensor<1>, taps: Taps) -> Tensor<3> {
    if has_kernels(&x.device()) {
        let y = <Dispatch as EngineOps>::convolution(x.into_dispatch(), w.into_dispatch(), b.into_dispatch(), taps);
        return Tensor::from_dispatch(y);
    }
    let [batch, channels, _] = x.dims();
    let x = if taps.relu { relu(x) } else { x };
    let [left, right] = taps.padding.map(|n| Tensor::zeros([batch, channels, n], &x.device()));
    conv1d(Tensor::cat(vec![left, x, right], 2), w, Some(b), ConvOptions::new([1], [0], [taps.dilation], 1))
}

/// Frobenius distance of magnitude spectrograms, `[batch]`, differentiable in `x`.
pub(crate) fn spectral_distance(x: Tensor<2>, y: Tensor<2>, resolution: Resolution) -> Tensor<1> {
    if has_kernels(&x.device()) {
        let (x, y) = (x.into_dispatch(), y.into_dispatch());
        let (distance, _) = <Dispatch as EngineOps>::spectral_distance(x, y, resolution);
        return Tensor::from_dispatch(distance);
    }
    let batch = x.dims()[0];
    let difference = magnitudes(x, resolution) - magnitudes(y, resolution);
    difference.square().sum_dim(2).sum_dim(1).sqrt().reshape([batch])
}

/// Magnitude spectrogram `[batch, frames, bins]` as a product with the windowed Fourier basis.
fn magnitudes(x: Tensor<2>, resolution: Resolution) -> Tensor<3> {
    let Resolution { n_fft, hop, .. } = resolution;
    let device = x.device();
    let [batch, length] = x.dims();
    let half = n_fft / 2;
    let left = x.clone().narrow(1, 1, half).flip([1]);
    let right = x.clone().narrow(1, length - 1 - half, half).flip([1]);
    let frames: Tensor<3> = Tensor::cat(vec![left, x, right], 1).unfold(1, n_fft, hop);
    let count = frames.dims()[1];
    let basis = |phase: f32| {
        let window = resolution.window_values();
        let values: Vec<f32> = (0..n_fft * (half + 1))
            .map(|i| {
                let (sample, bin) = (i / (half + 1), i % (half + 1));
                let angle = std::f64::consts::TAU * ((sample * bin) % n_fft) as f64 / n_fft as f64;
                window[sample] * (angle as f32 + phase).cos()
            })
            .collect();
        Tensor::<2>::from_data(TensorData::new(values, [n_fft, half + 1]), &device)
    };
    let flat = frames.reshape([batch * count, n_fft]);
    let real = flat.clone().matmul(basis(0.0));
    let imaginary = flat.matmul(basis(std::f32::consts::FRAC_PI_2));
    // The tiny term keeps the slope of a silent bin at zero.
    (real.square() + imaginary.square() + 1e-20).sqrt().reshape([batch, count, half + 1])
}

/// The tensor's floats in row-major order, and its sizes.
fn floats(tensor: FlexTensor) -> (FlexTensor, Vec<usize>) {
    let tensor = tensor.to_contiguous();
    let dims = tensor.shape().to_vec();
    (tensor, dims)
}

fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().unwrap_or(&[])
}

fn tensor(values: Vec<f32>, dims: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, dims))
}

fn shape(x: &[usize], w_out: usize, kernel: usize, taps: Taps) -> ConvShape {
    ConvShape {
        batch: x[0],
        channels_in: x[1],
        channels_out: w_out,
        length: x[2],
        kernel,
        dilation: taps.dilation,
        padding: taps.padding,
        relu: taps.relu,
    }
}

/// A kernel refuses only shapes that `nn` should have refused.
fn checked<T>(result: Result<T, orchestrion_engine::EngineError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a layer let a wrong shape through: {error}"),
    }
}

impl EngineOps for Flex {
    fn convolution(x: FlexTensor, w: FlexTensor, b: FlexTensor, taps: Taps) -> FlexTensor {
        let ((x, xd), (w, wd), (b, _)) = (floats(x), floats(w), floats(b));
        let shape = shape(&xd, wd[0], wd[2], taps);
        let y = checked(conv::forward(&shape, slice(&x), slice(&w), Some(slice(&b))));
        tensor(y, vec![xd[0], wd[0], checked(shape.length_out())])
    }

    fn convolution_grad_input(x: FlexTensor, w: FlexTensor, grad: FlexTensor, taps: Taps) -> FlexTensor {
        let ((x, xd), (w, wd), (grad, _)) = (floats(x), floats(w), floats(grad));
        let shape = shape(&xd, wd[0], wd[2], taps);
        tensor(checked(conv::grad_input(&shape, slice(&x), slice(&w), slice(&grad))), xd)
    }

    fn convolution_grad_weight(x: FlexTensor, grad: FlexTensor, kernel: usize, taps: Taps) -> (FlexTensor, FlexTensor) {
        let ((x, xd), (grad, gd)) = (floats(x), floats(grad));
        let shape = shape(&xd, gd[1], kernel, taps);
        let (gw, gb) = checked(conv::grad_weight(&shape, slice(&x), slice(&grad)));
        (tensor(gw, vec![gd[1], xd[1], kernel]), tensor(gb, vec![gd[1]]))
    }

    fn spectral_distance(x: FlexTensor, y: FlexTensor, resolution: Resolution) -> (FlexTensor, FlexTensor) {
        let ((x, dims), (y, _)) = (floats(x), floats(y));
        let (distance, grad) = checked(spectral::distance(slice(&x), slice(&y), dims[1], resolution));
        (tensor(distance, vec![dims[0]]), tensor(grad, dims))
    }
}

impl<B: EngineOps, C: CheckpointStrategy> EngineOps for Autodiff<B, C> {
    fn convolution(x: FloatTensor<Self>, w: FloatTensor<Self>, b: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolution;

        impl<B: EngineOps> Backward<B, 3> for Convolution {
            type State = (FloatTensor<B>, FloatTensor<B>, usize, Taps);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (x, w, kernel, taps) = ops.state;
                let [node_x, node_w, node_b] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if node_w.is_some() || node_b.is_some() {
                    let (gw, gb) = B::convolution_grad_weight(x.clone(), grad.clone(), kernel, taps);
                    if let Some(node) = node_w {
                        grads.register::<B>(node.id, gw);
                    }
                    if let Some(node) = node_b {
                        grads.register::<B>(node.id, gb);
                    }
                }
                if let Some(node) = node_x {
                    grads.register::<B>(node.id, B::convolution_grad_input(x, w, grad, taps));
                }
            }
        }

        let nodes = [x.node(), w.node(), b.node()];
        let (x, w, b) = (x.into_primitive(), w.into_primitive(), b.into_primitive());
        let kernel = w.shape()[2];
        let y = B::convolution(x.clone(), w.clone(), b, taps);
        match Convolution.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, w, kernel, taps), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    // Gradients of gradients are not tracked (Burn differentiates once).
    fn convolution_grad_input(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        taps: Taps,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::convolution_grad_input(x.into_primitive(), w.into_primitive(), grad.into_primitive(), taps))
    }

    fn convolution_grad_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kernel: usize,
        taps: Taps,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (gw, gb) = B::convolution_grad_weight(x.into_primitive(), grad.into_primitive(), kernel, taps);
        (Self::from_inner(gw), Self::from_inner(gb))
    }

    fn spectral_distance(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        resolution: Resolution,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct SpectralDistance;

        impl<B: EngineOps> Backward<B, 1> for SpectralDistance {
            /// The slope of each clip's distance, `[batch, time]`: it comes with the distance itself.
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let [node] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = node {
                    let batch = grad.shape()[0];
                    let grad = B::float_reshape(grad, [batch, 1].into());
                    grads.register::<B>(node.id, B::float_mul(ops.state, grad));
                }
            }
        }

        let node = x.node();
        let (distance, slope) = B::spectral_distance(x.into_primitive(), y.into_primitive(), resolution);
        let distance = match SpectralDistance.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(slope.clone(), distance),
            OpsKind::UnTracked(prep) => prep.finish(distance),
        };
        (distance, Self::from_inner(slope))
    }
}
