//! Distance of magnitude spectrograms.

use super::{checked, floats, has_kernels, slice, tensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use orchestrion_engine::spectral::{self, Resolution};

/// Spectral distance with its gradient.
#[backend_extension(Flex, Autodiff)]
pub trait SpectrumOps: Backend {
    /// Distance of the magnitude spectrograms of `x` and `y`, both `[batch, time]`: `[batch]`; and its gradient for `x`.
    fn spectral_distance(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        resolution: Resolution,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Frobenius distance of magnitude spectrograms, `[batch]`, differentiable in `x`.
pub(crate) fn spectral_distance(x: Tensor<2>, y: Tensor<2>, resolution: Resolution) -> Tensor<1> {
    if has_kernels(&x.device()) {
        let (x, y) = (x.into_dispatch(), y.into_dispatch());
        let (distance, _) = <Dispatch as SpectrumOps>::spectral_distance(x, y, resolution);
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

impl SpectrumOps for Flex {
    fn spectral_distance(x: FlexTensor, y: FlexTensor, resolution: Resolution) -> (FlexTensor, FlexTensor) {
        let ((x, dims), (y, _)) = (floats(x), floats(y));
        let (distance, grad) = checked(spectral::distance(slice(&x), slice(&y), dims[1], resolution));
        (tensor(distance, vec![dims[0]]), tensor(grad, dims))
    }
}

impl<B: SpectrumOps, C: CheckpointStrategy> SpectrumOps for Autodiff<B, C> {
    fn spectral_distance(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        resolution: Resolution,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct SpectralDistance;

        impl<B: SpectrumOps> Backward<B, 1> for SpectralDistance {
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
