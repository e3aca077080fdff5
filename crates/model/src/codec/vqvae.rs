//! Jukebox's codec: one autoencoder a level, trained side by side, sharing nothing (paper, section 3).
//!
//! ```text
//! level 2  audio ─ block 0 ─ block 1 ─ block 2 ─ codebook ─ block 2 ─ block 1 ─ block 0 ─ audio
//! level 1  audio ─ block 0 ─ block 1 ─ codebook ─ block 1 ─ block 0 ─ audio
//! level 0  audio ─ block 0 ─ codebook ─ block 0 ─ audio
//! ```

use super::config::VqVaeConfig;
use super::quantize::{Codebook, Quantized};
use crate::ModelError;
use crate::nn::conv::{Conv1d, StridedConv1d, TransposedConv1d};
use crate::nn::resnet::{Resnet, ResnetConfig};
use crate::nn::{Parameter, Parameters, Random, Visitor};
use burn::tensor::{Device, Tensor};
use orchestrion_engine::conv::stream::Network;

/// The autoencoders of all levels.
#[derive(Debug, Clone)]
pub struct VqVae {
    config: VqVaeConfig,
    /// Finest first.
    pub levels: Vec<Level>,
}

/// One level's encoder, codebook and decoder.
#[derive(Debug, Clone)]
pub struct Level {
    encoder: Vec<EncoderBlock>,
    /// The level's codebook.
    pub codebook: Codebook,
    decoder: Vec<DecoderBlock>,
    out: Conv1d,
}

/// Down-sampling steps `strided convolution, residual stack`, then a convolution to latents.
#[derive(Debug, Clone)]
struct EncoderBlock {
    steps: Vec<(StridedConv1d, Resnet)>,
    out: Conv1d,
    strides: Vec<usize>,
}

/// A convolution from latents, then up-sampling steps `residual stack, transposed convolution`.
#[derive(Debug, Clone)]
pub(crate) struct DecoderBlock {
    input: Conv1d,
    steps: Vec<(Resnet, TransposedConv1d)>,
    strides: Vec<usize>,
}

impl VqVaeConfig {
    /// A codec with random weights and empty codebooks.
    ///
    /// # Errors
    /// If the sizes cannot be built.
    pub fn init(&self, random: &mut Random, device: &Device) -> Result<VqVae, ModelError> {
        self.validate()?;
        let levels = (0..self.levels()).map(|level| self.init_level(level, random, device)).collect();
        Ok(VqVae { config: self.clone(), levels })
    }

    fn init_level(&self, level: usize, random: &mut Random, device: &Device) -> Level {
        let width = self.width * self.multipliers[level];
        let resnet = ResnetConfig { depth: self.resnet.depth * self.multipliers[level], ..self.resnet.clone() };
        let emb = self.embedding_width;
        let encoder = (0..=level)
            .map(|b| {
                let mut from = if b == 0 { 1 } else { emb };
                let steps = self.strides[b]
                    .iter()
                    .map(|&stride| {
                        let down = StridedConv1d::init([from, width], stride, random, device);
                        from = width;
                        (down, resnet.init(width, false, random, device))
                    })
                    .collect();
                let out = Conv1d::init([width, emb], 3, 1, false, random, device);
                EncoderBlock { steps, out, strides: self.strides[b].clone() }
            })
            .collect();
        let decoder = (0..=level)
            .map(|b| {
                let strides: Vec<usize> = self.strides[b].iter().rev().copied().collect();
                let reverse = self.reverse_decoder_dilation;
                DecoderBlock::init([emb, width, emb], &strides, &resnet, reverse, random, device)
            })
            .collect();
        Level {
            encoder,
            codebook: Codebook::init(self.codebook_size, emb, device),
            decoder,
            out: Conv1d::init([emb, 1], 3, 1, false, random, device),
        }
    }
}

impl DecoderBlock {
    /// From `channels[0]` through `channels[1]` to `channels[2]`.
    pub(crate) fn init(
        [input, width, output]: [usize; 3],
        strides: &[usize],
        resnet: &ResnetConfig,
        reversed: bool,
        random: &mut Random,
        device: &Device,
    ) -> Self {
        let first = Conv1d::init([input, width], 3, 1, false, random, device);
        let steps = strides
            .iter()
            .enumerate()
            .map(|(i, &stride)| {
                let to = if i + 1 == strides.len() { output } else { width };
                let stack = resnet.init(width, reversed, random, device);
                (stack, TransposedConv1d::init([width, to], stride, random, device))
            })
            .collect();
        Self { input: first, steps, strides: strides.to_vec() }
    }

