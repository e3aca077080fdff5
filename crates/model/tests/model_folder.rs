//! Model folders: what is saved comes back, and what is damaged is refused by name.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use orchestrion_model::ModelError;
use orchestrion_model::codec::{Bandwidth, Codec, VqVae, VqVaeConfig};
use orchestrion_model::condition::Labels;
use orchestrion_model::condition::{LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::nn::{Parameters, Random, each_parameter};
use orchestrion_model::prior::{Prior, PriorConfig, PriorDecoder, TokenModel, Window};
use orchestrion_model::store::{
    Dtype, MODEL_FORMAT, ModelConfig, ModelFolder, SamplingDefaults, Source, Weights, save_model, weights_of,
};
use serde_json::{Value, json};
use std::path::Path;

const INDEX: &str = "model.safetensors.index.json";

fn config() -> ModelConfig {
    let resnet =
        ResnetConfig { depth: 2, hidden: 1.0, dilation_growth: 3, dilation_cycle: None, residual_scale: false };
    let codec = VqVaeConfig {
        sample_rate: 8000,
        strides: vec![vec![2, 4], vec![4]],
        embedding_width: 4,
        codebook_size: 9,
        width: 4,
        resnet: resnet.clone(),
        multipliers: vec![1, 1],
        reverse_decoder_dilation: true,
    };
    let prior = |level: usize| PriorConfig {
        level,
        sample_rate: 8000,
        hop_length: codec.hop_length(level),
        codebook_size: 9,
        transformer: TransformerConfig {
            width: 8,
            depth: 3,
            heads: 2,
            context: 16,
            blocks: 4,
            attn_order: 2,
            spread: 0,
            prime: 0,
            attention_width: 0.5,
            mlp_width: 1.0,
            init_scale: 1.0,
            zero_out: false,
            residual_scale: false,
        },
        labels: Some(LabelsConfig {
            artists: 3,
            genres: 2,
            timing: (level == 1).then_some(TimingConfig { bins: 4, min_seconds: 1.0, max_seconds: 9.0 }),
            naming: Naming::Own,
            genre_words: 5,
        }),
        lyrics: None,
        upper: (level == 0).then(|| UpperConfig {
            strides: vec![4],
            codebook_size: 9,
            width: 4,
            resnet: resnet.clone(),
        }),
        merged_decoder: level == 1,
    };
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    ModelConfig {
        format: MODEL_FORMAT,
        name: "small".into(),
        priors: [(0, prior(0)), (1, prior(1))].into(),
        codec,
        bandwidth: Some(Bandwidth { l1: 0.1, l2: 0.02, spectral: 17.3 }),
        artists: names(&["unknown", "a", "b"]),
        genres: names(&["unknown", "c"]),
        sampling: SamplingDefaults { temperature: vec![0.9, 0.99], ..SamplingDefaults::default() },
        terms: vec![],
    }
}

/// A model with a filled codebook, and the folder it was saved to.
fn saved(dtype: Dtype) -> (tempfile::TempDir, VqVae, Vec<Prior>) {
    let config = config();
    let (random, device) = (&mut Random::new(11), Device::flex());
    let mut codec = config.codec.init(random, &device).unwrap();
    each_parameter(&mut codec, |name, mut p| {
        if name.ends_with(".k") {
            p.set((0..9 * 4).map(|_| random.normal() * 0.3).collect(), &device, false);
        }
    });
    let mut priors: Vec<Prior> = config.priors.values().map(|p| p.init(random, &device).unwrap()).collect();
    let mut parts = vec![weights_of("codec", &mut codec)];
    parts.extend(priors.iter_mut().enumerate().map(|(l, p)| weights_of(&format!("prior.{l}"), p)));
    let folder = tempfile::tempdir().unwrap();
    save_model(folder.path(), &config, &parts, dtype, "# small\n").unwrap();
    (folder, codec, priors)
}

fn open(folder: &Path) -> Result<ModelFolder, ModelError> {
    ModelFolder::open(Source::Folder(folder.to_owned()))
}

fn parameters(part: &mut impl Parameters) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    each_parameter(part, |name, p| all.push((name.to_owned(), p.values())));
    all
}

