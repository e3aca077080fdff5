//! A transformer's residual block.

use super::{checked, floats, slice, tensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use orchestrion_engine::block::{BlockShape, Kept, Parts, backward, forward};
use std::sync::{Arc, OnceLock};

/// Where a forward pass leaves what its backward pass needs; none: it will be computed again.
pub type Shelf = Option<Arc<OnceLock<Kept>>>;

/// A residual block, differentiable. Weights stand in the order of [`Parts`].
#[backend_extension(Flex, Autodiff)]
pub trait BlockOps: Backend {
    /// The block of `x [batch, time, width]`: the same shape.
    #[allow(
        clippy::too_many_arguments,
        reason = "tensors are dispatched one by one; the macro's copy has no such lint"
    )]
    fn residual_block(
        x: FloatTensor<Self>,
        ln_0_gain: FloatTensor<Self>,
        ln_0_bias: FloatTensor<Self>,
        c_attn_w: FloatTensor<Self>,
        c_attn_b: FloatTensor<Self>,
        c_proj_w: FloatTensor<Self>,
        c_proj_b: FloatTensor<Self>,
        ln_1_gain: FloatTensor<Self>,
        ln_1_bias: FloatTensor<Self>,
        c_fc_w: FloatTensor<Self>,
        c_fc_b: FloatTensor<Self>,
        mlp_proj_w: FloatTensor<Self>,
        mlp_proj_b: FloatTensor<Self>,
        shape: BlockShape,
        shelf: Shelf,
    ) -> FloatTensor<Self>;
}

/// The block and its gradient where kernels are.
pub trait BlockKernels: Backend {
    /// The block of `x [batch, time, width]`.
    fn block(x: FloatTensor<Self>, weights: Weights<Self>, shape: BlockShape, shelf: Shelf) -> FloatTensor<Self>;
    /// Gradients of its input and its weights.
    fn block_grad(
        x: FloatTensor<Self>,
        weights: Weights<Self>,
        grad: FloatTensor<Self>,
        shape: BlockShape,
        shelf: Shelf,
    ) -> [FloatTensor<Self>; 13];
}

type Weights<B> = [FloatTensor<B>; 12];

/// The block on the CPU, differentiable in everything; with `recompute` it keeps its input alone for the gradient.
pub(crate) fn residual_block(
    x: Tensor<3>,
    norms: [[&Tensor<1>; 2]; 2],
    projections: [(&Tensor<2>, &Tensor<1>); 4],
    shape: BlockShape,
    recompute: bool,
) -> Tensor<3> {
    let [[a, b], [g, h]] = norms.map(|norm| norm.map(|t| t.clone().into_dispatch()));
    let [[c, d], [e, f], [i, j], [k, l]] =
        projections.map(|(w, b)| [w.clone().into_dispatch(), b.clone().into_dispatch()]);
    let shelf = (x.device().is_autodiff() && !recompute).then(Arc::default);
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as BlockOps>::residual_block(x, a, b, c, d, e, f, g, h, i, j, k, l, shape, shelf))
}

/// Calls `work` with the slices of the weights.
fn with_slices<T>(weights: Weights<Flex>, work: impl FnOnce(&Parts<&[f32]>) -> T) -> T {
    let weights = weights.map(|w| floats(w).0);
    work(&Parts::new(weights.each_ref().map(slice)))
}

impl BlockKernels for Flex {
    fn block(x: FlexTensor, weights: Weights<Self>, shape: BlockShape, shelf: Shelf) -> FlexTensor {
        let (x, dims) = floats(x);
        let (y, kept) = checked(with_slices(weights, |weights| forward(&shape, weights, slice(&x))));
        if let Some(shelf) = shelf {
            // A shelf belongs to one call: it is empty.
            let _ = shelf.set(kept);
        }
        tensor(y, dims)
    }

