//! Attention probabilities, read off a layer through its forward pass alone: its values are swapped for marks of a few keys
//! at a time, so that what comes out is how much of each was taken.

use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_engine::Numbers;
use orchestrion_model::nn::attention::{Attention, AttentionSizes, AttnFunc};
use orchestrion_model::nn::{Random, each_parameter};
use std::collections::BTreeMap;

/// Attention of a layer to every position of `x` `[batch, time, width]`, or of the encoder's states:
/// `[batch, heads, time, keys]`. Zero keys are not among them.
pub fn probabilities(
    layer: &mut Attention,
    func: AttnFunc,
    sizes: AttentionSizes,
    x: Tensor<3>,
    encoder: Option<Tensor<3>>,
) -> Tensor<4> {
    let device = Device::flex();
    let AttentionSizes { width, state, heads, .. } = sizes;
    let size = state / heads;
    let mut weights = BTreeMap::new();
    each_parameter(layer, |name, p| {
        weights.insert(name.to_owned(), p.values());
    });
    let [batch, time, _] = x.dims();
    let keys = encoder.as_ref().map_or(time, |e| e.dims()[1]);
    // Every position carries its number as a mark beside its channels.
    let marked = |x: Tensor<3>, marks: bool| {
        let [batch, n, _] = x.dims();
        let marks: Vec<f32> = (0..batch * n * keys).map(|i| f32::from(marks && i / keys % n == i % keys)).collect();
        Tensor::cat(vec![x, Tensor::from_data(TensorData::new(marks, [batch, n, keys]), &device)], 2)
    };
    let x = marked(x, encoder.is_none());
    let encoder = encoder.map(|e| marked(e, true));
    let wide = AttentionSizes { width: width + keys, ..sizes };
    let mut probe = Attention::init(func, wide, 0.0, 0.0, &mut Random::new(0), &device);
    let mut columns = Vec::new();
    for first in (0..keys).step_by(size) {
        each_parameter(&mut probe, |name, mut p| {
            let shape = p.shape();
            let outputs = *shape.last().unwrap();
            let old = &weights[name];
            let mut new = vec![0.0; shape.iter().product()];
            let values = name.starts_with("c_enc_kv") || (name.starts_with("c_attn") && func != AttnFunc::Encoder);
            let kept = if values { outputs - state } else { outputs };
            match name {
                "c_proj.w" => (0..state).for_each(|i| new[i * outputs + i] = 1.0),
                "c_proj.b" => {}
                _ => {
                    for (new, old) in new.chunks_exact_mut(outputs).zip(old.chunks_exact(outputs)) {
                        new[..kept].copy_from_slice(&old[..kept]);
                    }
                    if values && shape.len() == 2 {
                        for (e, key) in (first..keys.min(first + size)).enumerate() {
                            (0..heads).for_each(|h| new[(width + key) * outputs + kept + h * size + e] = 1.0);
                        }
                    }
                }
            }
            p.set(new, &device, false);
        });
        let taken = probe.forward(x.clone(), encoder.as_ref(), Numbers::F32).narrow(2, 0, state);
        let taken = taken.reshape([batch, time, heads, size]).swap_dims(1, 2);
        columns.push(taken.narrow(3, 0, size.min(keys - first)));
    }
    Tensor::cat(columns, 3)
}