#[test]
fn all_priors_with_words_know_the_same_characters() {
    let mut config = config();
    assert_eq!(config.singer(), None);
    for (level, prior) in &mut config.priors {
        let encoder = TransformerConfig { context: 4, blocks: 2, ..prior.transformer.clone() };
        prior.transformer = TransformerConfig { attn_order: 6, depth: 4, ..prior.transformer.clone() };
        let words = json!({"tokens": 4, "vocabulary": 79 + level, "loss_share": 0.4, "encoder": encoder});
        prior.lyrics = Some(serde_json::from_value(words).unwrap());
    }
    let message = config.validate().unwrap_err().to_string();
    assert!(message.contains("79 characters at level 0, 80 at level 1"), "{message}");
    config.priors.values_mut().for_each(|prior| prior.lyrics.as_mut().unwrap().vocabulary = 79);
    config.validate().unwrap();
    assert_eq!(config.singer().unwrap().0.level, 1);
}

#[test]
fn what_is_saved_comes_back() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let (folder, mut codec, mut priors) = saved(dtype);
        let model = open(folder.path()).unwrap();
        assert_eq!(*model.config(), config());
        assert_eq!(model.card().unwrap(), "# small\n");
        let device = Device::flex();
        let mut pairs = vec![(parameters(&mut codec), parameters(&mut model.codec(&device).unwrap()))];
        for (level, prior) in priors.iter_mut().enumerate() {
            pairs.push((parameters(prior), parameters(&mut model.prior(level, &device).unwrap())));
        }
        for (before, after) in pairs {
            assert_eq!(before.len(), after.len());
            for ((name, before), (found, after)) in before.iter().zip(&after) {
                assert_eq!(name, found);
                match dtype {
                    Dtype::F32 => assert_eq!(before, after, "{name}"),
                    // Eight bits of mantissa, rounded to nearest.
                    Dtype::Bf16 | Dtype::Int8 => {
                        for (a, b) in before.iter().zip(after) {
                            assert!((a - b).abs() <= a.abs() / 256.0, "{name}: {b} for {a}");
                        }
                    }
                }
            }
        }
        let sound: Vec<f32> = (0..400).map(|t| (t as f32 * 0.2).sin()).collect();
        let codes = codec.encode(&sound, 1).unwrap();
        let again = model.codec(&device).unwrap().encode(&sound, 1).unwrap();
        assert!(dtype == Dtype::Bf16 || codes == again);
        assert_eq!(again.len(), 400 / 32);
    }
}

/// Changes a JSON file of the folder.
fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

/// What spoils a configuration.
type Change = fn(&mut Value);

fn weight_map(index: &mut Value) -> &mut serde_json::Map<String, Value> {
    index["weight_map"].as_object_mut().unwrap()
}

