//! One experiment as a TOML file: a base and a few changed lines.

use crate::TrainError;
use crate::adam::AdamConfig;
use crate::schedule::{Decay, Schedule};
use orchestrion_data::{Balance, Downmix};
use orchestrion_engine::Numbers;
use orchestrion_model::codec::{CodebookUpdate, LossConfig, VqVaeConfig};
use orchestrion_model::nn::Work;
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::prior::LyricsConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything about a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the experiment.
    pub name: String,
    /// What is trained.
    #[serde(flatten)]
    pub kind: Kind,
    /// Which part of the data a step sees.
    #[serde(default)]
    pub data: DataRecipe,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: AdamConfig,
    /// Length of the run.
    pub run: RunRecipe,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A codec.
    Codec(CodecRecipe),
    /// A prior or upsampler.
    Prior(PriorRecipe),
}

/// A codec and its losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecRecipe {
    /// Sizes.
    pub network: VqVaeConfig,
    /// Samples of a crop: a multiple of the longest hop.
    pub crop: usize,
    /// Losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// How codebooks learn.
    #[serde(default)]
    pub codebook: CodebookUpdate,
    /// Decay of the codebooks' moving averages.
    #[serde(default = "default_mu")]
    pub codebook_decay: f32,
    /// When an entry counts as unused and is restarted.
    #[serde(default)]
    pub restart: Restart,
}

/// When a codebook entry counts as unused.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Restart {
    /// Below this moving count of latents a batch: 1 in the paper's program, whose batches are large.
    Count(f32),
    /// Below this fraction of an even share of the batch: fit for small batches.
    Share(f32),
    /// Never: an entry that nothing chooses stays where it is. For comparison.
    Never,
}

impl Default for Restart {
    fn default() -> Self {
        Self::Count(1.0)
    }
}

impl Restart {
    /// Threshold on the moving count, for a codebook of `size` and batches of `tokens`.
    pub(crate) fn threshold(self, tokens: usize, size: usize) -> f32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => share * tokens as f32 / size.max(1) as f32,
            // Below it, sums and counts are too small to be divided.
            Self::Never => 1e-20,
        }
    }

    /// What the count of an entry starts with: the threshold, or one latent where there is none.
    pub(crate) fn first_count(self, tokens: usize, size: usize) -> f32 {
        if self == Self::Never { 1.0 } else { self.threshold(tokens, size) }
    }
}

/// A prior over one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorRecipe {
    /// Level: 0 is the finest.
    pub level: usize,
    /// Sizes.
    pub transformer: TransformerConfig,
    /// Whether artist and genre are told.
    #[serde(default = "yes")]
    pub labels: bool,
    /// Rows of the timing tables, for a top level; 0: no timing.
    #[serde(default)]
    pub timing_bins: usize,
    /// Longest song in seconds, for the timing tables.
    #[serde(default = "default_max_seconds")]
    pub max_seconds: f64,
    /// Shortest song in seconds.
    #[serde(default = "one")]
    pub min_seconds: f64,
    /// The conditioner on the level above, for the other levels.
    #[serde(default)]
    pub conditioner: Option<ConditionerRecipe>,
    /// Whether the output table is its own.
    #[serde(default)]
    pub merged_decoder: bool,
    /// The words it is told, if any. Where they share the music's stream, the transformer's context has room for both.
    #[serde(default)]
    pub lyrics: Option<LyricsConfig>,
}

impl PriorRecipe {
    /// Sizes of the transformer, which is told how many lyric tokens share its stream.
    pub fn transformer(&self) -> TransformerConfig {
        let shared = self.lyrics.as_ref().filter(|l| l.encoder.is_none());
        TransformerConfig { prime: shared.map_or(0, |l| l.tokens), ..self.transformer.clone() }
    }
}

/// The conditioner on the level above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionerRecipe {
    /// Channels.
    pub width: usize,
    /// Residual stacks.
    pub resnet: ResnetConfig,
}

/// Which part of the data a step sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataRecipe {
    /// Clips or windows of a batch.
    pub batch: usize,
    /// Whether artists get equal shares, instead of seconds.
    pub balance_artists: bool,
    /// Whether left and right are mixed at random.
    pub random_downmix: bool,
    /// Audio to hold in memory, in MB.
    pub memory_mb: usize,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self { batch: 4, balance_artists: true, random_downmix: true, memory_mb: 4096 }
    }
}

impl DataRecipe {
    pub(crate) fn balance(&self) -> Balance {
        if self.balance_artists { Balance::Artist } else { Balance::Length }
    }

    pub(crate) fn downmix(&self) -> Downmix {
        if self.random_downmix { Downmix::Random } else { Downmix::Mean }
    }
}

