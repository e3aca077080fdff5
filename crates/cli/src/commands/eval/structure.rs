//! `orchestrion eval structure`: whether songs go somewhere, come back, and differ from each other.

use super::sounds;
use crate::failure::Failure;
use crate::model::{DeviceChoice, ModelChoice};
use orchestrion_evaluate::features::CodecFeatures;
use orchestrion_evaluate::{Diversity, Structure, diversity, structure};
use orchestrion_model::codec::Codec;
use serde::Serialize;

/// Options of `eval structure`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Songs: sounds, folders, manifests, or splits such as `songs.jsonl:test`
    #[arg(required = true, value_name = "SET")]
    songs: Vec<String>,
    #[command(flatten)]
    model: ModelChoice,
    /// Seconds of each song at most
    #[arg(long, default_value_t = 180.0)]
    seconds: f64,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// Structure of songs.
#[derive(Debug, Clone, Serialize)]
pub struct Structures {
    /// Each song's.
    pub songs: Vec<NamedStructure>,
    /// How much they differ from each other.
    pub diversity: Diversity,
}

/// A song's structure with its name.
#[derive(Debug, Clone, Serialize)]
pub struct NamedStructure {
    /// The song.
    pub name: String,
    /// Its structure.
    #[serde(flatten)]
    pub structure: Structure,
}

/// Runs it.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let codec = a.model.open()?.codec(&a.device.open()?)?;
    let spec = codec.spec();
    let features = CodecFeatures::new(&codec, spec.streams.len() - 1)?;
    let (mut songs, mut windows) = (Vec::new(), Vec::new());
    let files = a.songs.iter().map(|set| sounds::files(set)).collect::<Result<Vec<_>, _>>()?;
    for path in files.iter().flatten() {
        let samples = sounds::read(path, a.seconds, spec.sample_rate)?;
        songs.push(NamedStructure { name: sounds::name(path), structure: structure(&samples, spec.sample_rate)? });
        windows.push(features.windows(&codec.encode(&samples, features.level())?));
    }
    let all = Structures { songs, diversity: diversity(&windows) };
    if a.json {
        println!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
        return Ok(());
    }
    println!(
        "{:<32} {:>8} {:>11} {:>8} {:>8} {:>15}",
        "", "seconds", "repetition", "at s", "novelty", "late coherence"
    );
    for NamedStructure { name, structure: s } in &all.songs {
        println!(
            "{name:<32} {:>8.1} {:>11.3} {:>8.1} {:>8.3} {:>15.3}",
            s.seconds, s.repetition, s.repetition_seconds, s.novelty, s.late_coherence
        );
    }
    let d = all.diversity;
    println!("{} songs: mean distance of pairs {:.3}, Vendi score {:.2}", d.songs, d.pairs, d.vendi);
    Ok(())
}