#[test]
fn copies_have_the_weights_the_tables_and_the_terms() {
    let ((first, ..), (second, ..)) = (saved(Dtype::F32), saved(Dtype::F32));
    let table = |folder: &Path, text: &str| std::fs::write(folder.join("labels.v2.json"), text).unwrap();
    table(first.path(), "one");
    edit(first.path(), "config.json", |config| config["terms"] = vec!["Not for sale."].into());
    let (one, two) = (open(first.path()).unwrap(), open(second.path()).unwrap());
    let stored = |part: &str, folder| Weights::Stored { part: part.into(), folder };
    let parts = [stored("codec", &one), stored("prior.0", &two), stored("prior.1", &one)];
    let out = tempfile::tempdir().unwrap();
    save_model(out.path(), one.config(), &parts, Dtype::F32, "# copy\n").unwrap();
    let (copy, device) = (open(out.path()).unwrap(), Device::flex());
    assert_eq!(parameters(&mut copy.codec(&device).unwrap()), parameters(&mut one.codec(&device).unwrap()));
    for level in [0, 1] {
        let [ours, theirs] = [&copy, &one].map(|model| parameters(&mut model.prior(level, &device).unwrap()));
        assert_eq!(ours, theirs);
    }
    assert_eq!(copy.file("labels.v2.json").unwrap().unwrap().as_ref(), b"one");
    assert_eq!(copy.config().terms, ["Not for sale."]);
    assert_eq!(copy.card().unwrap(), "# copy\n\nNot for sale.\n");

    table(second.path(), "two");
    let error = save_model(out.path(), one.config(), &parts, Dtype::F32, "").unwrap_err().to_string();
    assert!(error.contains("labels.v2.json` differs"), "{error}");
    std::fs::remove_file(second.path().join("labels.v2.json")).unwrap();
    edit(second.path(), INDEX, |index| drop(weight_map(index).remove("prior.0.prior.x_emb.weight")));
    let broken = open(second.path()).unwrap();
    let error = save_model(out.path(), one.config(), &[stored("prior.0", &broken)], Dtype::F32, "").unwrap_err();
    assert!(error.to_string().contains("`prior.0.prior.x_emb.weight` is missing"), "{error}");
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let device = Device::flex();
    let key = "codec.decoders.1.out.bias";
    let of = |folder: &Path| open(folder).unwrap().codec(&device).unwrap_err();

    let (folder, ..) = saved(Dtype::F32);
    edit(folder.path(), INDEX, |index| drop(weight_map(index).remove(key)));
    let error = of(folder.path());
    assert!(matches!(&error, ModelError::Weights(what) if what.contains(&format!("`{key}` is missing"))), "{error}");

    let (folder, ..) = saved(Dtype::F32);
    edit(folder.path(), INDEX, |index| drop(weight_map(index).insert("codec.tail".into(), "codec.safetensors".into())));
    let error = of(folder.path());
    assert!(matches!(&error, ModelError::Weights(what) if what.contains("`codec.tail` is not part")), "{error}");

    let (folder, ..) = saved(Dtype::F32);
    edit(folder.path(), INDEX, |index| drop(weight_map(index).insert(key.into(), "prior-0.safetensors".into())));
    let error = of(folder.path());
    assert!(
        matches!(&error, ModelError::Weights(what) if what.contains(&format!("`{key}` is not in its shard"))),
        "{error}"
    );

    let (folder, ..) = saved(Dtype::F32);
    edit(folder.path(), "config.json", |config| config["codec"]["width"] = 6.into());
    let error = of(folder.path());
    assert!(
        matches!(&error, ModelError::Weights(what) if what.contains("not [6, 1, 4]") && what.contains("more")),
        "{error}"
    );
    open(folder.path()).unwrap().prior(0, &device).unwrap();
    let error = open(folder.path()).unwrap().prior(2, &device).unwrap_err();
    assert!(error.to_string().contains("no prior for level 2 (it has: 0, 1)"), "{error}");
}

