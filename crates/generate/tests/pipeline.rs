//! The whole way from request to tokens, with pretend priors.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod pretend;

use orchestrion_data::{TokenStream, Tokens};
use orchestrion_generate::{
    Cancel, Event, GenerateError, LevelLabels, Lyrics, RequestError, Run, SampleRequest, Session, SessionFile,
    TakeLabels, decode_take, forecast_level,
};
use orchestrion_model::ModelError;
use orchestrion_model::codec::{Codec, CodecSpec, StreamSpec};
use orchestrion_model::store::Dtype;
use pretend::{CONTEXT, Mind, Pretend, TOKENS, shape};
use proptest::prelude::*;

/// Three takes with different labels, 70 top tokens: several windows at every level, the last ones moved back.
fn request() -> SampleRequest {
    let mut request = SampleRequest::new(shape().seconds(2, 70), 3);
    request.takes = 3;
    request.seed = 17;
    request.song_seconds = Some(30.0);
    let labels = |take| TakeLabels {
        artist: vec![(take, 0.7), (9, 0.3)],
        genre: vec![(take + 1, 1.0)],
        levels: [(1, LevelLabels { artist: vec![(take + 5, 1.0)], genre: vec![(0, 1.0)] })].into(),
        offset_seconds: f64::from(take) / 4.0,
        lyrics: Some(Lyrics { text: "la".into(), tokens: vec![take + 1, 1] }),
    };
    request.labels = (0..3).map(labels).collect();
    request.sampling[1].sampler.top_k = Some(5);
    request.sampling[0].sampler.top_p = Some(0.9);
    request
}

fn session(request: SampleRequest) -> Session {
    Session::new(request, shape(), "pretend 1", None).unwrap()
}

fn run(
    session: &mut Session,
    mind: Mind,
    mut listen: impl FnMut(&Event),
    cancel: &Cancel,
) -> Result<(), GenerateError> {
    Run { priors: &mut Pretend::new(mind), file: None, progress: &mut listen, cancel }.make_all(session)
}

fn made(request: SampleRequest) -> Session {
    let mut session = session(request);
    run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
    session
}

fn streams(session: &Session) -> Vec<Vec<Vec<u32>>> {
    let takes = session.request().takes;
    (0..3).map(|level| (0..takes).map(|take| session.stream(level, take).to_vec()).collect()).collect()
}

/// Tokens of the given levels only, as a prompt of at most `time` top tokens.
fn cut(session: &Session, levels: &[usize], time: usize) -> Tokens {
    let mut tokens = session.to_tokens().unwrap();
    tokens.streams.retain(|stream| levels.contains(&stream.level));
    for stream in &mut tokens.streams {
        let time = time * 256 / stream.hop_length;
        let rows: Vec<_> = (0..stream.batch).map(|take| stream.row(take, 0).unwrap()[..time].to_vec()).collect();
        *stream = TokenStream::from_rows(stream.level, stream.hop_length, stream.codebook_size, &rows).unwrap();
    }
    tokens
}

#[test]
fn every_token_is_made_once_and_in_order() {
    let mut session = session(request());
    run(&mut session, Mind::Counting, |_| {}, &Cancel::new()).unwrap();
    for (level, total) in [(0, 560), (1, 140), (2, 70)] {
        for take in 0..3 {
            let counted: Vec<u32> = (0..total).map(|position| position % TOKENS as u32).collect();
            assert_eq!(session.stream(level, take), counted, "level {level}, take {take}");
        }
    }
}

#[test]
fn takes_differ_and_the_batch_split_changes_nothing() {
    let whole = made(request());
    for level in 0..3 {
        assert_ne!(whole.stream(level, 0), whole.stream(level, 1));
    }
    for max_batch in [1, 2, 16] {
        let split = made(SampleRequest { max_batch, ..request() });
        assert_eq!(streams(&split), streams(&whole), "batches of {max_batch}");
    }
    // A take is the same whoever is made beside it.
    let mut alone = SampleRequest { takes: 1, ..request() };
    alone.labels.truncate(1);
    let alone = made(alone);
    assert!((0..3).all(|level| alone.stream(level, 0) == whole.stream(level, 0)));
    assert_ne!(streams(&made(SampleRequest { seed: 18, ..request() })), streams(&whole));
}

