//! The same song by the engine and by Burn's tensors: all levels, several windows, takes in batches.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use burn::tensor::Device;
use orchestrion_generate::{Cancel, Event, LevelShape, Lyrics, Run, SampleRequest, Session, SongShape, TakeLabels};
use orchestrion_model::nn::{Random, each_parameter};
use orchestrion_model::prior::{Prior, PriorConfig, PriorDecoder, TokenModel};
use orchestrion_model::store::Dtype;
use serde_json::{Value, json};

const BOOK: usize = 40;
const RATE: u32 = 800;

/// A top prior with words in its stream (every attention but to an encoder) or beside it, and an upsampler below it.
fn configs(in_stream: bool) -> [PriorConfig; 2] {
    let transformer = |order: usize, depth: usize, context: usize, prime: usize| {
        json!({ "width": 32, "depth": depth, "heads": 2, "context": context, "blocks": 4, "attn_order": order,
                "prime": prime, "attention_width": 0.5, "init_scale": 8.0, "residual_scale": true })
    };
    let prior = |level: usize, changes: Value| -> PriorConfig {
        let mut config = json!({ "level": level, "sample_rate": RATE, "hop_length": 8 << level, "codebook_size": BOOK,
                                 "labels": { "artists": 3, "genres": 2 } });
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    };
    let mut lyrics = json!({ "tokens": 8, "vocabulary": 79, "loss_share": 0.4 });
    if !in_stream {
        lyrics["encoder"] = transformer(2, 2, 8, 0);
    }
    let top = if in_stream { transformer(12, 48, 40, 8) } else { transformer(6, 9, 32, 0) };
    let resnet = json!({ "depth": 1, "dilation_growth": 3 });
    let conditioner = json!({ "strides": [2], "codebook_size": BOOK, "width": 8, "resnet": resnet });
    [
        prior(0, json!({ "transformer": transformer(9, 5, 64, 0), "upper": conditioner, "merged_decoder": in_stream })),
        prior(1, json!({ "transformer": top, "lyrics": lyrics })),
    ]
}

/// Weights that bf16 holds exactly, none of them silent.
fn prior(config: &PriorConfig) -> Prior {
    let (random, device) = (&mut Random::new(5), Device::flex());
    let mut prior = config.init(random, &device).unwrap();
    each_parameter(&mut prior, |name, mut p| {
        let scale = if name.ends_with("c_proj.w") { 0.3 } else { 0.0 };
        let value = |v: f32| f32::from_bits((v + scale * random.normal()).to_bits() & 0xffff_0000);
        let values = p.values().into_iter().map(value).collect();
        p.set(values, &device, false);
    });
    prior
}

/// Three takes of 90 top tokens.
fn song(open: &mut dyn FnMut(usize) -> PriorDecoder) -> Vec<Vec<u32>> {
    let levels = [8, 16].map(|hop_length| LevelShape { hop_length, codebook_size: BOOK });
    let shape = SongShape { sample_rate: RATE, levels: levels.to_vec() };
    let mut request = SampleRequest::new(shape.seconds(1, 90), 2);
    (request.takes, request.max_batch, request.seed) = (3, 2, 23);
    request.sampling[0].hop_fraction = 0.3;
    request.sampling[1].sampler.top_p = Some(0.95);
    let tokens = (0..50).map(|i| 1 + i * 7 % 78).collect();
    let lyrics = Some(Lyrics { text: "given".into(), tokens });
    request.labels =
        vec![TakeLabels { artist: vec![(1, 1.0)], genre: vec![(1, 1.0)], lyrics, ..TakeLabels::default() }];
    let mut session = Session::new(request, shape, "twins", None).unwrap();
    let mut open = |level: usize| Ok(Box::new(open(level)) as Box<dyn TokenModel>);
    let cancel = Cancel::new();
    Run { priors: &mut open, file: None, progress: &mut |_: &Event| {}, cancel: &cancel }
        .make_all(&mut session)
        .unwrap();
    (0..2).flat_map(|level| (0..3).map(move |take| (level, take))).map(|(l, t)| session.stream(l, t).to_vec()).collect()
}

#[test]
fn engine_and_tensors_make_the_same_song_of_a_seed() {
    for in_stream in [true, false] {
        let priors = configs(in_stream).map(|config| prior(&config));
        let slow = song(&mut |level| PriorDecoder::on_tensors(priors[level].clone()).unwrap());
        for stream in &slow {
            let different: std::collections::BTreeSet<_> = stream.iter().collect();
            assert!(different.len() > BOOK / 4, "a song of few tokens says little");
        }
        for weights in [Dtype::F32, Dtype::Bf16] {
            let fast = song(&mut |level| PriorDecoder::new(priors[level].clone(), weights).unwrap());
            assert_eq!(fast, slow, "words in the stream: {in_stream}, {weights}");
        }
        assert_ne!(song(&mut |level| PriorDecoder::new(priors[level].clone(), Dtype::Int8).unwrap()), slow);
    }
}
