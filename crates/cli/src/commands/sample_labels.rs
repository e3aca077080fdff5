//! What `sample` is told about the song: artist, genre, words, and the place in it.

use crate::failure::Failure;
use orchestrion_data::lyrics::{MAX_LYRICS, Vocabulary};
use orchestrion_generate::{LabelTables, Lyrics, SampleRequest, Session, TakeLabels};
use orchestrion_model::store::{ModelConfig, ModelFolder};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Options that say who sings what.
#[derive(Debug, clap::Args)]
pub struct LabelOptions {
    /// Artist, or a blend: `fiddle-band:0.7,organ:0.3` (see `orchestrion model info`)
    #[arg(long, value_name = "NAME")]
    artist: Option<String>,
    /// Genre, or a blend
    #[arg(long, value_name = "NAME")]
    genre: Option<String>,
    /// Words of the whole song; `\` begins a new line
    #[arg(long, value_name = "TEXT", conflicts_with = "lyrics_file")]
    lyrics: Option<String>,
    /// File with the words of the whole song
    #[arg(long, value_name = "FILE")]
    lyrics_file: Option<PathBuf>,
    /// Where in the song the music begins [default: 0]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    song_offset: Option<f64>,
}

/// The labels that the model suggests.
pub fn defaults(request: &mut SampleRequest, folder: &ModelFolder) -> Result<(), Failure> {
    let sampling = &folder.config().sampling;
    let tables = LabelTables::open(folder)?;
    let (labels, _) = tables.rows(sampling.artist.as_deref(), sampling.genre.as_deref())?;
    request.labels = vec![labels];
    Ok(())
}

/// Tells that words are missing where a level that is to be made would sing them.
pub fn note_missing_words(session: &Session, config: &ModelConfig) {
    let silent = session.request().labels.iter().all(|take| take.lyrics.is_none());
    let sings = |level: usize| config.priors.get(&level).is_some_and(|prior| prior.lyrics.is_some());
    if silent && session.pending_levels().into_iter().any(sings) {
        eprintln!("note: this model sings; give it words with `--lyrics`");
    }
}

impl LabelOptions {
    /// Lays what was said over the labels of every take; what was not said stays each take's own.
    pub fn apply(&self, request: &mut SampleRequest, folder: &ModelFolder) -> Result<(), Failure> {
        let mut rows = None;
        if self.artist.is_some() || self.genre.is_some() {
            // One named label alone: the other is unknown rather than the model's default for another style.
            let tables = LabelTables::open(folder)?;
            let (named, lacking) =
                tables.rows(self.artist.as_deref(), self.genre.as_deref()).map_err(Failure::usage)?;
            lacking.iter().for_each(|line| eprintln!("note: {line}"));
            rows = Some(named);
        }
        let words = self.text()?.map(|text| lyrics(text, folder.config())).transpose()?;
        for take in &mut request.labels {
            if let Some(TakeLabels { artist, genre, levels, .. }) = rows.clone() {
                (take.artist, take.genre, take.levels) = (artist, genre, levels);
            }
            if words.is_some() {
                take.lyrics.clone_from(&words);
            }
            take.offset_seconds = self.song_offset.unwrap_or(take.offset_seconds);
        }
        Ok(())
    }

    /// The words as given.
    fn text(&self) -> Result<Option<String>, Failure> {
        match &self.lyrics_file {
            Some(path) => read(path).map(Some),
            None => Ok(self.lyrics.clone()),
        }
    }
}

/// Words in the model's vocabulary; says what is left out.
fn lyrics(text: String, config: &ModelConfig) -> Result<Lyrics, Failure> {
    let Some((_, known)) = config.singer() else {
        return Err(Failure::usage(format!(
            "model `{}` knows no words; hint: leave `--lyrics` out, or use a model with lyrics",
            config.name
        )));
    };
    let vocabulary = Vocabulary::of_size(known.vocabulary)?;
    let dropped = vocabulary.dropped(&text);
    if !dropped.is_empty() {
        let shown: Vec<String> = dropped.iter().take(10).map(|c| format!("`{}`", c.escape_debug())).collect();
        let more = if dropped.len() > shown.len() { ", .." } else { "" };
        eprintln!("note: the model does not know these characters of the lyrics: {}{more}", shown.join(", "));
    }
    Ok(Lyrics { tokens: vocabulary.tokenise(&text), text })
}

/// A text file of at most a song's words.
fn read(path: &Path) -> Result<String, Failure> {
    let failed = |what: String, hint| Failure::usage(format!("`{}`: {what}; hint: {hint}", path.display()));
    let limit = 4 * MAX_LYRICS as u64;
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut text))
        .map_err(|error| failed(error.to_string(), "name a text file with the words"))?;
    if text.len() as u64 > limit {
        return Err(failed(format!("more than {limit} bytes"), "give the words of one song"));
    }
    String::from_utf8(text).map_err(|_| failed("this is no UTF-8 text".into(), "save the words as plain text, UTF-8"))
}
