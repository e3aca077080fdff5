//! Whole files that inputs are made from.

use orchestrion_data::{
    CachedStream, CodecIdentity, Entry, LabelTable, Manifest, TokenCache, TokenStream, Tokens, fingerprint,
};
use orchestrion_generate::{LevelShape, SampleRequest, Session, SessionFile, SongShape};
use orchestrion_model::nn::Random;
use orchestrion_model::store::{Dtype, ModelConfig, save_model, weights_of};
use serde_json::{Map, json};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../model/tests/checkpoints/writer.rs"]
mod writer;

/// Where a door's inputs begin.
pub struct Seeds {
    /// Name of the file that an input becomes.
    pub file: &'static str,
    /// Whole files.
    pub files: Vec<Vec<u8>>,
    /// Other files of the folder.
    pub beside: Vec<(String, Vec<u8>)>,
    /// Puts right what would keep a reader from looking any further.
    pub mend: fn(&mut [u8]),
    /// Whether they begin with the length of a header, as safetensors do.
    pub framed: bool,
}

fn plain(file: &'static str, files: Vec<Vec<u8>>) -> Seeds {
    Seeds { file, files, beside: Vec::new(), mend: |_| {}, framed: false }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Short sounds that other programs wrote.
fn sounds(file: &'static str, ending: &str) -> Seeds {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(repository().join("fixtures/doors/sound")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == ending));
    paths.sort();
    assert!(!paths.is_empty(), "no seeds");
    plain(file, paths.iter().map(|path| fs::read(path).unwrap()).collect())
}

pub fn wav() -> Seeds {
    sounds("a.wav", "wav")
}

pub fn aiff() -> Seeds {
    sounds("a.aiff", "aiff")
}

pub fn flac() -> Seeds {
    sounds("a.flac", "flac")
}

pub fn mp3() -> Seeds {
    sounds("a.mp3", "mp3")
}

pub fn ogg() -> Seeds {
    Seeds { mend: checksums_of_pages, ..sounds("a.ogg", "ogg") }
}

/// Gives every page of an Ogg file its checksum (RFC 3533, section 6), without which a reader skips it.
fn checksums_of_pages(bytes: &mut [u8]) {
    let starts: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| w == b"OggS").map(|(at, _)| at).collect();
    let mut behind = 0;
    for at in starts {
        // Pages follow each other: what looks like one within another is its content.
        if at < behind {
            continue;
        }
        let Some(segments) = bytes.get(at + 26).map(|n| usize::from(*n)) else { continue };
        let Some(table) = bytes.get(at + 27..at + 27 + segments) else { continue };
        let end = at + 27 + segments + table.iter().map(|n| usize::from(*n)).sum::<usize>();
        let Some(page) = bytes.get_mut(at..end) else { continue };
        behind = end;
        page[22..26].fill(0);
        let checksum = page.iter().fold(0_u32, |crc, byte| {
            (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| (crc << 1) ^ ((crc >> 31) * 0x04c1_1db7))
        });
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
    }
}

pub fn m4a() -> Seeds {
    sounds("a.m4a", "m4a")
}

pub fn aac() -> Seeds {
    sounds("a.aac", "aac")
}

pub fn manifest() -> Seeds {
    let full = r#"{"path": "a b/é.wav", "duration": 183.25, "sample_rate": 44100, "amplitude": 0.93, "weight": 1.5,
        "info_path": null, "artist": "X", "genre": ["Rock", "Folk"], "title": "T", "lyrics": "one\ntwo", "split": "valid",
        "licence": "CC0", "attribution": "me", "codec": {"a": [1, 2]}}"#;
    let other = r#"{"file": "/b.ogg", "seconds": 2, "sr": 22050, "genre": "Jazz", "license": "CC-BY-3.0"}"#;
    let lines = |count: usize| format!("{}\n{other}\r\n", full.replace('\n', " ")).repeat(count).into_bytes();
    plain("songs.jsonl", vec![lines(1), lines(3), [b"\xef\xbb\xbf".to_vec(), lines(1)].concat()])
}

pub fn recipe() -> Seeds {
    let read = |name: &str| fs::read(repository().join("recipes").join(name)).unwrap();
    let names = ["tiny/codec.toml", "tiny/top.toml", "tiny/upsampler-0.toml", "jukebox/vqvae.toml"];
    let base = b"base = \"../base.toml\"\nname = \"x\"\n[run]\nsteps = 3\n".to_vec();
    let mut files: Vec<_> = names.iter().map(|name| read(name)).collect();
    let beside = vec![("base.toml".to_owned(), files[0].clone())];
    // A base beside it; one that leads elsewhere is an input like any other.
    files.push(String::from_utf8(base).unwrap().replace("../", "").into_bytes());
    Seeds { beside, ..plain("a.toml", files) }
}

fn streams(lengths: [usize; 3]) -> Vec<TokenStream> {
    let stream = |level: usize| {
        let codes: Vec<u32> = (0..lengths[level] as u32).map(|i| i * 7 % 16).collect();
        TokenStream::from_rows(level, 64 << level, 16, &[codes]).unwrap()
    };
    (0..3).map(stream).collect()
}

