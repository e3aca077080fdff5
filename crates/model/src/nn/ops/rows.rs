//! Layer norm, QuickGELU and cross-entropy.

use super::{checked, floats, slice, tensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use orchestrion_engine::rows;
use std::sync::Arc;

/// Operations on rows of channels and their gradients.
#[backend_extension(Flex, Autodiff)]
pub trait RowOps: Backend {
    /// Layer norm over the last axis of `x [.., width]` with `gain` and `bias [width]`; and each row's mean and one over
    /// its deviation, `[rows, 2]`.
    fn normalise(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of [`normalise`](Self::normalise) for input, gain and bias.
    fn normalise_grad(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// `x * sigmoid(1.702 x)`.
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Slope of [`quick_gelu`](Self::quick_gelu) times a gradient.
    fn quick_gelu_grad(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `-ln softmax(logits)[target]` of the rows `[rows, vocabulary]`, `[rows]`; and the logarithms of their sums of
    /// exponentials, `[rows]`.
    fn cross_entropy(logits: FloatTensor<Self>, targets: Arc<[u32]>) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradient of [`cross_entropy`](Self::cross_entropy) for the logits.
    fn cross_entropy_grad(
        logits: FloatTensor<Self>,
        sums: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        targets: Arc<[u32]>,
    ) -> FloatTensor<Self>;
}

/// Layer norm on the CPU, differentiable in all three.
pub(crate) fn layer_norm(x: Tensor<3>, gain: Tensor<1>, bias: Tensor<1>) -> Tensor<3> {
    let (x, gain, bias) = (x.into_dispatch(), gain.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as RowOps>::normalise(x, gain, bias).0)
}

/// QuickGELU on the CPU, differentiable.
pub(crate) fn quick_gelu(x: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as RowOps>::quick_gelu(x.into_dispatch()))
}

/// Cross-entropy of each row in nats on the CPU, differentiable in the logits `[rows, vocabulary]`.
pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Arc<[u32]>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as RowOps>::cross_entropy(logits.into_dispatch(), targets).0)
}

impl RowOps for Flex {
    fn normalise(x: FlexTensor, gain: FlexTensor, bias: FlexTensor) -> (FlexTensor, FlexTensor) {
        let ((x, xd), (gain, _), (bias, _)) = (floats(x), floats(gain), floats(bias));
        let (y, moments) = checked(rows::layer_norm(slice(&x), slice(&gain), slice(&bias)));
        let count = moments.len();
        (tensor(y, xd), tensor(moments.into_flattened(), vec![count, 2]))
    }

    fn normalise_grad(
        x: FlexTensor,
        gain: FlexTensor,
        moments: FlexTensor,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let ((x, xd), (gain, gd), (moments, _), (grad, _)) = (floats(x), floats(gain), floats(moments), floats(grad));
        let moments = slice(&moments).as_chunks::<2>().0;
        let found = checked(rows::layer_norm_grad(slice(&x), slice(&gain), moments, slice(&grad)));
        (tensor(found.x, xd), tensor(found.gain, gd.clone()), tensor(found.bias, gd))
    }

    fn quick_gelu(x: FlexTensor) -> FlexTensor {
        let (x, xd) = floats(x);
        tensor(rows::quick_gelu(slice(&x)), xd)
    }

    fn quick_gelu_grad(x: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let ((x, xd), (grad, _)) = (floats(x), floats(grad));
        tensor(checked(rows::quick_gelu_grad(slice(&x), slice(&grad))), xd)
    }

    fn cross_entropy(logits: FlexTensor, targets: Arc<[u32]>) -> (FlexTensor, FlexTensor) {
        let (logits, dims) = floats(logits);
        let (losses, sums) = checked(rows::cross_entropy(slice(&logits), dims[1], &targets));
        (tensor(losses, vec![dims[0]]), tensor(sums, vec![dims[0]]))
    }

    fn cross_entropy_grad(logits: FlexTensor, sums: FlexTensor, grad: FlexTensor, targets: Arc<[u32]>) -> FlexTensor {
        let ((logits, dims), (sums, _), (grad, _)) = (floats(logits), floats(sums), floats(grad));
        let slopes = rows::cross_entropy_grad(slice(&logits), dims[1], &targets, slice(&sums), slice(&grad));
        tensor(checked(slopes), dims)
    }
}

impl<B: RowOps, C: CheckpointStrategy> RowOps for Autodiff<B, C> {
    fn normalise(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct LayerNorm;

        impl<B: RowOps> Backward<B, 3> for LayerNorm {
            type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (x, gain, moments) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let (gx, gg, gb) = B::normalise_grad(x, gain, moments, grad);
                for (node, grad) in ops.parents.into_iter().zip([gx, gg, gb]) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let nodes = [x.node(), gain.node(), bias.node()];
        let (x, gain, bias) = (x.into_primitive(), gain.into_primitive(), bias.into_primitive());
        let (y, moments) = B::normalise(x.clone(), gain.clone(), bias);
        let y = match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, gain, moments.clone()), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (y, Self::from_inner(moments))
    }

    fn normalise_grad(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, gain) = (x.into_primitive(), gain.into_primitive());
        let (x, gain, bias) = B::normalise_grad(x, gain, moments.into_primitive(), grad.into_primitive());
        (Self::from_inner(x), Self::from_inner(gain), Self::from_inner(bias))
    }

    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct QuickGelu;

        impl<B: RowOps> Backward<B, 1> for QuickGelu {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let [node] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = node {
                    grads.register::<B>(node.id, B::quick_gelu_grad(ops.state, grad));
                }
            }
        }

        let node = x.node();
        let x = x.into_primitive();
        let y = B::quick_gelu(x.clone());
        match QuickGelu.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn quick_gelu_grad(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::quick_gelu_grad(x.into_primitive(), grad.into_primitive()))
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: Arc<[u32]>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct CrossEntropy;

        impl<B: RowOps> Backward<B, 1> for CrossEntropy {
            type State = (FloatTensor<B>, FloatTensor<B>, Arc<[u32]>);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (logits, sums, targets) = ops.state;
                let [node] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = node {
                    grads.register::<B>(node.id, B::cross_entropy_grad(logits, sums, grad, targets));
                }
            }
        }

        let node = logits.node();
        let logits = logits.into_primitive();
        let (losses, sums) = B::cross_entropy(logits.clone(), targets.clone());
        let losses = match CrossEntropy.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((logits, sums.clone(), targets), losses),
            OpsKind::UnTracked(prep) => prep.finish(losses),
        };
        (losses, Self::from_inner(sums))
    }

    fn cross_entropy_grad(
        logits: FloatTensor<Self>,
        sums: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        targets: Arc<[u32]>,
    ) -> FloatTensor<Self> {
        let (logits, sums) = (logits.into_primitive(), sums.into_primitive());
        Self::from_inner(B::cross_entropy_grad(logits, sums, grad.into_primitive(), targets))
    }
}