#[test]
fn a_prior_is_opened_layer_by_layer_as_it_is_stored() {
    let device = Device::flex();
    let labels = [Labels { artist: vec![(1, 1.0)], genre: vec![], total_length: 30_000, offset: 0, lyrics: vec![] }];
    let above: [&[u32]; 1] = [&[1, 2, 3, 4]];
    let tokens: [u32; 16] = std::array::from_fn(|i| i as u32 % 8);
    for dtype in Dtype::ALL {
        let (folder, ..) = saved(dtype);
        let model = open(folder.path()).unwrap();
        for level in 0..2 {
            PriorDecoder::check(&model, level).unwrap();
            assert_eq!(model.stored_dtype(level).unwrap(), dtype);
            let window = Window { start: 0, length: 16, labels: &labels, upper: (level == 0).then_some(&above) };
            let both = |mut decoder: PriorDecoder| {
                decoder.begin(&window).unwrap();
                let logits = decoder.advance(&[&tokens[..7]]).unwrap();
                (logits, decoder.hidden(0, &window, &[&tokens]).unwrap())
            };
            let stored = both(PriorDecoder::open(&model, level, &device, None).unwrap());
            let exact = both(PriorDecoder::new(model.prior(level, &device).unwrap(), Dtype::F32).unwrap());
            if dtype == Dtype::Int8 {
                // The layers are not rounded once more, up to the last place of their scales. The output's table is.
                let near = stored.1.iter().zip(&exact.1).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0));
                assert!(near, "level {level}");
            } else {
                assert_eq!(stored, exact, "{dtype}, level {level}");
            }
        }
    }
    let (folder, ..) = saved(Dtype::F32);
    let model = open(folder.path()).unwrap();
    let error = PriorDecoder::open(&model, 2, &device, None).err().unwrap();
    assert!(error.to_string().contains("no prior for level 2 (it has: 0, 1)"), "{error}");
}