/// Length of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecipe {
    /// Steps.
    pub steps: u64,
    /// Seed of weights, crops and restarts.
    #[serde(default)]
    pub seed: u64,
    /// Batches whose gradients make one step.
    #[serde(default = "one_batch")]
    pub accumulate: u64,
    /// In what numbers a prior's products multiply: `f32` or `bf16`. Weights, sums and gradients are `f32` always. Faster
    /// only where the processor has AVX-512-BF16.
    #[serde(default, with = "NumbersName")]
    pub numbers: Numbers,
    /// Whether a prior's blocks keep their inputs alone and compute themselves again for the gradient: less memory, more
    /// time.
    #[serde(default)]
    pub recompute: bool,
    /// Whether the engine's kernels serve on the CPU; if not, Burn's own operations, to compare with.
    #[serde(default = "yes")]
    pub kernels: bool,
    /// Steps until the full learning rate.
    #[serde(default = "default_warmup")]
    pub warmup: u64,
    /// How the rate falls.
    #[serde(default)]
    pub decay: Decay,
    /// Steps between lines of metrics.
    #[serde(default = "default_log")]
    pub log_every: u64,
    /// Steps between evaluations on held-out data, with a checkpoint and sound samples.
    #[serde(default = "default_save")]
    pub save_every: u64,
    /// Batches of an evaluation.
    #[serde(default = "default_evaluation")]
    pub evaluation_batches: usize,
    /// Whether the model with the best held-out value is kept in the folder `best` of the run.
    #[serde(default = "yes")]
    pub keep_best: bool,
    /// Whether metrics also go to event files, which TensorBoard reads.
    #[serde(default)]
    pub tensorboard: bool,
}

/// Names of [`Numbers`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "Numbers", rename_all = "lowercase")]
enum NumbersName {
    F32,
    Bf16,
}

impl RunRecipe {
    /// How networks are trained.
    pub fn work(&self) -> Work {
        Work { numbers: self.numbers, recompute: self.recompute, kernels: self.kernels }
    }
}

fn yes() -> bool {
    true
}
fn one() -> f64 {
    1.0
}
fn one_batch() -> u64 {
    1
}
fn default_mu() -> f32 {
    0.99
}
fn default_max_seconds() -> f64 {
    600.0
}
fn default_warmup() -> u64 {
    100
}
fn default_log() -> u64 {
    10
}
fn default_save() -> u64 {
    200
}
fn default_evaluation() -> usize {
    8
}

impl Recipe {
    /// Reads a recipe and those it stands on (`base = "other.toml"`, beside it), then `key=value` changes
    /// (`run.steps=10`).
    ///
    /// # Errors
    /// If a file cannot be read, or says something that is no recipe.
    pub fn read(path: &Path, changes: &[String]) -> Result<Self, TrainError> {
        let place = path.display().to_string();
        let bad = |what: String| TrainError::Recipe { place: place.clone(), what };
        let mut table = Self::table(path, 0)?;
        for change in changes {
            let (key, value) = change
                .split_once('=')
                .ok_or_else(|| bad(format!("`{change}` is no change; hint: write `run.steps=100`")))?;
            let value = format!("v = {value}")
                .parse::<toml::Table>()
                .ok()
                .and_then(|mut t| t.remove("v"))
                .unwrap_or_else(|| toml::Value::String(value.to_owned()));
            let mut at = &mut table;
            let mut parts: Vec<&str> = key.trim().split('.').collect();
            let last = parts.pop().unwrap_or_default();
            for part in parts {
                at = at
                    .entry(part)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                    .as_table_mut()
                    .ok_or_else(|| bad(format!("`{key}`: `{part}` is not a table")))?;
            }
            at.insert(last.to_owned(), value);
        }
        let recipe: Self = table.try_into().map_err(|e: toml::de::Error| bad(e.message().to_owned()))?;
        recipe.validate().map_err(bad)?;
        Ok(recipe)
    }

