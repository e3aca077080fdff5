//! From checkpoints to a model folder.

use super::writer::{self, Tensor};
use burn::tensor::Device;
use orchestrion_model::ModelError;
use orchestrion_model::condition::Naming;
use orchestrion_model::nn::{Random, each_parameter};
use orchestrion_model::store::{
    Checkpoint, Dtype, ImportSettings, ModelFolder, Published, SafetensorsFile, Shape, Source, TERMS, codec_shapes,
    import, prior_shapes,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Settings of a small codec, by the names of the paper's program.
fn codec_settings() -> Value {
    json!({
        "name": "small", "sr": 8000, "levels": 2, "downs_t": [2, 1], "strides_t": [2, 4], "emb_width": 4, "l_bins": 9,
        "width": 4, "depth": 2, "dilation_growth_rate": 3, "dilation_cycle": null, "hvqvae_multipliers": [2, 1],
    })
}

/// Settings of a small prior.
fn prior_settings(level: usize) -> Value {
    json!({
        "level": level, "n_ctx": 16, "prior_width": 8, "prior_depth": 3, "heads": 2, "attn_order": 2, "blocks": 4,
        "m_attn": 0.5, "labels": true, "labels_v3": level == 1, "y_bins": [3, 5], "t_bins": 4, "min_duration": 1.0,
        "max_duration": 9.0, "max_bow_genre_size": 2, "n_tokens": 0, "cond_width": 4, "cond_depth": 2,
        "cond_dilation_growth_rate": 3, "cond_dilation_cycle": null, "cond_res_scale": true,
    })
}

/// Random tensors of these sizes.
fn tensors(shapes: &[Shape], seed: u64) -> Vec<Tensor> {
    let mut random = Random::new(seed);
    let values = |shape: &[usize], random: &mut Random| (0..shape.iter().product()).map(|_| random.normal()).collect();
    shapes.iter().map(|(name, shape)| (name.clone(), shape.clone(), values(shape, &mut random))).collect()
}

/// Files of a small published model, and the tensors in them.
struct Files {
    folder: tempfile::TempDir,
    codec: Vec<Tensor>,
    priors: [Vec<Tensor>; 2],
}

impl Files {
    fn write() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (codec, priors) = small();
        let shapes = codec_shapes(&codec);
        let codec = tensors(&shapes, 1);
        // As in published files, the output table is there even where it is the input table.
        let priors = priors.map(|shapes| {
            let mut tensors = tensors(&shapes, 2);
            let (_, shape, values) = tensors.iter().find(|(n, ..)| n == "prior.x_emb.weight").unwrap().clone();
            tensors.push(("prior.x_out.weight".into(), shape, values));
            tensors
        });
        let files = Self { folder, codec, priors };
        files.put("vqvae.pth.tar", &writer::old(&codec_settings(), &files.codec));
        files.put("top.pth.tar", &writer::new(&prior_settings(1), &files.priors[1]));
        files.put("up.pth.tar", &writer::old(&prior_settings(0), &files.priors[0]));
        files
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn import_as(&self, name: &str, dtype: Dtype, published: Option<Published>) -> Result<String, ModelError> {
        let checkpoint = Checkpoint::open(&self.folder.path().join(name))?;
        let mut last = 0;
        import(&self.out(), &checkpoint, &ImportSettings { published, dtype, name: None }, |done, all| {
            assert!(last <= done && done < all);
            last = done;
        })
    }

    fn import(&self, name: &str) -> Result<String, ModelError> {
        self.import_as(name, Dtype::F32, None)
    }

    /// What is said of a changed copy of a file; the folder stays as it was.
    fn refused(&self, settings: &Value, tensors: &[Tensor]) -> String {
        self.put("changed.pth.tar", &writer::old(settings, tensors));
        let before = listing(&self.out());
        let message = self.import("changed.pth.tar").unwrap_err().to_string();
        assert!(message.contains("; hint: "), "{message}");
        assert_eq!(listing(&self.out()), before, "{message}");
        message
    }
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|f| f.unwrap().path()).collect();
    all.sort();
    all
}

/// The codec and the tensors of its priors.
fn small() -> (orchestrion_model::codec::VqVaeConfig, [Vec<Shape>; 2]) {
    let resnet = json!({ "depth": 2, "dilation_growth": 3 });
    let codec = json!({
        "sample_rate": 8000, "strides": [[2, 2], [4]], "embedding_width": 4, "codebook_size": 9, "width": 4,
        "resnet": resnet, "multipliers": [2, 1],
    });
    let prior = |level: usize| {
        let mut config = json!({
            "level": level, "sample_rate": 8000, "hop_length": (if level == 0 { 4 } else { 16 }), "codebook_size": 9,
            "transformer": { "width": 8, "depth": 3, "heads": 2, "context": 16, "blocks": 4, "attn_order": 2,
                             "attention_width": 0.5 },
            "labels": { "artists": 5, "genres": 3 },
        });
        if level == 0 {
            config["upper"] = json!({ "strides": [4], "codebook_size": 9, "width": 4, "resnet": resnet });
        } else {
            config["labels"]["timing"] = json!({ "bins": 4, "min_seconds": 1.0, "max_seconds": 9.0 });
        }
        prior_shapes(&serde_json::from_value(config).unwrap())
    };
    (serde_json::from_value(codec).unwrap(), [prior(0), prior(1)])
}

