//! Looking into priors: where in the words a song is, and what they make of a recording.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use burn::tensor::Device;
use orchestrion_data::lyrics::window;
use orchestrion_data::{TokenStream, Tokens};
use orchestrion_generate::{
    Cancel, GenerateError, LevelShape, Lyrics, Pool, SampleRequest, Session, SongShape, TakeLabels, align,
    hidden_states,
};
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::Random;
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::prior::{AlignmentConfig, LyricsConfig, PriorConfig, PriorDecoder, Window};
use orchestrion_model::store::Dtype;

const RATE: u32 = 100;
const HOP: usize = 8;
const BOOK: usize = 11;
const CONTEXT: usize = 16;
const LYRICS: usize = 8;

fn transformer(depth: usize, order: usize, context: usize, prime: usize) -> TransformerConfig {
    TransformerConfig {
        width: 8,
        depth,
        heads: 2,
        context,
        blocks: 4,
        attn_order: order,
        spread: 0,
        prime,
        attention_width: 0.5,
        mlp_width: 1.0,
        init_scale: 20.0,
        zero_out: false,
        residual_scale: false,
    }
}

fn labels_config(timing: bool) -> LabelsConfig {
    LabelsConfig {
        artists: 2,
        genres: 2,
        timing: timing.then_some(TimingConfig { bins: 5, min_seconds: 5.0, max_seconds: 12.0 }),
        naming: Naming::Own,
        genre_words: 5,
    }
}

/// A top prior with words in its own stream, or beside it.
fn singer(in_stream: bool) -> PriorConfig {
    let (transformer, encoder, layer) = match in_stream {
        true => (transformer(16, 12, LYRICS + CONTEXT, LYRICS), None, 15),
        false => (transformer(10, 8, CONTEXT, 0), Some(transformer(3, 2, LYRICS, 0)), 9),
    };
    PriorConfig {
        level: 0,
        sample_rate: RATE,
        hop_length: HOP,
        codebook_size: BOOK,
        transformer,
        labels: Some(labels_config(true)),
        lyrics: Some(LyricsConfig {
            tokens: LYRICS,
            vocabulary: 79,
            loss_share: 0.4,
            encoder,
            alignment: Some(AlignmentConfig { layer, head: 1 }),
        }),
        upper: None,
        merged_decoder: false,
    }
}

fn upsampler() -> PriorConfig {
    let resnet =
        ResnetConfig { depth: 1, hidden: 1.0, dilation_growth: 1, dilation_cycle: None, residual_scale: false };
    PriorConfig {
        transformer: transformer(3, 2, CONTEXT, 0),
        labels: Some(labels_config(false)),
        lyrics: None,
        upper: Some(UpperConfig { strides: vec![2], codebook_size: BOOK, width: 4, resnet }),
        ..singer(true)
    }
}

fn decoder(config: &PriorConfig) -> PriorDecoder {
    PriorDecoder::new(config.init(&mut Random::new(3), &Device::flex()).unwrap(), Dtype::F32).unwrap()
}

fn codes(count: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * i + 3 * i) % BOOK) as u32).collect()
}

/// A finished song of 44 tokens: windows at 0, 4, 8, .. and 28, of 60 characters or 5.
fn sung(characters: usize) -> Session {
    let shape = SongShape { sample_rate: RATE, levels: vec![LevelShape { hop_length: HOP, codebook_size: BOOK }] };
    let mut request = SampleRequest::new(3.52, 1);
    request.song_seconds = Some(9.0);
    request.sampling[0].hop_fraction = 0.25;
    let tokens = (0..characters).map(|i| (1 + i * 7 % 78) as u32).collect();
    let lyrics = Some(Lyrics { text: "given".into(), tokens });
    request.labels = vec![TakeLabels { offset_seconds: 1.0, lyrics, ..TakeLabels::default() }];
    let stream = TokenStream::from_rows(0, HOP, BOOK, &[codes(44)]).unwrap();
    let tokens = Tokens::new(RATE, vec![stream], serde_json::Map::new()).unwrap();
    Session::new(request, shape, "", Some(&tokens)).unwrap()
}

/// The matrix as the paper's program puts it together: windows from the last to the first, each over the ones before.
fn matrix(config: &PriorConfig, session: &Session) -> Vec<f32> {
    let (mut prior, labels, stream) = (decoder(config), session.labels(0, 0), session.stream(0, 0));
    let AlignmentConfig { layer, head } = config.lyrics.as_ref().unwrap().alignment.unwrap();
    let characters = labels.lyrics.len();
    let mut matrix = vec![0.0; stream.len() * characters];
    for start in [28, 24, 20, 16, 12, 8, 4, 0] {
        let offset = labels.offset + (start * HOP) as u64;
        let places =
            window(&labels.lyrics, LYRICS, labels.total_length, offset, (CONTEXT * HOP) as u64).unwrap().places;
        let one = Window { start, length: CONTEXT, labels: std::slice::from_ref(&labels), upper: None };
        let weights = prior.attention(layer, head, &one, &[&stream[start..start + CONTEXT]]).unwrap();
        for (at, weights) in weights.chunks_exact(LYRICS).enumerate() {
            for (place, weight) in places.iter().zip(weights) {
                if let Some(place) = place {
                    matrix[(start + at) * characters + place] = *weight;
                }
            }
        }
    }
    matrix
}

