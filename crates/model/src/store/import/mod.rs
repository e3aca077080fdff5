//! From published checkpoints to a model folder, tensor by tensor: the codec first, then priors, each in its own time.

mod fit;
mod presets;
mod settings;
#[cfg(test)]
mod tests;

pub use presets::Published;

use super::write::{finish, write_part};
use super::{
    CONFIG, Checkpoint, Dtype, Index, MODEL_FORMAT, ModelConfig, ModelFolder, SamplingDefaults, Shape, Source,
    codec_shapes, prior_shapes,
};
use crate::codec::VqVaeConfig;
use crate::prior::PriorConfig;
use crate::{ModelError, shown};
use fit::Fit;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use settings::{CodecSettings, PriorSettings};
use std::borrow::Cow;
use std::path::Path;

/// The terms of the published weights, in short.
pub const TERMS: &str = "The published Jukebox weights are under OpenAI's Noncommercial Use License, which stands beside \
                         their code: they, and what is made with them, must not be used commercially.";

/// A song's length where nobody says one, in seconds, as in the paper's program.
const SONG_SECONDS: f64 = 240.0;

/// Names that only the output table of a prior has; where it is the input table, it is stored twice.
const TIED: [&str; 2] = ["prior.x_out.weight", "prior.x_emb.weight"];

/// What a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Autoencoders and codebooks of all levels.
    Codec,
    /// One level's prior.
    Prior,
}

impl Checkpoint {
    /// What it holds, by the names of its tensors.
    ///
    /// # Errors
    /// If they are neither a codec's nor a prior's.
    pub fn kind(&self) -> Result<Kind, ModelError> {
        if self.tensors().contains_key("bottleneck.level_blocks.0.k") {
            return Ok(Kind::Codec);
        }
        if self.tensors().contains_key("prior.x_emb.weight") {
            return Ok(Kind::Prior);
        }
        let some: Vec<String> = self.tensors().keys().take(3).map(|name| format!("`{}`", shown(name))).collect();
        Err(ModelError::Weights(format!(
            "`{}` holds neither a codec nor a prior: its tensors are {}; hint: give a file of the published Jukebox, or one \
             that its program trained",
            self.path().display(),
            some.join(", ")
        )))
    }
}

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct ImportSettings {
    /// What to take the checkpoint for; none: what its own settings say.
    pub published: Option<Published>,
    /// How to store the weights.
    pub dtype: Dtype,
    /// Name of the model; none: the folder's.
    pub name: Option<String>,
}

/// Adds a checkpoint to a model folder, which may be new for a codec. `progress` is told how many of how many numbers are
/// done. Gives the name of the part.
///
/// # Errors
/// If the checkpoint does not say what it is, is not what it says, does not fit the folder, or holds NaN or infinity. Then
/// the folder is as it was.
pub fn import(
    folder: &Path,
    checkpoint: &Checkpoint,
    settings: &ImportSettings,
    mut progress: impl FnMut(u64, u64),
) -> Result<String, ModelError> {
    let existing = match folder.join(CONFIG).is_file() {
        true => Some(ModelFolder::open(Source::Folder(folder.to_owned()))?),
        false => None,
    };
    let known_card = existing.as_ref().and_then(ModelFolder::card);
    let mut index = existing.as_ref().map_or_else(|| Ok(Index::default()), ModelFolder::index)?;
    let (mut config, level) = match checkpoint.kind()? {
        Kind::Codec => {
            let codec = codec_config(checkpoint, settings.published)?;
            if existing.is_some() {
                return Err(taken(folder, "a codec"));
            }
            (new_model(codec, folder), None)
        }
        Kind::Prior => {
            let Some(mut config) = existing.map(|folder| folder.config().clone()) else {
                return Err(ModelError::Request(format!(
                    "`{}` has no codec yet; hint: import `vqvae.pth.tar` into it first, or name it before the priors",
                    folder.display()
                )));
            };
            let prior = prior_config(checkpoint, settings.published, &config.codec)?;
            let level = prior.level;
            if config.priors.contains_key(&level) {
                return Err(taken(folder, &format!("a prior of level {level}")));
            }
            if let Some(timing) = prior.labels.as_ref().and_then(|l| l.timing.as_ref()) {
                let known = (timing.min_seconds..timing.max_seconds).contains(&SONG_SECONDS);
                config.sampling.song_seconds = Some(if known { SONG_SECONDS } else { timing.min_seconds });
            }
            config.priors.insert(level, prior);
            (config, Some(level))
        }
    };
    config.add_terms(&[TERMS.to_owned()]);
    if let Some(name) = &settings.name {
        config.name.clone_from(name);
    }
    // Before any list of names: a configuration that lies about its depth would make it endless.
    config.validate().map_err(|error| unfit(checkpoint, error))?;
    let (part, shapes) = match level.and_then(|level| config.priors.get(&level)) {
        Some(prior) => (format!("prior.{}", prior.level), prior_shapes(prior)),
        None => ("codec".to_owned(), codec_shapes(&config.codec)),
    };
    check(checkpoint, &config, &shapes, settings.published)?;

    let all: u64 = super::parameter_count(&shapes);
    let mut done = 0;
    write_part(folder, &part, &shapes, settings.dtype, &mut index, |i| {
        let (name, _) = &shapes[i];
        progress(done, all);
        let values = checkpoint.values(name)?;
        done += values.len() as u64;
        Ok(Cow::Owned(values))
    })?;
    // Whoever wrote a card keeps it; terms that it lacks are added.
    finish(folder, &config, &index, &known_card.unwrap_or_else(|| card(&config.name)))?;
    Ok(part)
}

