//! Writes both pages with made-up data into a folder, to look at them:
//! `cargo run -p orchestrion-page --example pages -- FOLDER`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use orchestrion_page::{
    Chart, FrequencyLabel, LevelSound, Line, Measurements, Rendition, Row, SamplePage, Scale, Sound, SoundFormat,
    Spectrogram, Take, Track, TrainingPage, Waveform, Word,
};

const RATE: u32 = 22_050;
const SECONDS: f64 = 12.0;
const BINS: usize = 80;
const FRAME: usize = 320;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: pages FOLDER");
    let folder = std::path::Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("sample.html"), sample_page().html().unwrap()).unwrap();
    std::fs::write(folder.join("training.html"), training_page().html().unwrap()).unwrap();
}

fn sample_page() -> SamplePage {
    let take = |index: u64| Take {
        name: format!("Take {}", index + 1),
        seconds: SECONDS,
        sample_rate: RATE,
        prompt_seconds: (index == 1).then_some(3.0),
        levels: (0..3)
            .map(|level| {
                let part = part(index, level, &format!("take-{}-level-{level}.wav", index + 1));
                LevelSound {
                    level,
                    hop_length: [32, 128, 256][level],
                    sound: part.0,
                    waveform: part.1,
                    spectrogram: part.2,
                }
            })
            .collect(),
        lyrics: words(),
        settings: [
            ("Model", "tiny · version 0"),
            ("Artist", "Josh Woodward"),
            ("Genre", "folk 0.7, chamber 0.3"),
            ("Seed", &(1000 + index).to_string()),
            ("Temperature", "0.98, 0.98, 0.99"),
            ("Hop fraction", "0.5, 0.5, 0.25"),
            ("Device", "flex (CPU, 8 threads)"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec(),
        command: format!(
            "orchestrion sample --model tiny --artist 'Josh Woodward' --genre folk:0.7,chamber:0.3 --seconds 12 --takes 1 --seed {}",
            1000 + index
        ),
        measurements: Measurements { loudness: -16.2 - index as f64, peak: -1.0, silence: 0.013 },
    };
    SamplePage { title: "A slow waltz for two pipes".to_owned(), takes: (0..3).map(take).collect() }
}

/// Words of a made-up song, a word each half second from the third second on.
fn words() -> Vec<Word> {
    let text = "Wind the handle, hear the bellows fill,\nseven pipes are waiting on the sill.\n\nTurn it slower, let the waltz\nrun still.";
    let lines = text.split_inclusive(['\n', ' ']);
    lines
        .enumerate()
        .map(|(index, piece)| {
            let word = piece.trim_end();
            let start = Some(2.0 + 0.5 * index as f64).filter(|start| *start < SECONDS);
            Word { text: word.to_owned(), gap: piece[word.len()..].to_owned(), start }
        })
        .collect()
}

fn training_page() -> TrainingPage {
    let noise = |step: u64, salt: u64| {
        let mixed = (step * 31 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        mixed as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let row = |step: u64| {
        let at = step as f64;
        let mut values = BTreeMap::from([
            ("loss/train".to_owned(), 0.4 + 5.0 / (1.0 + at / 300.0) + 0.3 * noise(step, 1)),
            ("learning_rate".to_owned(), 3e-4 * (at / 1000.0).min(1.0) * (1.0 - at / 24_000.0)),
            ("bits/top".to_owned(), 4.0 + 7.0 / (1.0 + at / 2500.0) + 0.4 * noise(step, 2)),
        ]);
        for level in 0..3 {
            let usage = (0.95 - 0.2 * f64::from(level)) * (1.0 - (-at / (800.0 * f64::from(level + 1))).exp());
            values.insert(format!("codebook_usage/level_{level}"), usage + 0.01 * noise(step, 3));
        }
        if step.is_multiple_of(1000) {
            values.insert("loss/valid".to_owned(), 0.55 + 5.0 / (1.0 + at / 320.0));
        }
        Row { step, values }
    };
    let chart = |title: &str, unit: &str, scale, lines: &[(&str, &str)]| Chart {
        title: title.to_owned(),
        unit: unit.to_owned(),
        scale,
        lines: lines.iter().map(|(metric, label)| Line { metric: (*metric).into(), label: (*label).into() }).collect(),
    };
    let sound = |index: u64| {
        let rendition = |level: usize, name: &str, detail: &str| {
            let part = part(index + 5, level, &format!("sound-{index}-{level}.wav"));
            Rendition { name: name.into(), detail: detail.into(), sound: part.0, waveform: part.1, spectrogram: part.2 }
        };
        Track {
            name: format!("Clip {}", index + 1),
            seconds: SECONDS,
            marks: Vec::new(),
            renditions: vec![
                rendition(0, "Original", ""),
                rendition(1, "Level 0", "hop 32, step 20 000"),
                rendition(2, "Level 2", "hop 256, step 20 000"),
            ],
        }
    };
    TrainingPage {
        title: "codec-tiny-3level".to_owned(),
        status: "Step 20 000 of 24 000 · 1.6 steps a second · 42 minutes left".to_owned(),
        facts: [("Device", "cuda:0"), ("Data", "1.7 hours, 35 tracks"), ("Parameters", "7.5 million")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        rows: (0..=20_000).step_by(20).map(row).collect(),
        charts: vec![
            chart("Loss", "", Scale::Logarithmic, &[("loss/train", "training"), ("loss/valid", "validation")]),
            chart("Codebook usage", "share of codes", Scale::Linear, &[
                ("codebook_usage/level_0", "level 0"),
                ("codebook_usage/level_1", "level 1"),
                ("codebook_usage/level_2", "level 2"),
            ]),
            chart("Bits per token", "top prior", Scale::Linear, &[("bits/top", "training")]),
            chart("Learning rate", "", Scale::Linear, &[("learning_rate", "")]),
        ],
        sounds: (0..2).map(sound).collect(),
        recipe: "base = \"codec-tiny\"\n\n[codec]\nhops = [32, 128, 256]\ncodebook = 512\n\n[train]\nsteps = 24000\nlearning_rate = 3e-4\nbatch = 16\n".to_owned(),
    }
}

/// A little tune as it might sound at a level: coarser levels lose their treble.
fn part(seed: u64, level: usize, file_name: &str) -> (Sound, Waveform, Spectrogram) {
    let scale = [0, 3, 5, 7, 10, 12, 15, 17];
    let samples: Vec<f32> = (0..(SECONDS * f64::from(RATE)) as usize)
        .map(|index| {
            let at = index as f64 / f64::from(RATE);
            let beat = (at * 2.5) as u64;
            let age = at * 2.5 - beat as f64;
            let voice = |octave: f64, salt: u64, decay: f64, overtones: u32| -> f64 {
                let note = scale[((beat + salt) * (seed + 3) * 7 / 3 % 8) as usize];
                let pitch = 110.0 * octave * 2_f64.powf(f64::from(note) / 12.0);
                (1..=overtones >> level)
                    .map(|n| f64::from(n).powf(-1.2) * (TAU * pitch * f64::from(n) * at).sin())
                    .sum::<f64>()
                    * (-decay * age).exp()
            };
            let swell = 0.35 + 0.65 * (std::f64::consts::PI * at / SECONDS).sin();
            (0.13 * swell * (voice(1.0, 0, 1.0, 12) + voice(2.0, 2, 3.0, 16) + 0.6 * voice(4.0, 5, 6.0, 12))) as f32
        })
        .collect();
    let peaks = samples
        .chunks(256)
        .map(|chunk| (chunk.iter().copied().fold(0.0, f32::min), chunk.iter().copied().fold(0.0, f32::max)));
    let waveform = Waveform { peaks: peaks.collect() };
    let sound = Sound { bytes: wav(&samples), format: SoundFormat::Wav, file_name: file_name.to_owned() };
    (sound, waveform, spectrogram(&samples))
}

/// Frequency of a bin: even in logarithm from 60 Hz to 10 kHz.
fn frequency(bin: f64) -> f64 {
    60.0 * (10_000.0_f64 / 60.0).powf(bin / BINS as f64)
}

fn spectrogram(samples: &[f32]) -> Spectrogram {
    let frames = samples.len() / FRAME;
    let mut decibels = Vec::with_capacity(frames * BINS);
    for frame in 0..frames {
        let window: Vec<f64> = samples.iter().skip(frame * FRAME).take(1024).map(|s| f64::from(*s)).collect();
        for bin in 0..BINS {
            let step = TAU * frequency(bin as f64 + 0.5) / f64::from(RATE);
            let sum = window.iter().enumerate().fold((0.0, 0.0), |(re, im), (index, sample)| {
                let hann = 0.5 - 0.5 * (TAU * index as f64 / 1024.0).cos();
                let phase = step * index as f64;
                (re + sample * hann * phase.cos(), im + sample * hann * phase.sin())
            });
            decibels.push((10.0 * (sum.0 * sum.0 + sum.1 * sum.1 + 1e-9).log10()) as f32);
        }
    }
    let label = |hertz: f64, text: &str| FrequencyLabel {
        bin: (BINS as f64 * (hertz / 60.0).ln() / (10_000.0_f64 / 60.0).ln()) as f32,
        text: text.to_owned(),
    };
    let labels = [(125.0, "125 Hz"), (500.0, "500 Hz"), (2000.0, "2 kHz"), (8000.0, "8 kHz")];
    let labels = labels.map(|(hertz, text)| label(hertz, text)).to_vec();
    Spectrogram::new(decibels, frames, BINS).unwrap().with_labels(labels)
}

/// Sixteen-bit mono wave.
fn wav(samples: &[f32]) -> Vec<u8> {
    let length = 2 * samples.len() as u32;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + length).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(RATE.to_le_bytes());
    out.extend((2 * RATE).to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend(length.to_le_bytes());
    out.extend(samples.iter().flat_map(|s| ((s.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes()));
    out
}