#[test]
fn an_alignment_is_the_attention_of_all_windows_the_earlier_ones_on_top() {
    for (in_stream, characters) in [(true, 60), (true, 5), (false, 60), (false, 5)] {
        let (config, session) = (singer(in_stream), sung(characters));
        let mut windows = 0;
        let mut prior = decoder(&config);
        let found = align(&mut prior, &config, &session, 0, &Cancel::new(), &mut || windows += 1).unwrap().unwrap();
        // A token is longer than 50 ms: a row each.
        assert_eq!((found.rows(), found.characters(), windows), (44, characters, 8));
        assert_eq!(found.matrix(), matrix(&config, &session), "in stream: {in_stream}");
        assert!(found.matrix().iter().any(|weight| *weight > 0.01), "the matrix is empty");
        let begins: Vec<f64> = found.times().into_iter().flatten().map(|(begin, _)| begin).collect();
        assert!(begins.windows(2).all(|pair| pair[0] < pair[1]) && begins.iter().all(|b| (0.0..3.52).contains(b)));
    }
}

#[test]
fn without_words_or_a_head_that_follows_them_there_is_no_alignment() {
    let config = singer(true);
    let cancel = Cancel::new();
    let looked = |config: &PriorConfig, session: &Session, cancel: &Cancel| {
        align(&mut decoder(config), config, session, 0, cancel, &mut || {})
    };
    let mut silent = sung(5);
    silent.revise(SampleRequest { labels: vec![TakeLabels::default()], ..silent.request().clone() }).unwrap();
    assert_eq!(looked(&config, &silent, &cancel).unwrap(), None);
    let mut blind = config.clone();
    blind.lyrics.as_mut().unwrap().alignment = None;
    assert_eq!(looked(&blind, &sung(5), &cancel).unwrap(), None);
    cancel.cancel();
    let stopped = looked(&config, &sung(5), &cancel).unwrap_err();
    assert!(matches!(stopped, GenerateError::Interrupted { level: 0, done: 44, total: 44 }), "{stopped}");
}

#[test]
fn a_recording_of_any_length_has_a_state_for_every_token() {
    let states = |config: &PriorConfig, codes: &[u32], upper: Option<&[u32]>, pool| {
        hidden_states(&mut decoder(config), config, (codes, upper), 1, pool, &mut |_| {}).unwrap()
    };
    let (config, codes) = (singer(false), codes(300));
    let all = states(&config, &codes, None, Pool::None);
    assert_eq!(all.shape(), [300, 8]);
    let mean = states(&config, &codes, None, Pool::Mean);
    assert_eq!(mean.shape(), [1, 8]);
    for (place, mean) in mean.values.iter().enumerate() {
        let expected = all.values.iter().skip(place).step_by(8).map(|v| f64::from(*v)).sum::<f64>() / 300.0;
        assert!((f64::from(*mean) - expected).abs() < 1e-5);
    }
    // The second window adds the second half of what it sees. A song of 24 s is beyond the model's range, so that it
    // counts as one of 11.
    let unknown = vec![(0, 1.0)];
    let labels = [Labels { artist: unknown.clone(), genre: unknown, total_length: 1100, offset: 64, lyrics: vec![] }];
    let window = Window { start: 0, length: CONTEXT, labels: &labels, upper: None };
    let second = decoder(&config).hidden(1, &window, &[&codes[8..24]]).unwrap();
    assert_eq!(all.values[16 * 8..24 * 8], second[8 * 8..]);
    assert_eq!(states(&config, &codes[..1], None, Pool::None).shape(), [1, 8], "shorter than any song of the model");

    // As many states as there are tokens, or an error: never a panic, never the mean of nothing.
    let refused = |config: &PriorConfig, codes: &[u32], upper: Option<&[u32]>| {
        let refused = hidden_states(&mut decoder(config), config, (codes, upper), 1, Pool::Mean, &mut |_| {});
        refused.unwrap_err().to_string()
    };
    assert!(refused(&config, &[], None).contains("a recording of 0 tokens"));
    let config = upsampler();
    for above in [0, 3, 19, 21] {
        let message = refused(&config, &codes[..40], Some(&codes[..above]));
        assert!(message.contains(&format!("of 40 tokens, beside codes of the level above for {}", 2 * above)));
    }
    let all = states(&config, &codes[..40], Some(&codes[..20]), Pool::None);
    assert_eq!(all.shape(), [40, 8]);
    let other = states(&config, &codes[..40], Some(&codes[20..40]), Pool::None);
    assert_ne!(all, other, "the level above counts");
}
