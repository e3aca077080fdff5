//! Factorised causal attention.

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
use orchestrion_engine::attention::{AttentionShape, attend, attend_grad};

/// Attention and its gradient.
#[backend_extension(Flex, Autodiff)]
pub trait AttentionOps: Backend {
    /// Attention of `qkv [batch, time, 3 * state]`: `[batch, time, state]`; and the logarithms of each query's sum of
    /// exponentials, `[batch, heads, time]`.
    fn factorised_attention(qkv: FloatTensor<Self>, shape: AttentionShape) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradient of [`factorised_attention`](Self::factorised_attention) for `qkv`.
    fn attention_grad(
        qkv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        sums: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self>;
}

/// Attention on the CPU, differentiable; not for functions 4, 5 and 6.
pub(crate) fn attention(qkv: Tensor<3>, shape: AttentionShape) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as AttentionOps>::factorised_attention(qkv.into_dispatch(), shape).0)
}

impl AttentionOps for Flex {
    fn factorised_attention(qkv: FlexTensor, shape: AttentionShape) -> (FlexTensor, FlexTensor) {
        let (qkv, dims) = floats(qkv);
        let (out, sums) = checked(attend(&shape, slice(&qkv)));
        (tensor(out, vec![dims[0], dims[1], dims[2] / 3]), tensor(sums, vec![dims[0], shape.heads, dims[1]]))
    }

    fn attention_grad(
        qkv: FlexTensor,
        out: FlexTensor,
        sums: FlexTensor,
        grad: FlexTensor,
        shape: AttentionShape,
    ) -> FlexTensor {
        let ((qkv, dims), (out, _), (sums, _), (grad, _)) = (floats(qkv), floats(out), floats(sums), floats(grad));
        tensor(checked(attend_grad(&shape, slice(&qkv), slice(&out), slice(&sums), slice(&grad))), dims)
    }
}

impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn factorised_attention(qkv: FloatTensor<Self>, shape: AttentionShape) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct Attention;

        impl<B: AttentionOps> Backward<B, 1> for Attention {
            type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, AttentionShape);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (qkv, out, sums, shape) = ops.state;
                let [node] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = node {
                    grads.register::<B>(node.id, B::attention_grad(qkv, out, sums, grad, shape));
                }
            }
        }

        let node = qkv.node();
        let qkv = qkv.into_primitive();
        let (out, sums) = B::factorised_attention(qkv.clone(), shape);
        let result = match Attention.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((qkv, out.clone(), sums.clone(), shape), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        (result, Self::from_inner(sums))
    }

    fn attention_grad(
        qkv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        sums: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self> {
        let (qkv, out) = (qkv.into_primitive(), out.into_primitive());
        Self::from_inner(B::attention_grad(qkv, out, sums.into_primitive(), grad.into_primitive(), shape))
    }
}
