//! Every figure of a report.

use super::Arguments;
use super::samples::Made;
use crate::commands::eval::corpus::Corpus;
use crate::commands::eval::distance::{self, Distances};
use crate::commands::eval::memory::{self, Memory};
use crate::commands::eval::structure::{NamedStructure, Structures};
use crate::failure::Failure;
use crate::model;
use crate::progress::Meter;
use burn::tensor::Device;
use orchestrion_audio::{Clip, low_pass};
use orchestrion_data::{Manifest, Split};
use orchestrion_evaluate::features::{CodecFeatures, Windows};
use orchestrion_evaluate::neighbours::Index;
use orchestrion_evaluate::{
    Excerpt, LikelihoodReport, ReconstructionReport, diversity, likelihood, reconstruction, spread, structure,
};
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::store::ModelFolder;
use serde::Serialize;

/// Seconds of the recordings that go through the codec.
pub const EXCERPT_SECONDS: f64 = 10.0;
/// Seconds of prompts whose continuations are looked at.
const PROMPTS: [f64; 4] = [0.0, 1.0, 5.0, 10.0];
/// Windows that a set needs for a distance of its own.
const ENOUGH_WINDOWS: usize = 60;

/// What `report.json` holds.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// The model.
    pub model: String,
    /// Songs made, and the seconds of each.
    pub takes: usize,
    /// Seconds of each.
    pub seconds: f64,
    /// The codec on held-out recordings.
    pub reconstruction: ReconstructionReport,
    /// The priors on held-out tokens, the finest level first.
    pub likelihood: Vec<LevelLikelihood>,
    /// Distances to the training set, by the features of each level.
    pub distances: Vec<Distances>,
    /// Whether songs have the sound of the artist that was asked for.
    pub control: Vec<Control>,
    /// Copies.
    pub memory: Memory,
    /// Structure of the songs.
    pub structure: Structures,
    /// Structure of held-out recordings of the same length.
    pub held_out_structure: Structures,
}

/// Likelihood of one level.
#[derive(Debug, Serialize)]
pub struct LevelLikelihood {
    /// `level 2`.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: LikelihoodReport,
}

/// How often the nearest second of the training set is by the right artist.
#[derive(Debug, Clone, Serialize)]
pub struct Control {
    /// The set.
    pub name: String,
    /// Share of seconds, 0 to 1.
    pub artist: f64,
    /// Share of seconds whose genre is the right one.
    pub genre: f64,
}

impl Figures {
    /// Measures everything.
    pub fn measure(
        a: &Arguments,
        folder: &ModelFolder,
        device: &Device,
        codec: &VqVae,
        manifest: &Manifest,
        corpus: &Corpus,
        made: &Made,
    ) -> Result<Self, Failure> {
        let levels = codec.spec().streams.len();
        let mut meter = Meter::new("reconstruction", 0, a.recordings as u64);
        let reconstruction = reconstruction(codec, manifest, Split::Test, EXCERPT_SECONDS, a.recordings, |done, _| {
            meter.set(done as u64, String::new);
        })?;
        meter.finish(&format!("{} recordings", reconstruction.recordings));
        let mut of_levels = Vec::new();
        for level in 0..levels {
            if folder.config().priors.contains_key(&level) {
                let mut prior = folder.prior(level, device)?;
                let figures = likelihood(&mut prior, &corpus.cache, Split::Test, a.windows)?;
                let meter = Meter::new(&format!("likelihood, level {level}"), 0, 1);
                meter.finish(&format!("{:.3} bits a token", figures.bits));
                of_levels.push(LevelLikelihood { name: format!("level {level}"), figures });
            }
        }
        let real: Vec<Excerpt> = spread(manifest, Split::Test, a.takes)?
            .into_iter()
            .map(|entry| Excerpt::read(manifest, entry, a.seconds, codec.spec().sample_rate))
            .collect::<Result<_, _>>()?;
        let distances = (0..levels).map(|level| distances(folder, codec, corpus, made, &real, level));
        let top = CodecFeatures::new(codec, levels - 1)?;
        let heard = windows(codec, &top, made.sounds.iter())?;
        let songs = made.top.iter().enumerate().map(|(i, codes)| (format!("song {}", i + 1), codes.clone()));
        let copies = memory::of_songs(codec, corpus, &songs.collect::<Vec<_>>())?;
        let continuations = memory::continuations(folder, device, codec, corpus, &PROMPTS, a.clips)?;
        Ok(Self {
            model: model::identity(folder)?,
            takes: a.takes,
            seconds: a.seconds,
            reconstruction,
            likelihood: of_levels,
            distances: distances.collect::<Result<_, _>>()?,
            control: control(corpus, &top, made, &heard),
            memory: Memory { continuations, ..copies },
            structure: structures(codec, made.sounds.iter().zip(1..).map(|(s, i)| (format!("song {i}"), s)), &heard)?,
            held_out_structure: structures(
                codec,
                real.iter().map(|e| (e.name.clone(), &e.samples)),
                &windows(codec, &top, real.iter().map(|e| &e.samples))?,
            )?,
        })
    }
}

