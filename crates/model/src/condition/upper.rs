//! Codes of the level above as one vector for each position (Jukebox, section 4.1, "conditioner network").

use crate::codec::DecoderBlock;
use crate::nn::dense::{Embedding, Norm};
use crate::nn::resnet::ResnetConfig;
use crate::nn::{Parameters, Random, Visitor};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

/// Sizes of the conditioner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpperConfig {
    /// Up-sampling steps between the two levels: the codec's strides for the upper one.
    pub strides: Vec<usize>,
    /// Entries of the upper level's codebook.
    pub codebook_size: usize,
    /// Channels of the residual stacks.
    pub width: usize,
    /// The residual stacks.
    pub resnet: ResnetConfig,
}

impl UpperConfig {
    /// Positions for one upper code.
    pub fn ratio(&self) -> usize {
        self.strides.iter().product()
    }

    /// A conditioner for a prior of this width.
    pub fn init(&self, width: usize, init_scale: f64, random: &mut Random, device: &Device) -> UpperConditioner {
        UpperConditioner {
            x_emb: Embedding::init([self.codebook_size, width], 0.02 * init_scale, random, device),
            cond: DecoderBlock::init([width, self.width, width], &self.strides, &self.resnet, false, random, device),
            ln: Norm::init(width, device),
        }
    }
}

/// Embedding, up-sampling residual stacks, layer norm.
#[derive(Debug, Clone)]
pub struct UpperConditioner {
    x_emb: Embedding,
    cond: DecoderBlock,
    ln: Norm,
}

impl UpperConditioner {
    /// Codes `[batch, n]` to vectors `[batch, n * ratio, width]`.
    pub fn forward(&self, codes: Tensor<2, Int>) -> Tensor<3> {
        let x = self.cond.forward(self.x_emb.forward(codes).swap_dims(1, 2));
        self.ln.forward(x.swap_dims(1, 2))
    }
}

impl Parameters for UpperConditioner {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("x_emb", &mut self.x_emb);
        visitor.enter("cond", &mut Blocks(&mut self.cond));
        visitor.enter("ln", &mut self.ln);
    }
}

/// The conditioner's stacks call their list `blocks`.
struct Blocks<'a>(&'a mut DecoderBlock);

impl Parameters for Blocks<'_> {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        self.0.walk_as("blocks", visitor);
    }
}
