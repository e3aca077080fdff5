//! `orchestrion eval distance`: how far sets of songs are from a reference, by what the codec hears.

use super::sounds;
use crate::failure::Failure;
use crate::model::{DeviceChoice, ModelChoice};
use crate::progress::Meter;
use orchestrion_data::Draw;
use orchestrion_evaluate::features::{CodecFeatures, Windows};
use orchestrion_evaluate::{Distance, Gaussian, Reference, distance, per_song};
use orchestrion_model::codec::{Codec, VqVae};
use serde::Serialize;
use std::path::PathBuf;

/// Options of `eval distance`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Sets to measure: a folder of sounds, a manifest, or a split of it such as `songs.jsonl:test`
    #[arg(required = true)]
    sets: Vec<String>,
    /// Set to measure them against
    #[arg(long, value_name = "SET")]
    reference: String,
    #[command(flatten)]
    model: ModelChoice,
    /// Level of the codec whose features count [default: the top one]
    #[arg(long)]
    level: Option<usize>,
    /// Seconds of each song, from its beginning
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Most songs of a set, spread evenly
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Distances of sets to one reference.
#[derive(Debug, Clone, Serialize)]
pub struct Distances {
    /// Which features: the model, the level, the window.
    pub name: String,
    /// One row a set.
    pub rows: Vec<DistanceRow>,
}

/// The distance of one set.
#[derive(Debug, Clone, Serialize)]
pub struct DistanceRow {
    /// The set.
    pub name: String,
    /// How far it is.
    #[serde(flatten)]
    pub distance: Distance,
    /// Each song's own distance, the farthest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub songs: Vec<SongDistance>,
}

/// The distance of one song.
#[derive(Debug, Clone, Serialize)]
pub struct SongDistance {
    /// The song.
    pub name: String,
    /// Fréchet distance of its windows alone.
    pub distance: f64,
}

/// Runs it.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let folder = a.model.open()?;
    let codec = folder.codec(&a.device.open()?)?;
    let level = a.level.unwrap_or(codec.spec().streams.len() - 1);
    let features = CodecFeatures::new(&codec, level)?;
    let files = |set: &str| -> Result<Vec<PathBuf>, Failure> {
        let all = sounds::files(set)?;
        let every = all.len().div_ceil(a.limit.max(1)).max(1);
        Ok(all.into_iter().step_by(every).collect())
    };
    let read = |files: &[PathBuf]| -> Result<Vec<Windows>, Failure> {
        let mut meter = Meter::new("listening", 0, files.len() as u64);
        files
            .iter()
            .zip(1..)
            .map(|(file, done)| {
                let samples = sounds::read(file, a.seconds, codec.spec().sample_rate)?;
                meter.set(done, String::new);
                Ok(features.windows(&codec.encode(&samples, level)?))
            })
            .collect()
    };
    let known = read(&files(&a.reference)?)?;
    let reference = reference(&known)?;
    let mut rows = floor_and_ceiling(&codec, &features, &known)?;
    for set in &a.sets {
        let files = files(set)?;
        let names: Vec<String> = files.iter().map(|f| sounds::name(f)).collect();
        rows.push(row(&reference, set, &read(&files)?, &names)?);
    }
    let distances = Distances { name: title(&folder.config().name, level), rows };
    if a.json {
        println!("{}", serde_json::to_string_pretty(&distances).unwrap_or_default());
        return Ok(());
    }
    println!("distance to `{}` by {}", a.reference, distances.name);
    println!("{:<40} {:>9} {:>16} {:>8}", "", "distance", "without end", "windows");
    for row in &distances.rows {
        let infinite = row.distance.infinite.map_or("-".to_owned(), |i| format!("{:.3} (R2 {:.2})", i.value, i.r2));
        println!("{:<40} {:>9.3} {infinite:>16} {:>8}", row.name, row.distance.distance, row.distance.windows);
        for song in row.songs.iter().take(3) {
            println!("  {:<38} {:>9.3}", song.name, song.distance);
        }
    }
    Ok(())
}

/// What the distance is called: never FAD alone, which is another embedding.
pub fn title(model: &str, level: usize) -> String {
    format!("codec features of `{model}`, level {level} (mean and deviation of every second)")
}

/// The reference that songs make.
pub fn reference(songs: &[Windows]) -> Result<Reference, Failure> {
    Ok(Reference::new(Gaussian::fit(songs.iter().flat_map(Windows::rows))?))
}

/// A set's row, with its songs where they have names.
pub fn row(reference: &Reference, name: &str, songs: &[Windows], names: &[String]) -> Result<DistanceRow, Failure> {
    let each = per_song(reference, songs);
    let mut of_songs: Vec<SongDistance> = names
        .iter()
        .zip(each)
        .filter_map(|(name, distance)| Some(SongDistance { name: name.clone(), distance: distance? }))
        .collect();
    of_songs.sort_by(|a, b| b.distance.total_cmp(&a.distance));
    Ok(DistanceRow { name: name.to_owned(), distance: distance(reference, songs)?, songs: of_songs })
}

/// What the distance is between two halves of the reference, and to white noise.
fn floor_and_ceiling(codec: &VqVae, features: &CodecFeatures, known: &[Windows]) -> Result<Vec<DistanceRow>, Failure> {
    let mut rows = Vec::new();
    let half = |start: usize| known.iter().skip(start).step_by(2).cloned().collect::<Vec<_>>();
    if known.len() >= 4 {
        rows.push(row(&reference(&half(0))?, "half of the reference to its other half", &half(1), &[])?);
    }
    rows.push(row(&reference(known)?, "white noise", &[noise(codec, features, 60.0)?], &[])?);
    Ok(rows)
}

/// Windows of white noise.
pub fn noise(codec: &VqVae, features: &CodecFeatures, seconds: f64) -> Result<Windows, Failure> {
    let mut draw = Draw::new("white noise", 0, 0, 0);
    let count = (seconds * f64::from(codec.spec().sample_rate)) as usize;
    let samples: Vec<f32> = (0..count).map(|_| 0.4 * (draw.unit() as f32 - 0.5)).collect();
    Ok(features.windows(&codec.encode(&samples, features.level())?))
}