fn taken(folder: &Path, what: &str) -> ModelError {
    let hint = "leave this file out, or import into a new folder";
    ModelError::Request(format!("`{}` already has {what}; hint: {hint}", folder.display()))
}

fn new_model(codec: VqVaeConfig, folder: &Path) -> ModelConfig {
    let levels = codec.levels();
    let name = folder.file_name().map_or_else(|| "jukebox".to_owned(), |name| name.to_string_lossy().into_owned());
    let mut hop_fraction = vec![0.5; levels];
    if let Some(top) = hop_fraction.last_mut() {
        *top = 0.125;
    }
    let sampling = SamplingDefaults { temperature: vec![0.99; levels], hop_fraction, ..SamplingDefaults::default() };
    ModelConfig {
        format: MODEL_FORMAT,
        name,
        codec,
        bandwidth: None,
        priors: Default::default(),
        artists: Vec::new(),
        genres: Vec::new(),
        sampling,
        terms: Vec::new(),
    }
}

/// The settings to go by, as a structure; `known` is one that has it.
fn read<T: DeserializeOwned>(
    checkpoint: &Checkpoint,
    settings: Map<String, Value>,
    known: Published,
) -> Result<T, ModelError> {
    let parse = |settings| serde_json::from_value::<T>(Value::Object(settings)).map_err(|e| shown(&e.to_string()));
    parse(settings.clone()).map_err(|what| {
        // The parser does not say which setting has the wrong type: each is tried alone, among good ones.
        let wrong = settings.into_iter().find_map(|(name, value)| {
            let field = shown(&name);
            let mut others = known.settings();
            others.insert(name, value);
            parse(others).err().map(|what| format!("`{field}`: {what}"))
        });
        unsaid(checkpoint, &wrong.unwrap_or(what))
    })
}

/// A configuration that cannot be is the fault of the checkpoint's settings.
fn unfit(checkpoint: &Checkpoint, error: ModelError) -> ModelError {
    let ModelError::Config { field, what } = error else { return error };
    let what = what.split("; hint: ").next().unwrap_or_default();
    let path = checkpoint.path().display();
    ModelError::Request(format!(
        "`{path}` has settings that make no model: {field}: {what}; hint: see them with `orchestrion model info --model \
         {path}`, or say what it is with `--as`"
    ))
}

/// The checkpoint does not say what it is.
fn unsaid(checkpoint: &Checkpoint, what: &str) -> ModelError {
    let names: Vec<String> = Published::ALL.iter().map(|(name, _)| format!("`{name}`")).collect();
    ModelError::Request(format!(
        "`{}` does not say what it is (its `hps`: {what}); hint: say it with `--as`: {}",
        checkpoint.path().display(),
        names.join(", ")
    ))
}

fn chosen(checkpoint: &Checkpoint, published: Option<Published>) -> Map<String, Value> {
    published.map_or_else(|| checkpoint.settings().clone(), Published::settings)
}

