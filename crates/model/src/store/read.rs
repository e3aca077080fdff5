//! Opening a model folder, on disk or within the program, part by part.

use super::part::PartReader;
use super::safetensors_file::{self, Entry, SafetensorsFile};
use super::{CARD, CONFIG, Dtype, INDEX, Index, ModelConfig, codec_shapes, int8, prior_shapes};
use crate::codec::VqVae;
use crate::nn::{Parameters, Random};
use crate::prior::{Prior, PriorConfig};
use crate::{ModelError, shown};
use burn::tensor::Device;
use orchestrion_data::fingerprint;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Largest configuration or index.
const TEXT_LIMIT: usize = 16 << 20;

/// Where a model's files are.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder on disk.
    Folder(PathBuf),
    /// Files that are part of the program: name and content.
    Embedded {
        /// What to call it in messages.
        name: &'static str,
        /// The files.
        files: &'static [(&'static str, &'static [u8])],
    },
}

impl Source {
    /// Path or name of a file, for messages.
    fn place(&self, file: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(file).display().to_string(),
            Self::Embedded { name, .. } => format!("{name}/{file}"),
        }
    }

    /// Content of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, file: &str) -> Result<Cow<'static, [u8]>, ModelError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(file);
                // A pipe or a device has no length, and no end.
                if path.exists() && !path.is_file() {
                    return Err(ModelError::Format { place: self.place(file), what: "not a file".into() });
                }
                std::fs::read(&path).map(Cow::Owned).map_err(|source| ModelError::Io { path, source })
            }
            Self::Embedded { files, .. } => {
                files.iter().find(|(name, _)| *name == file).map(|(_, content)| Cow::Borrowed(*content)).ok_or_else(
                    || ModelError::Format { place: self.place(file), what: "not part of this program".into() },
                )
            }
        }
    }
}

/// An opened model folder. Weights are read when a part is asked for, and only that part's.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    source: Source,
    config: ModelConfig,
    /// Which shard holds a tensor; scales belong to theirs.
    weight_map: BTreeMap<String, String>,
    /// Hashes of shards, as far as whoever wrote them noted them.
    sha256: BTreeMap<String, String>,
}

impl ModelFolder {
    /// Reads and checks the configuration and the index.
    ///
    /// # Errors
    /// If a file is missing or is not what it should be.
    pub fn open(source: Source) -> Result<Self, ModelError> {
        if let Source::Folder(folder) = &source
            && !folder.join(CONFIG).is_file()
        {
            return Err(ModelError::Format {
                place: folder.display().to_string(),
                what: format!("not a model folder: it has no `{CONFIG}`; hint: give the folder that training wrote"),
            });
        }
        let config: ModelConfig = Self::json(&source, CONFIG)?;
        config.validate().map_err(|e| ModelError::Format { place: source.place(CONFIG), what: e.to_string() })?;
        let index: Index = Self::json(&source, INDEX)?;
        for file in index.weight_map.values() {
            if file.contains(['/', '\\']) || file.starts_with('.') {
                let what = format!("shard `{}` lies outside the folder", shown(file));
                return Err(ModelError::Format { place: source.place(INDEX), what });
            }
        }
        let mut weight_map = index.weight_map;
        let scales: Vec<String> = weight_map.keys().map(|name| int8::scales_of(name)).collect();
        for name in scales {
            weight_map.remove(&name);
        }
        Ok(Self { source, config, weight_map, sha256: index.metadata.sha256 })
    }

    fn json<T: serde::de::DeserializeOwned>(source: &Source, file: &str) -> Result<T, ModelError> {
        let bad = |what: String| ModelError::Format { place: source.place(file), what };
        if let Source::Folder(folder) = source
            && std::fs::metadata(folder.join(file)).is_ok_and(|about| about.len() > TEXT_LIMIT as u64)
        {
            return Err(bad(format!("longer than the limit of {TEXT_LIMIT} bytes")));
        }
        let bytes = source.read(file)?;
        serde_json::from_slice(&bytes).map_err(|e| bad(shown(&e.to_string())))
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The index as it stands in the file.
    pub(super) fn index(&self) -> Result<Index, ModelError> {
        Self::json(&self.source, INDEX)
    }

    /// The model card, if there is one.
    pub fn card(&self) -> Option<String> {
        self.source.read(CARD).ok().map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    /// Content of another small file of the folder, such as a table of labels; none if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, ModelError> {
        match &self.source {
            Source::Folder(folder) if !folder.join(name).exists() => Ok(None),
            Source::Embedded { files, .. } if !files.iter().any(|(known, _)| *known == name) => Ok(None),
            source => source.read(name).map(Some),
        }
    }

    /// Path or name of a file of the folder, for messages.
    pub fn place(&self, name: &str) -> String {
        self.source.place(name)
    }

    /// All files that hold weights.
    fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Hash of configuration and weights: what tells models apart. Hashes of shards that were noted when they were written
    /// stand for them; without, the files are read one after the other.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let shards = self.shards();
        match shards.iter().map(|file| self.sha256.get(*file)).collect::<Option<Vec<_>>>() {
            Some(noted) => {
                let config = self.source.read(CONFIG)?;
                let noted = noted.iter().map(|hash| hash.as_bytes());
                Ok(fingerprint(std::iter::once(config.as_ref()).chain(noted)))
            }
            None => self.hash(std::iter::once(CONFIG).chain(shards)),
        }
    }

