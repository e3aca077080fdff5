//! Rows times a weight matrix.

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
use orchestrion_engine::{Numbers, product};

/// `x w + b` and its gradients.
#[backend_extension(Flex, Autodiff)]
pub trait ProductOps: Backend {
    /// `x [.., in] * w [in, out] + b [out]`: `[.., out]`.
    fn project(x: FloatTensor<Self>, w: FloatTensor<Self>, b: FloatTensor<Self>, numbers: Numbers)
    -> FloatTensor<Self>;
    /// Gradient of [`project`](Self::project) for its input.
    fn project_grad_input(w: FloatTensor<Self>, grad: FloatTensor<Self>, numbers: Numbers) -> FloatTensor<Self>;
    /// Gradients of [`project`](Self::project) for its weight and bias.
    fn project_grad_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        numbers: Numbers,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// `x w + b` on the CPU, differentiable in all three; it and its gradients multiply in `numbers`.
pub(crate) fn linear(x: Tensor<3>, w: Tensor<2>, b: Tensor<1>, numbers: Numbers) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as ProductOps>::project(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        numbers,
    ))
}

fn last(dims: &[usize]) -> usize {
    dims.last().copied().unwrap_or(0)
}

/// `dims` with another last size.
fn ending(mut dims: Vec<usize>, size: usize) -> Vec<usize> {
    if let Some(last) = dims.last_mut() {
        *last = size;
    }
    dims
}

impl ProductOps for Flex {
    fn project(x: FlexTensor, w: FlexTensor, b: FlexTensor, numbers: Numbers) -> FlexTensor {
        let ((x, xd), (w, wd), (b, _)) = (floats(x), floats(w), floats(b));
        let y = checked(product::linear(slice(&x), slice(&w), slice(&b), wd[0], numbers));
        tensor(y, ending(xd, wd[1]))
    }

    fn project_grad_input(w: FlexTensor, grad: FlexTensor, numbers: Numbers) -> FlexTensor {
        let ((w, wd), (grad, gd)) = (floats(w), floats(grad));
        tensor(checked(product::linear_grad_input(slice(&w), slice(&grad), wd[1], numbers)), ending(gd, wd[0]))
    }

    fn project_grad_weight(x: FlexTensor, grad: FlexTensor, numbers: Numbers) -> (FlexTensor, FlexTensor) {
        let ((x, xd), (grad, gd)) = (floats(x), floats(grad));
        let sizes = [last(&xd), last(&gd)];
        let (w, b) = checked(product::linear_grad_weight(slice(&x), slice(&grad), sizes, numbers));
        (tensor(w, sizes.to_vec()), tensor(b, vec![sizes[1]]))
    }
}

impl<B: ProductOps, C: CheckpointStrategy> ProductOps for Autodiff<B, C> {
    fn project(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        numbers: Numbers,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Product;

        impl<B: ProductOps> Backward<B, 3> for Product {
            type State = (FloatTensor<B>, FloatTensor<B>, Numbers);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (x, w, numbers) = ops.state;
                let [node_x, node_w, node_b] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if node_w.is_some() || node_b.is_some() {
                    let (gw, gb) = B::project_grad_weight(x, grad.clone(), numbers);
                    if let Some(node) = node_w {
                        grads.register::<B>(node.id, gw);
                    }
                    if let Some(node) = node_b {
                        grads.register::<B>(node.id, gb);
                    }
                }
                if let Some(node) = node_x {
                    grads.register::<B>(node.id, B::project_grad_input(w, grad, numbers));
                }
            }
        }

        let nodes = [x.node(), w.node(), b.node()];
        let (x, w, b) = (x.into_primitive(), w.into_primitive(), b.into_primitive());
        let y = B::project(x.clone(), w.clone(), b, numbers);
        match Product.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, w, numbers), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn project_grad_input(w: FloatTensor<Self>, grad: FloatTensor<Self>, numbers: Numbers) -> FloatTensor<Self> {
        Self::from_inner(B::project_grad_input(w.into_primitive(), grad.into_primitive(), numbers))
    }

    fn project_grad_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        numbers: Numbers,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (w, b) = B::project_grad_weight(x.into_primitive(), grad.into_primitive(), numbers);
        (Self::from_inner(w), Self::from_inner(b))
    }
}
