//! The words of `sample`'s takes with the times at which they are sung, and the files that hold them.

use crate::failure::Failure;
use crate::progress::Meter;
use burn::tensor::Device;
use orchestrion_data::write_whole;
use orchestrion_generate::{Alignment, Cancel, GenerateError, Session, SungWord, TakeWords, lrc, take_words};
use orchestrion_model::prior::PriorDecoder;
use orchestrion_model::store::ModelFolder;
use orchestrion_page::{DecibelRange, PageError, Spectrogram, Word};
use std::path::{Path, PathBuf};

/// The words of every take; none for takes without. Shows how far the search for their times is.
pub fn words(
    folder: &ModelFolder,
    session: &Session,
    cancel: &Cancel,
) -> Result<Vec<Option<TakeWords>>, GenerateError> {
    let mut meter: Option<Meter> = None;
    let mut tell = |done: usize, total: usize| {
        meter.get_or_insert_with(|| Meter::new("words", 0, total as u64)).set(done as u64, String::new);
    };
    let open = |level| PriorDecoder::open(folder, level, &Device::flex(), session.request().weights);
    let words = take_words(folder.config(), session, open, cancel, &mut tell)?;
    if let Some(meter) = meter {
        meter.finish("aligned with the music");
    }
    Ok(words)
}

/// For the page.
pub fn page(words: &TakeWords) -> Vec<Word> {
    let word = |word: SungWord| Word { text: word.text, gap: word.gap, start: word.start };
    words.sung().into_iter().map(word).collect()
}

/// Writes alignment, picture and LRC file under the names `take-N.alignment.json`, `take-N.alignment.png` and
/// `take-N.lrc`; says which is where.
pub fn write(words: &TakeWords, folder: &Path, take: usize) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
    let Some(alignment) = &words.alignment else { return Ok(Vec::new()) };
    let files = [
        ("alignment", "alignment.json", alignment.json(&words.text, words.vocabulary).to_string().into_bytes()),
        ("alignment_picture", "alignment.png", picture(alignment)?),
        ("lrc", "lrc", lrc(&words.sung()).into_bytes()),
    ];
    let mut written = Vec::new();
    for (key, ending, bytes) in files {
        let path = folder.join(format!("take-{}.{ending}", take + 1));
        write_whole(&path, &bytes)?;
        written.push((key, path));
    }
    Ok(written)
}

/// Time to the right, the words downwards, attention as light.
fn picture(alignment: &Alignment) -> Result<Vec<u8>, PageError> {
    let characters = alignment.characters();
    let downwards = alignment.matrix().chunks_exact(characters).flat_map(|row| row.iter().rev().copied()).collect();
    let most = alignment.matrix().iter().copied().fold(0.0, f32::max);
    let range = DecibelRange { floor: 0.0, ceiling: most };
    Spectrogram::new(downwards, alignment.rows(), characters)?.png(Some(range))
}
