//! Convolution.

use super::{checked, floats, has_kernels, slice, tensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use orchestrion_engine::conv::{self, ConvShape};

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

/// Convolution and its gradients.
#[backend_extension(Flex, Autodiff)]
pub trait ConvolutionOps: Backend {
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
}

/// Convolution with stride 1, differentiable in `x`, `w` and `b`.
pub(crate) fn convolution(x: Tensor<3>, w: Tensor<3>, b: Tensor<1>, taps: Taps) -> Tensor<3> {
    if has_kernels(&x.device()) {
        let y =
            <Dispatch as ConvolutionOps>::convolution(x.into_dispatch(), w.into_dispatch(), b.into_dispatch(), taps);
        return Tensor::from_dispatch(y);
    }
    let [batch, channels, _] = x.dims();
    let x = if taps.relu { relu(x) } else { x };
    let [left, right] = taps.padding.map(|n| Tensor::zeros([batch, channels, n], &x.device()));
    conv1d(Tensor::cat(vec![left, x, right], 2), w, Some(b), ConvOptions::new([1], [0], [taps.dilation], 1))
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

impl ConvolutionOps for Flex {
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
}

impl<B: ConvolutionOps, C: CheckpointStrategy> ConvolutionOps for Autodiff<B, C> {
    fn convolution(x: FloatTensor<Self>, w: FloatTensor<Self>, b: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolution;

        impl<B: ConvolutionOps> Backward<B, 3> for Convolution {
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
}