    /// `[batch, in, time]` to `[batch, out, time * strides]`.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.steps.iter().fold(self.input.forward(x), |x, (stack, up)| up.forward(stack.forward(x)))
    }

    /// Shows the parameters; residual blocks stand under `list`.
    pub(crate) fn walk_as(&mut self, list: &str, visitor: &mut Visitor<'_>) {
        visitor.enter("model.0", &mut self.input);
        for (i, (stack, up)) in self.steps.iter_mut().enumerate() {
            visitor.enter(format_args!("model.{}.0", i + 1), &mut Stack(stack, list));
            visitor.enter(format_args!("model.{}.1", i + 1), up);
        }
    }
}

/// A residual stack with the name its block list goes by.
struct Stack<'a>(&'a mut Resnet, &'a str);

impl Parameters for Stack<'_> {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        self.0.walk_as(self.1, visitor);
    }
}

impl Level {
    /// Audio `[batch, 1, time]` to latents `[batch, width, time / hop]`; `time` is a multiple of the hop.
    pub fn encode(&self, audio: Tensor<3>) -> Tensor<3> {
        self.encoder.iter().fold(audio, |x, block| {
            let x = block.steps.iter().fold(x, |x, (down, stack)| stack.forward(down.forward(x)));
            block.out.forward(x)
        })
    }

    /// Latents to the nearest entries of the codebook.
    pub fn quantize(&self, latents: Tensor<3>) -> Quantized {
        self.codebook.quantize(latents)
    }

    /// Latents `[batch, width, time / hop]` to audio `[batch, 1, time]`, not clamped.
    pub fn decode(&self, latents: Tensor<3>) -> Tensor<3> {
        self.out.forward(self.decoder.iter().rev().fold(latents, |x, block| block.forward(x)))
    }

    /// The encoder on the engine: audio, one channel, to latents.
    pub(super) fn encoder_network(&self) -> Result<Network, ModelError> {
        let mut network = Network::new(1);
        for block in &self.encoder {
            for (down, stack) in &block.steps {
                down.extend(&mut network)?;
                stack.extend(&mut network)?;
            }
            block.out.extend(&mut network)?;
        }
        Ok(network)
    }

    /// The decoder on the engine: latents to audio, not clamped.
    pub(super) fn decoder_network(&self) -> Result<Network, ModelError> {
        let mut network = Network::new(self.codebook.dims()[1]);
        for block in self.decoder.iter().rev() {
            block.input.extend(&mut network)?;
            for (stack, up) in &block.steps {
                stack.extend(&mut network)?;
                up.extend(&mut network)?;
            }
        }
        self.out.extend(&mut network)?;
        Ok(network)
    }

    /// Samples on each side that the latent at a place depends on.
    pub fn encoder_radius(&self) -> usize {
        let (mut rate, mut radius) = (1, 0);
        for block in &self.encoder {
            for ((_, stack), stride) in block.steps.iter().zip(&block.strides) {
                radius += rate * stride;
                rate *= stride;
                radius += rate * stack.radius();
            }
            radius += rate * block.out.radius();
        }
        radius
    }

    /// Latents on each side that the audio of one latent depends on.
    pub fn decoder_radius(&self) -> usize {
        // In samples from the output up, then in latents.
        let (mut rate, mut radius) = (1, self.out.radius());
        for block in &self.decoder {
            for ((stack, _), stride) in block.steps.iter().zip(&block.strides).rev() {
                rate *= stride;
                radius += rate * (1 + stack.radius());
            }
            radius += rate * block.input.radius();
        }
        radius.div_ceil(rate)
    }
}

impl VqVae {
    /// The sizes it was built from.
    pub fn config(&self) -> &VqVaeConfig {
        &self.config
    }
}

impl Parameters for EncoderBlock {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        for (i, (down, stack)) in self.steps.iter_mut().enumerate() {
            visitor.enter(format_args!("model.{i}.0"), down);
            visitor.enter(format_args!("model.{i}.1"), &mut Stack(stack, "model"));
        }
        visitor.enter(format_args!("model.{}", self.steps.len()), &mut self.out);
    }
}

impl Parameters for DecoderBlock {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        self.walk_as("model", visitor);
    }
}

impl Parameters for Codebook {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.show("k", Parameter::Matrix(&mut self.k));
    }
}

impl Parameters for VqVae {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        for (l, level) in self.levels.iter_mut().enumerate() {
            for (b, block) in level.encoder.iter_mut().enumerate() {
                visitor.enter(format_args!("encoders.{l}.level_blocks.{b}"), block);
            }
            for (b, block) in level.decoder.iter_mut().enumerate() {
                visitor.enter(format_args!("decoders.{l}.level_blocks.{b}"), block);
            }
            visitor.enter(format_args!("decoders.{l}.out"), &mut level.out);
            visitor.enter(format_args!("bottleneck.level_blocks.{l}"), &mut level.codebook);
        }
    }
}
