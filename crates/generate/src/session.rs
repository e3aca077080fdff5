//! The song being made: what was asked for, and the tokens so far.

use orchestrion_data::{TokenStream, Tokens};
use orchestrion_model::condition::Labels;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{LevelShape, RequestError, SampleRequest, SessionError, SongShape, WindowError, WindowLayout};

/// Key of the session's record in the metadata of its token file.
const RECORD: &str = "session";

/// Takes of a song, level by level, and everything needed to go on with them.
///
/// All takes of a level have equally many tokens. A level is in one of three states: not begun, ending at the edge of
/// a window, complete. That is all a run needs to know to go on exactly as if it had never stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    request: SampleRequest,
    shape: SongShape,
    model: String,
    /// `[level][take][time]`
    streams: Vec<Vec<Vec<u32>>>,
}

/// What a session's file holds besides the streams.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    request: SampleRequest,
    model: String,
    sha256: String,
}

impl Session {
    /// A session that begins with `prompt`: an encoded recording to continue (primed sampling), or the tokens of upper
    /// levels to upsample. A prompt has one row for all takes or one a take, and any of the levels, each of any length
    /// up to the song's.
    ///
    /// `model` tells models apart (name, hash of the weights): a session goes on only with the model that began it.
    ///
    /// # Errors
    /// If the request is out of range, the prompt does not fit the codec or is longer than the song, or a level to
    /// make would lack the tokens of the level above.
    pub fn new(
        request: SampleRequest,
        shape: SongShape,
        model: impl Into<String>,
        prompt: Option<&Tokens>,
    ) -> Result<Self, RequestError> {
        request.validate(&shape)?;
        let streams = match prompt {
            Some(prompt) => prompt_streams(prompt, &shape, request.takes)?,
            None => vec![vec![Vec::new(); request.takes]; shape.levels.len()],
        };
        let session = Self { request, shape, model: model.into(), streams };
        session.check()?;
        Ok(session)
    }

    /// Changes what is asked for and keeps the tokens: more seconds, other levels, another seed or sampler for what is
    /// still to come.
    ///
    /// # Errors
    /// As [`Session::new`], and if the number of takes or the weights change. The session is then as it was.
    pub fn revise(&mut self, request: SampleRequest) -> Result<(), RequestError> {
        request.validate(&self.shape)?;
        if request.takes != self.request.takes {
            return Err(RequestError::TakesChanged { given: request.takes, takes: self.request.takes });
        }
        if request.weights != self.request.weights {
            return Err(RequestError::WeightsChanged { given: request.weights, began: self.request.weights });
        }
        let former = std::mem::replace(&mut self.request, request);
        self.check().inspect_err(|_| self.request = former)
    }

    /// What was asked for.
    pub fn request(&self) -> &SampleRequest {
        &self.request
    }

    /// Levels of the song.
    pub fn shape(&self) -> &SongShape {
        &self.shape
    }

    /// The model that makes it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Makes sure that the session goes on with the model that began it.
    ///
    /// # Errors
    /// [`SessionError::OtherModel`] if `model` is another one.
    pub fn check_model(&self, model: &str) -> Result<(), SessionError> {
        if self.model == model {
            return Ok(());
        }
        Err(SessionError::OtherModel { began: self.model.clone(), given: model.to_owned() })
    }

    /// Levels to make that are not complete, from the coarsest to the finest.
    pub fn pending_levels(&self) -> Vec<usize> {
        let mut levels: Vec<usize> =
            self.request.levels.iter().copied().filter(|&level| !self.is_complete(level)).collect();
        levels.sort_unstable_by(|a, b| b.cmp(a));
        levels
    }

    /// Tokens of a level in one take, when it is complete.
    pub fn total(&self, level: usize) -> usize {
        let samples = self.shape.whole_samples(self.request.seconds);
        self.shape.levels.get(level).map_or(0, |shape| (samples / shape.hop_length as u64) as usize)
    }

    /// Tokens of a level in one take, so far.
    pub fn done(&self, level: usize) -> usize {
        self.stream(level, 0).len()
    }

    /// Whether all tokens of a level are there.
    pub fn is_complete(&self, level: usize) -> bool {
        self.done(level) >= self.total(level)
    }

    /// Tokens of a level of one take; none if there is no such level or take.
    pub fn stream(&self, level: usize, take: usize) -> &[u32] {
        self.streams.get(level).and_then(|takes| takes.get(take)).map_or(&[], Vec::as_slice)
    }

    /// Labels of one take for the prior of a level, with timing and words.
    pub fn labels(&self, level: usize, take: usize) -> Labels {
        self.request.model_labels(&self.shape, level, take)
    }

    /// The windows in which a prior of the given context makes a level.
    ///
    /// # Errors
    /// If the context does not divide into whole tokens of the level above.
    pub fn layout(&self, level: usize, context: usize) -> Result<WindowLayout, WindowError> {
        let fraction = self.request.sampling.get(level).map_or(1.0, |sampling| sampling.hop_fraction);
        let ratio = self.shape.ratio(level).unwrap_or(1);
        WindowLayout::from_fraction(self.total(level), context, fraction, ratio)
    }

    /// Appends the new tokens of a window, one row a take.
    pub(crate) fn append(&mut self, level: usize, rows: &[Vec<u32>]) {
        for (take, row) in self.streams.get_mut(level).into_iter().flatten().zip(rows) {
            take.extend_from_slice(row);
        }
    }

