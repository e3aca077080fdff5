//! Hot operations with a backward pass of their own: on the CPU they run on `orchestrion-engine`'s kernels.
//!
//! Each file has a trait that Burn dispatches by device. Its implementation for `Autodiff` records what the backward pass
//! needs; that for `Flex`, the CPU, hands plain slices to the kernels. Shapes are checked by the callers in `nn`; a kernel
//! that refuses one is a bug there. Other devices compute the same with Burn's own operations.

mod attention;
mod block;
mod convolution;
mod nearest;
mod product;
mod rows;
mod spectrum;

pub(crate) use attention::attention;
pub(crate) use block::residual_block;
pub(crate) use convolution::{Taps, convolution};
pub(crate) use nearest::nearest;
pub(crate) use product::linear;
pub(crate) use rows::{cross_entropy, layer_norm, quick_gelu};
pub(crate) use spectrum::spectral_distance;

use burn::backend::DispatchDevice;
use burn::backend::TensorMetadata;
use burn::tensor::{Device, TensorData};
use burn_flex::FlexTensor;

/// Whether kernels serve here: on the CPU, unless [`with_kernels`](super::with_kernels) says otherwise. Burn's own
/// operations serve elsewhere.
pub(crate) fn has_kernels(device: &Device) -> bool {
    super::work::kernels() && matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// The tensor's floats in row-major order, and its sizes.
pub(super) fn floats(tensor: FlexTensor) -> (FlexTensor, Vec<usize>) {
    let tensor = tensor.to_contiguous();
    let dims = tensor.shape().to_vec();
    (tensor, dims)
}

pub(super) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().unwrap_or(&[])
}

pub(super) fn tensor(values: Vec<f32>, dims: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, dims))
}

/// A kernel refuses only shapes that `nn` should have refused.
pub(super) fn checked<T>(result: Result<T, orchestrion_engine::EngineError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a layer let a wrong shape through: {error}"),
    }
}
