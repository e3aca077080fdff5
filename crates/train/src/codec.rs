//! Training a codec: all levels side by side on the same crops (Jukebox, section 3).

use crate::checkpoint::Extra;
use crate::objective::{LevelLoss, Objective, Seen};
use crate::recipe::Recipe;
use crate::trainer::{Metrics, Task};
use crate::{Kind, TrainError};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use orchestrion_data::{CropSettings, Crops, DataError, Manifest, ShortTracks, Split};
use orchestrion_model::ModelError;
use orchestrion_model::codec::{Bandwidth, CodebookSums, VqVae, perplexity};
use orchestrion_model::nn::{Random, move_to, with_kernels};
use orchestrion_model::store::{MODEL_FORMAT, ModelConfig, ModelFolder, SamplingDefaults, Weights, weights_of};

/// Crops that the bandwidth is measured on.
const BANDWIDTH_CROPS: u64 = 64;

/// A codec with its losses and crops.
pub struct CodecTask {
    objective: Objective,
    name: String,
    seed: u64,
    batch: usize,
    evaluation_batches: usize,
    codec: VqVae,
    device: Device,
    train: Crops,
    held_out: Crops,
    seen: Vec<Seen>,
    /// Of the model that the first weights are from.
    terms: Vec<String>,
    warned: Vec<bool>,
    kernels: bool,
    /// What was noticed and not yet told.
    warnings: Vec<String>,
}

impl CodecTask {
    /// A codec with random weights, or with those of `from`, and the crops of a manifest.
    ///
    /// # Errors
    /// If the recipe is not a codec's, `from` has other sizes, or the data has too little audio.
    pub fn new(
        recipe: &Recipe,
        manifest: &Manifest,
        from: Option<&ModelFolder>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let Kind::Codec(codec_recipe) = &recipe.kind else {
            return Err(TrainError::Recipe { place: recipe.name.clone(), what: "not a codec's recipe".into() });
        };
        let network = &codec_recipe.network;
        let settings = |split| CropSettings {
            sample_rate: network.sample_rate,
            length: codec_recipe.crop,
            batch: recipe.data.batch,
            split,
            seed: recipe.run.seed,
            balance: recipe.data.balance(),
            downmix: recipe.data.downmix(),
            short: ShortTracks::Use,
            memory_limit: (recipe.data.memory_mb as u64) << 20,
        };
        let train = Crops::open(manifest, settings(Split::Train))?;
        let held_out =
            Crops::open(manifest, settings(Split::Valid)).or_else(|_| Crops::open(manifest, settings(Split::Test)))?;
        let mut codec = match from {
            Some(folder) => {
                if folder.config().codec != *network {
                    return Err(TrainError::Model(ModelError::Config {
                        field: "codec.network",
                        what: format!(
                            "differs from that of `{}`; hint: start from a model of the same sizes",
                            folder.config().name
                        ),
                    }));
                }
                folder.codec(device)?
            }
            None => network.init(&mut Random::new(recipe.run.seed), device)?,
        };
        move_to(&mut codec, device);
        let bandwidth = match from.and_then(|f| f.config().bandwidth) {
            Some(bandwidth) => bandwidth,
            None => {
                let count = BANDWIDTH_CROPS.div_ceil(recipe.data.batch as u64);
                let mut items = Vec::new();
                for batch in 0..count {
                    let crops = train.batch(batch)?;
                    items.extend(crops.chunks_exact(codec_recipe.crop).map(|c| vec![c.to_vec()]));
                }
                if items.iter().flatten().flatten().all(|sample| *sample == 0.0) {
                    let what = format!("all of {} crops are silence", items.len());
                    return Err(
                        DataError::Request { what, hint: "look at the recordings: there is nothing to learn" }.into()
                    );
                }
                Bandwidth::measure(&items)?
            }
        };
        let mut warnings = Vec::new();
        if train.padded() > 0 {
            warnings.push(format!(
                "{} of {} tracks are shorter than the crop; silence follows them",
                train.padded(),
                train.len()
            ));
        }
        Ok(Self {
            name: recipe.name.clone(),
            seed: recipe.run.seed,
            batch: recipe.data.batch,
            evaluation_batches: recipe.run.evaluation_batches,
            warned: vec![false; network.levels()],
            kernels: recipe.run.kernels,
            objective: Objective { recipe: codec_recipe.clone(), bandwidth },
            codec,
            device: device.clone(),
            train,
            held_out,
            seen: Vec::new(),
            terms: from.map(|folder| folder.config().terms.clone()).unwrap_or_default(),
            warnings,
        })
    }

    /// Loss and gradients of a batch.
    fn slopes(&mut self, batch: u64) -> Result<(f64, Gradients, Metrics), TrainError> {
        let audio = self.clips(self.train.batch(batch)?, &self.device);
        let mut random = Random::new(self.seed ^ 0xC0DE_B00C ^ batch.wrapping_mul(0x9E37_79B9));
        for level in &mut self.codec.levels {
            if !level.codebook.is_filled() {
                let latents = level.encode(audio.clone()).detach();
                let [n, width, time] = latents.dims();
                let rows: Vec<f32> = latents.swap_dims(1, 2).reshape([n * time * width]).into_data().iter().collect();
                let candidates = level.codebook.candidates(&rows, &mut random);
                let [size, _] = level.codebook.dims();
                level.codebook.fill(candidates, self.objective.recipe.restart.first_count(n * time, size));
            }
        }
        let mut metrics = Metrics::new();
        let mut total: Option<Tensor<1>> = None;
        self.seen.clear();
        for l in 0..self.codec.levels.len() {
            let LevelLoss { loss, seen, parts } = self.objective.level(&self.codec, l, &audio);
            total = Some(total.map_or(loss.clone(), |t| t + loss));
            self.seen.push(seen);
            metrics.extend(parts);
        }
        let total = total.unwrap_or_else(|| Tensor::zeros([1], &self.device));
        let value = f64::from(total.clone().detach().into_scalar::<f32>());
        Ok((value, total.backward(), metrics))
    }