#[test]
fn a_run_resumed_at_any_window_gives_the_uninterrupted_tokens() {
    let whole = made(request());
    let mut windows = 0;
    let count = |event: &Event| windows += usize::from(matches!(event, Event::WindowDone { .. }));
    run(&mut session(request()), Mind::Hash, count, &Cancel::new()).unwrap();
    assert!(windows > 40, "only {windows} windows");
    for stop in 1..windows {
        let (mut session, cancel, mut seen) = (session(request()), Cancel::new(), 0);
        let listen = |event: &Event| {
            seen += usize::from(matches!(event, Event::WindowDone { .. }));
            if seen == stop {
                cancel.cancel();
            }
        };
        let error = run(&mut session, Mind::Hash, listen, &cancel).unwrap_err();
        assert!(matches!(error, GenerateError::Interrupted { .. }), "window {stop}: {error}");
        run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
        assert_eq!(streams(&session), streams(&whole), "stopped after window {stop}");
    }
}

#[test]
fn a_session_file_cancelled_at_random_tokens_gives_the_uninterrupted_tokens() {
    let whole = made(request());
    let folder = tempfile::tempdir().unwrap();
    for (index, stop) in [1, 33, 64, 65, 150, 191, 402, 769].into_iter().enumerate() {
        let path = folder.path().join(format!("{index}.safetensors"));
        let mut session = session(request());
        let file = SessionFile::create(&path, &session).unwrap();
        let (cancel, mut drawn) = (Cancel::new(), 0);
        let mut listen = |event: &Event| {
            drawn += usize::from(matches!(event, Event::TokensDrawn { .. }));
            if drawn == stop {
                cancel.cancel();
            }
        };
        let mut priors = Pretend::new(Mind::Hash);
        let mut run = Run { priors: &mut priors, file: Some(&file), progress: &mut listen, cancel: &cancel };
        let error = run.make_all(&mut session).unwrap_err();
        assert!(matches!(error, GenerateError::Interrupted { .. }), "{error}");
        let message = SessionFile::open(&path).unwrap_err().to_string();
        assert!(message.contains(&std::process::id().to_string()), "the session is still owned: {message}");
        drop(file);

        let (file, mut loaded) = SessionFile::open(&path).unwrap();
        assert_eq!(loaded, session, "what is on the disk is what was in memory");
        loaded.check_model("pretend 1").unwrap();
        loaded.check_model("pretend 2").unwrap_err();
        let (mut listen, cancel) = (|_: &Event| {}, Cancel::new());
        let mut run = Run { priors: &mut priors, file: Some(&file), progress: &mut listen, cancel: &cancel };
        run.make_all(&mut loaded).unwrap();
        assert_eq!(streams(&loaded), streams(&whole), "cancelled after step {stop}");
        drop(file);
        assert_eq!(SessionFile::open(&path).unwrap().1, loaded);
        assert!(SessionFile::create(&path, &loaded).is_err(), "a session was replaced");
    }
}

#[test]
fn a_continued_session_keeps_its_tokens_and_is_reproducible() {
    let short = made(request());
    let longer = || {
        let mut session = short.clone();
        session.revise(SampleRequest { seconds: shape().seconds(2, 91), ..request() }).unwrap();
        assert_eq!(session.pending_levels(), [2, 1, 0]);
        run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
        session
    };
    let session = longer();
    for (level, total) in [(0, 728), (1, 182), (2, 91)] {
        for take in 0..3 {
            let old = short.stream(level, take);
            assert_eq!(session.stream(level, take).len(), total);
            assert_eq!(&session.stream(level, take)[..old.len()], old, "level {level}, take {take}");
        }
    }
    assert_eq!(longer(), session);
    let mut session = session;
    let shorter = session.revise(request()).unwrap_err();
    assert!(matches!(shorter, RequestError::PromptTooLong { level: 0, .. }), "{shorter}");
    let more = SampleRequest { takes: 4, labels: vec![TakeLabels::default()], ..session.request().clone() };
    assert!(matches!(session.revise(more), Err(RequestError::TakesChanged { .. })));
    let lighter = SampleRequest { weights: Some(Dtype::Int8), ..session.request().clone() };
    let error = session.revise(lighter).unwrap_err().to_string();
    assert!(error.contains("begun with weights as stored cannot go on with int8; hint: "), "{error}");
}

