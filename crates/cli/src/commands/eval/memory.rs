//! `orchestrion eval memory`: whether music is copied from the training set.

use super::corpus::Corpus;
use super::takes;
use crate::failure::Failure;
use crate::model::{DeviceChoice, ModelChoice};
use burn::tensor::Device;
use orchestrion_data::{TokenStream, Tokens};
use orchestrion_evaluate::features::CodecFeatures;
use orchestrion_evaluate::neighbours::{Index, Neighbour};
use orchestrion_evaluate::{Copy, NearCopy, longest_copy, nearest_copy};
use orchestrion_generate::LabelTables;
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::store::ModelFolder;
use serde::Serialize;
use std::path::PathBuf;

/// Seconds that a continuation of a training clip is compared for (Agostinelli et al. 2023).
const CONTINUED_SECONDS: f64 = 5.0;
/// Seconds of a clip that prompts come from, at most.
const LONGEST_PROMPT: f64 = 30.0;
/// Share of equal tokens from which a continuation counts as an approximate copy (Copet et al. 2023).
const APPROXIMATE: f64 = 0.8;

/// Options of `eval memory`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Token files of songs to look at, such as `take-1.tokens.safetensors` or a session
    songs: Vec<PathBuf>,
    /// Folder with the tokens of the training set
    #[arg(long, value_name = "FOLDER")]
    tokens: PathBuf,
    #[command(flatten)]
    model: ModelChoice,
    /// Seconds of training clips that the model is made to continue; empty: none
    #[arg(long, value_delimiter = ',', value_name = "SECONDS", default_value = "0,1,5,10")]
    prompts: Vec<f64>,
    /// Clips to continue for each length, of the training set and of what was held out
    #[arg(long, default_value_t = 8)]
    clips: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// What is told of memory.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Memory {
    /// Songs that were given.
    pub songs: Vec<SongMemory>,
    /// Held-out recordings of the same length: what is shared without any copying.
    pub held_out: Vec<SongMemory>,
    /// Continuations of clips.
    pub continuations: Vec<Continuation>,
}

/// One song beside the training set.
#[derive(Debug, Clone, Serialize)]
pub struct SongMemory {
    /// Its name.
    pub name: String,
    /// Seconds looked at.
    pub seconds: f64,
    /// Longest run of tokens of the top level that a training track has too.
    pub longest: Copy,
    /// The same in seconds.
    pub longest_seconds: f64,
    /// The five seconds with the largest share of tokens equal to those of a training track; none for shorter songs.
    pub nearest: NearCopy,
    /// Name of the training track of `nearest`, or of `longest` if there is none.
    pub track: String,
    /// The nearest windows of a second by features.
    pub neighbours: Vec<NamedNeighbour>,
}

/// A neighbour with the name of its track.
#[derive(Debug, Clone, Serialize)]
pub struct NamedNeighbour {
    /// The track.
    pub name: String,
    /// Where and how near.
    #[serde(flatten)]
    pub at: Neighbour,
}

/// Continuations of clips by the likeliest tokens, beside what really follows.
#[derive(Debug, Clone, Serialize)]
pub struct Continuation {
    /// `training, 5 s`.
    pub name: String,
    /// Clips continued.
    pub clips: usize,
    /// Mean share of tokens of the next five seconds that are the recording's.
    pub equal: f64,
    /// Share of clips that are continued exactly.
    pub exact: f64,
    /// Share of clips with at least 80 % of equal tokens.
    pub approximate: f64,
}

/// Runs it.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let folder = a.model.open()?;
    let device = a.device.open()?;
    let codec = folder.codec(&device)?;
    let corpus = Corpus::open(&a.tokens, &folder)?;
    let top = codec.spec().streams.len() - 1;
    let mut songs = Vec::new();
    for path in &a.songs {
        let tokens = Tokens::load(path)?;
        for take in 0..tokens.batch() {
            let codes = tokens.level(top).and_then(|s| s.row(take, 0)).unwrap_or_default().to_vec();
            songs.push((format!("{} {}", path.file_stem().unwrap_or_default().to_string_lossy(), take + 1), codes));
        }
    }
    let memory = Memory {
        continuations: continuations(&folder, &device, &codec, &corpus, &a.prompts, a.clips)?,
        ..of_songs(&codec, &corpus, &songs)?
    };
    if a.json {
        println!("{}", serde_json::to_string_pretty(&memory).unwrap_or_default());
        return Ok(());
    }
    for (what, all) in [("songs", &memory.songs), ("held-out recordings of the same length", &memory.held_out)] {
        if !all.is_empty() {
            println!("{what}");
            println!("{:<32} {:>10} {:>9} {:>13} {:>11}", "", "longest s", "tokens", "different", "equal in 5 s");
        }
        for song in all {
            println!(
                "{:<32} {:>10.2} {:>9} {:>13} {:>10.1} %  {}",
                song.name,
                song.longest_seconds,
                song.longest.tokens,
                song.longest.different,
                100.0 * song.nearest.share,
                song.track
            );
        }
    }
    println!("{:<24} {:>6} {:>12} {:>8} {:>14}", "continued from", "clips", "equal tokens", "exact", "80 % or more");
    for c in &memory.continuations {
        println!(
            "{:<24} {:>6} {:>10.1} % {:>6.1} % {:>12.1} %",
            c.name,
            c.clips,
            100.0 * c.equal,
            100.0 * c.exact,
            100.0 * c.approximate
        );
    }
    Ok(())
}

