//! The presets against what is known of the published files.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::parameter_count;

fn codec() -> VqVaeConfig {
    let settings: CodecSettings = serde_json::from_value(Value::Object(Published::VqVae.settings())).unwrap();
    settings.config()
}

/// The published model with this top prior alone, and its tensors.
fn model(published: Published) -> (ModelConfig, Vec<Shape>) {
    let mut config = new_model(codec(), Path::new("x"));
    let settings: PriorSettings = serde_json::from_value(Value::Object(published.settings())).unwrap();
    let prior = settings.config(&config.codec).unwrap();
    let shapes = prior_shapes(&prior);
    config.priors.insert(prior.level, prior);
    config.validate().unwrap();
    (config, shapes)
}

#[test]
fn presets_have_the_published_sizes() {
    let codec = codec();
    assert_eq!([0, 1, 2].map(|level| codec.hop_length(level)), [8, 32, 128]);
    let shapes = codec_shapes(&codec);
    let (books, networks): (Vec<Shape>, Vec<Shape>) = shapes.into_iter().partition(|(name, _)| name.ends_with(".k"));
    assert_eq!((parameter_count(&networks), parameter_count(&books)), (1_485_763, 3 * 2048 * 64));

    // Tensors in the file (a tied output table is one of them), millions of parameters, and millions of keys and values.
    for (published, tensors, parameters, cache) in [
        (Published::FiveB, 872, 5060, 480),
        (Published::FiveBLyrics, 1194, 5641, 490),
        (Published::OneBLyrics, 872, 943, 170),
        (Published::Upsampler0, 1006, 981, 190),
        (Published::Upsampler1, 1006, 981, 190),
    ] {
        let (config, shapes) = model(published);
        let own = shapes.iter().any(|(name, _)| name == TIED[0]);
        assert_eq!(shapes.len() + usize::from(!own), tensors, "{published}");
        assert_eq!((parameter_count(&shapes) + 500_000) / 1_000_000, parameters, "{published}");
        let values = config.sampling_memory(1, |_| Dtype::F32).cache / 4 / 1_000_000;
        assert!(values.abs_diff(cache) <= 10, "{published}: {values} million keys and values");
    }
}
