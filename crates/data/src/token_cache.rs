//! The token cache: a data set encoded once, so that priors train without the codec.
//!
//! A cache is a folder with `index.json` (codec, label table, and for every track its source, label rows, words,
//! split and token file) and one token file a track. A token file is whole or absent, and its name follows from codec
//! and track: encoding can stop anywhere and be gone on with, tracks can be added, and labels and splits can be
//! changed without encoding anything again.

use crate::whole_file::{read_limited, write_limited};
use crate::{DataError, Entry, LabelTable, Manifest, Split, Tokens};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const FORMAT_VERSION: u32 = 1;
const KIND: &str = "token-cache";
const INDEX: &str = "index.json";
/// Largest index, in bytes: about a million tracks, or a hundred thousand with their words. Small in tests.
const LARGEST_INDEX: u64 = if cfg!(test) { 1 << 16 } else { 256 << 20 };
const SPLIT: &str = "split the data set";
const ENCODE_ANEW: &str = "delete it and encode again with `orchestrion data tokenize`";
/// Bytes of the hash that names a token file.
const NAME_BYTES: usize = 12;

/// SHA-256 of parts one after the other, in hexadecimal: of a codec's configuration and weights, its identity.
pub fn fingerprint<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ["ab", "c"] and ["a", "bc"] apart.
        hash.update((part.as_ref().len() as u64).to_le_bytes());
        hash.update(part.as_ref());
    }
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which codec made the tokens of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecIdentity {
    /// [`fingerprint`] of its configuration and weights.
    pub fingerprint: String,
    /// Samples a second of the audio that it takes.
    pub sample_rate: u32,
    /// Its streams in ascending order of level.
    pub streams: Vec<CachedStream>,
}

/// One stream of a cached codec. A time step is one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CachedStream {
    /// Level: 0 is the finest.
    pub level: usize,
    /// Samples of audio for one token.
    pub hop_length: usize,
    /// Number of different tokens.
    pub codebook_size: usize,
}

/// One track of a cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheTrack {
    /// Name of its token file in the folder of the cache.
    pub file: String,
    /// Its sound file, as the manifest names it.
    pub source: PathBuf,
    /// Part of the data set.
    pub split: Split,
    /// Row of its artist.
    pub artist: u32,
    /// Rows of its genres; `[0]` where nothing is known.
    pub genres: Vec<u32>,
    /// How often to draw it, relative to others of its length.
    pub weight: f64,
    /// Its words, as the manifest has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lyrics: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format_version: u32,
    kind: String,
    codec: CodecIdentity,
    labels: LabelTable,
    tracks: Vec<CacheTrack>,
}

/// A folder of encoded tracks.
pub struct TokenCache {
    folder: PathBuf,
    index: Index,
}

impl TokenCache {
    /// Makes a cache for a data set, or goes on with the one in the folder: its index then follows the manifest
    /// and the labels, and what is encoded already stays.
    ///
    /// # Errors
    /// [`DataError::Io`] if the folder can't be made or written, [`DataError::Format`] if the folder holds a
    /// damaged cache or one of another codec, [`DataError::Request`] if labels or codec contradict themselves,
    /// [`DataError::Limit`] if the data set needs an index that could not be opened again.
    pub fn create(
        folder: &Path,
        codec: CodecIdentity,
        manifest: &Manifest,
        labels: LabelTable,
    ) -> Result<Self, DataError> {
        labels.check()?;
        check_codec(&codec)
            .map_err(|what| DataError::request(what, "streams have hops of at least 1 and ascending levels"))?;
        std::fs::create_dir_all(folder).map_err(|source| DataError::io(folder, source))?;
        if folder.join(INDEX).exists() {
            let old = Self::open(folder)?;
            if old.index.codec != codec {
                return Err(DataError::format(
                    &folder.join(INDEX),
                    "the cache was made by another codec",
                    "choose another folder, or delete this one",
                ));
            }
        }
        let tracks = manifest
            .entries
            .iter()
            .map(|entry| CacheTrack {
                file: file_name(&codec, entry),
                source: entry.path.clone(),
                split: entry.split.unwrap_or(Split::Train),
                artist: labels.artist_or_unknown(entry.artist.as_deref()),
                genres: labels.genres_or_unknown(&entry.genre),
                weight: entry.weight.unwrap_or(1.0),
                lyrics: entry.lyrics.clone(),
            })
            .collect();
        let index = Index { format_version: FORMAT_VERSION, kind: KIND.into(), codec, labels, tracks };
        let path = folder.join(INDEX);
        let json = serde_json::to_vec_pretty(&index)
            .map_err(|error| DataError::format(&path, error.to_string(), "rename files that are not Unicode"))?;
        write_limited(&path, &json, LARGEST_INDEX, SPLIT)?;
        Ok(Self { folder: folder.to_path_buf(), index })
    }

