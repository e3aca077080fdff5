//! A model that sings, with the label tables of the paper's models: from words to music, to the time of every word, and
//! to hidden states. Its weights are random.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use burn::tensor::Device;
use orchestrion_audio::Clip;
use orchestrion_data::Tokens;
use orchestrion_data::lyrics::Vocabulary;
use orchestrion_generate::{Lyrics, SessionFile};
use orchestrion_model::codec::VqVaeConfig;
use orchestrion_model::condition::{LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::nn::{Random, each_parameter};
use orchestrion_model::prior::{AlignmentConfig, LyricsConfig, PriorConfig};
use orchestrion_model::store::{Dtype, MODEL_FORMAT, ModelConfig, SamplingDefaults, save_model, weights_of};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const RATE: u32 = 8000;
const BOOK: usize = 16;
const WORDS: &str = "Süße Orgel,\nspiel \u{266b} mir\nnoch ein Lied # zum Schluss";

fn config() -> ModelConfig {
    let resnet =
        ResnetConfig { depth: 1, hidden: 1.0, dilation_growth: 3, dilation_cycle: None, residual_scale: false };
    let codec = VqVaeConfig {
        sample_rate: RATE,
        strides: vec![vec![4, 4], vec![4]],
        embedding_width: 4,
        codebook_size: BOOK,
        width: 4,
        resnet: resnet.clone(),
        multipliers: vec![1, 1],
        reverse_decoder_dilation: true,
    };
    let transformer = |depth, attn_order, context, prime| TransformerConfig {
        width: 8,
        depth,
        heads: 2,
        context,
        blocks: 4,
        attn_order,
        spread: 0,
        prime,
        attention_width: 0.5,
        mlp_width: 1.0,
        init_scale: 20.0,
        zero_out: false,
        residual_scale: false,
    };
    let labels = |naming, timing| LabelsConfig { artists: 9, genres: 9, timing, naming, genre_words: 5 };
    let top = PriorConfig {
        level: 1,
        sample_rate: RATE,
        hop_length: codec.hop_length(1),
        codebook_size: BOOK,
        transformer: transformer(16, 12, 16 + 64, 16),
        labels: Some(labels(Naming::V3, Some(TimingConfig { bins: 4, min_seconds: 0.5, max_seconds: 60.0 }))),
        lyrics: Some(LyricsConfig {
            tokens: 16,
            vocabulary: 79,
            loss_share: 0.4,
            encoder: None,
            alignment: Some(AlignmentConfig { layer: 15, head: 0 }),
        }),
        upper: None,
        merged_decoder: false,
    };
    let upsampler = PriorConfig {
        level: 0,
        hop_length: codec.hop_length(0),
        transformer: transformer(3, 2, 64, 0),
        labels: Some(labels(Naming::V2, None)),
        lyrics: None,
        upper: Some(UpperConfig { strides: vec![4], codebook_size: BOOK, width: 4, resnet }),
        ..top.clone()
    };
    ModelConfig {
        format: MODEL_FORMAT,
        name: "singer".into(),
        codec,
        bandwidth: None,
        priors: [(0, upsampler), (1, top)].into(),
        artists: Vec::new(),
        genres: Vec::new(),
        sampling: SamplingDefaults { song_seconds: Some(8.0), ..SamplingDefaults::default() },
        terms: Vec::new(),
    }
}

/// An empty folder with the model `singer` and its tables in it.
fn studio(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lyrics").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let (config, random, device) = (config(), &mut Random::new(5), Device::flex());
    let mut codec = config.codec.init(random, &device).unwrap();
    each_parameter(&mut codec, |name, mut p| {
        if name.ends_with(".k") {
            p.set((0..BOOK * 4).map(|_| random.normal() * 0.3).collect(), &device, false);
        }
    });
    let mut parts = vec![weights_of("codec", &mut codec)];
    for (level, prior) in &config.priors {
        parts.push(weights_of(&format!("prior.{level}"), &mut prior.init(random, &device).unwrap()));
    }
    save_model(&folder.join("singer"), &config, &parts, Dtype::F32, "# singer\n").unwrap();
    let v3 = r#"{"artists": [["nina simone", 4]], "genres": [["soul jazz", 3], ["dub", 5]]}"#;
    let v2 = r#"{"artists": [["nina_simone", 2]], "genres": [["soul", 7], ["jazz", 8]]}"#;
    std::fs::write(folder.join("singer/labels.v3.json"), v3).unwrap();
    std::fs::write(folder.join("singer/labels.v2.json"), v2).unwrap();
    std::fs::write(folder.join("words.txt"), WORDS).unwrap();
    folder
}

/// Exit code, stdout and stderr of the program in a folder.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrion"));
    let output = command.current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Words of a line as arguments; `_` stands for a space within one.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace('_', " ")).collect()
}

