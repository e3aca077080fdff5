//! Names and sizes that follow from a configuration are those of the networks that it makes.

use burn::tensor::Device;
use orchestrion_model::codec::VqVaeConfig;
use orchestrion_model::nn::{Parameters, Random, each_parameter};
use orchestrion_model::prior::PriorConfig;
use orchestrion_model::store::{Shape, codec_shapes, prior_shapes};
use serde_json::{Value, json};

fn walk(part: &mut impl Parameters) -> Vec<Shape> {
    let mut all = Vec::new();
    each_parameter(part, |name, p| all.push((name.to_owned(), p.shape())));
    all
}

fn sorted(mut shapes: Vec<Shape>) -> Vec<Shape> {
    shapes.sort();
    shapes
}

/// A prior's configuration with changes laid over.
fn prior(changes: Value) -> PriorConfig {
    let mut config = json!({
        "level": 1, "sample_rate": 8000, "hop_length": 32, "codebook_size": 9,
        "transformer": { "width": 16, "depth": 4, "heads": 2, "context": 32, "blocks": 4, "attn_order": 2 },
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

#[test]
fn sizes_from_configurations_are_those_of_the_networks() {
    let device = Device::flex();
    let codecs = [
        json!({ "strides": [[2, 4], [4]], "multipliers": [2, 1], "resnet": { "depth": 2, "dilation_growth": 3 } }),
        json!({ "strides": [[2]], "multipliers": [1], "resnet": { "depth": 1, "hidden": 0.5, "dilation_growth": 3 } }),
    ];
    for mut codec in codecs {
        for (key, n) in [("sample_rate", 8000), ("embedding_width", 4), ("codebook_size", 9), ("width", 6)] {
            codec[key] = n.into();
        }
        let codec: VqVaeConfig = serde_json::from_value(codec).unwrap();
        let mut network = codec.init(&mut Random::new(0), &device).unwrap();
        assert_eq!(sorted(codec_shapes(&codec)), sorted(walk(&mut network)));
    }
    let resnet = json!({ "depth": 2, "dilation_growth": 3, "hidden": 0.5 });
    let timing = json!({ "bins": 4, "min_seconds": 1.0, "max_seconds": 9.0 });
    let transformer = |order: usize, depth: usize, context: usize, prime: usize| {
        json!({ "width": 16, "depth": depth, "heads": 2, "context": context, "blocks": 4, "attn_order": order,
                "prime": prime, "mlp_width": 1.5 })
    };
    let priors = [
        json!({}),
        json!({ "labels": { "artists": 3, "genres": 2, "timing": timing }, "merged_decoder": true }),
        json!({ "labels": { "artists": 3, "genres": 2 },
                "upper": { "strides": [2, 4], "codebook_size": 9, "width": 4, "resnet": resnet } }),
        json!({ "transformer": transformer(6, 8, 32, 0),
                "lyrics": { "tokens": 8, "vocabulary": 5, "loss_share": 0.4, "encoder": transformer(2, 3, 8, 0) } }),
        json!({ "transformer": transformer(12, 16, 40, 8), "labels": { "artists": 3, "genres": 2, "timing": timing },
                "lyrics": { "tokens": 8, "vocabulary": 5, "loss_share": 0.4 } }),
    ];
    for changes in priors {
        let config = prior(changes);
        let mut network = config.init(&mut Random::new(0), &device).unwrap();
        assert_eq!(sorted(prior_shapes(&config)), sorted(walk(&mut network)));
    }
}