    /// Opens a cache. Its token files are read by [`TokenCache::read`] only.
    ///
    /// # Errors
    /// [`DataError::Io`] if there is no index, [`DataError::Limit`] or [`DataError::Format`] if it is too large,
    /// damaged or of another version.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(INDEX);
        let json = read_limited(&path, LARGEST_INDEX, SPLIT)?;
        let index = parse_index(&json).map_err(|what| DataError::format(&path, what, ENCODE_ANEW))?;
        Ok(Self { folder: folder.to_path_buf(), index })
    }

    /// The codec that made the tokens.
    #[must_use]
    pub fn codec(&self) -> &CodecIdentity {
        &self.index.codec
    }

    /// The names behind the tracks' label rows.
    #[must_use]
    pub fn labels(&self) -> &LabelTable {
        &self.index.labels
    }

    /// The tracks, in the order of the manifest: the track of an index here is the entry of that index there.
    #[must_use]
    pub fn tracks(&self) -> &[CacheTrack] {
        &self.index.tracks
    }

    /// Indices of the tracks that are not encoded yet.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        let absent = |track: &CacheTrack| !self.folder.join(&track.file).is_file();
        let tracks = self.index.tracks.iter().enumerate();
        tracks.filter(|(_, track)| absent(track)).map(|(index, _)| index).collect()
    }

    /// Keeps the tokens of a track of `total_length` samples at the codec's rate.
    ///
    /// # Errors
    /// [`DataError::Request`] if there is no such track, or if the tokens are not one clip of all of the codec's
    /// streams; [`DataError::Io`] if they can't be written.
    pub fn add(&self, track: usize, total_length: u64, mut tokens: Tokens) -> Result<(), DataError> {
        let path = self.token_path(track)?;
        self.check_tokens(&tokens, total_length).map_err(|what| {
            DataError::request(
                format!("tokens of `{}`: {what}", path.display()),
                "encode the whole track with the cache's own codec",
            )
        })?;
        let fingerprint = self.index.codec.fingerprint.clone();
        tokens.metadata.insert("codec".into(), fingerprint.into());
        tokens.metadata.insert("total_length".into(), total_length.into());
        tokens.save(&path)
    }

    /// Reads the tokens of a track, and its length in samples.
    ///
    /// # Errors
    /// [`DataError::Request`] if there is no such track; as [`Tokens::load`] if its file is absent or damaged, or
    /// [`DataError::Format`] if it does not belong to this cache.
    pub fn read(&self, track: usize) -> Result<(Tokens, u64), DataError> {
        let path = self.token_path(track)?;
        let tokens = Tokens::load(&path)?;
        let refuse = |what: String| DataError::format(&path, what, ENCODE_ANEW);
        let text = |key| tokens.metadata.get(key).and_then(|value| value.as_str());
        if text("codec") != Some(&self.index.codec.fingerprint) {
            return Err(refuse("the tokens were made by another codec".into()));
        }
        let total_length = tokens
            .metadata
            .get("total_length")
            .and_then(|value| value.as_u64())
            .ok_or_else(|| refuse("the length of the track is missing".into()))?;
        self.check_tokens(&tokens, total_length).map_err(refuse)?;
        Ok((tokens, total_length))
    }

    fn token_path(&self, track: usize) -> Result<PathBuf, DataError> {
        let known = self.index.tracks.get(track).ok_or_else(|| {
            DataError::request(
                format!("track {track} of a token cache of {} tracks", self.index.tracks.len()),
                "tracks are counted from 0",
            )
        })?;
        Ok(self.folder.join(&known.file))
    }

    fn check_tokens(&self, tokens: &Tokens, total_length: u64) -> Result<(), String> {
        let codec = &self.index.codec;
        if tokens.sample_rate != codec.sample_rate {
            return Err(format!("sample rate {}, not the codec's {}", tokens.sample_rate, codec.sample_rate));
        }
        if tokens.streams.len() != codec.streams.len() {
            return Err(format!("{} streams, the codec has {}", tokens.streams.len(), codec.streams.len()));
        }
        for (stream, expected) in tokens.streams.iter().zip(&codec.streams) {
            let found = CachedStream {
                level: stream.level,
                hop_length: stream.hop_length,
                codebook_size: stream.codebook_size,
            };
            if found != *expected || stream.batch != 1 || stream.codebooks != 1 {
                return Err(format!(
                    "stream {found:?} of [{}, {}, time], not {expected:?} of [1, 1, time]",
                    stream.batch, stream.codebooks
                ));
            }
            if stream.time as u64 != total_length / stream.hop_length as u64 {
                return Err(format!(
                    "level {} has {} tokens for {total_length} samples at hop {}",
                    stream.level, stream.time, stream.hop_length
                ));
            }
        }
        Ok(())
    }
}

