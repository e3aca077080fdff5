//! The dilated residual stack of Jukebox's codec and conditioner (paper, figure 9).

use super::conv::Conv1d;
use super::{Parameters, Random, Visitor};
use crate::ModelError;
use burn::tensor::{Device, Tensor};
use orchestrion_engine::conv::stream::Network;
use serde::{Deserialize, Serialize};

/// Sizes of a residual stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResnetConfig {
    /// Blocks.
    pub depth: usize,
    /// Hidden channels of a block, in units of its width.
    #[serde(default = "one")]
    pub hidden: f64,
    /// Each block's dilation is this times the one before.
    pub dilation_growth: usize,
    /// Blocks after which the dilation starts again at 1; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dilation_cycle: Option<usize>,
    /// Whether a block's contribution is scaled by `1 / sqrt(depth)`.
    #[serde(default)]
    pub residual_scale: bool,
}

/// Most samples between two taps.
const MAX_DILATION: usize = 1 << 20;

fn one() -> f64 {
    1.0
}

impl ResnetConfig {
    /// Dilation of the block that stands at place `index` of the unreversed stack.
    fn dilation(&self, index: usize) -> usize {
        let power = self.dilation_cycle.map_or(index, |cycle| index % cycle.max(1));
        self.dilation_growth.saturating_pow(power as u32)
    }

    /// Checks that a stack of `times` the depth can be built: its reach is what padding and memory grow with.
    ///
    /// # Errors
    /// If the largest dilation is out of range.
    pub fn validate(&self, times: usize) -> Result<(), ModelError> {
        let deepest = self.depth.saturating_mul(times).saturating_sub(1);
        let index = self.dilation_cycle.map_or(deepest, |cycle| deepest.min(cycle.saturating_sub(1)));
        let largest = self.dilation_growth.saturating_pow(index.min(64) as u32);
        if largest <= MAX_DILATION {
            return Ok(());
        }
        let what = format!("the largest dilation would be {largest}; hint: use a `dilation_cycle`, or less depth");
        Err(ModelError::Config { field: "resnet.dilation_growth", what })
    }

    /// A stack over `width` channels; `reversed` puts the largest dilation first, as decoders do.
    pub fn init(&self, width: usize, reversed: bool, random: &mut Random, device: &Device) -> Resnet {
        let hidden = (self.hidden * width as f64) as usize;
        let blocks = (0..self.depth)
            .map(|place| {
                let index = if reversed { self.depth - 1 - place } else { place };
                ResnetBlock {
                    wide: Conv1d::init([width, hidden], 3, self.dilation(index), true, random, device),
                    point: Conv1d::init([hidden, width], 1, 1, true, random, device),
                }
            })
            .collect();
        let scale = if self.residual_scale { 1.0 / (self.depth as f64).sqrt() } else { 1.0 };
        Resnet { blocks, scale }
    }
}

/// `x + scale * conv1(relu(conv3(relu(x))))`.
#[derive(Debug, Clone)]
struct ResnetBlock {
    wide: Conv1d,
    point: Conv1d,
}

impl Parameters for ResnetBlock {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("model.1", &mut self.wide);
        visitor.enter("model.3", &mut self.point);
    }
}

/// A stack of residual blocks with growing dilation.
#[derive(Debug, Clone)]
pub struct Resnet {
    blocks: Vec<ResnetBlock>,
    scale: f64,
}

impl Resnet {
    /// `[batch, width, time]` to the same shape.
    pub fn forward(&self, mut x: Tensor<3>) -> Tensor<3> {
        for block in &self.blocks {
            let y = block.point.forward(block.wide.forward(x.clone()));
            x = x + if self.scale == 1.0 { y } else { y.mul_scalar(self.scale) };
        }
        x
    }

    /// Samples on each side that an output sample depends on.
    pub fn radius(&self) -> usize {
        self.blocks.iter().map(|b| b.wide.radius()).sum()
    }

    /// Adds the blocks to a network.
    pub(crate) fn extend(&self, network: &mut Network) -> Result<(), ModelError> {
        for block in &self.blocks {
            let dilation = block.wide.dilation();
            network.residual(&block.wide.taps(), &block.point.taps(), dilation, self.scale as f32)?;
        }
        Ok(())
    }

    /// Shows the blocks as `{list}.{index}`: the codec calls the list `model`, the conditioner `blocks`.
    pub fn walk_as(&mut self, list: &str, visitor: &mut Visitor<'_>) {
        for (d, block) in self.blocks.iter_mut().enumerate() {
            visitor.enter(format_args!("{list}.{d}"), block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ResnetConfig;

    #[test]
    fn a_reach_without_bounds_is_refused() {
        let config = |depth, dilation_cycle| ResnetConfig {
            depth,
            hidden: 1.0,
            dilation_growth: 3,
            dilation_cycle,
            residual_scale: false,
        };
        assert!(config(8, None).validate(1).is_ok());
        assert!(config(16, Some(8)).validate(1).is_ok());
        assert!(config(256, None).validate(1).is_err_and(|e| e.to_string().contains("dilation_growth")));
        assert!(config(8, None).validate(64).is_err());
    }
}
