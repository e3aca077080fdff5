//! Token files: [`Tokens`] as safetensors.
//!
//! A token file holds one tensor a level, `level_0` (finest), `level_1` ..., of shape `[batch, codebook, time]`
//! and type I32: the one integer type that every reader of safetensors (NumPy, PyTorch, JAX, TensorFlow) knows,
//! at half the size of I64. Files whose tensors are I64, PyTorch's own default, are read too. The metadata key
//! `orchestrion` holds a JSON object: `format_version`, `kind` (`"tokens"`), `sample_rate`, `streams` (`level`,
//! `hop_length` and `codebook_size` of each) and `metadata` (labels, seed, settings: whatever the writer knew).

use crate::whole_file::{read_limited, write_whole};
use crate::{DataError, TokenStream, Tokens};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

const FORMAT_VERSION: u32 = 1;
const KIND: &str = "tokens";
const KEY: &str = "orchestrion";
/// Largest file, in bytes: a day of three-level tokens.
const LARGEST_FILE: u64 = 1 << 30;
/// Largest description, in bytes.
const LARGEST_DESCRIPTION: usize = 16 << 20;
const DAMAGED: &str = "the file is damaged or no token file; make it anew with `orchestrion encode`";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format_version: u32,
    kind: String,
    sample_rate: u32,
    streams: Vec<StreamDescription>,
    metadata: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamDescription {
    level: usize,
    hop_length: usize,
    codebook_size: usize,
}

impl Tokens {
    /// Writes a token file, whole or not at all.
    ///
    /// # Errors
    /// [`DataError::Tokens`] if a field was changed so that the tokens contradict themselves,
    /// [`DataError::Format`] if the metadata is larger than 16 MiB, [`DataError::Io`] if the file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        self.check()?;
        let description = Description {
            format_version: FORMAT_VERSION,
            kind: KIND.into(),
            sample_rate: self.sample_rate,
            streams: self
                .streams
                .iter()
                .map(|stream| StreamDescription {
                    level: stream.level,
                    hop_length: stream.hop_length,
                    codebook_size: stream.codebook_size,
                })
                .collect(),
            metadata: self.metadata.clone(),
        };
        let not_writable = |what: String| DataError::format(path, what, "write fewer tokens or less metadata");
        let description = serde_json::to_string(&description).map_err(|error| not_writable(error.to_string()))?;
        if description.len() > LARGEST_DESCRIPTION {
            return Err(not_writable(format!(
                "{} bytes of metadata, more than {LARGEST_DESCRIPTION}",
                description.len()
            )));
        }
        // Checked above: codes are below the codebook size, which is below 2^31.
        let bytes: Vec<Vec<u8>> =
            self.streams.iter().map(|stream| stream.codes.iter().flat_map(|c| c.to_le_bytes()).collect()).collect();
        let mut tensors = Vec::with_capacity(self.streams.len());
        for (stream, bytes) in self.streams.iter().zip(&bytes) {
            let shape = vec![stream.batch, stream.codebooks, stream.time];
            let view = TensorView::new(Dtype::I32, shape, bytes).map_err(|error| not_writable(error.to_string()))?;
            tensors.push((tensor_name(stream.level), view));
        }
        let metadata = HashMap::from([(KEY.to_string(), description)]);
        let file = safetensors::serialize(tensors, Some(metadata)).map_err(|error| not_writable(error.to_string()))?;
        if file.len() as u64 > LARGEST_FILE {
            return Err(not_writable(format!("{} bytes, more than {LARGEST_FILE}", file.len())));
        }
        write_whole(path, &file)
    }

    /// Reads a token file, and checks all of it.
    ///
    /// # Errors
    /// [`DataError::Io`] if it can't be read, [`DataError::Limit`] if it is larger than 1 GiB,
    /// [`DataError::Format`] if it is truncated, damaged, of another kind, of a later format version, or holds a
    /// code outside its codebook.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let bytes = read_limited(path, LARGEST_FILE, "split the song into parts")?;
        let damaged = |what: String| DataError::format(path, what, DAMAGED);
        parse(&bytes).map_err(damaged)
    }
}