    fn clips(&self, samples: Vec<f32>, device: &Device) -> Tensor<3> {
        Tensor::from_data(TensorData::new(samples, [self.batch, 1, self.objective.recipe.crop]), device)
    }
}

impl Task for CodecTask {
    type Model = VqVae;

    fn model(&mut self) -> &mut VqVae {
        &mut self.codec
    }

    fn gradients(&mut self, batch: u64) -> Result<(f64, Gradients, Metrics), TrainError> {
        with_kernels(self.kernels, || self.slopes(batch))
    }
    fn after_step(&mut self, step: u64) -> Metrics {
        let mut metrics = Metrics::new();
        let mut random = Random::new(self.seed ^ 0x0DD5_7A27 ^ step.wrapping_mul(0x9E37_79B9));
        for (l, seen) in self.seen.drain(..).enumerate() {
            let book = &mut self.codec.levels[l].codebook;
            let [size, _] = book.dims();
            let candidates = book.candidates(&seen.rows, &mut random);
            let usage = self.objective.learn(book, &seen, &candidates);
            metrics.insert(format!("perplexity/level {l}"), f64::from(usage.perplexity));
            metrics.insert(format!("used/level {l}"), usage.used as f64 / size as f64);
            metrics.insert(format!("restarts/level {l}"), usage.restarted as f64);
        }
        metrics
    }

    fn evaluate(&mut self, model: &mut VqVae) -> Result<Metrics, TrainError> {
        let device = self.device.clone().inner();
        let mut metrics = Metrics::new();
        let mut codes: Vec<Vec<f32>> = model.levels.iter().map(|l| vec![0.0; l.codebook.dims()[0]]).collect();
        for batch in 0..self.evaluation_batches {
            let audio = self.clips(self.held_out.batch(batch as u64)?, &device);
            for (l, count) in codes.iter_mut().enumerate() {
                let LevelLoss { loss, seen, parts } = self.objective.level(model, l, &audio);
                let share = 1.0 / self.evaluation_batches as f64;
                for (name, value) in parts {
                    *metrics.entry(format!("held-out {name}")).or_insert(0.0) += value * share;
                }
                *metrics.entry(format!("held-out loss/level {l}")).or_insert(0.0) +=
                    f64::from(loss.into_scalar::<f32>()) * share;
                seen.codes.iter().for_each(|c| count[*c] += 1.0);
            }
        }
        for (l, count) in codes.iter().enumerate() {
            let used = count.iter().filter(|c| **c > 0.0).count() as f64 / count.len() as f64;
            let perplexity = f64::from(perplexity(count));
            metrics.insert(format!("held-out perplexity/level {l}"), perplexity);
            metrics.insert(format!("held-out used/level {l}"), used);
            if perplexity < 0.02 * count.len() as f64 && !self.warned[l] {
                self.warned[l] = true;
                self.warnings.push(format!(
                    "the codebook of level {l} collapsed: {perplexity:.0} of {} entries in use; hint: lower `optimizer.lr`, or look for silence in the data",
                    count.len()
                ));
            }
        }
        Ok(metrics)
    }

    fn batch_seconds(&self) -> f64 {
        (self.batch * self.objective.recipe.crop) as f64 / f64::from(self.objective.recipe.network.sample_rate)
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn extra(&self) -> Extra {
        let Bandwidth { l1, l2, spectral } = self.objective.bandwidth;
        let mut extra = vec![("bandwidth".to_owned(), vec![l1, l2, spectral])];
        for (l, level) in self.codec.levels.iter().enumerate() {
            if let Some(sums) = level.codebook.sums() {
                extra.push((format!("codebook.{l}.sum"), sums.sum.clone()));
                extra.push((format!("codebook.{l}.count"), sums.count.clone()));
            }
        }
        extra
    }

    fn restore(&mut self, extra: Extra) -> Result<(), TrainError> {
        let find = |name: String| extra.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        if let Some([l1, l2, spectral]) = find("bandwidth".into()).as_deref() {
            self.objective.bandwidth = Bandwidth { l1: *l1, l2: *l2, spectral: *spectral };
        }
        for (l, level) in self.codec.levels.iter_mut().enumerate() {
            if let (Some(sum), Some(count)) = (find(format!("codebook.{l}.sum")), find(format!("codebook.{l}.count"))) {
                level.codebook.set_sums(CodebookSums { sum, count });
            }
        }
        Ok(())
    }

    fn folder(&mut self, model: &mut VqVae) -> Result<(ModelConfig, Vec<Weights<'_>>), TrainError> {
        move_to(model, &self.device.clone().inner());
        let config = ModelConfig {
            format: MODEL_FORMAT,
            name: self.name.clone(),
            codec: self.objective.recipe.network.clone(),
            bandwidth: Some(self.objective.bandwidth),
            priors: Default::default(),
            artists: Vec::new(),
            genres: Vec::new(),
            sampling: SamplingDefaults::default(),
            terms: self.terms.clone(),
        };
        Ok((config, vec![weights_of("codec", model)]))
    }
}
