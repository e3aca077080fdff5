//! Music to be measured: takes of a model with given labels, in memory.

use crate::commands::sample;
use crate::failure::Failure;
use crate::model;
use crate::progress::Meter;
use burn::tensor::Device;
use orchestrion_data::{TokenCache, Tokens, UNKNOWN};
use orchestrion_generate::{
    Cancel, Event, LabelTables, LevelRequest, Run, SampleRequest, SamplerSettings, Session, SongShape, TakeLabels,
};
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::prior::{PriorDecoder, TokenModel};
use orchestrion_model::store::ModelFolder;

/// What the model suggests for `seconds` of music, all levels.
pub fn request(folder: &ModelFolder, codec: &VqVae, seconds: f64) -> Result<(SampleRequest, SongShape), Failure> {
    let shape = SongShape::of(&codec.spec())?;
    let mut request = SampleRequest::new(seconds, shape.levels.len());
    sample::defaults(&mut request, folder.config());
    request.song_seconds = request.song_seconds.map(|song| song.max(seconds));
    Ok((request, shape))
}

/// The likeliest token always.
pub fn greedy(request: &mut SampleRequest) {
    for LevelRequest { sampler, .. } in &mut request.sampling {
        *sampler = SamplerSettings { temperature: 0.0, top_k: None, top_p: None };
    }
}

/// Rows of the model's tables for the labels of a cached track; what the model does not know is unknown.
pub fn labels(tables: &LabelTables, cache: &TokenCache, track: usize) -> TakeLabels {
    let Some(known) = cache.tracks().get(track) else { return TakeLabels::default() };
    let name = |names: &[String], row: u32| names.get(row as usize).filter(|name| *name != UNKNOWN).cloned();
    let artist = name(&cache.labels().artists, known.artist);
    let genres: Vec<String> = known.genres.iter().filter_map(|g| name(&cache.labels().genres, *g)).collect();
    let genre = (!genres.is_empty()).then(|| genres.join(","));
    let rows = |artist: Option<&str>, genre: Option<&str>| tables.rows(artist, genre).map(|(labels, _)| labels);
    rows(artist.as_deref(), genre.as_deref())
        .or_else(|_| rows(artist.as_deref(), None))
        .or_else(|_| rows(None, genre.as_deref()))
        .unwrap_or_default()
}

/// Makes what is asked for.
pub fn make(
    folder: &ModelFolder,
    device: &Device,
    request: SampleRequest,
    shape: SongShape,
    prompt: Option<&Tokens>,
    word: &str,
) -> Result<Session, Failure> {
    let mut session = Session::new(request, shape, model::identity(folder)?, prompt)?;
    let mut open = |level: usize| {
        let prior = PriorDecoder::open(folder, level, device, None)?;
        Ok(Box::new(prior) as Box<dyn TokenModel>)
    };
    let mut meter: Option<Meter> = None;
    let mut listen = |event: &Event| match *event {
        Event::LevelStarted { level, done, total } => {
            meter = Some(Meter::new(&format!("{word}, level {level}"), done as u64, total as u64));
        }
        Event::TokensDrawn { done, .. } | Event::WindowDone { done, .. } => {
            if let Some(meter) = &mut meter {
                meter.set(done as u64, String::new);
            }
        }
        Event::LevelFinished { total, .. } => {
            if let Some(meter) = meter.take() {
                meter.finish(&format!("{total} tokens"));
            }
        }
    };
    let cancel = Cancel::new();
    Run { priors: &mut open, file: None, progress: &mut listen, cancel: &cancel }.make_all(&mut session)?;
    Ok(session)
}