fn codec_config(checkpoint: &Checkpoint, published: Option<Published>) -> Result<VqVaeConfig, ModelError> {
    if let Some(published) = published.filter(|p| *p != Published::VqVae) {
        return Err(other_kind(checkpoint, published, "a codec", "--as vqvae"));
    }
    let codec = read::<CodecSettings>(checkpoint, chosen(checkpoint, published), Published::VqVae)?.config();
    codec.validate().map_err(|error| unfit(checkpoint, error))?;
    Ok(codec)
}

fn prior_config(
    checkpoint: &Checkpoint,
    published: Option<Published>,
    codec: &VqVaeConfig,
) -> Result<PriorConfig, ModelError> {
    if published == Some(Published::VqVae) {
        return Err(other_kind(
            checkpoint,
            Published::VqVae,
            "a prior",
            "--as upsampler-0` or another prior's name: `5b",
        ));
    }
    let settings: PriorSettings = read(checkpoint, chosen(checkpoint, published), Published::FiveBLyrics)?;
    let own = checkpoint.settings().get("level").and_then(Value::as_u64);
    if let Some(own) = own.filter(|own| *own != settings.level as u64) {
        return Err(ModelError::Request(format!(
            "`{}` is a prior of level {own} (its `hps`), not of level {}; hint: choose another `--as`, or leave it out",
            checkpoint.path().display(),
            settings.level
        )));
    }
    if settings.level >= codec.levels() {
        return Err(ModelError::Request(format!(
            "`{}` is a prior of level {}, and the codec has levels below {}; hint: import its own codec",
            checkpoint.path().display(),
            settings.level,
            codec.levels()
        )));
    }
    settings.config(codec).map_err(|missing| unsaid(checkpoint, &format!("no `{missing}`")))
}

fn other_kind(checkpoint: &Checkpoint, published: Published, holds: &str, option: &str) -> ModelError {
    let path = checkpoint.path().display();
    ModelError::Request(format!("`{path}` holds {holds}, which `{published}` is not; hint: use `{option}`"))
}

/// The output table that a file may have beside the input table that it is.
fn spare(shapes: &[Shape]) -> Option<Shape> {
    let [output, input] = TIED;
    let own = shapes.iter().any(|(name, _)| name == output);
    let (_, shape) = shapes.iter().find(|(name, _)| !own && name == input)?;
    Some((output.to_owned(), shape.clone()))
}

/// Checks all tensors before anything is written.
fn check(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    shapes: &[Shape],
    published: Option<Published>,
) -> Result<(), ModelError> {
    let [output, input] = TIED;
    let tensors = checkpoint.tensors();
    let spare = spare(shapes);
    let fit = Fit::new(shapes, tensors, spare.as_ref());
    let bad = |what: String| Err(ModelError::Weights(format!("`{}`: {what}", checkpoint.path().display())));
    if !fit.is_exact() {
        let other = |(_, p): &&(&str, Published)| {
            let shapes = match p {
                Published::VqVae => return false,
                prior => prior_config(checkpoint, Some(*prior), &config.codec).map(|c| prior_shapes(&c)),
            };
            Some(*p) != published && shapes.is_ok_and(|s| Fit::new(&s, tensors, self::spare(&s).as_ref()).is_exact())
        };
        let hint = match Published::ALL.iter().find(other) {
            Some((name, _)) => format!("it fits `--as {name}`"),
            None => {
                "it is another model's, or its settings are not the usual ones; see `orchestrion model info`".into()
            }
        };
        return bad(format!("{}; hint: {hint}", fit.message()));
    }
    if let (Some(spare), Some(first)) = (spare.and_then(|(name, _)| tensors.get(&name)), tensors.get(input))
        && !spare.is_shared_with(first)
        && checkpoint.values(output)? != checkpoint.values(input)?
    {
        return bad(format!(
            "`{output}` differs from `{input}`, which it stands for; hint: this prior's `merged_decoder` is \
             set wrongly"
        ));
    }
    Ok(())
}

/// The card of a new model.
fn card(name: &str) -> String {
    format!(
        "# {name}\n\nImported from checkpoints of the published Jukebox (arXiv 2005.00341) by `orchestrion model import`.\n"
    )
}
