//! The words of `sample`'s takes with the times at which they are sung, and the files that hold them.

use crate::failure::Failure;
use crate::progress::Meter;
use burn::tensor::Device;
use orchestrion_data::lyrics::Vocabulary;
use orchestrion_data::write_whole;
use orchestrion_generate::{Alignment, Cancel, GenerateError, Session, SungWord, align, lrc, sung_words};
use orchestrion_model::prior::{PriorConfig, PriorDecoder};
use orchestrion_model::store::ModelFolder;
use orchestrion_page::{DecibelRange, PageError, Spectrogram, Word};
use std::path::{Path, PathBuf};

/// A take's words.
pub struct TakeWords {
    text: String,
    vocabulary: Vocabulary,
    /// Which of them is sung when, if the model tells.
    alignment: Option<Alignment>,
}

/// The words of every take; none for takes without. Looks once more at what the lyric prior has made.
pub fn words(
    folder: &ModelFolder,
    session: &Session,
    cancel: &Cancel,
) -> Result<Vec<Option<TakeWords>>, GenerateError> {
    let takes = session.request().takes;
    let with_lyrics = |(_, prior): &(&usize, &PriorConfig)| prior.lyrics.is_some();
    let Some((&level, config)) = folder.config().priors.iter().rev().find(with_lyrics) else {
        return Ok((0..takes).map(|_| None).collect());
    };
    let sung = |take: usize| session.request().take_labels(take).lyrics;
    let alignable = config.lyrics.as_ref().is_some_and(|lyrics| lyrics.alignment.is_some());
    let mut prior = match alignable && session.done(level) > 0 && (0..takes).any(|take| sung(take).is_some()) {
        true => Some(
            PriorDecoder::open(folder, level, &Device::flex())
                .map_err(|source| GenerateError::Model { level, source })?,
        ),
        false => None,
    };
    let windows = session.layout(level, config.window()).map_or(0, |layout| layout.starts().count());
    let mut meter = prior.as_ref().map(|_| Meter::new("words", 0, (takes * windows) as u64));
    let mut done = 0;
    let mut all = Vec::new();
    for take in 0..takes {
        let Some(lyrics) = sung(take) else {
            all.push(None);
            continue;
        };
        let size = config.lyrics.as_ref().map_or(0, |lyrics| lyrics.vocabulary);
        let mut tell = || {
            done += 1;
            if let Some(meter) = &mut meter {
                meter.set(done, String::new);
            }
        };
        let alignment = match &mut prior {
            Some(prior) => align(prior, config, session, take, cancel, &mut tell)?,
            None => None,
        };
        all.push(Some(TakeWords { text: lyrics.text, vocabulary: Vocabulary::of_size(size)?, alignment }));
    }
    if let Some(meter) = meter {
        meter.finish("aligned with the music");
    }
    Ok(all)
}

impl TakeWords {
    fn sung(&self) -> Vec<SungWord> {
        let times = self.alignment.as_ref().map(Alignment::times).unwrap_or_default();
        sung_words(&self.text, self.vocabulary, &times)
    }

    /// For the page.
    pub fn page(&self) -> Vec<Word> {
        let word = |word: SungWord| Word { text: word.text, gap: word.gap, start: word.start };
        self.sung().into_iter().map(word).collect()
    }

    /// Writes alignment, picture and LRC file under the names `take-N.alignment.json`, `take-N.alignment.png` and
    /// `take-N.lrc`; says which is where.
    pub fn write(&self, folder: &Path, take: usize) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
        let Some(alignment) = &self.alignment else { return Ok(Vec::new()) };
        let files = [
            ("alignment", "alignment.json", alignment.json(&self.text, self.vocabulary).to_string().into_bytes()),
            ("alignment_picture", "alignment.png", picture(alignment)?),
            ("lrc", "lrc", lrc(&self.sung()).into_bytes()),
        ];
        let mut written = Vec::new();
        for (key, ending, bytes) in files {
            let path = folder.join(format!("take-{}.{ending}", take + 1));
            write_whole(&path, &bytes)?;
            written.push((key, path));
        }
        Ok(written)
    }
}

/// Time to the right, the words downwards, attention as light.
fn picture(alignment: &Alignment) -> Result<Vec<u8>, PageError> {
    let characters = alignment.characters();
    let downwards = alignment.matrix().chunks_exact(characters).flat_map(|row| row.iter().rev().copied()).collect();
    let most = alignment.matrix().iter().copied().fold(0.0, f32::max);
    let range = DecibelRange { floor: 0.0, ceiling: most };
    Spectrogram::new(downwards, alignment.rows(), characters)?.png(Some(range))
}
