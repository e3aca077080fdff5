//! Measures a sound file, and fails if it is not within the bounds given: what CI listens with.
//!
//! `cargo run -p orchestrion-audio --example measure -- FILE [--seconds S] [--loudness-above LUFS] [--silence-below SHARE]
//! [--clipped-below SHARE]`

use orchestrion_audio::{ReadOptions, measure_loudness, read};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(path) = words.next().map(PathBuf::from) else {
        eprintln!("error: no file; hint: measure FILE [--seconds S] …");
        return ExitCode::from(2);
    };
    let clip = match read(&path, &ReadOptions::default()) {
        Ok(clip) => clip,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(1);
        }
    };
    let loudness = measure_loudness(&clip);
    let seconds = clip.duration_seconds();
    let lufs = loudness.integrated_lufs.unwrap_or(f64::NEG_INFINITY);
    let silence = f64::from(loudness.silent_share);
    let clipped = loudness.clipped_samples as f64 / clip.len().max(1) as f64;
    println!("{seconds:.2} s, {lufs:.1} LUFS, peak {:.3}, {silence:.3} silent, {clipped:.5} clipped", loudness.peak);
    let mut good = true;
    while let (Some(name), Some(bound)) = (words.next(), words.next()) {
        let Ok(bound) = bound.parse::<f64>() else {
            eprintln!("error: `{name} {bound}` is no number");
            return ExitCode::from(2);
        };
        let holds = match name.as_str() {
            "--seconds" => seconds >= bound,
            "--loudness-above" => lufs > bound,
            "--silence-below" => silence < bound,
            "--clipped-below" => clipped < bound,
            _ => {
                eprintln!("error: no bound `{name}`");
                return ExitCode::from(2);
            }
        };
        if !holds {
            eprintln!("error: {name} {bound} does not hold");
            good = false;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