#[test]
fn upsampling_and_level_by_level_equal_the_full_run() {
    let whole = made(request());
    // Only the top, then the rest.
    let mut session = session(SampleRequest { levels: vec![2], ..request() });
    run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
    assert_eq!((session.done(2), session.done(1), session.done(0)), (70, 0, 0));
    session.revise(SampleRequest { levels: vec![0, 1], ..request() }).unwrap();
    run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
    assert_eq!(streams(&session), streams(&whole));
    // Upsampling of top tokens from elsewhere.
    let lower = SampleRequest { levels: vec![1, 0], ..request() };
    let mut session = Session::new(lower.clone(), shape(), "", Some(&cut(&whole, &[2], 70))).unwrap();
    run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
    assert_eq!(streams(&session), streams(&whole));
    // Upper levels that are not whole are refused.
    for prompt in [None, Some(&cut(&whole, &[2], 69))] {
        let error = Session::new(lower.clone(), shape(), "", prompt).unwrap_err();
        assert_eq!(error, RequestError::MissingAbove { level: 1, above: 2 });
    }
}

#[test]
fn a_primed_song_goes_on_after_its_prompt_at_every_level() {
    let source = made(request());
    let mut prompt = cut(&source, &[0, 1, 2], 40);
    for stream in &mut prompt.streams {
        let row = stream.row(0, 0).unwrap().to_vec();
        *stream = TokenStream::from_rows(stream.level, stream.hop_length, stream.codebook_size, &[row]).unwrap();
    }
    let mut session = Session::new(request(), shape(), "", Some(&prompt)).unwrap();
    run(&mut session, Mind::Hash, |_| {}, &Cancel::new()).unwrap();
    for (level, known) in [(0, 320), (1, 80), (2, 40)] {
        for take in 0..3 {
            assert_eq!(&session.stream(level, take)[..known], prompt.streams[level].row(0, 0).unwrap());
        }
        assert_ne!(session.stream(level, 0)[known..], session.stream(level, 1)[known..], "takes go on differently");
    }

    let short = SampleRequest { seconds: shape().seconds(2, 39), ..request() };
    let error = Session::new(short, shape(), "", Some(&prompt)).unwrap_err();
    assert!(matches!(error, RequestError::PromptTooLong { level: 0, given: 320, total: 312, .. }), "{error}");
    let mut foreign = prompt.clone();
    foreign.sample_rate = 44_100;
    let error = Session::new(request(), shape(), "", Some(&foreign)).unwrap_err();
    assert!(matches!(error, RequestError::Tokens { .. }), "{error}");
    let two_rows = SampleRequest { takes: 2, labels: vec![TakeLabels::default()], ..request() };
    let error = Session::new(two_rows, shape(), "", Some(&cut(&source, &[2], 40))).unwrap_err();
    assert!(matches!(error, RequestError::Tokens { level: 2, .. }), "{error}");
}

#[test]
fn songs_shorter_than_a_context_are_one_window() {
    let session = made(SampleRequest { seconds: shape().seconds(2, 3), ..request() });
    assert_eq!((session.done(0), session.done(1), session.done(2)), (24, 6, 3));
}

#[test]
fn progress_counts_every_token_and_the_forecast_is_what_happens() {
    let request = SampleRequest { max_batch: 2, ..request() };
    let mut session = session(request);
    let forecasts = [0, 1, 2].map(|level| forecast_level(&session, level, CONTEXT).unwrap());
    let (mut last, mut windows, mut steps) = ((3, 0), [0; 3], [0; 3]);
    let mut listen = |event: &Event| match *event {
        Event::LevelStarted { level, done, .. } => last = (level, done),
        Event::TokensDrawn { level, done, .. } => {
            assert!(level == last.0 && (1..=2).contains(&(done - last.1)), "{event:?} after {last:?}");
            (last.1, steps[level]) = (done, steps[level] + 1);
        }
        Event::WindowDone { level, done, .. } => {
            assert_eq!((level, done), last);
            windows[level] += 1;
        }
        Event::LevelFinished { level, total, .. } => assert_eq!((level, total), last),
    };
    let mut priors = Pretend::new(Mind::Hash);
    let seen = priors.steps.clone();
    let cancel = Cancel::new();
    Run { priors: &mut priors, file: None, progress: &mut listen, cancel: &cancel }.make_all(&mut session).unwrap();
    let sum = |part: fn(&orchestrion_generate::LevelForecast) -> usize| forecasts.iter().map(part).sum::<usize>();
    assert_eq!(windows, forecasts.map(|forecast| forecast.windows));
    assert_eq!(steps, forecasts.map(|forecast| forecast.steps));
    assert_eq!(sum(|forecast| forecast.drawn), 3 * (560 + 140 + 70));
    // The last token of a window is drawn, but not run through the prior.
    assert_eq!(seen.get(), sum(|f| f.prefilled) + sum(|f| f.drawn) - 3 * windows.iter().sum::<usize>());
    assert_eq!(forecasts[0].cached, 2 * CONTEXT);
}