fn tensor_name(level: usize) -> String {
    format!("level_{level}")
}

fn parse(file: &[u8]) -> Result<Tokens, String> {
    let description = describe(file)?;
    let tensors = SafeTensors::deserialize(file).map_err(|error| error.to_string())?;
    if tensors.len() != description.streams.len() {
        return Err(format!("{} tensors for {} described streams", tensors.len(), description.streams.len()));
    }
    let mut streams = Vec::with_capacity(description.streams.len());
    for stream in &description.streams {
        let name = tensor_name(stream.level);
        let tensor = tensors.tensor(&name).map_err(|error| error.to_string())?;
        streams.push(read_stream(stream, &tensor).map_err(|what| format!("`{name}`: {what}"))?);
    }
    Tokens::new(description.sample_rate, streams, description.metadata).map_err(|error| match error {
        DataError::Tokens(what) => what,
        other => other.to_string(),
    })
}

/// Reads the description and makes sure that the header can be handed on.
///
/// The header is parsed here before the `safetensors` crate sees it because that crate adds the offsets up
/// unchecked: offsets near 2^64 would overflow there.
fn describe(file: &[u8]) -> Result<Description, String> {
    let header = file
        .first_chunk::<8>()
        .and_then(|length| usize::try_from(u64::from_le_bytes(*length)).ok())
        .and_then(|length| file.get(8..)?.get(..length))
        .ok_or("the header is cut off")?;
    let header: Map<String, Value> = serde_json::from_slice(header).map_err(|error| format!("header: {error}"))?;
    for (name, tensor) in &header {
        let end = tensor.pointer("/data_offsets/1").and_then(Value::as_u64);
        if name != "__metadata__" && end.is_none_or(|end| end > file.len() as u64) {
            return Err(format!("tensor `{name}` reaches outside the file"));
        }
    }
    let description = header
        .get("__metadata__")
        .and_then(|metadata| metadata.get(KEY))
        .and_then(Value::as_str)
        .ok_or_else(|| format!("no metadata under the key `{KEY}`"))?;
    let value: Value = serde_json::from_str(description).map_err(|error| format!("metadata: {error}"))?;
    // Kind and version come first: a later version may have fields that this one would call unknown.
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("none");
    if kind != KIND {
        return Err(format!("the file is of kind `{kind}`, not `{KIND}`"));
    }
    let version = value.get("format_version").and_then(Value::as_u64);
    if version != Some(u64::from(FORMAT_VERSION)) {
        return Err(format!(
            "format version {}, this program reads {FORMAT_VERSION}",
            version.map_or("missing".into(), |version| version.to_string())
        ));
    }
    serde_json::from_value(value).map_err(|error| format!("metadata: {error}"))
}

