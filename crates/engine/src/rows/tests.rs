#![allow(clippy::unwrap_used)]

use super::*;
use crate::tests::Numbers;
use proptest::prelude::*;

fn values(n: usize, seed: u32) -> Vec<f32> {
    Numbers(seed.into()).many(n, 2.0)
}

fn close(name: &str, ours: &[f32], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let scale = theirs.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((f64::from(*a) - b).abs() <= 3e-6 * scale, "{name} at {i}: {a} for {b}, largest {scale}");
    }
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Slope of `f` at `x` along each coordinate, weighted with `grad`, by central differences in f64.
fn slopes(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    (0..x.len())
        .map(|i| {
            let at = |step: f64| {
                let mut moved = x.to_vec();
                moved[i] += step;
                f(&moved)
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        })
        .collect()
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum()
}

fn norm(x: &[f64], gain: &[f64], bias: &[f64]) -> Vec<f64> {
    let width = gain.len();
    x.chunks(width)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
            let deviation = (variance + 1e-5).sqrt();
            row.iter().zip(gain).zip(bias).map(move |((v, g), b)| (v - mean) / deviation * g + b).collect::<Vec<_>>()
        })
        .collect()
}

fn gelu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x / (1.0 + (-1.702 * x).exp())).collect()
}

fn losses(logits: &[f64], vocabulary: usize, targets: &[u32]) -> Vec<f64> {
    let rows = logits.chunks(vocabulary).zip(targets);
    rows.map(|(row, &t)| row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[t as usize]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn layer_norm_and_its_gradient_follow_the_definition(count in 1usize..5, width in 2usize..40, seed: u32) {
        let (x, grad) = (values(count * width, seed), values(count * width, seed ^ 1));
        let (gain, bias) = (values(width, seed ^ 2), values(width, seed ^ 3));
        let (y, moments) = layer_norm(&x, &gain, &bias).unwrap();
        let (dx, dg, db) = (double(&x), double(&gain), double(&bias));
        close("y", &y, &norm(&dx, &dg, &db));
        let found = layer_norm_grad(&x, &gain, &moments, &grad).unwrap();
        // Rows of two nearly equal values are steep: there the difference itself is coarse.
        if width > 3 {
            close("x", &found.x, &slopes(&dx, |x| dot(&norm(x, &dg, &db), &grad)));
        }
        close("gain", &found.gain, &slopes(&dg, |g| dot(&norm(&dx, g, &db), &grad)));
        close("bias", &found.bias, &slopes(&db, |b| dot(&norm(&dx, &dg, b), &grad)));
    }

    #[test]
    fn quick_gelu_and_its_slope_follow_the_definition(n in 0usize..70, seed: u32) {
        let (x, grad) = (values(n, seed), values(n, seed ^ 1));
        close("y", &quick_gelu(&x), &gelu(&double(&x)));
        close("slope", &quick_gelu_grad(&x, &grad).unwrap(), &slopes(&double(&x), |x| dot(&gelu(x), &grad)));
    }

    #[test]
    fn cross_entropy_and_its_gradient_follow_the_definition(count in 1usize..4, vocabulary in 1usize..40, seed: u32) {
        let (logits, grad) = (values(count * vocabulary, seed), values(count, seed ^ 1));
        let targets: Vec<u32> = (0..count as u32).map(|i| (seed ^ i) % vocabulary as u32).collect();
        let (found, sums) = cross_entropy(&logits, vocabulary, &targets).unwrap();
        let l = double(&logits);
        close("losses", &found, &losses(&l, vocabulary, &targets));
        let found = cross_entropy_grad(&logits, vocabulary, &targets, &sums, &grad).unwrap();
        close("gradient", &found, &slopes(&l, |l| dot(&losses(l, vocabulary, &targets), &grad)));
    }
}

#[test]
fn lengths_and_tokens_that_do_not_fit_are_refused() {
    assert!(layer_norm(&[1.0; 7], &[1.0; 2], &[0.0; 2]).is_err());
    assert!(layer_norm(&[], &[], &[]).is_err());
    assert!(quick_gelu_grad(&[1.0], &[]).is_err());
    assert!(cross_entropy(&[1.0; 6], 3, &[0]).is_err());
    assert!(cross_entropy(&[1.0; 6], 3, &[0, 3]).is_err_and(|e| e.to_string().contains("hint")));
}
