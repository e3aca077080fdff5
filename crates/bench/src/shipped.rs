//! The model that is part of the program: a step of its largest prior, and a song.

use crate::decoding::{self, Case};
use crate::{BenchError, Row, median};
use burn::tensor::Device;
use orchestrion_engine::decode::Precision;
use orchestrion_generate::{Cancel, Event, Run, SampleRequest, Session, SongShape, decode_take};
use orchestrion_model::ModelError;
use orchestrion_model::codec::Codec;
use orchestrion_model::prior::{PriorConfig, PriorDecoder, TokenModel};
use orchestrion_model::store::ModelFolder;

/// Seconds of the song.
const SECONDS: f64 = 20.0;

/// A step of the largest prior, in the middle of its window, in the numbers in which the model is stored.
///
/// # Errors
/// If the model has no prior.
pub(crate) fn step(shipped: &ModelFolder) -> Result<Row, BenchError> {
    let size = |prior: &&PriorConfig| prior.transformer.depth * prior.transformer.width.pow(2);
    let largest = shipped.config().priors.values().max_by_key(size);
    let prior = largest.ok_or_else(|| ModelError::Request("the shipped model has no prior".to_owned()))?;
    let from = prior.transformer.context / 2;
    let case = Case { transformer: prior.transformer.clone(), vocabulary: prior.vocabulary(), from, steps: 32 };
    decoding::step(case, Precision::Bf16, 1)
}

/// Twenty seconds of music as `sample` makes them: the tokens of all levels, and the sound.
///
/// # Errors
/// If the model cannot be read or sampled from.
pub(crate) fn sample(shipped: &ModelFolder) -> Result<Row, BenchError> {
    let codec = shipped.codec(&Device::flex())?;
    let shape = SongShape::of(&codec.spec())?;
    let sampling = &shipped.config().sampling;
    let mut request = SampleRequest::new(SECONDS, shape.levels.len());
    request.song_seconds = sampling.song_seconds;
    for (level, hop) in request.sampling.iter_mut().zip(&sampling.hop_fraction) {
        level.hop_fraction = f64::from(*hop);
    }
    let mut open = |level: usize| {
        let prior = PriorDecoder::open(shipped, level, &Device::flex(), None)?;
        Ok(Box::new(prior) as Box<dyn TokenModel>)
    };
    let mut song = || -> Result<(), BenchError> {
        let mut session = Session::new(request.clone(), shape.clone(), "bench", None)?;
        let mut run = Run { priors: &mut open, file: None, progress: &mut |_: &Event| (), cancel: &Cancel::new() };
        run.make_all(&mut session)?;
        decode_take(&codec, &session, 0, 0)?;
        Ok(())
    };
    song()?;
    let seconds = median(|| drop(song()));
    Ok(Row::alone("s/20 s of music", seconds))
}