    fn block_grad(
        x: FlexTensor,
        weights: Weights<Self>,
        grad: FlexTensor,
        shape: BlockShape,
        shelf: Shelf,
    ) -> [FlexTensor; 13] {
        let ((x, dims), (grad, _)) = (floats(x), floats(grad));
        let mut sizes = vec![dims];
        sizes.extend(weights.iter().map(|w| w.shape().to_vec()));
        let kept = shelf.as_deref().and_then(OnceLock::get);
        let found = checked(with_slices(weights, |weights| backward(&shape, weights, slice(&x), kept, slice(&grad))));
        let [a, b, c, d, e, f, g, h, i, j, k, l] = found.weights.into_array();
        let mut sizes = sizes.into_iter();
        [found.x, a, b, c, d, e, f, g, h, i, j, k, l].map(|v| tensor(v, sizes.next().unwrap_or_default()))
    }
}

impl BlockOps for Flex {
    fn residual_block(
        x: FlexTensor,
        ln_0_gain: FlexTensor,
        ln_0_bias: FlexTensor,
        c_attn_w: FlexTensor,
        c_attn_b: FlexTensor,
        c_proj_w: FlexTensor,
        c_proj_b: FlexTensor,
        ln_1_gain: FlexTensor,
        ln_1_bias: FlexTensor,
        c_fc_w: FlexTensor,
        c_fc_b: FlexTensor,
        mlp_proj_w: FlexTensor,
        mlp_proj_b: FlexTensor,
        shape: BlockShape,
        shelf: Shelf,
    ) -> FlexTensor {
        let (norms, attn) = ([ln_0_gain, ln_0_bias, ln_1_gain, ln_1_bias], [c_attn_w, c_attn_b, c_proj_w, c_proj_b]);
        let ([a, b, g, h], [c, d, e, f]) = (norms, attn);
        Self::block(x, [a, b, c, d, e, f, g, h, c_fc_w, c_fc_b, mlp_proj_w, mlp_proj_b], shape, shelf)
    }
}

impl<B: BlockKernels, C: CheckpointStrategy> BlockOps for Autodiff<B, C> {
    fn residual_block(
        x: FloatTensor<Self>,
        ln_0_gain: FloatTensor<Self>,
        ln_0_bias: FloatTensor<Self>,
        c_attn_w: FloatTensor<Self>,
        c_attn_b: FloatTensor<Self>,
        c_proj_w: FloatTensor<Self>,
        c_proj_b: FloatTensor<Self>,
        ln_1_gain: FloatTensor<Self>,
        ln_1_bias: FloatTensor<Self>,
        c_fc_w: FloatTensor<Self>,
        c_fc_b: FloatTensor<Self>,
        mlp_proj_w: FloatTensor<Self>,
        mlp_proj_b: FloatTensor<Self>,
        shape: BlockShape,
        shelf: Shelf,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ResidualBlock;

        impl<B: BlockKernels> Backward<B, 13> for ResidualBlock {
            type State = (FloatTensor<B>, Weights<B>, BlockShape, Shelf);

            fn backward(self, ops: Ops<Self::State, 13>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (x, weights, shape, shelf) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                for (node, grad) in ops.parents.into_iter().zip(B::block_grad(x, weights, grad, shape, shelf)) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let norms = [ln_0_gain, ln_0_bias, ln_1_gain, ln_1_bias];
        let ([a, b, g, h], [c, d, e, f]) = (norms, [c_attn_w, c_attn_b, c_proj_w, c_proj_b]);
        let all = [x, a, b, c, d, e, f, g, h, c_fc_w, c_fc_b, mlp_proj_w, mlp_proj_b];
        let nodes = all.each_ref().map(|t| t.node());
        let [x, weights @ ..] = all.map(|t| t.into_primitive());
        match ResidualBlock.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::block(x.clone(), weights.clone(), shape, shelf.clone());
                prep.finish((x, weights, shape, shelf), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::block(x, weights, shape, None)),
        }
    }
}
