//! How near a codec's output is to the recording, beside recordings with their treble cut off and, in builds with the
//! feature `opus`, beside that codec.

use crate::EvaluateError;
use crate::codebook::CodebookUse;
use crate::fidelity::Fidelity;
use orchestrion_audio::{Clip, ReadOptions, low_pass, read, resample};
use orchestrion_data::{Entry, Manifest, Split};
use orchestrion_model::codec::Codec;
use serde::Serialize;
use std::collections::BTreeMap;

/// Cut-offs of the low-passed recordings, in hertz.
const CUTS: [f64; 2] = [4000.0, 6000.0];

/// Means over recordings.
#[derive(Debug, Clone, Serialize)]
pub struct ReconstructionReport {
    /// Recordings measured.
    pub recordings: usize,
    /// Seconds of each at most.
    pub seconds: f64,
    /// A row for each level, then for each baseline.
    pub rows: Vec<ReconstructionRow>,
}

/// One way to come back to sound.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReconstructionRow {
    /// `level 0`, `low-passed at 4 kHz`, `Opus at 6 kbit/s`.
    pub name: String,
    /// Over all recordings.
    #[serde(flatten)]
    pub all: Fidelity,
    /// Over the recordings of each genre; `unknown` holds those without one.
    pub genres: BTreeMap<String, Fidelity>,
    /// How a level's codebook is used; none for baselines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codebook: Option<CodebookUse>,
}

/// Stretches of recordings at a codec's rate.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// First genre of the recording.
    pub genre: String,
    /// File name without its ending.
    pub name: String,
    /// Mono samples.
    pub samples: Vec<f32>,
}

impl Excerpt {
    /// `seconds` from the middle of a recording.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(manifest: &Manifest, entry: &Entry, seconds: f64, sample_rate: u32) -> Result<Self, EvaluateError> {
        let offset = ((entry.duration - seconds) / 2.0).max(0.0);
        let clip = read(&manifest.audio_path(entry), &ReadOptions::part(offset, seconds))?;
        Ok(Self {
            genre: entry.genre.first().cloned().unwrap_or_else(|| orchestrion_data::UNKNOWN.to_owned()),
            name: entry.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            samples: resample(&clip, sample_rate)?.mono(),
        })
    }
}

/// At most `limit` recordings of a split, spread evenly.
///
/// # Errors
/// If there is none.
pub fn spread(manifest: &Manifest, split: Split, limit: usize) -> Result<Vec<&Entry>, EvaluateError> {
    let entries: Vec<_> = manifest.of_split(split).collect();
    if entries.is_empty() {
        return Err(EvaluateError::Nothing("no recording of that split; hint: choose another with `--split`".into()));
    }
    let every = entries.len().div_ceil(limit.max(1)).max(1);
    Ok(entries.into_iter().step_by(every).collect())
}

/// Measures a codec on `seconds` from the middle of at most `limit` recordings of a split.
///
/// # Errors
/// If there is no recording, or one cannot be read.
pub fn reconstruction(
    codec: &dyn Codec,
    manifest: &Manifest,
    split: Split,
    seconds: f64,
    limit: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<ReconstructionReport, EvaluateError> {
    let spec = codec.spec();
    let chosen = spread(manifest, split, limit)?;
    let mut counts: Vec<Vec<u64>> = spec.streams.iter().map(|s| vec![0; s.codebook_size]).collect();
    let mut found: Vec<Found> = Vec::new();
    for (i, entry) in chosen.iter().enumerate() {
        let excerpt = Excerpt::read(manifest, entry, seconds, spec.sample_rate)?;
        let mut outputs = Vec::new();
        for (level, counts) in counts.iter_mut().enumerate() {
            let codes = codec.encode(&excerpt.samples, level)?;
            codes.iter().filter_map(|c| counts.get_mut(*c as usize).map(|n| *n += 1)).count();
            outputs.push((format!("level {level}"), codec.decode(&codes, level)?));
        }
        outputs.extend(baselines(&excerpt.samples, spec.sample_rate)?);
        for (name, output) in outputs {
            let fidelity = Fidelity::measure(&excerpt.samples, &output, spec.sample_rate)?;
            found.push(Found { name, genre: excerpt.genre.clone(), fidelity });
        }
        progress(i + 1, chosen.len());
    }
    let mut names: Vec<&str> = Vec::new();
    for one in &found {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    let rows = names.into_iter().enumerate().map(|(at, name)| {
        let mut genres: BTreeMap<String, Vec<Fidelity>> = BTreeMap::new();
        for one in found.iter().filter(|one| one.name == name) {
            genres.entry(one.genre.clone()).or_default().push(one.fidelity);
        }
        let rate = |s: &orchestrion_model::codec::StreamSpec| f64::from(spec.sample_rate) / s.hop_length as f64;
        ReconstructionRow {
            name: name.to_owned(),
            all: Fidelity::mean(genres.values().flatten().copied().collect()),
            genres: genres.into_iter().map(|(genre, all)| (genre, Fidelity::mean(all))).collect(),
            codebook: spec.streams.get(at).map(|s| CodebookUse::of(&counts[at], rate(s))),
        }
    });
    Ok(ReconstructionReport { recordings: chosen.len(), seconds, rows: rows.collect() })
}

struct Found {
    name: String,
    genre: String,
    fidelity: Fidelity,
}

/// The same sound by other means, with what they are called.
fn baselines(samples: &[f32], sample_rate: u32) -> Result<Vec<(String, Vec<f32>)>, EvaluateError> {
    let clip = Clip::from_mono(samples.to_vec(), sample_rate);
    let cut = |cut: &f64| (format!("low-passed at {} kHz", cut / 1000.0), low_pass(&clip, *cut).mono());
    let all: Vec<(String, Vec<f32>)> = CUTS.iter().map(cut).collect();
    #[cfg(feature = "opus")]
    let all = all.into_iter().chain(crate::opus::baselines(&clip)?).collect();
    Ok(all)
}