fn check_codec(codec: &CodecIdentity) -> Result<(), String> {
    let levels = codec.streams.iter().map(|stream| stream.level);
    let ascending = levels.clone().zip(levels.skip(1)).all(|(a, b)| a < b);
    let sizes = codec.streams.iter().all(|stream| stream.hop_length > 0 && stream.codebook_size > 0);
    if codec.sample_rate == 0 || codec.streams.is_empty() || !ascending || !sizes {
        return Err("the codec's streams contradict themselves".into());
    }
    Ok(())
}

fn parse_index(json: &[u8]) -> Result<Index, String> {
    let index: Index = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if index.kind != KIND || index.format_version != FORMAT_VERSION {
        return Err(format!(
            "kind `{}` of format version {}, this program reads `{KIND}` of {FORMAT_VERSION}",
            index.kind, index.format_version
        ));
    }
    check_codec(&index.codec)?;
    index.labels.check().map_err(|error| error.to_string())?;
    let (artists, genres) = (index.labels.artists.len(), index.labels.genres.len());
    for track in &index.tracks {
        // A name made by `file_name` can't lead out of the folder.
        let name = track.file.strip_suffix(".safetensors").unwrap_or_default();
        if name.len() != 2 * NAME_BYTES || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("`{}` is no token file of a cache", track.file));
        }
        let known = |row: u32, rows: usize| (row as usize) < rows;
        if !known(track.artist, artists) || !track.genres.iter().all(|&row| known(row, genres)) {
            return Err(format!("`{}` has a label outside the tables", track.source.display()));
        }
        if !(track.weight.is_finite() && track.weight >= 0.0) {
            return Err(format!("`{}` has a weight below 0", track.source.display()));
        }
    }
    Ok(index)
}

/// Length and rate are hashed too: a sound file that was replaced by another is most likely encoded again.
fn file_name(codec: &CodecIdentity, entry: &Entry) -> String {
    let path = entry.path.to_string_lossy();
    // Milliseconds: the last bit of a duration may change when a manifest is read and written again.
    let milliseconds = (entry.duration * 1000.0).round() as u64;
    let hash = fingerprint([
        codec.fingerprint.as_bytes(),
        path.as_bytes(),
        &milliseconds.to_le_bytes(),
        &entry.sample_rate.to_le_bytes(),
    ]);
    let name: String = hash.chars().take(2 * NAME_BYTES).collect();
    format!("{name}.safetensors")
}

#[cfg(test)]
pub(crate) mod tests;