/// Feature windows of sounds.
fn windows<'a>(
    codec: &VqVae,
    features: &CodecFeatures,
    sounds: impl Iterator<Item = &'a Vec<f32>>,
) -> Result<Vec<Windows>, Failure> {
    sounds.map(|s| Ok(features.windows(&codec.encode(s, features.level())?))).collect()
}

/// Distances to the training set at one level: of the songs, and of everything that shows what the number means.
fn distances(
    folder: &ModelFolder,
    codec: &VqVae,
    corpus: &Corpus,
    made: &Made,
    real: &[Excerpt],
    level: usize,
) -> Result<Distances, Failure> {
    let rate = codec.spec().sample_rate;
    let features = CodecFeatures::new(codec, level)?;
    let train = corpus.windows(&corpus.train, &features);
    let reference = distance::reference(&train)?;
    let names = |prefix: &str, count: usize| (1..=count).map(|i| format!("{prefix} {i}")).collect::<Vec<_>>();
    let excerpts: Vec<String> = real.iter().map(|e| e.name.clone()).collect();
    let real_windows = windows(codec, &features, real.iter().map(|e| &e.samples))?;
    let cut = |e: &Excerpt| low_pass(&Clip::from_mono(e.samples.clone(), rate), 3500.0).mono();
    let dull: Vec<Vec<f32>> = real.iter().map(cut).collect();
    let heard = windows(codec, &features, made.sounds.iter())?;
    let mut rows = vec![
        distance::row(&reference, "songs of the model", &heard, &names("song", heard.len()))?,
        distance::row(&reference, "held-out recordings, all", &corpus.windows(&corpus.test, &features), &[])?,
        distance::row(&reference, "held-out excerpts, as long as the songs", &real_windows, &excerpts)?,
        distance::row(&reference, "the same low-passed at 3.5 kHz", &windows(codec, &features, dull.iter())?, &[])?,
    ];
    let mut artists: Vec<u32> = corpus.train.iter().map(|&t| corpus.cache.tracks()[t].artist).collect();
    artists.sort_unstable();
    artists.dedup();
    let mut others = Vec::new();
    for artist in artists {
        let of_artist = |t: &&usize| corpus.cache.tracks()[**t].artist == artist;
        let own: Vec<usize> = corpus.train.iter().filter(of_artist).copied().collect();
        let songs = corpus.windows(&own, &features);
        if songs.iter().map(Windows::len).sum::<usize>() >= ENOUGH_WINDOWS && own.len() < corpus.train.len() {
            let name = corpus.cache.labels().artists.get(artist as usize).cloned().unwrap_or_default();
            others.push(distance::row(&reference, &format!("training tracks of {name} alone"), &songs, &[])?);
        }
    }
    others.sort_by(|a, b| a.distance.distance.total_cmp(&b.distance.distance));
    // The nearest and the farthest of them frame the scale.
    if others.len() > 2 {
        others.drain(1..others.len() - 1);
    }
    rows.extend(others);
    rows.push(distance::row(&reference, "white noise", &[distance::noise(codec, &features, 60.0)?], &[])?);
    Ok(Distances { name: distance::title(&folder.config().name, level), rows })
}

/// For every second the labels of the nearest second of the training set.
fn control(corpus: &Corpus, features: &CodecFeatures, made: &Made, heard: &[Windows]) -> Vec<Control> {
    let train: Vec<_> = corpus.train.iter().copied().zip(corpus.windows(&corpus.train, features)).collect();
    let index = Index::new(&train);
    let share = |name: &str, songs: &mut dyn Iterator<Item = (usize, Windows)>| {
        let (mut artist, mut genre, mut count) = (0.0, 0.0, 0.0);
        for (asked, windows) in songs {
            let asked = &corpus.cache.tracks()[asked];
            for neighbour in index.nearest(&windows, |_| false) {
                let found = &corpus.cache.tracks()[neighbour.track];
                artist += f64::from(u8::from(found.artist == asked.artist));
                genre += f64::from(u8::from(found.genres.iter().any(|g| asked.genres.contains(g))));
                count += 1.0;
            }
        }
        Control { name: name.to_owned(), artist: artist / f64::max(count, 1.0), genre: genre / f64::max(count, 1.0) }
    };
    let tracks = &made.tracks;
    let real = corpus.windows(tracks, features);
    // Every song with the labels of another: what chance gives.
    let other = |i: usize| tracks[(i + tracks.len() / 2) % tracks.len().max(1)];
    vec![
        share("songs of the model", &mut tracks.iter().copied().zip(heard.iter().cloned())),
        share("songs against labels of another", &mut heard.iter().cloned().enumerate().map(|(i, w)| (other(i), w))),
        share("the held-out recordings themselves", &mut tracks.iter().copied().zip(real)),
    ]
}

fn structures<'a>(
    codec: &VqVae,
    sounds: impl Iterator<Item = (String, &'a Vec<f32>)>,
    windows: &[Windows],
) -> Result<Structures, Failure> {
    let rate = codec.spec().sample_rate;
    let named = sounds.map(|(name, s)| Ok(NamedStructure { name, structure: structure(s, rate)? }));
    Ok(Structures { songs: named.collect::<Result<_, Failure>>()?, diversity: diversity(windows) })
}