    /// Hash of the codec's weights: what its tokens depend on.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn codec_fingerprint(&self) -> Result<String, ModelError> {
        let files: BTreeSet<&str> =
            self.weight_map.iter().filter(|(k, _)| k.starts_with("codec.")).map(|(_, f)| f.as_str()).collect();
        self.hash(files.into_iter())
    }

    fn hash<'a>(&self, files: impl Iterator<Item = &'a str>) -> Result<String, ModelError> {
        let mut failed = None;
        let contents = files.map_while(|file| self.source.read(file).map_err(|error| failed = Some(error)).ok());
        let hash = fingerprint(contents);
        failed.map_or(Ok(hash), Err)
    }

    /// The codec with its weights.
    ///
    /// # Errors
    /// If weights are missing, superfluous or of other sizes than the configuration says.
    pub fn codec(&self, device: &Device) -> Result<VqVae, ModelError> {
        // Before memory is taken for what a configuration asks for.
        PartReader::new(self, "codec.").check(&codec_shapes(&self.config.codec))?;
        let mut codec = self.config.codec.init(&mut Random::idle(), device)?;
        self.fill(&mut codec, "codec.", device)?;
        for level in &mut codec.levels {
            level.codebook.restore(1.0);
        }
        Ok(codec)
    }

    /// Configuration of the prior of a level.
    ///
    /// # Errors
    /// If there is none.
    pub fn prior_config(&self, level: usize) -> Result<&PriorConfig, ModelError> {
        self.config.priors.get(&level).ok_or_else(|| {
            let levels: Vec<String> = self.config.priors.keys().map(ToString::to_string).collect();
            ModelError::Request(format!(
                "model `{}` has no prior for level {level} (it has: {}); hint: train one with `orchestrion train`",
                self.config.name,
                if levels.is_empty() { "none".to_owned() } else { levels.join(", ") }
            ))
        })
    }

    /// The prior of a level with its weights, all of it: to be trained or measured. To sample from it,
    /// [`PriorDecoder::open`](crate::prior::PriorDecoder::open) needs less memory.
    ///
    /// # Errors
    /// If there is none, or its weights don't fit.
    pub fn prior(&self, level: usize, device: &Device) -> Result<Prior, ModelError> {
        let (config, part) = (self.prior_config(level)?, format!("prior.{level}."));
        PartReader::new(self, &part).check(&prior_shapes(config))?;
        let mut prior = config.init(&mut Random::idle(), device)?;
        self.fill(&mut prior, &part, device)?;
        Ok(prior)
    }

    /// Puts the weights behind `prefix` into a part.
    fn fill(&self, part: &mut impl Parameters, prefix: &str, device: &Device) -> Result<(), ModelError> {
        let mut reader = PartReader::new(self, prefix);
        reader.fill(part, "", device)?;
        reader.finish()
    }

    /// The shard that holds a tensor.
    pub(super) fn shard(&self, name: &str) -> Option<&str> {
        self.weight_map.get(name).map(String::as_str)
    }

    /// Names of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.weight_map.keys().map(String::as_str)
    }

    /// Reads and checks a shard.
    pub(super) fn open_shard(&self, file: &str) -> Result<SafetensorsFile<'static>, ModelError> {
        SafetensorsFile::parse(&self.source.place(file), self.source.read(file)?)
    }

    /// How the matrices of a prior's transformer are stored, by the headers of its shards: the smallest type that holds all
    /// of them as they are.
    ///
    /// # Errors
    /// If there is no such prior, or a shard cannot be read.
    pub fn stored_dtype(&self, level: usize) -> Result<Dtype, ModelError> {
        self.prior_config(level)?;
        let within = format!("prior.{level}.prior.transformer.");
        let matrices = self.weight_map.iter().filter(|(name, _)| name.starts_with(&within) && name.ends_with(".w"));
        let (mut files, mut found) = (BTreeMap::new(), BTreeSet::new());
        for (name, file) in matrices {
            if !files.contains_key(file) {
                files.insert(file, self.shard_entries(file)?);
            }
            found.extend(files.get(file).and_then(|entries| entries.get(name)).map(|entry| entry.element.name()));
        }
        Ok(match found.into_iter().collect::<Vec<_>>()[..] {
            ["BF16"] => Dtype::Bf16,
            ["I8"] => Dtype::Int8,
            _ => Dtype::F32,
        })
    }

    /// The tensors of a shard; no weight is read.
    pub(super) fn shard_entries(&self, file: &str) -> Result<BTreeMap<String, Entry>, ModelError> {
        let place = self.source.place(file);
        match &self.source {
            Source::Folder(folder) => {
                let path = folder.join(file);
                let io = |source| ModelError::Io { path: path.clone(), source };
                let shard = std::fs::File::open(&path).map_err(io)?;
                let length = shard.metadata().map_err(io)?.len();
                safetensors_file::entries(&place, shard, length)
            }
            Source::Embedded { .. } => {
                let content = self.source.read(file)?;
                safetensors_file::entries(&place, content.as_ref(), content.len() as u64)
            }
        }
    }

    /// Path or name of the index, for messages.
    pub(super) fn index_place(&self) -> String {
        self.source.place(INDEX)
    }
}