    /// The session as tokens of all its levels, with its record as metadata: any reader of token files reads it.
    ///
    /// # Errors
    /// If the codec's sizes are beyond what token files hold.
    pub fn to_tokens(&self) -> Result<Tokens, SessionError> {
        let levels = self.shape.levels.iter().zip(&self.streams).enumerate();
        let streams = levels
            .map(|(level, (shape, takes))| TokenStream::from_rows(level, shape.hop_length, shape.codebook_size, takes));
        let streams = streams.collect::<Result<Vec<_>, _>>()?;
        let sha256 = fingerprint(&self.request, &self.model, self.shape.sample_rate, &streams);
        let record = Record { request: self.request.clone(), model: self.model.clone(), sha256 };
        // Strings and numbers only: every number was checked to be finite.
        let record = serde_json::to_value(record).unwrap_or_default();
        Ok(Tokens::new(self.shape.sample_rate, streams, Map::from_iter([(RECORD.to_owned(), record)]))?)
    }

    /// Reads what [`Session::to_tokens`] gave; checks all of it.
    ///
    /// # Errors
    /// What is wrong, as text.
    pub(crate) fn from_tokens(mut tokens: Tokens) -> Result<Self, String> {
        let record = tokens.metadata.remove(RECORD).ok_or("it holds tokens, but no session")?;
        let Record { request, model, sha256 }: Record =
            serde_json::from_value(record).map_err(|error| format!("its record is damaged: {error}"))?;
        if fingerprint(&request, &model, tokens.sample_rate, &tokens.streams) != sha256 {
            return Err("its content does not match its checksum".into());
        }
        let shape = token_shape(&tokens)?;
        request.validate(&shape).map_err(|error| error.to_string())?;
        if tokens.batch() != request.takes {
            return Err(format!("it has tokens of {} takes and a request for {}", tokens.batch(), request.takes));
        }
        let streams = tokens.streams.iter().map(|stream| rows(stream, request.takes)).collect();
        let session = Self { request, shape, model, streams };
        session.check().map_err(|error| error.to_string())?;
        Ok(session)
    }

    /// Checks the tokens against the request.
    fn check(&self) -> Result<(), RequestError> {
        for level in 0..self.shape.levels.len() {
            let (given, total) = (self.done(level), self.total(level));
            if given > total {
                // Rounded up as it is shown: what the hint says must be enough.
                let seconds = (100.0 * self.shape.seconds(level, given)).ceil() / 100.0;
                return Err(RequestError::PromptTooLong { level, given, total, seconds });
            }
        }
        let top = self.shape.levels.len() - 1;
        for &level in &self.request.levels {
            let above = level + 1;
            if level < top && !self.request.levels.contains(&above) && !self.is_complete(above) {
                return Err(RequestError::MissingAbove { level, above });
            }
        }
        Ok(())
    }
}

/// The prompt's tokens as `[level][take][time]`; nothing at levels that it lacks.
fn prompt_streams(prompt: &Tokens, shape: &SongShape, takes: usize) -> Result<Vec<Vec<Vec<u32>>>, RequestError> {
    let mut streams = vec![vec![Vec::new(); takes]; shape.levels.len()];
    for stream in &prompt.streams {
        let level = stream.level;
        let misfit = |what: String| Err(RequestError::Tokens { level, what });
        let (Some(expected), Some(rows_of_level)) = (shape.levels.get(level), streams.get_mut(level)) else {
            return misfit(format!("the prompt has this level, the codec has {}", shape.levels.len()));
        };
        let found = LevelShape { hop_length: stream.hop_length, codebook_size: stream.codebook_size };
        if found != *expected || stream.codebooks != 1 || prompt.sample_rate != shape.sample_rate {
            return misfit(format!(
                "the prompt has {} codebooks of {} tokens, {} samples each at {} Hz, the codec 1 of {}, {} samples each \
                 at {} Hz",
                stream.codebooks,
                found.codebook_size,
                found.hop_length,
                prompt.sample_rate,
                expected.codebook_size,
                expected.hop_length,
                shape.sample_rate
            ));
        }
        if stream.batch != 1 && stream.batch != takes {
            return misfit(format!("the prompt has {} rows for {takes} takes", stream.batch));
        }
        *rows_of_level = rows(stream, takes);
    }
    Ok(streams)
}

/// One row a take; a single row is every take's.
fn rows(stream: &TokenStream, takes: usize) -> Vec<Vec<u32>> {
    let row = |take| stream.row(take, 0).or(stream.row(0, 0)).unwrap_or_default().to_vec();
    (0..takes).map(row).collect()
}

/// The shape of a song whose file holds all levels.
fn token_shape(tokens: &Tokens) -> Result<SongShape, String> {
    let streams = &tokens.streams;
    if streams.iter().enumerate().any(|(level, stream)| stream.level != level || stream.codebooks != 1) {
        return Err("it lacks a level, or has several codebooks for a time step".into());
    }
    let levels = streams.iter().map(|s| LevelShape { hop_length: s.hop_length, codebook_size: s.codebook_size });
    Ok(SongShape { sample_rate: tokens.sample_rate, levels: levels.collect() })
}

/// SHA-256 of everything a session's future depends on.
fn fingerprint(request: &SampleRequest, model: &str, sample_rate: u32, streams: &[TokenStream]) -> String {
    let mut hash = Sha256::new();
    let request = serde_json::to_value(request).unwrap_or_default();
    hash.update(Value::from_iter([request, model.into(), sample_rate.into()]).to_string());
    for stream in streams {
        hash.update(format!("{} {} {} {}", stream.level, stream.hop_length, stream.codebook_size, stream.time));
        for code in &stream.codes {
            hash.update(code.to_le_bytes());
        }
    }
    format!("{:x}", hash.finalize())
}
