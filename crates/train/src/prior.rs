//! Training a prior or an upsampler on the token cache (Jukebox, section 4).

use crate::recipe::{PriorRecipe, Recipe};
use crate::trainer::{Metrics, Task};
use crate::{Kind, TrainError};
use burn::tensor::{Device, Gradients, Tensor};
use orchestrion_data::lyrics::Vocabulary;
use orchestrion_data::{ShortTracks, Split, TokenCache, TokenWindow, TokenWindows, WindowSettings};
use orchestrion_model::ModelError;
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::{Random, move_to};
use orchestrion_model::prior::{Losses, Prior, PriorConfig, token_tensor};
use orchestrion_model::store::{ModelConfig, ModelFolder, Weights, weights_of};

/// A prior with its windows of tokens.
pub struct PriorTask {
    prior: Prior,
    /// The folder with the codec and the priors of other levels.
    base: ModelFolder,
    name: String,
    batch: usize,
    evaluation_windows: usize,
    device: Device,
    train: TokenWindows,
    held_out: TokenWindows,
    artists: Vec<String>,
    genres: Vec<String>,
    /// Of the model that the first weights are from.
    terms: Vec<String>,
    warnings: Vec<String>,
}

/// Sizes of the prior a recipe describes, for the codec of `base` and the labels of the cache.
fn configure(
    recipe: &PriorRecipe,
    base: &ModelFolder,
    artists: usize,
    genres: usize,
) -> Result<PriorConfig, TrainError> {
    let codec = &base.config().codec;
    let level = recipe.level;
    if level >= codec.levels() {
        let what = format!("{level} is not a level of the codec; hint: its levels are 0 to {}", codec.levels() - 1);
        return Err(ModelError::Config { field: "prior.level", what }.into());
    }
    let top = level + 1 == codec.levels();
    let timing = (recipe.timing_bins > 0).then_some(TimingConfig {
        bins: recipe.timing_bins,
        min_seconds: recipe.min_seconds,
        max_seconds: recipe.max_seconds,
    });
    let upper = match (&recipe.conditioner, top) {
        (Some(c), false) => Some(UpperConfig {
            // The decoder's order: the steps of the level above, last first.
            strides: codec.strides[level + 1].iter().rev().copied().collect(),
            codebook_size: codec.codebook_size,
            width: c.width,
            resnet: c.resnet.clone(),
        }),
        (None, true) => None,
        (Some(_), true) => {
            return Err(ModelError::Config {
                field: "prior.conditioner",
                what: "the top level has no level above".into(),
            }
            .into());
        }
        (None, false) => {
            let what = format!("level {level} is told the codes of level {}; hint: say how", level + 1);
            return Err(ModelError::Config { field: "prior.conditioner", what }.into());
        }
    };
    Ok(PriorConfig {
        level,
        sample_rate: codec.sample_rate,
        hop_length: codec.hop_length(level),
        codebook_size: codec.codebook_size,
        transformer: recipe.transformer(),
        labels: recipe.labels.then_some(LabelsConfig { artists, genres, timing, naming: Naming::Own, genre_words: 5 }),
        lyrics: recipe.lyrics.clone(),
        upper,
        merged_decoder: recipe.merged_decoder,
    })
}

impl PriorTask {
    /// A prior with random weights, or those of `from`, on top of the model in `base`.
    ///
    /// # Errors
    /// If the recipe does not fit the codec, `from` has other sizes, or the cache has too few tokens.
    pub fn new(
        recipe: &Recipe,
        cache: &TokenCache,
        base: ModelFolder,
        from: Option<&ModelFolder>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let Kind::Prior(prior_recipe) = &recipe.kind else {
            return Err(TrainError::Recipe { place: recipe.name.clone(), what: "not a prior's recipe".into() });
        };
        let (artists, genres) = (cache.labels().artists.clone(), cache.labels().genres.clone());
        let same = |ours: &[String], theirs: &[String]| ours.is_empty() || ours == theirs;
        if !same(&base.config().artists, &artists) || !same(&base.config().genres, &genres) {
            return Err(ModelError::Config {
                field: "labels",
                what: format!(
                    "the token cache has other artists or genres than `{}`; hint: tokenize with the same manifest",
                    base.config().name
                ),
            }
            .into());
        }
        let config = configure(prior_recipe, &base, artists.len(), genres.len())?;
        let vocabulary = config.lyrics.as_ref().map(|l| Vocabulary::of_size(l.vocabulary)).transpose()?;
        let level = prior_recipe.level;
        let mut prior = match from {
            Some(folder) => {
                if folder.config().priors.get(&level) != Some(&config) {
                    return Err(ModelError::Config {
                        field: "prior",
                        what: format!(
                            "differs from that of `{}`; hint: start from a model of the same sizes",
                            folder.config().name
                        ),
                    }
                    .into());
                }
                folder.prior(level, device)?
            }
            None => config.init(&mut Random::new(recipe.run.seed), device)?,
        };
        move_to(&mut prior, device);
        prior.set_work(recipe.run.work());
        let settings = |split| WindowSettings {
            level,
            context: config.window(),
            split,
            seed: recipe.run.seed,
            balance: recipe.data.balance(),
            short: ShortTracks::Drop,
            vocabulary,
        };
        let train = TokenWindows::load(cache, settings(Split::Train))?;
        let held_out = TokenWindows::load(cache, settings(Split::Valid))
            .or_else(|_| TokenWindows::load(cache, settings(Split::Test)))?;
        let mut warnings = Vec::new();
        let short = train.dropped().len() + held_out.dropped().len();
        if short > 0 {
            warnings.push(format!("{short} tracks are shorter than the context and are left out"));
        }
        if vocabulary.is_some() && train.sung() == 0 {
            let hint = "write them to the field `lyrics` of the manifest and run `orchestrion data tokenize` again";
            warnings.push(format!("no track has words for this prior to learn from; hint: {hint}"));
        }
        Ok(Self {
            warnings,
            prior,
            base,
            name: recipe.name.clone(),
            batch: recipe.data.batch,
            evaluation_windows: recipe.run.evaluation_batches * recipe.data.batch,
            device: device.clone(),
            train,
            held_out,
            artists,
            genres,
            terms: from.map(|folder| folder.config().terms.clone()).unwrap_or_default(),
        })
    }
}