fn good(folder: &Path, line: &str) -> (String, String) {
    let words = words(line);
    let (code, stdout, stderr) = run(folder, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(0), "orchestrion {line}\n{stderr}");
    (stdout, stderr)
}

fn refused(folder: &Path, line: &str, names: &str) {
    let words = words(line);
    let (code, _, stderr) = run(folder, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(2), "orchestrion {line}\n{stderr}");
    assert!(stderr.contains(names) && stderr.contains("hint: "), "orchestrion {line}\n{stderr}");
}

fn codes(file: &Path) -> Vec<Vec<u32>> {
    Tokens::load(file).unwrap().streams.iter().map(|stream| stream.codes.clone()).collect()
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn words_are_sung_timed_and_kept_for_later() {
    let folder = studio("sung");
    let line = "sample --model singer --seconds 2 --seed 3 --artist Nina_Simone --genre Soul_Jazz --json";
    let (stdout, stderr) = good(&folder, &format!("{line} --lyrics-file words.txt --out all"));
    assert!(stderr.contains("does not know these characters of the lyrics: `\u{266b}`, `#`"), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["takes"][0]["alignment"], "all/take-1.alignment.json");
    assert_eq!(report["takes"][0]["lrc"], "all/take-1.lrc");

    let alignment = json(&folder.join("all/take-1.alignment.json"));
    let sung: Vec<&str> = alignment["words"].as_array().unwrap().iter().map(|w| w["text"].as_str().unwrap()).collect();
    assert_eq!(sung, WORDS.split_whitespace().collect::<Vec<_>>());
    let starts: Vec<f64> = alignment["words"].as_array().unwrap().iter().filter_map(|w| w["start"].as_f64()).collect();
    assert!(!starts.is_empty() && starts.is_sorted() && starts.iter().all(|s| (0.0..2.0).contains(s)), "{starts:?}");
    let text = alignment["text"].as_str().unwrap();
    assert!(text.starts_with("Susse Orgel,\nspiel  mir"), "{text}");
    assert_eq!(alignment["characters"].as_array().unwrap().len(), text.len());
    // 250 tokens of 8 ms, four of them a row.
    assert_eq!(alignment["matrix"].as_array().unwrap().len(), 63);
    let picture = std::fs::read(folder.join("all/take-1.alignment.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    let lrc = std::fs::read_to_string(folder.join("all/take-1.lrc")).unwrap();
    assert!(lrc.lines().all(|line| line.starts_with("[00:0")) && lrc.lines().count() > 0, "{lrc}");
    let page = std::fs::read_to_string(folder.join("all/index.html")).unwrap();
    assert!(page.contains("Süße") && page.contains("<span data-start=\""), "the page lights up the words");
    assert!(page.contains("nina simone") && page.contains("soul jazz"));

    // Words and labels do something, and the session remembers them.
    let all = codes(&folder.join("all/session.safetensors"));
    good(&folder, &format!("{line} --lyrics Another_song --out other-words"));
    assert_ne!(codes(&folder.join("other-words/session.safetensors"))[1], all[1]);
    good(&folder, "sample --model singer --seconds 2 --seed 3 --lyrics-file words.txt --out nobody");
    assert_ne!(codes(&folder.join("nobody/session.safetensors"))[1], all[1]);
    good(&folder, &format!("{line} --lyrics-file words.txt --levels 1 --out top"));
    assert!(folder.join("top/take-1.lrc").exists(), "a preview has its words");
    good(&folder, "sample --model singer --continue top/session.safetensors --levels 1,0");
    assert_eq!(codes(&folder.join("top/session.safetensors")), all);
    good(&folder, "sample --model singer --continue all/session.safetensors --seconds 3");
    let longer = codes(&folder.join("all/session.safetensors"));
    assert!(longer[1].len() > all[1].len() && longer[1].starts_with(&all[1]) && longer[0].starts_with(&all[0]));
    assert_eq!(json(&folder.join("all/take-1.alignment.json"))["matrix"].as_array().unwrap().len(), 94);
    let (_, stderr) = good(&folder, "sample --model singer --seconds 1 --song-offset 4 --seed 3 --out silent");
    assert!(stderr.contains("this model sings"), "{stderr}");
    good(&folder, "sample --model singer --seconds 1 --seed 3 --levels 1 --out preview");
    for line in ["--upsample preview/take-1.tokens.safetensors --out fine", "--continue preview/session.safetensors"] {
        let (_, stderr) = good(&folder, &format!("sample --model singer {line} --levels 1,0"));
        assert!(!stderr.contains("this model sings"), "the level with words is there already: {stderr}");
    }
    let (_, stderr) = good(&folder, "sample --model singer --seconds 1 --genre dub --lyrics la --out dub");
    assert!(stderr.contains("level 0 has other tables, without the genre `dub`"), "{stderr}");
}

#[test]
fn takes_with_words_and_labels_of_their_own_keep_them() {
    let folder = studio("takes");
    good(&folder, "sample --model singer --seconds 1 --seed 3 --takes 2 --levels 1 --lyrics la --out two");
    let path = folder.join("two/session.safetensors");
    let (file, mut session) = SessionFile::open(&path).unwrap();
    let mut request = session.request().clone();
    request.labels = vec![request.take_labels(0); 2];
    request.labels[1].artist = vec![(4, 1.0)];
    request.labels[1].offset_seconds = 2.0;
    request.labels[1].lyrics = Some(Lyrics { text: "do re".into(), tokens: Vocabulary::V3.tokenise("do re") });
    session.revise(request).unwrap();
    file.save(&session).unwrap();
    drop(file);

    let mut labels = session.request().labels.clone();
    let kept = || SessionFile::open(&path).unwrap().1.request().labels.clone();
    good(&folder, "sample --model singer --continue two/session.safetensors --levels 1,0");
    assert_eq!(kept(), labels, "nothing was said about labels");
    good(&folder, "sample --model singer --continue two/session.safetensors --seconds 2 --song-offset 3");
    labels.iter_mut().for_each(|take| take.offset_seconds = 3.0);
    assert_eq!(kept(), labels, "what was said holds for every take, and nothing else");
}

#[test]
fn words_and_labels_that_cannot_be_are_refused() {
    let folder = studio("refused");
    let singer = "sample --model singer --seconds 1 --out never";
    refused(&folder, &format!("{singer} --lyrics \u{266b}\u{266b}"), "no character that the model knows");
    refused(&folder, &format!("{singer} --lyrics-file nowhere.txt"), "nowhere.txt");
    std::fs::write(folder.join("latin.txt"), b"caf\xe9").unwrap();
    refused(&folder, &format!("{singer} --lyrics-file latin.txt"), "no UTF-8 text");
    std::fs::write(folder.join("long.txt"), vec![b'a'; 500_000]).unwrap();
    refused(&folder, &format!("{singer} --lyrics-file long.txt"), "long.txt");
    refused(&folder, &format!("{singer} --artist Nina_Simon"), "near names are `nina simone`");
    refused(&folder, &format!("{singer} --song-seconds 90"), "outside the model's range");
    refused(&folder, &format!("{singer} --song-offset 7.5 --song-seconds 8"), "ends before 8.5");
    refused(&folder, "sample --seconds 1 --out never --lyrics la", "knows no words");
    assert!(!folder.join("never").exists(), "nothing is written before the request is sound");
    std::fs::remove_file(folder.join("singer/labels.v3.json")).unwrap();
    refused(&folder, &format!("{singer} --artist Nina"), "`nina` is no number");
    refused(&folder, &format!("{singer} --artist 9"), "row 9, but the model has 9");
    good(&folder, "sample --model singer --seconds 1 --artist 8 --lyrics la --out by-number");
}

#[test]
fn hidden_states_of_recordings_of_any_length() {
    let folder = studio("states");
    for (name, seconds) in [("long", 5.0), ("short", 0.003)] {
        let samples = (0..(seconds * f64::from(RATE)) as usize).map(|i| (i as f32 / 9.0).sin() * 0.3).collect();
        orchestrion_audio::write(&folder.join(format!("{name}.wav")), &Clip::from_mono(samples, RATE), &[]).unwrap();
    }
    let states = |line: &str| -> (Value, Vec<f32>) {
        let (stdout, _) = good(&folder, &format!("embed --model singer --out states.safetensors --json {line}"));
        let bytes = std::fs::read(folder.join("states.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = file.tensor("hidden").unwrap();
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(report["shape"], serde_json::json!(tensor.shape()));
        let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = head.metadata().clone().unwrap();
        assert_eq!(metadata["hop_length"], report["hop_length"].to_string());
        assert!(metadata["model"].starts_with("singer "));
        let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert!(values.iter().all(|value| value.is_finite()));
        (report, values)
    };
    let (report, all) = states("long.wav --layer 3");
    assert_eq!((report["level"].clone(), report["shape"].clone()), (1.into(), serde_json::json!([625, 8])));
    let (report, mean) = states("long.wav --layer 3 --pool mean");
    assert_eq!(report["shape"], serde_json::json!([1, 8]));
    let expected = all.iter().step_by(8).sum::<f32>() / 625.0;
    assert!((mean[0] - expected).abs() < 1e-3, "{} for {expected}", mean[0]);
    assert_eq!(states("short.wav --layer 15").0["shape"], serde_json::json!([1, 8]), "padded, not refused");
    assert_eq!(states("long.wav --layer 0 --level 0 --seconds 1").0["shape"], serde_json::json!([500, 8]));
    refused(&folder, "embed long.wav --model singer --layer 16 --out never", "it has layers 0 to 15");
    refused(&folder, "embed long.wav --model singer --layer 0 --level 2 --out never", "no prior for level 2");
}
