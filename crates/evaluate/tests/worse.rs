//! Every figure moves the right way when sound is made worse, on real clips with the built-in model's codec.
#![allow(clippy::unwrap_used)]

use orchestrion_audio::{Clip, ReadOptions, low_pass, read, resample};
use orchestrion_data::Draw;
use orchestrion_evaluate::features::{CodecFeatures, Windows};
use orchestrion_evaluate::neighbours::Index;
use orchestrion_evaluate::{Fidelity, Gaussian, Reference, distance, diversity, longest_copy, nearest_copy, per_song};
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::store::{ModelFolder, Source};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const RATE: u32 = 22_050;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn codec() -> &'static VqVae {
    static CODEC: OnceLock<VqVae> = OnceLock::new();
    CODEC.get_or_init(|| {
        let folder = ModelFolder::open(Source::Folder(root().join("models/tiny"))).unwrap();
        folder.codec(&burn::tensor::Device::flex()).unwrap()
    })
}

/// Six clips: three of organ and strings, three of bands.
fn clips() -> &'static [Vec<f32>] {
    static CLIPS: OnceLock<Vec<Vec<f32>>> = OnceLock::new();
    CLIPS.get_or_init(|| {
        let name = |set: &'static str| (0..3).map(move |i| format!("fixtures/songs/{set}/{set}-{i}.flac"));
        let clip = |name: String| {
            let clip = read(&root().join(name), &ReadOptions::part(0.0, 8.0)).unwrap();
            resample(&clip, RATE).unwrap().mono()
        };
        name("bach").chain(name("ryan")).map(clip).collect()
    })
}

fn noisy(samples: &[f32], amount: f32) -> Vec<f32> {
    let mut draw = Draw::new("noise", 1, 0, 0);
    samples.iter().map(|x| x + amount * (draw.unit() as f32 - 0.5)).collect()
}

fn cut(samples: &[f32], hertz: f64) -> Vec<f32> {
    low_pass(&Clip::from_mono(samples.to_vec(), RATE), hertz).mono()
}

fn features(clips: &[Vec<f32>], level: usize) -> Vec<Windows> {
    let features = CodecFeatures::new(codec(), level).unwrap();
    clips.iter().map(|c| features.windows(&codec().encode(c, level).unwrap())).collect()
}

fn reference(songs: &[Windows]) -> Reference {
    Reference::new(Gaussian::fit(songs.iter().flat_map(Windows::rows)).unwrap())
}

#[test]
fn fidelity_falls_with_noise_and_without_treble() {
    let clip = &clips()[3];
    let with = |other: &[f32]| Fidelity::measure(clip, other, RATE).unwrap();
    let same = with(clip);
    assert_eq!((same.log_mel, same.stft, same.convergence, same.loudness), (0.0, 0.0, 0.0, 0.0));
    let steps: Vec<Fidelity> = [0.01, 0.05, 0.25].iter().map(|n| with(&noisy(clip, *n))).collect();
    for (less, more) in steps.iter().zip(&steps[1..]) {
        assert!(more.log_mel > less.log_mel && more.stft > less.stft && more.convergence > less.convergence);
        assert!(more.si_sdr < less.si_sdr && more.chroma <= less.chroma && more.onset < less.onset);
        assert!(more.loudness > less.loudness);
    }
    let cuts: Vec<Fidelity> = [6000.0, 3000.0, 1000.0].iter().map(|hertz| with(&cut(clip, *hertz))).collect();
    for (less, more) in cuts.iter().zip(&cuts[1..]) {
        assert!(more.log_mel > less.log_mel && more.stft > less.stft && more.si_sdr < less.si_sdr);
    }
}

#[test]
fn the_distance_grows_with_noise_and_is_small_for_the_like() {
    for level in [0, 2] {
        let real = features(clips(), level);
        let reference = reference(&real);
        let apart = |make: &dyn Fn(&[f32]) -> Vec<f32>| {
            let changed: Vec<Vec<f32>> = clips().iter().map(|c| make(c)).collect();
            distance(&reference, &features(&changed, level)).unwrap()
        };
        let same = apart(&<[f32]>::to_vec);
        assert!(same.distance < 1e-4, "level {level}: {same:?}");
        assert_eq!(same.windows, same.reference_windows);
        let noise: Vec<f64> = [0.02, 0.1, 0.5].iter().map(|n| apart(&|c| noisy(c, *n)).distance).collect();
        assert!(noise.windows(2).all(|pair| pair[1] > pair[0]), "level {level}: {noise:?}");
        let treble = apart(&|c| cut(c, 2000.0)).distance;
        assert!(treble > 10.0 * same.distance.max(1e-6), "level {level}: {treble}");
        let twice: Vec<Windows> = real.iter().chain(&real).cloned().collect();
        let infinite = distance(&reference, &twice).unwrap().infinite.unwrap();
        assert!(infinite.slope > 0.0, "fewer windows are farther away: {infinite:?}");
    }
}

#[test]
fn a_song_of_another_kind_is_the_outlier_and_its_own_kind_the_neighbour() {
    let songs = features(clips(), 2);
    let bach = reference(&songs[..3]);
    let far = per_song(&bach, &songs);
    let most = far[..3].iter().flatten().fold(0.0, |a: f64, b| a.max(*b));
    assert!(far[3..].iter().all(|d| d.unwrap() > most), "{far:?}");
    let numbered: Vec<(usize, Windows)> = songs.iter().cloned().enumerate().collect();
    let index = Index::new(&numbered);
    let itself = index.nearest(&songs[1], |_| false);
    assert!(itself.iter().all(|n| n.track == 1 && n.second == n.track_second && n.similarity > 0.999));
    let others = index.nearest(&songs[1], |track| track == 1);
    let own_kind = others.iter().filter(|n| n.track < 3).count();
    assert!(2 * own_kind > others.len(), "{own_kind} of {}", others.len());
    assert!(others[0].similarity < 0.999);
}

#[test]
fn diversity_falls_when_songs_repeat() {
    let songs = features(clips(), 2);
    let again: Vec<Windows> = (0..6).map(|i| songs[i % 2].clone()).collect();
    let (all, few) = (diversity(&songs), diversity(&again));
    assert!(all.vendi > few.vendi && all.pairs > few.pairs, "{all:?} {few:?}");
    assert!(few.vendi < 2.01);
}

#[test]
fn a_copied_stretch_is_told_from_real_music() {
    let codes: Vec<Vec<u32>> = clips().iter().map(|c| codec().encode(c, 2).unwrap()).collect();
    let tracks = || codes[..5].iter().enumerate().map(|(i, c)| (i, c.as_slice()));
    let (held_out, mut copied) = (&codes[5], codes[5].clone());
    copied[100..300].copy_from_slice(&codes[2][250..450]);
    let (real, copy) = (longest_copy(held_out, tracks()), longest_copy(&copied, tracks()));
    assert!(copy.tokens >= 200 && copy.track == 2 && real.tokens < 50, "{real:?} {copy:?}");
    (100..300).step_by(7).for_each(|i| copied[i] = (copied[i] + 1) % 1024);
    let near = nearest_copy(&copied, 172, tracks());
    assert!(near.share > 0.8 && near.track == 2, "{near:?}");
    assert!(nearest_copy(held_out, 172, tracks()).share < 0.5);
}