/// Songs of the top level beside the training set, and as many held-out recordings.
pub fn of_songs(codec: &VqVae, corpus: &Corpus, songs: &[(String, Vec<u32>)]) -> Result<Memory, Failure> {
    if songs.is_empty() {
        return Ok(Memory::default());
    }
    let top = codec.spec().streams.len() - 1;
    let features = CodecFeatures::new(codec, top)?;
    let train: Vec<_> = corpus.train.iter().copied().zip(corpus.windows(&corpus.train, &features)).collect();
    let index = Index::new(&train);
    let a_second = corpus.tokens_of(1.0, top).max(1) as f64;
    let look = |name: String, codes: &[u32]| {
        let longest = longest_copy(codes, corpus.training(top));
        let nearest = nearest_copy(codes, corpus.tokens_of(CONTINUED_SECONDS, top), corpus.training(top));
        let neighbours = index.nearest(&features.windows(codes), |_| false).into_iter().take(3);
        SongMemory {
            name,
            seconds: codes.len() as f64 / a_second,
            longest,
            longest_seconds: longest.tokens as f64 / a_second,
            nearest,
            track: corpus.name(if nearest.share > 0.0 { nearest.track } else { longest.track }),
            neighbours: neighbours.map(|at| NamedNeighbour { name: corpus.name(at.track), at }).collect(),
        }
    };
    let seconds = songs.iter().map(|(_, codes)| codes.len()).max().unwrap_or(0) as f64 / a_second;
    let held_out = Corpus::spread(&corpus.test, songs.len());
    Ok(Memory {
        songs: songs.iter().map(|(name, codes)| look(name.clone(), codes)).collect(),
        held_out: held_out.iter().map(|&t| look(corpus.name(t), corpus.middle(t, top, seconds))).collect(),
        continuations: Vec::new(),
    })
}

/// Clips from the middle of tracks, continued by the top prior with its likeliest tokens.
pub fn continuations(
    folder: &ModelFolder,
    device: &Device,
    codec: &VqVae,
    corpus: &Corpus,
    prompts: &[f64],
    clips: usize,
) -> Result<Vec<Continuation>, Failure> {
    let mut all = Vec::new();
    let tables = LabelTables::open(folder)?;
    let top = codec.spec().streams.len() - 1;
    let stream = codec.spec().streams[top];
    let rate = f64::from(codec.spec().sample_rate);
    for (what, tracks) in [("training", &corpus.train), ("held out", &corpus.test)] {
        for &seconds in prompts {
            if !(0.0..=LONGEST_PROMPT).contains(&seconds) {
                return Err(Failure::usage(format!(
                    "a prompt of {seconds} seconds; hint: use 0 to {LONGEST_PROMPT} with `--prompts`"
                )));
            }
            let (given, wanted) = (corpus.tokens_of(seconds, top), corpus.tokens_of(CONTINUED_SECONDS, top));
            let long: Vec<usize> =
                tracks.iter().copied().filter(|&t| corpus.codes(t, top).len() >= given + wanted).collect();
            let chosen = Corpus::spread(&long, clips.clamp(1, orchestrion_generate::MAX_TAKES));
            if chosen.is_empty() {
                continue;
            }
            let exact_seconds = ((given + wanted) * stream.hop_length) as f64 / rate;
            let (mut request, shape) = takes::request(folder, codec, exact_seconds + 1e-6)?;
            takes::greedy(&mut request);
            (request.takes, request.levels) = (chosen.len(), vec![top]);
            let start = |track: usize| (corpus.codes(track, top).len() - given - wanted) / 2;
            let second = |tokens: usize| (tokens * stream.hop_length) as f64 / rate;
            request.labels = chosen
                .iter()
                .map(|&t| {
                    let mut labels = takes::labels(&tables, &corpus.cache, t);
                    labels.offset_seconds = second(start(t));
                    labels
                })
                .collect();
            // The timing label has one song length for all takes of a session: that of the longest.
            let longest = chosen.iter().map(|&t| second(corpus.codes(t, top).len())).fold(0.0, f64::max);
            request.song_seconds = Some(longest + 1.0);
            let rows: Vec<&[u32]> = chosen.iter().map(|&t| &corpus.codes(t, top)[start(t)..start(t) + given]).collect();
            let prompt = if given > 0 {
                let stream = TokenStream::from_rows(top, stream.hop_length, stream.codebook_size, &rows)?;
                Some(Tokens::new(codec.spec().sample_rate, vec![stream], Default::default())?)
            } else {
                None
            };
            let session =
                takes::make(folder, device, request, shape, prompt.as_ref(), &format!("{what}, {seconds} s"))?;
            let shares: Vec<f64> = chosen
                .iter()
                .enumerate()
                .map(|(take, &t)| {
                    let real = &corpus.codes(t, top)[start(t) + given..start(t) + given + wanted];
                    let made = session.stream(top, take).iter().skip(given);
                    real.iter().zip(made).filter(|(a, b)| a == b).count() as f64 / wanted as f64
                })
                .collect();
            let n = shares.len() as f64;
            let share_of = |least: f64| shares.iter().filter(|s| **s >= least).count() as f64 / n;
            all.push(Continuation {
                name: format!("{what}, {seconds} s"),
                clips: shares.len(),
                equal: shares.iter().sum::<f64>() / n,
                exact: share_of(1.0),
                approximate: share_of(APPROXIMATE),
            });
        }
    }
    Ok(all)
}
