#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use tempfile::TempDir;

const RATE: u32 = 8000;

/// A WAV of frames made by `sample(frame, channel)`.
fn wav(path: &Path, channels: u16, frames: usize, sample: impl Fn(usize, u16) -> i16) {
    let spec =
        hound::WavSpec { channels, sample_rate: RATE, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for frame in 0..frames {
        for channel in 0..channels {
            writer.write_sample(sample(frame, channel)).unwrap();
        }
    }
    writer.finalize().unwrap();
}

/// Three tracks whose samples tell the track and the frame: `track * 10 000 + frame`; stereo has silence on the right.
fn set(lengths: [usize; 3], channels: u16) -> (TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = Manifest { folder: folder.path().to_path_buf(), ..Manifest::default() };
    for (track, frames) in lengths.into_iter().enumerate() {
        let name = format!("{track}.wav");
        wav(&folder.path().join(&name), channels, frames, |frame, channel| {
            if channel == 0 { (track * 10_000 + frame) as i16 } else { 0 }
        });
        let seconds = frames as f64 / f64::from(RATE);
        manifest.entries.push(Entry::new(name, seconds, RATE));
    }
    (folder, manifest)
}

fn settings() -> CropSettings {
    CropSettings {
        sample_rate: RATE,
        length: 100,
        batch: 6,
        split: Split::Train,
        seed: 11,
        balance: Balance::Length,
        downmix: Downmix::Mean,
        short: ShortTracks::Use,
        memory_limit: u64::MAX,
    }
}

fn open(manifest: &Manifest, change: impl FnOnce(&mut CropSettings)) -> Result<Crops, DataError> {
    let mut settings = settings();
    change(&mut settings);
    Crops::open(manifest, settings)
}

fn whole(sample: f32) -> i64 {
    (sample * 32_768.0).round() as i64
}

#[test]
fn crops_are_stretches_of_their_tracks() {
    let (_folder, manifest) = set([4000, 2000, 3000], 1);
    let crops = open(&manifest, |_| {}).unwrap();
    let mut tracks = [0; 3];
    for step in 0..50 {
        for crop in crops.batch(step).unwrap().chunks(100) {
            let first = whole(crop[0]);
            assert!(crop.iter().enumerate().all(|(i, &sample)| whole(sample) == first + i as i64));
            let track = (first / 10_000) as usize;
            assert!(first % 10_000 + 100 <= [4000, 2000, 3000][track]);
            tracks[track] += 1;
        }
    }
    // 300 crops in proportion to length.
    let near = |count: i32, expected: i32| (count - expected).abs() < 45;
    assert!(near(tracks[0], 133) && near(tracks[1], 67) && near(tracks[2], 100), "{tracks:?}");
}

#[test]
fn crops_depend_neither_on_order_nor_on_memory() {
    let (_folder, manifest) = set([4000, 2000, 3000], 2);
    let random = |settings: &mut CropSettings| settings.downmix = Downmix::Random;
    let first = open(&manifest, random).unwrap();
    let forward: Vec<_> = (0..6).map(|step| first.batch(step).unwrap()).collect();
    assert_ne!(forward[0], forward[1]);
    for memory_limit in [0, 9000, u64::MAX] {
        let other = open(&manifest, |settings| {
            random(settings);
            settings.memory_limit = memory_limit;
        })
        .unwrap();
        if memory_limit > 9000 {
            let mut seen = Vec::new();
            other.preload(|done, all| seen.push((done, all))).unwrap();
            assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
            assert_eq!(other.memory(), 9000 * 2 * 2);
        }
        for step in (0..6).rev() {
            assert_eq!(other.batch(step).unwrap(), forward[step as usize], "step {step}");
        }
        assert!(other.memory() <= memory_limit);
    }
    let wider = open(&manifest, |settings| {
        random(settings);
        settings.batch = 9;
    });
    assert_eq!(wider.unwrap().batch(2).unwrap()[..600], forward[2][..]);
    let other_seed = open(&manifest, |settings| {
        random(settings);
        settings.seed = 12;
    });
    assert_ne!(other_seed.unwrap().batch(2).unwrap(), forward[2]);
}

#[test]
fn the_downmix_is_the_mean_or_one_random_mix_a_crop() {
    let folder = tempfile::tempdir().unwrap();
    wav(&folder.path().join("a.wav"), 2, 500, |_, channel| if channel == 0 { 16_384 } else { 0 });
    let manifest = Manifest {
        folder: folder.path().to_path_buf(),
        entries: vec![Entry::new("a.wav", 500.0 / f64::from(RATE), RATE)],
        ..Manifest::default()
    };
    let mean = open(&manifest, |_| {}).unwrap().batch(0).unwrap();
    assert!(mean.iter().all(|&sample| sample == 0.25));
    let random = open(&manifest, |settings| settings.downmix = Downmix::Random).unwrap();
    let mut mixes = Vec::new();
    for step in 0..50 {
        for crop in random.batch(step).unwrap().chunks(100) {
            assert!(crop.iter().all(|sample| *sample == crop[0]));
            mixes.push(f64::from(crop[0]) * 2.0);
        }
    }
    let average = mixes.iter().sum::<f64>() / mixes.len() as f64;
    assert!((average - 0.5).abs() < 0.08, "{average}");
    assert!(mixes.iter().any(|mix| *mix < 0.1) && mixes.iter().any(|mix| *mix > 0.9));
}

#[test]
fn artists_are_balanced_and_weights_count() {
    let (_folder, mut manifest) = set([3000, 3000, 3000], 1);
    for (entry, artist) in manifest.entries.iter_mut().zip(["A", "a ", "b"]) {
        entry.artist = Some(artist.into());
    }
    manifest.entries[0].weight = Some(0.0);
    let crops = open(&manifest, |settings| settings.balance = Balance::Artist).unwrap();
    let mut tracks = [0; 3];
    for step in 0..50 {
        for crop in crops.batch(step).unwrap().chunks(100) {
            tracks[(whole(crop[0]) / 10_000) as usize] += 1;
        }
    }
    assert!(tracks[0] == 0 && (110..190).contains(&tracks[1]), "{tracks:?}");
}

#[test]
fn short_tracks_are_padded_dropped_or_refused() {
    let (_folder, manifest) = set([40, 4000, 3000], 1);
    let padded = open(&manifest, |settings| settings.batch = 400).unwrap();
    let batch = padded.batch(0).unwrap();
    let short = batch.chunks(100).find(|crop| crop[0] == 0.0 && crop[99] == 0.0).unwrap();
    assert!(whole(short[39]) == 39 && short[40..].iter().all(|sample| *sample == 0.0));
    let dropped = open(&manifest, |settings| settings.short = ShortTracks::Drop).unwrap();
    assert_eq!((dropped.len(), dropped.dropped()), (2, &[PathBuf::from("0.wav")][..]));
    let refused = open(&manifest, |settings| settings.short = ShortTracks::Refuse);
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("`0.wav`") && message.contains("; hint: "), "{message}");
}

#[test]
fn bad_settings_and_missing_or_damaged_files_are_told() {
    let (folder, mut manifest) = set([400, 4000, 3000], 1);
    assert!(open(&manifest, |settings| settings.length = 0).is_err());
    assert!(open(&manifest, |settings| settings.split = Split::Test).is_err());
    std::fs::write(folder.path().join("1.wav"), b"not a sound").unwrap();
    let crops = open(&manifest, |settings| settings.batch = 50).unwrap();
    for message in [crops.batch(0).unwrap_err(), crops.preload(|_, _| {}).unwrap_err()] {
        let message = message.to_string();
        assert!(message.contains("1.wav") && message.contains("; hint: "), "{message}");
    }
    manifest.entries[2].path = "gone.wav".into();
    let message = open(&manifest, |_| {}).err().unwrap().to_string();
    assert!(message.contains("gone.wav"), "{message}");
}
