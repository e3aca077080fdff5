//! What is written is what is read: samples within one 16-bit step, tags, parts, whole files only.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use orchestrion_audio::{AudioError, Clip, Limits, ReadOptions, Tags, encode_flac, probe, read, read_tags, write};

/// Half a step of rounding, plus the highest sample, which lies a step below 1.
const ONE_STEP: f32 = 1.0 / 32_768.0 + 1e-7;

/// Noise with full-scale runs and silence, from a fixed linear congruential generator.
fn noisy(channels: usize, frames: usize, sample_rate: u32) -> Clip {
    let mut state = 12_345_u32;
    let channel = |_| {
        (0..frames)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match n / 500 % 4 {
                    0 => (n as f32 * 0.07).sin(),
                    1 => (state >> 8) as f32 / (1 << 23) as f32 - 1.0,
                    2 => 1.0,
                    _ => 0.0,
                }
            })
            .collect()
    };
    Clip { channels: (0..channels).map(channel).collect(), sample_rate }
}

fn some_tags() -> Tags {
    [
        ("TITLE", "Étude in blue"),
        ("ARTIST", "nobody"),
        ("GENRE", "ragtime"),
        ("SOFTWARE", "orchestrion"),
        ("COMMENT", "two\nlines"),
        ("SEED", "7"),
        ("LABELS", "{\"genre\":\"a=b\"}"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn folder() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    (folder, move |name: &str| root.join(name))
}

#[test]
fn samples_and_tags_survive_wav_and_flac() {
    let (_folder, at) = folder();
    for extension in ["wav", "flac", "WAV"] {
        for (channels, frames, rate) in
            [(1, 22_050, 22_050), (2, 9_001, 44_100), (1, 1, 8_000), (2, 33, 48_000), (6, 5_000, 96_000)]
        {
            let name = format!("{channels}-{frames}.{extension}");
            let clip = noisy(channels, frames, rate);
            write(&at(&name), &clip, &some_tags()).unwrap();
            let got = read(&at(&name), &ReadOptions::default()).unwrap();
            assert_eq!((got.channels.len(), got.len(), got.sample_rate), (channels, frames, rate), "{name}");
            let pairs = got.channels.iter().flatten().zip(clip.channels.iter().flatten());
            let worst = pairs.map(|(got, sent)| (got - sent).abs()).fold(0.0, f32::max);
            assert!(worst <= ONE_STEP, "{name}: off by {worst}");

            let info = probe(&at(&name)).unwrap();
            assert_eq!((info.channels, info.sample_rate), (channels, rate), "{name}");
            assert!((info.duration_seconds - clip.duration_seconds()).abs() < 1e-6, "{name}: {info:?}");

            let mut tags = read_tags(&at(&name)).unwrap();
            let mut sent = some_tags();
            tags.sort();
            sent.sort();
            assert_eq!(tags, sent, "{name}");

            write(&at(&name), &got, &[]).unwrap();
            assert_eq!(read(&at(&name), &ReadOptions::default()).unwrap(), got, "{name}: the second time is exact");
        }
    }
}

#[test]
fn an_independent_reader_agrees_on_the_wav() {
    let (_folder, at) = folder();
    let clip = noisy(2, 3_000, 22_050);
    write(&at("a.wav"), &clip, &some_tags()).unwrap();
    let bytes = std::fs::read(at("a.wav")).unwrap();
    assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8, "RIFF size");
    let mut reader = hound::WavReader::open(at("a.wav")).unwrap();
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(samples.len(), 6_000);
    assert_eq!(samples[1_000], (clip.channels[0][500] * 32_768.0).round() as i16);
    assert_eq!(samples[2_002], 32_767, "full scale is limited, not wrapped");
}

#[test]
fn a_part_is_the_same_samples_as_the_whole() {
    let (_folder, at) = folder();
    for extension in ["wav", "flac"] {
        let path = at(&format!("long.{extension}"));
        let whole = noisy(2, 8_000 * 12, 8_000);
        write(&path, &whole, &[]).unwrap();
        let whole = read(&path, &ReadOptions::default()).unwrap();
        for (offset, seconds) in [(0.0, 0.5), (1.0001, 0.25), (4.9, 1.0), (7.25, 1.5), (11.5, 3.0)] {
            let part = read(&path, &ReadOptions::part(offset, seconds)).unwrap();
            let start = (offset * 8_000.0).round() as usize;
            let end = start + (seconds * 8_000.0) as usize;
            assert!(part == whole.slice(start, end), "{extension}: {seconds} s from {offset} s differ");
        }
        for offset in [12.0, 600.0, 1e30] {
            let error = read(&path, &ReadOptions::part(offset, 1.0)).unwrap_err();
            assert!(matches!(error, AudioError::PastTheEnd { .. }), "{offset}: {error}");
        }
        for (offset, duration) in [(-1.0, 1.0), (f64::NAN, 1.0), (0.0, 0.0), (0.0, f64::INFINITY), (0.0, -3.0)] {
            let error = read(&path, &ReadOptions::part(offset, duration)).unwrap_err();
            assert!(matches!(error, AudioError::BadRange { .. }), "{error}");
        }
    }
}

#[test]
fn every_limit_is_an_error_that_names_the_file() {
    let (_folder, at) = folder();
    let path = at("song.flac");
    // Silence: a small file that would be large in memory.
    write(&path, &Clip::silence(2, 22_050 * 4, 22_050), &[]).unwrap();
    let refused = [
        Limits { max_seconds: 3.9, ..Limits::default() },
        Limits { max_bytes: 22_050 * 4 * 2 * 4 - 1, ..Limits::default() },
        Limits { max_bytes: 100, ..Limits::default() },
        Limits { max_channels: 1, ..Limits::default() },
        Limits { sample_rates: 32_000..=48_000, ..Limits::default() },
        Limits { sample_rates: 1_000..=16_000, ..Limits::default() },
    ];
    for limits in refused {
        let error = read(&path, &ReadOptions { limits, ..ReadOptions::default() }).unwrap_err();
        assert!(matches!(error, AudioError::Limit { .. }), "{error}");
        assert!(error.to_string().contains("song.flac") && error.to_string().contains("; hint: "), "{error}");
    }
    let limits = Limits { max_seconds: 2.0, ..Limits::default() };
    let part = ReadOptions { offset: 1.0, duration: Some(2.0), limits };
    assert_eq!(read(&path, &part).unwrap().len(), 44_100, "a part within the limits is read");
}

#[test]
fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
    let (_folder, at) = folder();
    let clip = noisy(1, 100, 22_050);
    let tag = |name: &str| [(name.to_owned(), "x".to_owned())];
    let message = |result: Result<(), AudioError>| result.unwrap_err().to_string();
    for name in ["a.mp3", "a", ".wav"] {
        assert!(message(write(&at(name), &clip, &[])).contains(".wav or .flac"));
    }
    assert!(message(write(&at("no/such/a.wav"), &clip, &[])).contains("no/such/a.wav"));
    for name in ["a.wav", "a.flac"] {
        assert!(message(write(&at(name), &Clip::silence(1, 0, 22_050), &[])).contains("no samples"));
        assert!(message(write(&at(name), &Clip::silence(0, 0, 22_050), &[])).contains("no samples"));
        assert!(message(write(&at(name), &Clip::silence(9, 10, 22_050), &[])).contains("9 channels"));
        assert!(message(write(&at(name), &Clip::silence(1, 10, 0), &[])).contains("sample rate"));
        assert!(message(write(&at(name), &clip, &tag("a=b"))).contains("a=b"));
        assert!(message(write(&at(name), &clip, &tag(""))).contains("tag name"));
    }
    assert!(message(encode_flac(&Clip::silence(1, 10, 192_000), &[]).map(drop)).contains("192000"));
    let left: Vec<_> = std::fs::read_dir(at("")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn numbers_that_are_no_sound_become_silence() {
    let (_folder, at) = folder();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 22_050,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(at("float.wav"), spec).unwrap();
    for sample in [0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -0.25] {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    let got = read(&at("float.wav"), &ReadOptions::default()).unwrap();
    assert_eq!(got.channels, [[0.5, 0.0, 0.0, 0.0, 65_536.0, -0.25]]);
    write(&at("nan.wav"), &Clip::from_mono(vec![f32::NAN, 2.0], 8_000), &[]).unwrap();
    assert_eq!(read(&at("nan.wav"), &ReadOptions::default()).unwrap().channels, [[0.0, 32_767.0 / 32_768.0]]);
}