/// What a program writes at a path.
fn written(name: &str, write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("seeds-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    write(&path);
    let bytes = fs::read(&path).unwrap();
    fs::remove_dir_all(folder).unwrap();
    bytes
}

pub fn tokens() -> Seeds {
    let metadata = Map::from_iter([("artist".to_owned(), json!("Café ♫"))]);
    let tokens = Tokens::new(22_050, streams([40, 20, 10]), metadata).unwrap();
    let seed = written("a.safetensors", |path| tokens.save(path).unwrap());
    Seeds { framed: true, ..plain("a.safetensors", vec![seed]) }
}

pub fn session() -> Seeds {
    let level = |l: usize| LevelShape { hop_length: 64 << l, codebook_size: 16 };
    let shape = SongShape { sample_rate: 22_050, levels: (0..3).map(level).collect() };
    let prompt = Tokens::new(22_050, streams([0, 20, 10]), Map::new()).unwrap();
    let session = Session::new(SampleRequest::new(0.2, 3), shape, "model", Some(&prompt)).unwrap();
    let seed = written("s.safetensors", |path| drop(SessionFile::create(path, &session).unwrap()));
    Seeds { framed: true, ..plain("s.safetensors", vec![seed]) }
}

pub fn weights() -> Seeds {
    let file = |header: &str, data: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
    let data: Vec<u8> = (0..10).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let floats = r#"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
        "y.bias":{"dtype":"F32","shape":[4],"data_offsets":[24,40]}}"#;
    let small = r#"{"w":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]},
        "w.scale":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"h":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]},
        "d":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},"f":{"dtype":"F16","shape":[0],"data_offsets":[24,24]}}"#;
    Seeds { framed: true, ..plain("w.safetensors", vec![file(floats, &data), file(small, &[0; 24])]) }
}

/// A small codec's model folder.
fn model() -> Vec<(String, Vec<u8>)> {
    let config: ModelConfig = serde_json::from_value(json!({
        "format": 1, "name": "codec", "terms": ["Not for sale."],
        "codec": {
            "sample_rate": 22050, "strides": [[2, 2], [2]], "embedding_width": 2, "codebook_size": 8, "width": 2,
            "resnet": {"depth": 1, "hidden": 1.0, "dilation_growth": 1}, "multipliers": [1, 1],
        },
    }))
    .unwrap();
    let mut codec = config.codec.init(&mut Random::new(1), &burn::tensor::Device::flex()).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("model-{}", std::process::id()));
    save_model(&folder, &config, &[weights_of("codec", &mut codec)], Dtype::F32, "").unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let files = files.map(|f| (f.file_name().into_string().unwrap(), fs::read(f.path()).unwrap())).collect();
    fs::remove_dir_all(folder).unwrap();
    files
}

/// Mutates one file of a model folder.
fn of_model(file: &'static str) -> Seeds {
    let (own, beside): (Vec<_>, Vec<_>) = model().into_iter().partition(|(name, _)| name == file);
    let files = own.into_iter().map(|(_, content)| content).collect();
    Seeds { beside, ..plain(file, files) }
}

pub fn config() -> Seeds {
    of_model("config.json")
}

pub fn index() -> Seeds {
    of_model("model.safetensors.index.json")
}

pub fn checkpoint() -> Seeds {
    let settings = json!({"hps": {"levels": 3, "name": "x", "rate": 0.5, "list": [1, 2], "none": null}});
    let tensors: Vec<writer::Tensor> =
        vec![("a.weight".into(), vec![2, 3], vec![1.0; 6]), ("b".into(), vec![4], vec![0.5; 4])];
    plain("a.pth.tar", vec![writer::old(&settings, &tensors), writer::new(&settings, &tensors)])
}

pub fn labels() -> Seeds {
    let json = br#"{"artists": [["the beatles", 1], ["abba", 2], ["", 0]], "genres": [["rock", 7]]}"#;
    plain("labels.v2.json", vec![json.to_vec()])
}

pub fn cache() -> Seeds {
    let manifest = Manifest { entries: vec![Entry::new("a.wav", 0.2, 44_100)], ..Manifest::default() };
    let stream = |level: usize| CachedStream { level, hop_length: 64 << level, codebook_size: 16 };
    let streams_of = (0..3).map(stream).collect();
    let identity = CodecIdentity { fingerprint: fingerprint([b"codec"]), sample_rate: 22_050, streams: streams_of };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cache-{}", std::process::id()));
    let cache = TokenCache::create(&folder, identity, &manifest, LabelTable::from_manifest(&manifest)).unwrap();
    let tokens = Tokens::new(22_050, streams([40, 20, 10]), Map::new()).unwrap();
    cache.add(0, 2560, tokens).unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let files: Vec<_> = files.map(|f| (f.file_name().into_string().unwrap(), fs::read(f.path()).unwrap())).collect();
    fs::remove_dir_all(folder).unwrap();
    let (own, beside): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name == "index.json");
    Seeds { beside, ..plain("index.json", own.into_iter().map(|(_, content)| content).collect()) }
}

pub fn lyrics() -> Seeds {
    let words =
        "She sells sea shells — by the Straße, Ærøskøbing!\nПривет, 世界 ♫ e\u{301}\\n 1+1=2\t\u{202e}".as_bytes();
    plain("words.txt", vec![words.to_vec(), words.repeat(20)])
}
