//! Attention probabilities, read off a layer through its forward pass alone: its values are swapped for marks of a few keys
//! at a time, so that what comes out is how much of each was taken.

use super::fixture::Fixture;
use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_model::nn::attention::{Attention, AttentionSizes, AttnFunc};
use orchestrion_model::nn::dense::Norm;
use orchestrion_model::nn::{Random, each_parameter};
use orchestrion_model::prior::{Conditions, PriorConfig};
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
        let taken = probe.forward(x.clone(), encoder.as_ref()).narrow(2, 0, state);
        let taken = taken.reshape([batch, time, heads, size]).swap_dims(1, 2);
        columns.push(taken.narrow(3, 0, size.min(keys - first)));
    }
    Tensor::cat(columns, 3)
}

/// The same for a layer of a file's prior, over the tokens of a whole window.
pub fn layer_probabilities(
    fixture: &Fixture,
    sizes: &PriorConfig,
    layer: usize,
    tokens: &[Vec<u32>],
    conditions: &Conditions,
) -> Tensor<4> {
    let device = Device::flex();
    let transformer = &sizes.transformer;
    let width = transformer.width;
    // What goes into the first layer.
    let table = fixture.floats("w.prior.x_emb.weight");
    let position = fixture.floats("w.prior.pos_emb.pos_emb");
    let start: Vec<f32> = conditions.start.to_data().iter().collect();
    let added: Option<Vec<f32>> = conditions.positions.as_ref().map(|p| p.to_data().iter().collect());
    let front = sizes.lyrics_in_front();
    let mut input = Vec::new();
    for (row, music) in tokens.iter().enumerate() {
        let lyrics = conditions.lyrics.as_ref().map_or(&[][..], |l| &l[row][..front]);
        let all: Vec<usize> =
            lyrics.iter().map(|t| *t as usize).chain(music.iter().map(|t| sizes.first_token() + *t as usize)).collect();
        for t in 0..all.len() {
            let before = if t == 0 { &start[row * width..] } else { &table[all[t - 1] * width..] };
            for c in 0..width {
                let condition = added.as_ref().map_or(0.0, |a| a[(row * all.len() + t) * width + c]);
                input.push(before[c] + position[t * width + c] + condition);
            }
        }
    }
    let shape = [tokens.len(), input.len() / width / tokens.len(), width];
    let input = Tensor::<3>::from_data(TensorData::new(input, shape), &device);

    // Layers from this one on add nothing.
    let mut stack = transformer.init(&mut Random::new(0), &device).unwrap();
    fixture.fill_from("w.prior.transformer.", &mut stack, &[], &device);
    each_parameter(&mut stack, |name, mut p| {
        let d: usize = name.split('.').nth(1).unwrap().parse().unwrap();
        if d >= layer && name.contains("c_proj") {
            p.set(vec![0.0; p.values().len()], &device, false);
        }
    });
    let h = stack.forward(input, conditions.encoder.as_ref());
    let place = format!("w.prior.transformer._attn_mods.{layer}");
    let vector = |name: &str| fixture.tensor(&format!("{place}.ln_0.{name}"), [width], &device);
    let h = Norm { weight: vector("weight"), bias: vector("bias") }.forward(h);

    let attention = AttentionSizes {
        width,
        state: transformer.state(),
        heads: transformer.heads,
        blocks: transformer.blocks,
        block: transformer.context / transformer.blocks,
        spread: transformer.spread,
        prime: transformer.prime_keys(),
    };
    let func = transformer.func(layer).unwrap();
    let mut probed = Attention::init(func, attention, 0.0, 0.0, &mut Random::new(0), &device);
    fixture.fill_from(&format!("{place}.attn."), &mut probed, &[], &device);
    let encoder = conditions.encoder.clone().filter(|_| func == AttnFunc::Encoder);
    probabilities(&mut probed, func, attention, h, encoder)
}
