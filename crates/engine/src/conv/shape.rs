//! Sizes of a convolution, and what fits them.

use crate::EngineError;

/// Sizes of a convolution with stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Clips.
    pub batch: usize,
    /// Input channels.
    pub channels_in: usize,
    /// Output channels.
    pub channels_out: usize,
    /// Samples of an input row.
    pub length: usize,
    /// Taps.
    pub kernel: usize,
    /// Samples between taps.
    pub dilation: usize,
    /// Zeros before and after each row.
    pub padding: [usize; 2],
    /// Whether the input passes a ReLU first.
    pub relu: bool,
}

impl ConvShape {
    /// Samples between the first and the last tap.
    pub(super) fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }

    /// Samples of an output row.
    ///
    /// # Errors
    /// If a size is zero, or the padded row is shorter than the kernel's reach.
    pub fn length_out(&self) -> Result<usize, EngineError> {
        if self.kernel == 0 || self.dilation == 0 || self.channels_in == 0 || self.channels_out == 0 {
            return Err(EngineError::Request(format!("convolution with a zero size: {self:?}")));
        }
        let padded = self.length + self.padding[0] + self.padding[1];
        match padded.checked_sub(self.reach()) {
            Some(length) if length > 0 && self.length > 0 => Ok(length),
            _ => Err(EngineError::Request(format!("convolution over too short a clip: {self:?}"))),
        }
    }

    /// The convolution that carries the output's gradient to the input: taps reversed, channels swapped.
    pub(super) fn transposed(&self, length_out: usize) -> Result<Self, EngineError> {
        let reach = self.reach();
        if self.padding.iter().any(|&p| p > reach) {
            return Err(EngineError::Request(format!("convolution padded beyond its reach: {self:?}")));
        }
        Ok(Self {
            channels_in: self.channels_out,
            channels_out: self.channels_in,
            length: length_out,
            padding: self.padding.map(|p| reach - p),
            relu: false,
            ..*self
        })
    }

    /// Values of the input.
    pub(super) fn inputs(&self) -> usize {
        self.batch * self.channels_in * self.length
    }

    /// Values of the weight.
    pub(super) fn weights(&self) -> usize {
        self.channels_out * self.channels_in * self.kernel
    }
}

/// Refuses a slice of the wrong length.
pub(super) fn check(name: &str, slice: &[f32], expected: usize) -> Result<(), EngineError> {
    if slice.len() == expected {
        return Ok(());
    }
    Err(EngineError::Length { name: name.to_owned(), expected, found: slice.len() })
}
