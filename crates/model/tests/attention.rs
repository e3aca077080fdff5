//! Attention of every function over sequences shorter than the context, and lyric priors that cannot be.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_engine::Numbers;
use orchestrion_model::condition::Labels;
use orchestrion_model::nn::Random;
use orchestrion_model::nn::attention::{Attention, AttentionSizes, AttnFunc};
use orchestrion_model::prior::PriorConfig;
use serde_json::{Value, json};

const FUNCTIONS: [AttnFunc; 8] = [
    AttnFunc::Dense,
    AttnFunc::Block,
    AttnFunc::TransposeBlock,
    AttnFunc::PreviousBlock,
    AttnFunc::Summary,
    AttnFunc::SpreadSummary,
    AttnFunc::Encoder,
    AttnFunc::Prime,
];

fn noise(shape: [usize; 3], random: &mut Random) -> Tensor<3> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

#[test]
fn the_front_of_a_sequence_does_not_see_what_follows() {
    let random = &mut Random::new(4);
    let sizes = AttentionSizes { width: 6, state: 6, heads: 3, blocks: 5, block: 4, spread: 2, prime: 10 };
    let (whole, encoder) = (noise([2, 20, 6], random), noise([2, 7, 6], random));
    for func in FUNCTIONS {
        let layer = Attention::init(func, sizes, 0.5, 0.5, random, &Device::flex());
        let all = layer.forward(whole.clone(), Some(&encoder), Numbers::F32);
        for time in [4, 8, 16] {
            let front = layer.forward(whole.clone().narrow(1, 0, time), Some(&encoder), Numbers::F32);
            let apart = (front - all.clone().narrow(1, 0, time)).abs().max().into_scalar::<f32>();
            assert!(apart < 1e-5, "{func:?}: {time} of 20 positions differ by {apart}");
        }
    }
}

/// A prior whose words have an encoder, as JSON to change.
fn separate() -> Value {
    let encoder = json!({"width": 4, "depth": 1, "heads": 1, "context": 6, "blocks": 2, "attn_order": 2});
    json!({
        "level": 0, "sample_rate": 100, "hop_length": 2, "codebook_size": 5,
        "transformer": {"width": 8, "depth": 4, "heads": 2, "context": 8, "blocks": 2, "attn_order": 6},
        "lyrics": {"tokens": 6, "vocabulary": 79, "loss_share": 0.4, "encoder": encoder,
                   "alignment": {"layer": 3, "head": 1}},
    })
}

fn read(config: Value) -> PriorConfig {
    serde_json::from_value(config).unwrap()
}

#[test]
fn lyric_priors_that_cannot_be_are_refused_by_name() {
    read(separate()).validate().unwrap();
    let faults = [
        ("/lyrics/tokens", json!(5), "lyrics.tokens"),
        ("/lyrics/vocabulary", json!(0), "lyrics.vocabulary"),
        ("/lyrics/loss_share", json!(-1.0), "lyrics.loss_share"),
        ("/lyrics/encoder", Value::Null, "attn_order"),
        ("/lyrics/encoder/context", json!(8), "lyrics.encoder"),
        ("/lyrics/encoder/attn_order", json!(7), "lyrics.encoder"),
        ("/lyrics/alignment/layer", json!(2), "lyrics.alignment"),
        ("/lyrics/alignment/layer", json!(7), "lyrics.alignment"),
        ("/lyrics/alignment/head", json!(2), "lyrics.alignment"),
        ("/transformer/attn_order", json!(13), "attn_order"),
        ("/transformer/attn_order", json!(4), "spread"),
        ("/transformer/prime", json!(6), "prime"),
    ];
    for (place, value, field) in faults {
        let mut config = separate();
        match config.pointer_mut(place) {
            Some(at) => *at = value,
            None => config["transformer"]["prime"] = value,
        }
        // Deep encoders reach their attention to an encoder.
        if field == "lyrics.encoder" {
            config["lyrics"]["encoder"]["depth"] = json!(16);
        }
        let error = read(config).validate().unwrap_err().to_string();
        assert!(error.starts_with(field) && error.contains("; hint: "), "{place}: {error}");
    }
}

#[test]
fn words_outside_the_vocabulary_are_refused() {
    let prior = read(separate()).init(&mut Random::new(1), &Device::flex()).unwrap();
    let labels = |lyrics| [Labels { artist: vec![], genre: vec![], total_length: 100, offset: 0, lyrics }];
    let conditions = prior.conditions(&labels(vec![3; 9]), 2, 8, None).unwrap();
    assert_eq!(conditions.lyrics.unwrap(), [[3; 6]]);
    assert_eq!(conditions.encoder.unwrap().dims(), [1, 6, 8]);
    let error = prior.conditions(&labels(vec![79]), 0, 8, None).unwrap_err().to_string();
    assert!(error.contains("lyric token 79"), "{error}");
}