#[test]
fn logits_that_are_no_numbers_are_an_error_that_names_the_token() {
    let error = run(&mut session(request()), Mind::Broken, |_| {}, &Cancel::new()).unwrap_err();
    assert!(matches!(error, GenerateError::Draw { level: 2, take: 0, position: 0, .. }), "{error}");
}

#[test]
fn a_damaged_session_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("song.safetensors");
    let session = made(SampleRequest { seconds: shape().seconds(2, 6), ..request() });
    drop(SessionFile::create(&path, &session).unwrap());
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        for damaged in [&whole[..at], &flipped] {
            std::fs::write(&path, damaged).unwrap();
            match SessionFile::open(&path) {
                Ok((_, loaded)) => assert_eq!(loaded, session, "byte {at} was changed unnoticed"),
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.contains("song.safetensors") && message.contains("; hint: "), "{message}");
                }
            }
        }
    }
    let mut tokens = session.to_tokens().unwrap();
    tokens.metadata.clear();
    tokens.save(&path).unwrap();
    let message = SessionFile::open(&path).unwrap_err().to_string();
    assert!(message.contains("no session"), "{message}");
    std::fs::remove_file(&path).unwrap();
    assert!(SessionFile::open(&path).unwrap_err().to_string().contains("song.safetensors"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a lock file was left");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_number_of_a_request_comes_back_bit_for_bit(
        seconds in 0.02f64..1.0, temperature in 0f64..2.0, fraction in 0.001f64..=1.0, weight in -1e6f32..1e6, seed: u64,
    ) {
        let mut request = SampleRequest { seconds, seed, ..request() };
        request.sampling[0].sampler.temperature = temperature;
        request.sampling[2].hop_fraction = fraction;
        request.labels[2].artist[1].1 = weight;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.safetensors");
        let session = session(request);
        drop(SessionFile::create(&path, &session).unwrap());
        prop_assert_eq!(SessionFile::open(&path).unwrap().1, session);
    }
}

/// Each token is as many equal samples as its hop is long.
struct StepCodec;

impl Codec for StepCodec {
    fn spec(&self) -> CodecSpec {
        let streams = shape().levels.into_iter().map(|level| StreamSpec {
            hop_length: level.hop_length,
            codebooks: 1,
            codebook_size: level.codebook_size,
        });
        CodecSpec { sample_rate: 22_050, channels: 1, streams: streams.collect(), causal: true }
    }

    fn encode(&self, _: &[f32], _: usize) -> Result<Vec<u32>, ModelError> {
        Err(ModelError::Request("decodes only".into()))
    }

    fn decode(&self, codes: &[u32], level: usize) -> Result<Vec<f32>, ModelError> {
        let hop = shape().levels[level].hop_length;
        Ok(codes.iter().flat_map(|&code| std::iter::repeat_n(code as f32 / 16.0, hop)).collect())
    }
}

#[test]
fn a_level_decodes_to_a_hop_length_of_samples_for_each_token() {
    let session = made(SampleRequest { levels: vec![2, 1], ..request() });
    for (level, take) in [(1, 0), (2, 2)] {
        let samples = decode_take(&StepCodec, &session, level, take).unwrap();
        assert_eq!(samples.len(), 70 * 256);
        assert_eq!(samples[0], session.stream(level, take)[0] as f32 / 16.0);
    }
    let error = decode_take(&StepCodec, &session, 0, 1).unwrap_err();
    assert!(matches!(error, GenerateError::NothingToDecode { level: 0, take: 1 }), "{error}");
    let other = orchestrion_generate::SongShape { sample_rate: 44_100, ..shape() };
    let other = Session::new(request(), other, "", None).unwrap();
    assert!(matches!(decode_take(&StepCodec, &other, 0, 0), Err(GenerateError::CodecMismatch)));
}
