//! Strided and transposed convolutions against their definition, for every even stride a codec may have.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_model::nn::conv::{StridedConv1d, TransposedConv1d};
use orchestrion_model::nn::{Parameters, Random, each_parameter};

const BATCH: usize = 2;
const INPUTS: usize = 3;
const OUTPUTS: usize = 5;

/// Weight and bias.
fn parameters(layer: &mut impl Parameters) -> [Vec<f32>; 2] {
    let mut all = Vec::new();
    each_parameter(layer, |_, p| all.push(p.values()));
    all.try_into().unwrap()
}

fn input(time: usize, random: &mut Random) -> (Vec<f32>, Tensor<3>) {
    let x: Vec<f32> = (0..BATCH * INPUTS * time).map(|_| random.normal()).collect();
    let tensor = Tensor::from_data(TensorData::new(x.clone(), [BATCH, INPUTS, time]), &Device::flex());
    (x, tensor)
}

fn assert_close(ours: Tensor<3>, dims: [usize; 3], expected: &[f64], what: &str) {
    assert_eq!(ours.dims(), dims, "{what}");
    for (i, (a, b)) in ours.into_data().iter::<f32>().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() < 1e-5, "{what}, value {i}: {a} for {b}");
    }
}

#[test]
fn strides_keep_one_sample_of_each() {
    let random = &mut Random::new(1);
    for (stride, outputs_long) in [(2, 7), (4, 5), (6, 3), (8, 1), (10, 2)] {
        let time = stride * outputs_long;
        let mut layer = StridedConv1d::init([INPUTS, OUTPUTS], stride, random, &Device::flex());
        let [weight, bias] = parameters(&mut layer);
        let (x, tensor) = input(time, random);
        let mut expected = Vec::new();
        for (b, o, t) in places(BATCH, OUTPUTS, outputs_long) {
            let mut sum = f64::from(bias[o]);
            for (c, k) in (0..INPUTS).flat_map(|c| (0..2 * stride).map(move |k| (c, k))) {
                // Tap `k` of output `t` hears sample `t * stride + k` of the input with half a stride of zeros before it.
                if let Some(at) = (t * stride + k).checked_sub(stride / 2).filter(|at| *at < time) {
                    sum += f64::from(weight[(o * INPUTS + c) * 2 * stride + k])
                        * f64::from(x[(b * INPUTS + c) * time + at]);
                }
            }
            expected.push(sum);
        }
        assert_close(layer.forward(tensor), [BATCH, OUTPUTS, outputs_long], &expected, &format!("stride {stride}"));
    }
}

#[test]
fn transposed_strides_make_many_samples_of_one() {
    let random = &mut Random::new(2);
    for (stride, time) in [(2, 7), (4, 5), (6, 3), (8, 1), (10, 2)] {
        let long = stride * time;
        let mut layer = TransposedConv1d::init([INPUTS, OUTPUTS], stride, random, &Device::flex());
        let [weight, bias] = parameters(&mut layer);
        let (x, tensor) = input(time, random);
        let mut expected: Vec<f64> = places(BATCH, OUTPUTS, long).map(|(_, o, _)| f64::from(bias[o])).collect();
        for (b, c, t) in places(BATCH, INPUTS, time) {
            for (o, k) in (0..OUTPUTS).flat_map(|o| (0..2 * stride).map(move |k| (o, k))) {
                // Every input sample adds all its taps from half a stride before its own place on.
                if let Some(at) = (t * stride + k).checked_sub(stride / 2).filter(|at| *at < long) {
                    expected[(b * OUTPUTS + o) * long + at] += f64::from(weight[(c * OUTPUTS + o) * 2 * stride + k])
                        * f64::from(x[(b * INPUTS + c) * time + t]);
                }
            }
        }
        assert_close(layer.forward(tensor), [BATCH, OUTPUTS, long], &expected, &format!("stride {stride}"));
    }
}

/// All places of a tensor `[batch, channels, time]`, row-major.
fn places(batch: usize, channels: usize, time: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..batch * channels * time).map(move |i| (i / (channels * time), i / time % channels, i % time))
}
