#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

fn sampler(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> Sampler {
    Sampler::new(SamplerSettings { temperature, top_k, top_p }).unwrap()
}

/// Tokens that a draw can give.
fn kept(logits: &[f32], top_k: Option<usize>, top_p: Option<f64>) -> Vec<usize> {
    let mut sampler = sampler(1.0, top_k, top_p);
    sampler.draw(logits, 0.5).unwrap();
    (0..logits.len()).filter(|&token| sampler.weights[token] > 0.0).collect()
}

#[test]
fn draws_by_counting_cumulative_sums_at_most_u() {
    // Probabilities 1/8, 1/8, 1/4, 1/2.
    let logits = [0.0, 0.0, 2f32.ln(), 4f32.ln()];
    let mut sampler = sampler(1.0, None, None);
    for (u, token) in [(0.0, 0), (0.124, 0), (0.126, 1), (0.249, 1), (0.251, 2), (0.49, 2), (0.51, 3), (0.999_999, 3)] {
        assert_eq!(sampler.draw(&logits, u).unwrap(), token, "u = {u}");
    }
}

#[test]
fn temperature_zero_takes_the_first_of_the_largest() {
    assert_eq!(sampler(0.0, None, Some(0.5)).draw(&[1.0, 3.0, 3.0, -1.0], 0.99).unwrap(), 1);
    // A tiny temperature must not overflow into NaN.
    assert_eq!(sampler(f64::MIN_POSITIVE, None, None).draw(&[1.0, 3.0, f32::NEG_INFINITY], 0.99).unwrap(), 1);
}

#[test]
fn top_k_keeps_ties_and_top_p_the_token_that_crosses() {
    let logits = [1.0, 3.0, 2.0, 2.0, 0.0];
    assert_eq!(kept(&logits, Some(2), None), [1, 2, 3], "ties at the k-th value stay");
    assert_eq!(kept(&logits, Some(9), None), [0, 1, 2, 3, 4]);
    // Softmax is about .56 for token 1, .21 for tokens 2 and 3, .08, .03.
    assert_eq!(kept(&logits, None, Some(0.1)), [1]);
    assert_eq!(kept(&logits, None, Some(0.6)), [1, 2], "equal probabilities count in token order");
    assert_eq!(kept(&logits, None, Some(1.0)), [0, 1, 2, 3, 4]);
    // After top-2 (three tokens), token 1 alone has .58 of what is left, 1 and 2 have .79.
    assert_eq!(kept(&logits, Some(2), Some(0.57)), [1]);
    assert_eq!(kept(&logits, Some(2), Some(0.75)), [1, 2]);
}

#[test]
fn bad_settings_and_bad_logits_are_named() {
    for temperature in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(SamplerSettings { temperature, ..Default::default() }.validate().is_err());
    }
    assert_eq!(SamplerSettings { top_k: Some(0), ..Default::default() }.validate(), Err(SettingsError::TopK));
    for p in [0.0, -0.1, 1.1, f64::NAN] {
        assert!(SamplerSettings { top_p: Some(p), ..Default::default() }.validate().is_err());
    }
    let mut sampler = sampler(1.0, None, None);
    assert_eq!(sampler.draw(&[0.0, f32::NAN], 0.5), Err(DrawError::NotFinite(1)));
    assert_eq!(sampler.draw(&[f32::INFINITY, 0.0], 0.5), Err(DrawError::NotFinite(0)));
    assert_eq!(sampler.draw(&[f32::NEG_INFINITY; 3], 0.5), Err(DrawError::Empty));
    assert_eq!(sampler.draw(&[], 0.5), Err(DrawError::Empty));
}

proptest! {
    #[test]
    fn a_draw_is_always_one_of_the_tokens_that_the_filters_leave(
        logits in prop::collection::vec(-20f32..20.0, 1..64),
        temperature in 0.05f64..5.0,
        k in prop::option::of(1usize..70),
        p in prop::option::of(0.01f64..=1.0),
        u in 0f64..1.0,
    ) {
        let mut sampler = sampler(temperature, k, p);
        let token = sampler.draw(&logits, u).unwrap() as usize;
        prop_assert!(sampler.weights[token] > 0.0);
        let better = logits.iter().filter(|&&logit| logit > logits[token]).count();
        prop_assert!(k.is_none_or(|k| better < k), "token {} is not among the top {:?}", token, k);
    }
}

/// Golden sets printed by the original program.
#[test]
fn filters_jukebox_parity() {
    let folder = crate::fixtures::folder();
    let text = std::fs::read_to_string(folder.join("values.json")).unwrap();
    let filter = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["filter"];
    for (name, k, p) in [("top_k4", Some(4), None), ("top_p0_7", None, Some(0.7)), ("top_p0_1", None, Some(0.1))] {
        let rows = filter["logits"].as_array().unwrap().iter().zip(filter[name].as_array().unwrap());
        for (row, (logits, golden)) in rows.enumerate() {
            let logits: Vec<f32> = logits.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
            let golden = golden.as_array().unwrap();
            let expected: Vec<usize> = (0..golden.len()).filter(|&token| !golden[token].is_null()).collect();
            assert_eq!(kept(&logits, k, p), expected, "{name}, row {row}");
        }
    }
}