/// Losses on windows.
fn losses(prior: &Prior, windows: &[TokenWindow]) -> Result<Losses, TrainError> {
    let labels: Vec<Labels> = windows
        .iter()
        .map(|w| Labels {
            artist: vec![(w.artist, 1.0)],
            genre: w.genres.iter().map(|g| (*g, 1.0)).collect(),
            total_length: w.total_length,
            offset: w.offset,
            lyrics: w.lyrics.to_vec(),
        })
        .collect();
    let upper: Option<Vec<&[u32]>> = windows.iter().map(|w| w.upper.as_deref()).collect();
    let rows: Vec<&[u32]> = windows.iter().map(|w| w.codes.as_slice()).collect();
    let time = rows.first().map_or(0, |r| r.len());
    let conditions = prior.conditions(&labels, 0, time, upper.as_deref())?;
    Ok(prior.losses(token_tensor(&rows, &prior.device()), &conditions))
}

fn value(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().detach().into_scalar::<f32>())
}

impl Task for PriorTask {
    type Model = Prior;

    fn model(&mut self) -> &mut Prior {
        &mut self.prior
    }

    fn gradients(&mut self, batch: u64) -> Result<(f64, Gradients, Metrics), TrainError> {
        let windows = self.train.batch(batch, self.batch);
        let Losses { total, music, lyrics } = losses(&self.prior, &windows)?;
        let mut metrics = Metrics::from([("bits/train".to_owned(), value(&music))]);
        metrics.extend(lyrics.map(|l| ("bits/lyrics".to_owned(), value(&l))));
        // The paper's program trains on nats divided by ln 2, as here: the loss is in bits.
        Ok((value(&total), total.backward(), metrics))
    }

    fn evaluate(&mut self, model: &mut Prior) -> Result<Metrics, TrainError> {
        let mut metrics = Metrics::new();
        // Windows spread evenly over the held-out tracks.
        let whole = || self.held_out.sequential().filter(|w| w.seen == 0);
        let count = whole().count();
        let every = count.div_ceil(self.evaluation_windows.max(1)).max(1);
        let share = 1.0 / count.div_ceil(every).max(1) as f64;
        for window in whole().step_by(every) {
            let Losses { music, lyrics, .. } = losses(model, &[window])?;
            *metrics.entry("held-out bits/token".to_owned()).or_default() += value(&music) * share;
            if let Some(lyrics) = lyrics {
                *metrics.entry("held-out bits/lyric".to_owned()).or_default() += value(&lyrics) * share;
            }
        }
        Ok(metrics)
    }

    fn batch_seconds(&self) -> f64 {
        let c = self.prior.config();
        (self.batch * c.window() * c.hop_length) as f64 / f64::from(c.sample_rate)
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn folder(&mut self, model: &mut Prior) -> Result<(ModelConfig, Vec<Weights<'_>>), TrainError> {
        let plain = self.device.clone().inner();
        move_to(model, &plain);
        let mut config = self.base.config().clone();
        config.name = self.name.clone();
        config.artists = self.artists.clone();
        config.genres = self.genres.clone();
        config.add_terms(&self.terms);
        let level = model.config().level;
        let others = config.priors.keys().filter(|l| **l != level).map(|l| format!("prior.{l}"));
        let parts = std::iter::once("codec".to_owned()).chain(others);
        let mut weights: Vec<_> = parts.map(|part| Weights::Stored { part, folder: &self.base }).collect();
        weights.push(weights_of(&format!("prior.{level}"), model));
        config.priors.insert(level, model.config().clone());
        Ok((config, weights))
    }
}