#[test]
fn what_is_imported_is_what_was_there() {
    let files = Files::write();
    for (name, part) in [("vqvae.pth.tar", "codec"), ("top.pth.tar", "prior.1"), ("up.pth.tar", "prior.0")] {
        assert_eq!(files.import(name).unwrap(), part);
    }
    let (model, device) = (ModelFolder::open(Source::Folder(files.out())).unwrap(), Device::flex());
    let same = |tensors: &[Tensor], name: &str, values: Vec<f32>| {
        assert_eq!(tensors.iter().find(|(n, ..)| n == name).unwrap().2, values, "{name}");
    };
    each_parameter(&mut model.codec(&device).unwrap(), |name, p| same(&files.codec, name, p.values()));
    for (level, tensors) in files.priors.iter().enumerate() {
        each_parameter(&mut model.prior(level, &device).unwrap(), |name, p| same(tensors, name, p.values()));
    }
    let config = model.config();
    let [up, top] = [0, 1].map(|level| config.priors[&level].clone());
    assert_eq!(config.name, "model");
    assert_eq!(config.codec, small().0);
    assert_eq!((up.hop_length, top.hop_length, up.upper.unwrap().resnet.residual_scale), (4, 16, true));
    assert_eq!((up.labels.as_ref().unwrap().naming, up.labels.unwrap().timing), (Naming::V2, None));
    let labels = top.labels.unwrap();
    assert_eq!((labels.naming, labels.genre_words, labels.artists, labels.genres), (Naming::V3, 2, 5, 3));
    assert_eq!(config.sampling.hop_fraction, [0.5, 0.125]);
    assert_eq!(config.sampling.song_seconds, Some(1.0), "240 s is beyond what this prior knows");
    assert!(model.card().unwrap().contains("Noncommercial"));
}

#[test]
fn a_card_is_added_to_and_never_replaced() {
    let files = Files::write();
    files.import("vqvae.pth.tar").unwrap();
    let path = files.out().join("README.md");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.starts_with("# model\n") && written.contains(TERMS), "{written}");
    std::fs::write(&path, "# Mine\n\nMy words.\n").unwrap();
    files.import("top.pth.tar").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("# Mine\n\nMy words.\n\n{TERMS}\n"));
    files.import("up.pth.tar").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("# Mine\n\nMy words.\n\n{TERMS}\n"));
}