fn read_stream(stream: &StreamDescription, tensor: &TensorView<'_>) -> Result<TokenStream, String> {
    let &[batch, codebooks, time] = tensor.shape() else {
        return Err(format!("shape {:?} is not [batch, codebook, time]", tensor.shape()));
    };
    let code = |code: i64| u32::try_from(code).map_err(|_| format!("code {code} is no token"));
    let data = tensor.data();
    let codes: Result<Vec<u32>, String> = match tensor.dtype() {
        Dtype::I32 => data.as_chunks().0.iter().map(|&bytes| code(i64::from(i32::from_le_bytes(bytes)))).collect(),
        Dtype::I64 => data.as_chunks().0.iter().map(|&bytes| code(i64::from_le_bytes(bytes))).collect(),
        other => Err(format!("type {other}, not I32 or I64")),
    };
    // Sizes and codes are checked with the other streams, by `Tokens::new`.
    Ok(TokenStream {
        level: stream.level,
        hop_length: stream.hop_length,
        codebook_size: stream.codebook_size,
        batch,
        codebooks,
        time,
        codes: codes?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::fs;

    fn song() -> Tokens {
        let mut metadata = Map::new();
        metadata.insert("seed".into(), 7.into());
        metadata.insert("artist".into(), "Café ♫".into());
        let fine = TokenStream::new(0, 32, 1024, [2, 1, 40], (0..80).collect()).unwrap();
        let coarse = TokenStream::new(2, 256, 512, [2, 1, 5], vec![511; 10]).unwrap();
        Tokens::new(22_050, vec![fine, coarse], metadata).unwrap()
    }

    fn one_line_naming(path: &Path, error: &DataError) {
        let message = error.to_string();
        let named = message.contains(&path.display().to_string());
        assert!(named && message.contains("; hint: ") && !message.contains('\n'), "{message:?}");
    }

    #[test]
    fn what_was_saved_is_loaded_and_bytes_are_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        song().save(&a).unwrap();
        song().save(&b).unwrap();
        assert_eq!(Tokens::load(&a).unwrap(), song());
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
        let mut contradiction = song();
        contradiction.streams[0].codes[3] = 1024;
        contradiction.save(&folder.path().join("c")).unwrap_err();
        assert!(!folder.path().join("c").exists());
    }

    #[test]
    fn every_truncation_is_a_typed_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.safetensors");
        song().save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let error = Tokens::load(&path).unwrap_err();
            one_line_naming(&path, &error);
        }
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        one_line_naming(&path, &Tokens::load(&path).unwrap_err());
    }

    #[test]
    fn every_flipped_header_byte_is_an_error_or_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.safetensors");
        song().save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for at in 0..header {
            for mask in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= mask;
                // A flip inside a number or the writer's metadata may leave a valid file: never a panic.
                if let Err(what) = parse(&damaged) {
                    one_line_naming(&path, &DataError::format(&path, what, DAMAGED));
                }
            }
        }
    }

    /// A file with this header and this many zero bytes of data.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn described(kind: &str, version: u32, tensor: &str) -> String {
        let text = serde_json::json!({
            "format_version": version, "kind": kind, "sample_rate": 22050, "metadata": {},
            "streams": [{"level": 0, "hop_length": 32, "codebook_size": 4}],
        });
        let metadata = serde_json::json!({ KEY: text.to_string() });
        format!("{{\"__metadata__\":{metadata},{tensor}}}")
    }

    #[test]
    fn hostile_headers_are_refused() {
        let good = r#""level_0":{"dtype":"I32","shape":[1,1,2],"data_offsets":[0,8]}"#;
        parse(&file(&described("tokens", 1, good), 8)).unwrap();
        let wide = r#""level_0":{"dtype":"I64","shape":[1,1,2],"data_offsets":[0,16]}"#;
        assert_eq!(parse(&file(&described("tokens", 1, wide), 16)).unwrap().streams[0].codes, [0, 0]);
        let refused = |kind: &str, version, tensor: &str, data, expected: &str| {
            let what = parse(&file(&described(kind, version, tensor), data)).unwrap_err();
            assert!(what.contains(expected), "{what:?} lacks {expected:?}");
        };
        refused("session", 1, good, 8, "kind `session`");
        refused("tokens", 9, good, 8, "version 9");
        let float = good.replace("I32", "F32");
        refused("tokens", 1, &float, 8, "type F32");
        let flat = good.replace("[1,1,2]", "[2]");
        refused("tokens", 1, &flat, 8, "shape [2]");
        let elsewhere = good.replace("level_0", "level_1");
        refused("tokens", 1, &elsewhere, 8, "level_0");
        let second = format!("{good},{}", good.replace("level_0", "x").replace("[0,8]", "[8,16]"));
        refused("tokens", 1, &second, 16, "2 tensors");
        let huge = r#""level_0":{"dtype":"U8","shape":[2305843009213693951],"data_offsets":[0,2305843009213693951]}"#;
        refused("tokens", 1, huge, 8, "outside the file");
        let deep = format!("\"level_0\":{}", "[".repeat(5000));
        refused("tokens", 1, &deep, 8, "header");
        assert!(parse(&file("[]", 0)).is_err());
        assert!(parse(&[0xff; 64]).is_err());
        let mut negative = file(&described("tokens", 1, good), 8);
        let end = negative.len();
        negative[end - 1] = 0x80;
        assert!(parse(&negative).unwrap_err().contains("no token"));
    }
}
