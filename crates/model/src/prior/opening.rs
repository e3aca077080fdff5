//! The way of a prior's weights to its decoder: one layer at a time to the engine, out of a model folder or out of a prior in
//! memory.

use super::decoder::{Transformer, values};
use super::tensor_decoder::TensorDecoder;
use super::{Prior, PriorConfig, PriorDecoder};
use crate::ModelError;
use crate::nn::dense::{Linear as DenseLinear, Norm as DenseNorm};
use crate::nn::transformer::Layer;
use crate::nn::{Random, ops};
use crate::store::{Dtype, ModelFolder, PartReader, prior_shapes};
use burn::tensor::{Device, Tensor};
use orchestrion_engine::decode::{Decoder, LayerWeights, Linear, Norm, Precision, TransformerWeights};

impl PriorDecoder {
    /// Opens the prior of a level, to sample with matrices of `weights`; none: as the folder stores them.
    ///
    /// On the CPU its transformer goes to the engine, layer by layer, so that memory holds its packed weights, one layer, and
    /// one shard of the folder. Matrices that are stored as they are to be packed are not rounded once more. On a GPU all of
    /// it is built there, as `f32`.
    ///
    /// # Errors
    /// If the level has no prior, if a shard cannot be read, if weights are missing, superfluous, of other sizes or not
    /// finite (all of them are named), if the attention cannot be run one token ahead, or if other weights than `f32` are
    /// asked for on a GPU.
    pub fn open(
        folder: &ModelFolder,
        level: usize,
        device: &Device,
        weights: Option<Dtype>,
    ) -> Result<Self, ModelError> {
        if !ops::has_kernels(device) {
            return match weights {
                None | Some(Dtype::F32) => Self::on_tensors(folder.prior(level, device)?),
                Some(other) => {
                    let hint = "hint: leave the choice of weights out, or sample on the CPU";
                    Err(ModelError::Request(format!("a GPU computes with f32 weights, not with {other}; {hint}")))
                }
            };
        }
        let config = folder.prior_config(level)?;
        let precision = weights.map_or_else(|| folder.stored_dtype(level), Ok)?.into();
        let mut reader = PartReader::new(folder, &format!("prior.{level}."));
        let mut prior = config.hollow(device)?;
        reader.fill(&mut prior, "", device)?;
        let decoder = Self::assemble(prior, layers(&mut reader, config), precision)?;
        reader.finish()?;
        Ok(decoder)
    }

    /// Compares names and sizes of all weights of a level with its configuration. No weight is read: that one is not finite
    /// is for [`open`](Self::open) to find.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(folder: &ModelFolder, level: usize) -> Result<(), ModelError> {
        let shapes = prior_shapes(folder.prior_config(level)?);
        PartReader::new(folder, &format!("prior.{level}.")).check(&shapes)
    }

    /// Takes the weights of a prior in memory to the engine, its matrices packed as `weights`.
    ///
    /// # Errors
    /// If the attention cannot be run one token ahead.
    pub fn new(mut prior: Prior, weights: Dtype) -> Result<Self, ModelError> {
        let layers = std::mem::take(&mut prior.network.transformer.layers);
        Self::assemble(prior, layers.into_iter().map(Ok), weights.into())
    }

    /// A prior that stays with Burn, on the device where it is.
    ///
    /// # Errors
    /// If the attention cannot be run one token ahead.
    pub fn on_tensors(prior: Prior) -> Result<Self, ModelError> {
        let tensors = TensorDecoder::new(prior.network.clone(), prior.config().transformer.clone())?;
        Ok(Self { prior, transformer: Transformer::Tensors(Box::new(tensors)) })
    }

    /// Puts a prior without layers and its layers together.
    fn assemble(
        mut prior: Prior,
        layers: impl Iterator<Item = Result<Layer, ModelError>>,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let config = prior.config().clone();
        let sizes = &config.transformer;
        let network = &mut prior.network;
        let weights = TransformerWeights {
            width: sizes.width,
            heads: sizes.heads,
            context: sizes.context,
            blocks: sizes.blocks,
            prime: sizes.prime_keys(),
            residual_scale: network.transformer.scale as f32,
            vocab: config.vocabulary(),
            embedding: take(&mut network.x_emb.weight)?,
            position: take(&mut network.pos_emb)?,
            output: network.x_out.as_mut().map(|table| take(&mut table.weight)).transpose()?,
            add_condition_after: !config.merged_decoder,
        };
        let engine = Decoder::new(weights, layers.map(|layer| weights_of(layer?)), precision)?;
        Ok(Self { prior, transformer: Transformer::Engine(Box::new(engine)) })
    }
}

/// The layers of a prior's transformer, read one at a time. With the first faulty one the rest is read as well, so that the
/// error names all faults.
fn layers(reader: &mut PartReader<'_>, config: &PriorConfig) -> impl Iterator<Item = Result<Layer, ModelError>> {
    // On their way to the engine, they pass through the CPU's memory whatever the device of the rest.
    let device = Device::flex();
    let read = move |reader: &mut PartReader<'_>, d: usize| -> Result<Layer, ModelError> {
        let mut layer = config.transformer.layer(d, &mut Random::idle(), &device)?;
        reader.fill(&mut layer, &format!("prior.transformer._attn_mods.{d}."), &device)?;
        Ok(layer)
    };
    let depth = config.transformer.depth;
    (0..depth).map(move |d| {
        let layer = read(reader, d)?;
        if !reader.is_sound() {
            (d + 1..depth).try_for_each(|d| read(reader, d).map(drop))?;
            reader.finish()?;
        }
        Ok(layer)
    })
}

/// Takes the values of a table, which stays behind as one row of zeros: its place is in the engine from here on.
fn take(table: &mut Tensor<2>) -> Result<Vec<f32>, ModelError> {
    let [_, width] = table.dims();
    let nothing = Tensor::zeros([1, width], &table.device());
    values(std::mem::replace(table, nothing))
}

fn linear(layer: DenseLinear) -> Result<Linear, ModelError> {
    let [inputs, outputs] = layer.w.dims();
    Ok(Linear { w: values(layer.w)?, b: values(layer.b)?, inputs, outputs })
}

fn norm(layer: DenseNorm) -> Result<Norm, ModelError> {
    Ok(Norm { g: values(layer.weight)?, b: values(layer.bias)? })
}

fn weights_of(layer: Layer) -> Result<LayerWeights, ModelError> {
    Ok(LayerWeights {
        attn_func: layer.attn.func,
        ln_0: norm(layer.ln_0)?,
        c_attn: linear(layer.attn.c_attn)?,
        encoder_kv: layer.attn.c_enc_kv.map(linear).transpose()?,
        c_proj: linear(layer.attn.c_proj)?,
        ln_1: norm(layer.ln_1)?,
        c_fc: linear(layer.c_fc)?,
        mlp_proj: linear(layer.c_proj)?,
    })
}