#[test]
fn fewer_bytes_come_back_within_their_rounding() {
    let files = Files::write();
    files.import_as("vqvae.pth.tar", Dtype::Int8, None).unwrap();
    files.import_as("top.pth.tar", Dtype::Int8, None).unwrap();
    let mut prior = ModelFolder::open(Source::Folder(files.out())).unwrap().prior(1, &Device::flex()).unwrap();
    let mut bytes = 0;
    each_parameter(&mut prior, |name, p| {
        let (_, shape, values) = files.priors[1].iter().find(|(n, ..)| n == name).unwrap();
        let outputs = *shape.last().unwrap();
        for (i, (was, is)) in values.iter().zip(p.values()).enumerate() {
            let bound = if name.contains("_attn_mods") && name.ends_with(".w") {
                bytes += 1;
                let column = values.iter().skip(i % outputs).step_by(outputs);
                column.fold(0.0f32, |most, v| most.max(v.abs())) / 254.0 * 1.0001
            } else {
                was.abs() / 256.0
            };
            assert!((was - is).abs() <= bound, "{name}: {is} for {was}");
        }
    });
    assert!(bytes > 0);

    // Scales belong to their matrix, wherever a name stands in the order of all.
    let path = files.out().join("model.safetensors.index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let map = index["weight_map"].as_object_mut().unwrap();
    let names: Vec<String> = map.keys().filter_map(|name| name.strip_suffix(".scale").map(str::to_owned)).collect();
    for name in names {
        map.insert(format!("{name}.a"), "prior-1.safetensors".into());
    }
    std::fs::write(&path, index.to_string()).unwrap();
    let model = ModelFolder::open(Source::Folder(files.out())).unwrap();
    let message = model.prior(1, &Device::flex()).unwrap_err().to_string();
    assert!(message.contains("c_attn.w.a`") && !message.contains(".scale`"), "{message}");
}

#[test]
fn scales_are_floats() {
    let header = json!({
        "a": { "dtype": "I8", "shape": [1, 1], "data_offsets": [0, 1] },
        "a.scale": { "dtype": "I8", "shape": [1], "data_offsets": [1, 2] },
        "a.scale.scale": { "dtype": "F32", "shape": [1], "data_offsets": [2, 6] },
    });
    let header = header.to_string().into_bytes();
    let bytes = [(header.len() as u64).to_le_bytes().to_vec(), header, vec![1, 1, 0, 0, 0x80, 0x3f]].concat();
    let message = SafetensorsFile::parse("x", bytes.into()).unwrap().values("a").unwrap_err().to_string();
    assert!(message.contains("without `a.scale`, one F32"), "{message}");
}

#[test]
fn checkpoints_that_do_not_fit_are_refused_by_name() {
    let files = Files::write();
    assert!(files.import("top.pth.tar").unwrap_err().to_string().contains("no codec yet"));
    let mut nan = files.codec.clone();
    nan[3].2[0] = f32::NAN;
    let message = files.refused(&codec_settings(), &nan);
    assert!(message.contains(&format!("key `{}`", nan[3].0)) && message.contains("NaN"), "{message}");
    assert!(!files.out().exists());

    files.import("vqvae.pth.tar").unwrap();
    assert!(files.refused(&codec_settings(), &files.codec).contains("already has a codec"));
    let (settings, prior) = (prior_settings(1), &files.priors[1]);
    let change = |from: &str, to: &str| {
        let rename = |(n, s, v): Tensor| (if n == from { to.to_owned() } else { n }, s, v);
        prior.iter().cloned().map(rename).collect::<Vec<_>>()
    };
    let message = files.refused(&settings, &change("y_emb.artist_emb.emb.weight", "y_emb.artist_embed.weight"));
    assert!(
        message.contains("missing: `y_emb.artist_emb.emb.weight` (near: `y_emb.artist_embed.weight`)"),
        "{message}"
    );
    assert!(message.contains("not part of it: `y_emb.artist_embed.weight`"), "{message}");
    let mut turned = prior.clone();
    let matrix = turned.iter_mut().find(|(n, ..)| n.ends_with("0.attn.c_attn.w")).unwrap();
    matrix.1.reverse();
    let message = files.refused(&settings, &turned);
    assert!(message.contains("0.attn.c_attn.w` is [12, 8], not [8, 12]"), "{message}");
    let mut untied = prior.clone();
    untied.last_mut().unwrap().2[0] += 1.0;
    let message = files.refused(&settings, &untied);
    assert!(message.contains("`prior.x_out.weight` differs"), "{message}");
    untied.last_mut().unwrap().1.reverse();
    let message = files.refused(&settings, &untied);
    assert!(message.contains("`prior.x_out.weight` is [8, 9], not [9, 8]"), "{message}");

    // Another level, a level that the codec has not, settings that are not there, and another model's.
    let message = files.refused(&prior_settings(0), prior);
    assert!(message.contains("conditioner_blocks.0.x_emb.weight"), "{message}");
    assert!(files.refused(&prior_settings(7), prior).contains("level 7"));
    assert!(files.refused(&prior_settings(i32::MAX as usize), prior).contains("level 2147483647"));
    let message = files.refused(&json!({ "level": 1 }), prior);
    assert!(message.contains("missing field `n_ctx`") && message.contains("--as"), "{message}");
    for field in ["heads", "blocks", "cond_width", "t_bins", "max_bow_genre_size"] {
        let mut settings = prior_settings(usize::from(field != "cond_width"));
        settings.as_object_mut().unwrap().remove(field);
        assert!(files.refused(&settings, prior).contains(&format!("`{field}`")), "{field}");
    }
    for (field, value) in [("prior_depth", json!(i32::MAX)), ("heads", json!(3)), ("n_ctx", json!(-1))] {
        let mut settings = settings.clone();
        settings[field] = value;
        let message = files.refused(&settings, prior);
        assert!(message.contains("changed.pth.tar") && message.contains("`--as`"), "{message}");
    }
    for (field, value) in [("cond_width", json!("wide")), ("n_ctx", json!("long")), ("n_tokens", json!(0.5))] {
        let mut settings = settings.clone();
        settings[field] = value;
        let message = files.refused(&settings, prior);
        assert!(message.contains(&format!("`{field}`: invalid type")), "{message}");
    }
    let message = files.import_as("top.pth.tar", Dtype::F32, Some(Published::VqVae)).unwrap_err().to_string();
    assert!(message.contains("holds a prior, which `vqvae` is not"), "{message}");
    let message = files.import_as("top.pth.tar", Dtype::F32, Some(Published::Upsampler0)).unwrap_err().to_string();
    assert!(message.contains("level 1") && message.contains("not of level 0"), "{message}");
    assert!(
        files.refused(&json!({}), &[("weight".into(), vec![1], vec![0.0])]).contains("neither a codec nor a prior")
    );
    files.import("top.pth.tar").unwrap();
}
