//! The doors: each reads a file all the way, as the program does.

use orchestrion_audio::{ReadOptions, probe, read, read_tags};
use orchestrion_data::lyrics::{Vocabulary, window};
use orchestrion_data::{Manifest, PublishedLabels, PublishedNames, TokenCache, Tokens};
use orchestrion_generate::SessionFile;
use orchestrion_model::store::{Checkpoint, ModelFolder, SafetensorsFile, Source};
use orchestrion_train::Recipe;
use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

type Outcome = Result<(), String>;

fn word(error: impl Display) -> String {
    error.to_string()
}

pub fn sound(path: &Path) -> Outcome {
    let (tags, about) = (read_tags(path), probe(path));
    let clip = read(path, &ReadOptions::default()).map_err(word)?;
    assert!(!clip.is_empty() && clip.channels.iter().flatten().all(|sample| sample.is_finite()), "no sound");
    tags.map_err(word)?;
    about.map_err(word).map(drop)
}

pub fn manifest(path: &Path) -> Outcome {
    Manifest::read(path).map(drop).map_err(word)
}

pub fn recipe(path: &Path) -> Outcome {
    Recipe::read(path, &[]).map(drop).map_err(word)
}

pub fn tokens(path: &Path) -> Outcome {
    Tokens::load(path).map(drop).map_err(word)
}

pub fn session(path: &Path) -> Outcome {
    SessionFile::open(path).map(drop).map_err(word)
}

pub fn weights(path: &Path) -> Outcome {
    let bytes = std::fs::read(path).unwrap();
    let file = SafetensorsFile::parse("weights.safetensors", Cow::Owned(bytes)).map_err(word)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    names.iter().try_for_each(|name| file.values(name).map(drop).map_err(word))
}

pub fn folder(path: &Path) -> Outcome {
    let folder = ModelFolder::open(Source::Folder(path.parent().unwrap().to_owned())).map_err(word)?;
    folder.codec(&burn::tensor::Device::flex()).map(drop).map_err(word)
}

pub fn checkpoint(path: &Path) -> Outcome {
    let checkpoint = Checkpoint::open(path).map_err(word)?;
    for name in checkpoint.tensors().keys() {
        checkpoint.values(name).map_err(word)?;
    }
    Ok(())
}

pub fn labels(path: &Path) -> Outcome {
    let json = std::fs::read(path).unwrap();
    let labels = PublishedLabels::parse(PublishedNames::V2 { genre_words: 5 }, path, &json).map_err(word)?;
    labels.artist_blend(&labels.artist_name(1)).map(drop).map_err(word)
}

pub fn cache(path: &Path) -> Outcome {
    let cache = TokenCache::open(path.parent().unwrap()).map_err(word)?;
    (0..cache.tracks().len().min(3)).try_for_each(|track| cache.read(track).map(drop).map_err(word))
}

/// Words come as text: what is no UTF-8 never gets here.
pub fn lyrics(path: &Path) -> Outcome {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    for vocabulary in [Vocabulary::V2, Vocabulary::V3] {
        let tokens = vocabulary.tokenise(&text);
        assert!(tokens.iter().all(|t| (*t as usize) < vocabulary.size()), "a token outside the vocabulary");
        window(&tokens, 512, 1_000_000, tokens.len() as u64, 400_000).map_err(word)?;
    }
    Ok(())
}
