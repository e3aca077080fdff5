//! The words of a session's takes, each with the alignment that the prior which sings them gives.

use orchestrion_data::lyrics::Vocabulary;
use orchestrion_model::ModelError;
use orchestrion_model::prior::PriorDecoder;
use orchestrion_model::store::ModelConfig;

use crate::{Alignment, Cancel, GenerateError, Lyrics, Session, SungWord, align, sung_words};

/// A take's words.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeWords {
    /// As they were given.
    pub text: String,
    /// The characters that the model knows.
    pub vocabulary: Vocabulary,
    /// Which of them is sung when, if the model tells.
    pub alignment: Option<Alignment>,
}

impl TakeWords {
    /// The words with their times.
    pub fn sung(&self) -> Vec<SungWord> {
        let times = self.alignment.as_ref().map(Alignment::times).unwrap_or_default();
        sung_words(&self.text, self.vocabulary, &times)
    }
}

/// The words of every take; none for takes without. Where the model's singer shows which word it is at, it looks once more
/// at what was made: `open` opens it, `done` is told how many windows it has seen, and how many there are.
///
/// # Errors
/// If the prior cannot be opened, or as [`align`].
pub fn take_words(
    model: &ModelConfig,
    session: &Session,
    open: impl FnOnce(usize) -> Result<PriorDecoder, ModelError>,
    cancel: &Cancel,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Option<TakeWords>>, GenerateError> {
    let takes = session.request().takes;
    let given: Vec<Option<Lyrics>> = (0..takes).map(|take| session.request().take_labels(take).lyrics).collect();
    let sung = given.iter().flatten().count();
    let (Some((config, lyrics)), 1..) = (model.singer(), sung) else { return Ok(vec![None; takes]) };
    let (level, vocabulary) = (config.level, Vocabulary::of_size(lyrics.vocabulary)?);
    let aligned = lyrics.alignment.is_some() && session.done(level) > 0;
    let prior = aligned.then(|| open(level)).transpose();
    let mut prior = prior.map_err(|source| GenerateError::Model { level, source })?;
    let windows = session.layout(level, config.window()).map_or(0, |layout| layout.starts().count());
    let mut seen = 0;
    let mut tell = || {
        seen += 1;
        done(seen, sung * windows);
    };
    let mut words = |(take, lyrics): (usize, Option<Lyrics>)| {
        let Some(Lyrics { text, .. }) = lyrics else { return Ok(None) };
        let alignment = match &mut prior {
            Some(prior) => align(prior, config, session, take, cancel, &mut tell)?,
            None => None,
        };
        Ok(Some(TakeWords { text, vocabulary, alignment }))
    };
    given.into_iter().enumerate().map(&mut words).collect()
}
