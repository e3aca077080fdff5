//! `orchestrion eval fingerprint`: whether songs hold a stretch of the very sound of recordings.

use super::sounds;
use crate::failure::Failure;
use crate::progress::Meter;
use orchestrion_audio::{ReadOptions, read};
use orchestrion_evaluate::{Fingerprint, Shared};
use serde::Serialize;
use std::path::Path;

/// Options of `eval fingerprint`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Songs to look at: a sound, a folder, a manifest or a split of it
    songs: String,
    /// Recordings that they may hold
    #[arg(long, value_name = "SET")]
    against: String,
    /// Shortest stretch that is told, in seconds
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A stretch of a song that a recording has too.
#[derive(Debug, Serialize)]
struct Found {
    song: String,
    recording: String,
    #[serde(flatten)]
    shared: Shared,
}

/// Runs it.
pub fn run(a: &Arguments) -> Result<(), Failure> {
    let print =
        |path: &Path| -> Result<Fingerprint, Failure> { Ok(Fingerprint::of(&read(path, &ReadOptions::default())?)?) };
    let songs: Vec<(String, Fingerprint)> = sounds::files(&a.songs)?
        .iter()
        .map(|path| Ok((sounds::name(path), print(path)?)))
        .collect::<Result<_, Failure>>()?;
    let recordings = sounds::files(&a.against)?;
    let mut meter = Meter::new("fingerprints", 0, recordings.len() as u64);
    let mut found = Vec::new();
    for (recording, done) in recordings.iter().zip(1..) {
        let of_recording = print(recording)?;
        for (song, of_song) in &songs {
            let shared = of_song.shared(&of_recording).into_iter().filter(|s| s.seconds >= a.seconds);
            found.extend(shared.map(|shared| Found { song: song.clone(), recording: sounds::name(recording), shared }));
        }
        meter.set(done, String::new);
    }
    found.sort_by(|a, b| b.shared.seconds.total_cmp(&a.shared.seconds));
    if a.json {
        println!("{}", serde_json::to_string_pretty(&found).unwrap_or_default());
        return Ok(());
    }
    println!(
        "{} songs, {} recordings, {} shared stretches of {} s or more",
        songs.len(),
        recordings.len(),
        found.len(),
        a.seconds
    );
    for Found { song, recording, shared: s } in &found {
        println!(
            "{song:<24} at {:>6.1} s  {recording:<40} at {:>6.1} s  {:>5.1} s, {:.1} bits of 32 differ",
            s.at, s.other_at, s.seconds, s.different_bits
        );
    }
    Ok(())
}