#[test]
fn models_are_told_apart_without_reading_their_weights() {
    let (folder, ..) = saved(Dtype::F32);
    let noted = open(folder.path()).unwrap().fingerprint().unwrap();
    let shard = folder.path().join("prior-1.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    // All but the header could be missing: names and sizes stand there.
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let weights = bytes.split_off(header);
    let file = std::fs::OpenOptions::new().write(true).open(&shard).unwrap();
    file.set_len(header as u64).unwrap();
    file.set_len((header + weights.len()) as u64).unwrap();
    let model = open(folder.path()).unwrap();
    assert_eq!(model.fingerprint().unwrap(), noted);
    PriorDecoder::check(&model, 1).unwrap();

    // Other weights are another model, and so is one with another configuration.
    edit(folder.path(), "config.json", |config| config["name"] = "other".into());
    assert_ne!(open(folder.path()).unwrap().fingerprint().unwrap(), noted);
    assert_ne!(open(saved(Dtype::Bf16).0.path()).unwrap().fingerprint().unwrap(), noted);
    // Without hashes, the files themselves count.
    edit(folder.path(), INDEX, |index| drop(index["metadata"].as_object_mut().unwrap().remove("sha256")));
    let before = open(folder.path()).unwrap().fingerprint().unwrap();
    std::fs::write(&shard, [bytes, weights].concat()).unwrap();
    assert_ne!(open(folder.path()).unwrap().fingerprint().unwrap(), before);
}

#[test]
fn all_faults_of_a_prior_are_named() {
    let (folder, ..) = saved(Dtype::F32);
    let layer = |d: usize, name: &str| format!("prior.1.prior.transformer._attn_mods.{d}.{name}");
    edit(folder.path(), INDEX, |index| {
        let map = weight_map(index);
        for key in [layer(0, "ln_0.bias"), layer(2, "attn.c_attn.w"), "prior.1.prior.x_emb.weight".into()] {
            map.remove(&key).unwrap();
        }
        map.insert(layer(3, "ln_0.bias"), "prior-1.safetensors".into());
        // A layer's norm from the other prior.
        map.insert(layer(1, "ln_1.weight"), "prior-0.safetensors".into());
    });
    let model = open(folder.path()).unwrap();
    let opened = PriorDecoder::open(&model, 1, &Device::flex(), None).err().unwrap().to_string();
    for fault in [
        "`prior.1.prior.x_emb.weight` is missing".to_owned(),
        format!("`{}` is missing", layer(0, "ln_0.bias")),
        format!("`{}` is not in its shard", layer(1, "ln_1.weight")),
        format!("`{}` is missing", layer(2, "attn.c_attn.w")),
        format!("`{}` is not part of the model", layer(3, "ln_0.bias")),
    ] {
        assert!(opened.contains(&fault), "`{fault}` is not in {opened}");
    }
    // The same faults, in the order of the configuration.
    let sorted = |message: &str| {
        let mut faults: Vec<String> = message.split("; ").map(|f| f.rsplit(": ").next().unwrap().to_owned()).collect();
        faults.sort();
        faults
    };
    assert_eq!(sorted(&PriorDecoder::check(&model, 1).unwrap_err().to_string()), sorted(&opened));

    let (folder, ..) = saved(Dtype::F32);
    edit(folder.path(), "config.json", |config| config["priors"]["1"]["transformer"]["mlp_width"] = 2.0.into());
    let error = PriorDecoder::open(&open(folder.path()).unwrap(), 1, &Device::flex(), None).err().unwrap().to_string();
    assert!(error.contains(&format!("`{}` is [8, 8], not [8, 16]", layer(0, "mlp.c_fc.w"))), "{error}");
    assert!(error.contains("and 1 more"), "{error}");
}

#[test]
fn damaged_files_are_named() {
    let device = Device::flex();
    let spoil = |file: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let (folder, ..) = saved(Dtype::F32);
        let path = folder.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let error = open(folder.path()).and_then(|m| m.codec(&device).map(drop)).unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
        error
    };
    // A shard may end anywhere.
    let length = std::fs::metadata(saved(Dtype::F32).0.path().join("codec.safetensors")).unwrap().len() as usize;
    for end in [0, 1, 7, 8, 9, 100, length / 2, length - 1] {
        let error = spoil("codec.safetensors", &|bytes| bytes.truncate(end));
        assert!(matches!(error, ModelError::Format { .. }), "{end}: {error}");
    }
    let huge = spoil("codec.safetensors", &|bytes| bytes[..8].fill(0xff));
    assert!(matches!(huge, ModelError::Format { .. }), "{huge}");
    let garbled = spoil("codec.safetensors", &|bytes| bytes[20] = b'"');
    assert!(matches!(garbled, ModelError::Format { .. }), "{garbled}");
    let nan = spoil("codec.safetensors", &|bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(matches!(&nan, ModelError::Weights(what) if what.contains("NaN")), "{nan}");

    for file in ["config.json", INDEX] {
        for cut in [0, 1, 40] {
            let error = spoil(file, &|bytes| bytes.truncate(bytes.len() - 2 - cut));
            assert!(matches!(error, ModelError::Format { .. }), "{file}: {error}");
        }
    }
    let (folder, ..) = saved(Dtype::F32);
    std::fs::remove_file(folder.path().join("codec.safetensors")).unwrap();
    let error = open(folder.path()).unwrap().codec(&device).unwrap_err();
    assert!(matches!(&error, ModelError::Io { path, .. } if path.ends_with("codec.safetensors")), "{error}");
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("not a model folder") && error.contains("hint"), "{error}");
}

#[test]
fn configurations_that_do_not_fit_themselves_are_refused() {
    let broken: [(&str, Change); 7] = [
        ("format", |c| c["format"] = 99.into()),
        ("unknown field", |c| c["tempo"] = 120.into()),
        ("strides", |c| c["codec"]["strides"][0][0] = 3.into()),
        ("made for another codec", |c| c["priors"]["1"]["hop_length"] = 64.into()),
        ("does not fit the level above", |c| c["priors"]["0"]["upper"]["strides"] = vec![2, 4].into()),
        ("blocks", |c| c["priors"]["0"]["transformer"]["blocks"] = 5.into()),
        ("lists of names", |c| c["artists"] = vec!["unknown"].into()),
    ];
    for (word, change) in broken {
        let (folder, ..) = saved(Dtype::Bf16);
        edit(folder.path(), "config.json", change);
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, ModelError::Format { .. }), "{error}");
        assert!(error.to_string().contains(word) && error.to_string().contains("config.json"), "{error}");
    }
    let (folder, ..) = saved(Dtype::Bf16);
    edit(folder.path(), INDEX, |index| {
        weight_map(index).insert("codec.decoders.1.out.bias".into(), "../codec.safetensors".into());
    });
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("outside the folder"), "{error}");
}
