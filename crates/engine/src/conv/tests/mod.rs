//! Every pass against the definition in double precision.

#![allow(clippy::unwrap_used)]

mod speed;

use super::*;
use proptest::prelude::*;

pub(crate) fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect()
}

/// The definition, in f64.
fn naive(shape: &ConvShape, x: &[f32], w: &[f32], b: &[f32]) -> Vec<f64> {
    let out = shape.length_out().unwrap();
    let mut y = vec![0.0; shape.batch * shape.channels_out * out];
    for n in 0..shape.batch {
        for o in 0..shape.channels_out {
            for t in 0..out {
                let mut sum = f64::from(b[o]);
                for i in 0..shape.channels_in {
                    for k in 0..shape.kernel {
                        let at = (t + k * shape.dilation).wrapping_sub(shape.padding[0]);
                        if at < shape.length {
                            let mut v = x[(n * shape.channels_in + i) * shape.length + at];
                            if shape.relu {
                                v = v.max(0.0);
                            }
                            sum += f64::from(v) * f64::from(w[(o * shape.channels_in + i) * shape.kernel + k]);
                        }
                    }
                }
                y[(n * shape.channels_out + o) * out + t] = sum;
            }
        }
    }
    y
}

/// With so many input channels, stretches are short: clips have several, and taps may be farther apart than one is long.
fn shapes() -> impl Strategy<Value = ConvShape> {
    let channels_in = prop_oneof![3 => 1..20usize, 1 => 180..200usize];
    let dilation = prop_oneof![2 => 1..30usize, 1 => 120..300usize];
    (0..3usize, channels_in, 1..20usize, 1..600usize, 1..5usize, dilation, any::<bool>(), any::<bool>()).prop_map(
        |(batch, channels_in, channels_out, length, kernel, dilation, relu, same)| {
            let reach = (kernel - 1) * dilation;
            let padding = if same { [reach / 2, reach - reach / 2] } else { [reach, 0] };
            ConvShape { batch, channels_in, channels_out, length, kernel, dilation, padding, relu }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn forward_and_gradients_follow_the_definition(shape in shapes(), seed in any::<u64>()) {
        let out = shape.length_out().unwrap();
        let x = noise(shape.batch * shape.channels_in * shape.length, seed);
        let w = noise(shape.channels_out * shape.channels_in * shape.kernel, seed ^ 1);
        let b = noise(shape.channels_out, seed ^ 2);
        let g = noise(shape.batch * shape.channels_out * out, seed ^ 3);
        let y = forward(&shape, &x, &w, Some(&b)).unwrap();
        let expected = naive(&shape, &x, &w, &b);
        for (y, e) in y.iter().zip(&expected) {
            prop_assert!((f64::from(*y) - e).abs() < 2e-5, "forward: {y} for {e}");
        }
        // The loss <g, y> is bilinear in (w, b) and x: its value at a probe gives the gradients' projections.
        let gx = grad_input(&shape, &x, &w, &g).unwrap();
        let (gw, gb) = grad_weight(&shape, &x, &g).unwrap();
        let probe_w = noise(w.len(), seed ^ 4);
        let zero = vec![0.0; b.len()];
        let dot = |a: &[f32], b: &[f64]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
        let along_w = dot(&g, &naive(&shape, &x, &probe_w, &zero));
        let got: f64 = gw.iter().zip(&probe_w).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        prop_assert!((along_w - got).abs() < 1e-3, "weight gradient: {got} for {along_w}");
        let bias: Vec<f64> = (0..shape.channels_out).map(|o| {
            (0..shape.batch).flat_map(|n| &g[(n * shape.channels_out + o) * out..][..out]).map(|g| f64::from(*g)).sum()
        }).collect();
        for (gb, e) in gb.iter().zip(&bias) {
            prop_assert!((f64::from(*gb) - e).abs() < 1e-3, "bias gradient: {gb} for {e}");
        }
        let mut linear = shape;
        linear.relu = false;
        let mut probe_x = noise(x.len(), seed ^ 5);
        if shape.relu {
            for (p, &x) in probe_x.iter_mut().zip(&x) {
                if x <= 0.0 { *p = 0.0; }
            }
        }
        let along_x = dot(&g, &naive(&linear, &probe_x, &w, &zero));
        let got: f64 = gx.iter().zip(&probe_x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        prop_assert!((along_x - got).abs() < 1e-3, "input gradient: {got} for {along_x}");
    }
}

/// The bits of all three passes.
fn bits(isa: Isa, threads: usize, shape: &ConvShape) -> Vec<Vec<u32>> {
    let out = shape.length_out().unwrap();
    let (x, grad) = (noise(shape.inputs(), 1), noise(shape.batch * shape.channels_out * out, 2));
    let (w, b) = (noise(shape.weights(), 3), noise(shape.channels_out, 4));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let taps = shape.channels_in * shape.kernel;
        let weight = Packed::new(shape.channels_out, taps, Some(&b), |o, tap| w[o * taps + tap]);
        let y = convolve(isa, shape, out, &x, &weight, Some(&grad));
        let (gw, gb) = weight::gradients(isa, shape, out, &x, &grad);
        [y, gw, gb].iter().map(|values| values.iter().map(|v| v.to_bits()).collect()).collect()
    })
}

#[test]
fn bits_depend_on_neither_threads_nor_instructions() {
    for (channels_in, channels_out, length, kernel, dilation) in
        [(20, 13, 5000, 3, 9), (200, 8, 700, 3, 150), (3, 11, 2500, 4, 1), (16, 4, 130, 1, 1), (40, 9, 900, 2, 5)]
    {
        let padding = [(kernel - 1) * dilation, 0];
        let shape = ConvShape { batch: 2, channels_in, channels_out, length, kernel, dilation, padding, relu: true };
        let expected = bits(Isa::available()[0], 1, &shape);
        for isa in Isa::available() {
            assert!(bits(isa, 3, &shape) == expected, "{isa:?} on three threads, {shape:?}");
        }
    }
}

#[test]
fn a_wrong_shape_is_an_error() {
    let shape = ConvShape {
        batch: 1,
        channels_in: 2,
        channels_out: 2,
        length: 4,
        kernel: 3,
        dilation: 9,
        padding: [0, 0],
        relu: false,
    };
    assert!(shape.length_out().is_err());
    let shape = ConvShape { dilation: 1, ..shape };
    let message = forward(&shape, &[0.0; 7], &[0.0; 12], None).unwrap_err().to_string();
    assert_eq!(message, "convolution input: expected 8 values, found 7");
}