    fn table(path: &Path, depth: usize) -> Result<toml::Table, TrainError> {
        let bad = |what: String| TrainError::Recipe { place: path.display().to_string(), what };
        if depth > 8 {
            return Err(bad("more than 8 recipes stand on each other; hint: look for a circle of `base`".into()));
        }
        let about = std::fs::metadata(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
        // A pipe or a device has no length, and no end.
        if !about.is_file() || about.len() > 1 << 20 {
            return Err(bad("longer than 1 MB, or no file: not a recipe".into()));
        }
        let text = std::fs::read_to_string(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
        let mut table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| bad(e.to_string().replace('\n', " ")))?;
        let Some(base) = table.remove("base") else { return Ok(table) };
        let base = base.as_str().ok_or_else(|| bad("`base` is not a file name".into()))?;
        let mut under = Self::table(&path.with_file_name(base), depth + 1)?;
        lay(&mut under, table);
        Ok(under)
    }

    fn validate(&self) -> Result<(), String> {
        if self.data.batch == 0 || self.data.batch > 4096 {
            return Err(format!("data.batch: {} is out of range; hint: use 1 to 4096", self.data.batch));
        }
        let run = &self.run;
        if run.steps == 0 || run.accumulate == 0 || run.log_every == 0 || run.save_every == 0 {
            return Err("run: steps, accumulate, log_every and save_every must be at least 1".into());
        }
        let o = &self.optimizer;
        let betas = [o.beta1, o.beta2, o.ema].iter().all(|b| (0.0..1.0).contains(b));
        let sound = betas && o.lr > 0.0 && o.lr.is_finite() && o.eps > 0.0 && o.weight_decay >= 0.0 && o.clip >= 0.0;
        if !sound {
            return Err("optimizer: a value is out of range; hint: lr and eps above 0, betas and ema below 1".into());
        }
        if let Kind::Codec(codec) = &self.kind {
            if run.numbers != Numbers::F32 || run.recompute {
                return Err("run: numbers and recompute are for priors; hint: leave them out for a codec".into());
            }
            codec.network.validate().map_err(|e| e.to_string())?;
            let hop = codec.network.hop_length(codec.network.levels() - 1);
            if codec.crop <= 1024 || codec.crop % hop != 0 {
                return Err(format!("codec.crop: {} must be above 1024 and a multiple of {hop}", codec.crop));
            }
        }
        Ok(())
    }

    /// Whether a run of this recipe goes on from the state of one of `written`, a recipe as JSON. What is compared is read:
    /// a line that did not exist when the state was written counts as left out.
    pub(crate) fn continues(&self, written: &str) -> bool {
        serde_json::from_str::<Self>(written).is_ok_and(|written| written.lasting() == self.lasting())
    }

    /// The recipe without the lines that may change between sittings.
    pub(crate) fn lasting(&self) -> Self {
        let mut recipe = self.clone();
        recipe.run.steps = 0;
        recipe.run.log_every = 0;
        recipe.run.save_every = 0;
        recipe.run.evaluation_batches = 0;
        recipe.run.recompute = false;
        recipe.run.kernels = true;
        recipe.run.keep_best = true;
        recipe.run.tensorboard = false;
        recipe.data.memory_mb = 0;
        recipe
    }

    /// The learning rate's schedule.
    pub fn schedule(&self) -> Schedule {
        let RunRecipe { warmup, decay, steps, .. } = self.run;
        Schedule { lr: self.optimizer.lr, warmup, decay, steps }
    }
}

/// Lays the entries of `over` on top of those of `under`, table by table.
fn lay(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => lay(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The recipe in the state of a run that was begun before there were words, `spread` and `prime`.
    const BEFORE_WORDS: &str = r#"{"name":"top","prior":{"level":2,"transformer":{"width":64,"depth":3,"heads":2,
        "context":64,"blocks":8,"attn_order":2,"attention_width":0.25,"mlp_width":1.0,"init_scale":1.0,"zero_out":false,
        "residual_scale":false},"labels":true,"timing_bins":16,"max_seconds":600.0,"min_seconds":0.1,"conditioner":null,
        "merged_decoder":false},"data":{"batch":2,"balance_artists":true,"random_downmix":true,"memory_mb":0},
        "optimizer":{"lr":0.0003,"beta1":0.9,"beta2":0.999,"eps":1e-8,"weight_decay":0.01,"clip":1.0,"ema":0.999,"ema_warmup":false},
        "run":{"steps":0,"seed":0,"accumulate":1,"warmup":2,"decay":{"kind":"none"},"log_every":0,"save_every":0,
        "evaluation_batches":0}}"#;

    #[test]
    fn a_run_goes_on_when_recipes_have_learnt_new_lines() {
        let mut recipe: Recipe = serde_json::from_str(BEFORE_WORDS).unwrap();
        (recipe.run.steps, recipe.run.save_every, recipe.data.memory_mb) = (100, 10, 512);
        assert!(recipe.continues(BEFORE_WORDS));
        assert!(recipe.continues(&serde_json::to_string(&recipe).unwrap()));
        assert!(!recipe.continues("{}"));
        // How the work is done may change between sittings; what is computed may not.
        (recipe.run.recompute, recipe.run.kernels) = (true, false);
        assert!(recipe.continues(BEFORE_WORDS));
        recipe.run.numbers = Numbers::Bf16;
        assert!(!recipe.continues(BEFORE_WORDS));
        (recipe.run.numbers, recipe.run.seed) = (Numbers::F32, 1);
        assert!(!recipe.continues(BEFORE_WORDS));
    }
}
