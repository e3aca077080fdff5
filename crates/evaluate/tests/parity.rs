//! Every figure beside another program's: `reference/make.py` made the values with numpy, scipy and librosa.
#![allow(clippy::unwrap_used)]

use orchestrion_evaluate::features::Windows;
use orchestrion_evaluate::listening::{Answer, Key, Stimulus, score};
use orchestrion_evaluate::symmetric::eigen;
use orchestrion_evaluate::{
    CodebookUse, Fidelity, Gaussian, Reference, SelfSimilarity, compressed_bits, diversity, longest_copy, nearest_copy,
};
use serde_json::Value;

fn values(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("reference/values.json")).unwrap();
    all[name].clone()
}

#[track_caller]
fn near(got: f64, expected: &Value, relative: f64) {
    let expected = expected.as_f64().unwrap();
    let apart = (got - expected).abs() / expected.abs().max(1e-3);
    assert!(apart < relative, "{got} for {expected}: {apart:e} apart");
}

/// The generator of `make.py`; values in [-0.5, 0.5).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = (self.0 * 1_664_525 + 1_013_904_223) % (1 << 32);
        self.0 as f64 / f64::from(2.0f32).powi(32) - 0.5
    }

    fn array(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn cloud(seed: u64, count: usize, width: usize, shift: f64) -> Windows {
    let mut noise = Noise(seed);
    let mix = noise.array(width * width);
    let mut all = Vec::new();
    for _ in 0..count {
        let row = noise.array(width);
        let mixed = (0..width).map(|j| (0..width).map(|i| row[i] * mix[i * width + j]).sum::<f64>() + 0.1 * mix[j]);
        all.extend(mixed.map(|x| f64::from(x as f32) + shift).map(|x| x as f32));
    }
    Windows::new(width, all)
}

fn tokens(seed: u64, count: usize, size: u32) -> Vec<u32> {
    let mut noise = Noise(seed);
    (0..count).map(|_| ((noise.next() + 0.5).powi(2) * f64::from(size)) as u32).collect()
}

#[test]
fn eigenvalues_are_scipys() {
    let ours = eigen(&Noise(1).array(900), 30).values;
    for (ours, theirs) in ours.iter().zip(values("eigenvalues").as_array().unwrap()) {
        near(*ours, theirs, 1e-11);
    }
}

#[test]
fn the_frechet_distance_is_scipys() {
    let fit = |w: &Windows| Gaussian::fit(w.rows()).unwrap();
    let distance = |a: Windows, b: Windows| Reference::new(fit(&a)).distance(&fit(&b));
    near(distance(cloud(2, 200, 16, 0.0), cloud(3, 300, 16, 0.0)), &values("frechet"), 1e-6);
    near(distance(cloud(4, 10, 16, 0.0), cloud(5, 12, 16, 0.0)), &values("frechet_without_rank"), 1e-6);
}

#[test]
fn distances_of_signals_are_librosas() {
    let rate = 22_050_u32;
    let time = |i: usize| i as f64 / f64::from(rate);
    let partial =
        |t: f64, k: f64| 0.3 / k * (std::f64::consts::TAU * 220.0 * k * t).sin() * (-(t % 0.5) * 3.0 * k).exp();
    let count = 2 * rate as usize;
    let x: Vec<f64> = (0..count).map(|i| [1.0, 2.0, 5.0].iter().map(|k| partial(time(i), *k)).sum()).collect();
    let mut noise = Noise(7);
    let y: Vec<f64> = x.iter().map(|x| 0.8 * x + 0.02 * noise.next()).collect();
    let at = |i: usize, d: usize| (i + d).checked_sub(1).and_then(|j| y.get(j)).copied().unwrap_or(0.0);
    let y: Vec<f32> = (0..count).map(|i| (0.25 * at(i, 0) + 0.5 * at(i, 1) + 0.25 * at(i, 2)) as f32).collect();
    let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let (got, expected) = (Fidelity::measure(&x, &y, rate).unwrap(), values("fidelity"));
    near(got.stft, &expected["stft"], 1e-4);
    near(got.log_mel, &expected["log_mel"], 1e-4);
    near(got.convergence, &expected["convergence"], 1e-5);
    near(got.si_sdr, &expected["si_sdr"], 1e-5);
}

#[test]
fn codebook_and_compressor_are_scipys_and_zlibs() {
    let (stream, expected) = (tokens(3, 5000, 64), values("codebook"));
    let mut counts = vec![0; 64];
    stream.iter().for_each(|t| counts[*t as usize] += 1);
    let got = CodebookUse::of(&counts, 86.0);
    near(got.entropy, &expected["entropy"], 1e-12);
    near(got.used, &expected["used"], 1e-12);
    // Two compressors of one format may choose differently.
    near(compressed_bits(&stream).unwrap(), &expected["deflate_bits"], 0.03);
}

#[test]
fn copies_are_those_of_a_plain_search() {
    let song = tokens(4, 400, 8);
    let tracks = [tokens(5, 600, 8), tokens(6, 600, 8)];
    let numbered = || tracks.iter().enumerate().map(|(i, t)| (i, t.as_slice()));
    assert_eq!(longest_copy(&song, numbered()).tokens as u64, values("copies")["longest"].as_u64().unwrap());
    near(nearest_copy(&song, 20, numbered()).share, &values("copies")["share_of_20"], 1e-12);
}

#[test]
fn self_similarity_is_numpys() {
    let (first, second) = (Noise(8).array(480), Noise(9).array(480));
    let again = first.iter().zip(&second).map(|(a, b)| a + 0.2 * b);
    let all: Vec<f64> = first.iter().copied().chain(again).collect();
    let got = SelfSimilarity::new(&all.chunks_exact(12).map(<[f64]>::to_vec).collect::<Vec<_>>());
    let expected = values("self_similarity");
    near(got.at_lag(40), &expected["lag_40"], 1e-10);
    near(got.at_lag(11), &expected["lag_11"], 1e-8);
    let novelty = got.novelty();
    assert_eq!(novelty.len(), expected["novelty"].as_array().unwrap().len());
    for (ours, theirs) in novelty.iter().zip(expected["novelty"].as_array().unwrap()) {
        near(*ours, theirs, 1e-8);
    }
}

#[test]
fn diversity_is_scipys() {
    let songs: Vec<Windows> = (0..6).map(|i| cloud(20 + i, 30, 10, (i % 3) as f64)).collect();
    let got = diversity(&songs);
    near(got.vendi, &values("diversity")["vendi"], 1e-4);
    near(got.pairs, &values("diversity")["pairs"], 1e-4);
}

#[test]
fn opinions_and_strengths_are_scipys() {
    let expected = values("listening");
    let (mut key, mut answers) = (Key { test: "t".into(), stimuli: Default::default() }, Vec::new());
    for row in expected["rows"].as_array().unwrap() {
        let text = |i: usize| row[i].as_str().unwrap().to_owned();
        for code in [text(2), text(3)].into_iter().filter(|c| !c.is_empty()) {
            let (system, item) = code.split_once('-').map(|(s, i)| (s.to_owned(), i.to_owned())).unwrap();
            key.stimuli.insert(code, Stimulus { system, item, check: None });
        }
        answers.push(Answer {
            test: "t".into(),
            rater: text(0),
            scale: text(1),
            stimulus: text(2),
            other: Some(text(3)).filter(|c| !c.is_empty()),
            value: row[4].as_f64().unwrap(),
            seconds: 9.0,
        });
    }
    let report = score(&key, &answers).unwrap();
    assert_eq!(report.raters, expected["kept"].as_array().unwrap().len());
    assert_eq!(report.dropped.iter().map(|d| d.rater.as_str()).collect::<Vec<_>>(), ["r5"]);
    for opinion in &report.opinions {
        near(opinion.mean, &expected["opinions"][&opinion.system][0], 1e-12);
        near(opinion.interval.unwrap(), &expected["opinions"][&opinion.system][1], 1e-10);
    }
    assert_eq!(report.strengths.len(), 4);
    for strength in &report.strengths {
        near(strength.strength, &expected["strengths"][&strength.system][0], 1e-6);
        near(strength.interval, &expected["strengths"][&strength.system][1], 1e-6);
    }
}
