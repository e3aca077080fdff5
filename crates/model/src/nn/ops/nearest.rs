//! Nearest entries of a codebook, which has no gradient.

use super::{checked, has_kernels};
use burn::tensor::Tensor;

/// Nearest of `entries` `[size, width]` to each of `rows` `[count, width]` (the first on a tie), and the square distance.
pub(crate) fn nearest(entries: Tensor<2>, rows: Tensor<2>) -> (Vec<usize>, Vec<f32>) {
    if has_kernels(&rows.device()) {
        let width = entries.dims()[1];
        let values = |tensor: Tensor<2>| tensor.into_data().iter().collect::<Vec<f32>>();
        let (codes, distances) = checked(orchestrion_engine::nearest::nearest(&values(entries), &values(rows), width));
        return (codes.into_iter().map(|code| code as usize).collect(), distances);
    }
    let norms = entries.clone().square().sum_dim(1).swap_dims(0, 1);
    let distance = rows.clone().square().sum_dim(1) - rows.matmul(entries.swap_dims(0, 1)).mul_scalar(2.0) + norms;
    let (least, at) = distance.min_dim_with_indices(1);
    (at.into_data().iter::<i64>().map(|i| i as usize).collect(), least.into_data().iter().collect())
}
