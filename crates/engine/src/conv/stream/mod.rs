//! Networks of convolutions over sound of any length, which comes piece by piece.
//!
//! A [`Network`] is a list of layers, a [`Stream`] one song on its way through them. Every layer keeps of its input what its
//! next outputs still need and makes what it can from every piece, so that nothing is computed twice, memory does not
//! grow with the song, and the result is that of the whole song, bit for bit, however it is cut.
//!
//! The way of a piece: `mod` (layer after layer) → `held` (what a layer has of its input) → `layer` (convolutions of all
//! kinds) → `residual` (the residual block in one pass) over `minimal` (convolution with fewer products).

mod held;
mod layer;
mod minimal;
mod residual;

#[cfg(test)]
mod tests;

use super::forward::Packed;
use super::shape::check;
use crate::EngineError;
use crate::lanes::Isa;
use held::Held;
use layer::{Convolution, Layer};
use residual::Residual;

/// Weight and bias of a convolution.
#[derive(Debug, Clone)]
pub struct Taps {
    /// `[out, in, taps]`, but `[in, out, taps]` of a transposed one.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

/// Layers, ready for use. Each takes what the one before gives.
pub struct Network {
    channels: usize,
    layers: Vec<Layer>,
}

impl Network {
    /// No layers yet, over sound of so many channels.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        Self { channels, layers: Vec::new() }
    }

    /// Channels that the layers so far give.
    fn width(&self) -> usize {
        self.layers.last().map_or(self.channels, Layer::channels_out)
    }

    /// Adds a convolution with an odd number of taps side by side, and zeros around the song: as many samples out as in.
    ///
    /// # Errors
    /// If the weight does not fit.
    pub fn plain(&mut self, taps: &Taps) -> Result<(), EngineError> {
        let (inputs, outputs) = (self.width(), taps.bias.len());
        let kernel = kernel(taps, inputs)?;
        if kernel.is_multiple_of(2) {
            return Err(EngineError::Request(format!("a convolution with {kernel} taps has no middle")));
        }
        let weight =
            Packed::new(outputs, inputs * kernel, Some(&taps.bias), |o, tap| taps.weight[o * inputs * kernel + tap]);
        self.layers.push(Layer::Plain(Convolution { inputs, outputs, kernel, weight }));
        Ok(())
    }

    /// Adds a convolution that keeps one sample of `stride` (even), with taps over two strides, and half a stride of zeros
    /// around the song.
    ///
    /// # Errors
    /// If the weight does not fit.
    pub fn strided(&mut self, taps: &Taps, stride: usize) -> Result<(), EngineError> {
        let (inputs, outputs) = (self.width(), taps.bias.len());
        two_strides(taps, inputs, stride)?;
        // Taps run over (input, phase, stride).
        let weight = Packed::new(outputs, inputs * stride * 2, Some(&taps.bias), |o, tap| {
            let (row, place) = (tap / 2, tap % 2);
            taps.weight[(o * inputs + row / stride) * 2 * stride + place * stride + row % stride]
        });
        let convolution = Convolution { inputs: inputs * stride, outputs, kernel: 2, weight };
        self.layers.push(Layer::Strided(convolution, stride));
        Ok(())
    }

    /// Adds the transpose of [`strided`](Self::strided): `stride` samples of one.
    ///
    /// # Errors
    /// If the weight does not fit.
    pub fn transposed(&mut self, taps: &Taps, stride: usize) -> Result<(), EngineError> {
        let (inputs, outputs) = (self.width(), taps.bias.len());
        two_strides(taps, inputs, stride)?;
        let bias: Vec<f32> = taps.bias.iter().flat_map(|bias| std::iter::repeat_n(*bias, stride)).collect();
        // Phase `p` of place `u` hears tap `p` of input `u`, and tap `stride + p` of the one before.
        let weight = Packed::new(outputs * stride, inputs * 2, Some(&bias), |row, tap| {
            let (output, phase, input, before) = (row / stride, row % stride, tap / 2, 1 - tap % 2);
            taps.weight[(input * outputs + output) * 2 * stride + before * stride + phase]
        });
        let convolution = Convolution { inputs, outputs: outputs * stride, kernel: 2, weight };
        self.layers.push(Layer::Transposed(convolution, stride));
        Ok(())
    }

    /// Adds a residual block, `x + scale * point(relu(wide(relu(x))))`: `wide` has three taps `dilation` apart, `point` one.
    ///
    /// # Errors
    /// If a weight does not fit.
    pub fn residual(&mut self, wide: &Taps, point: &Taps, dilation: usize, scale: f32) -> Result<(), EngineError> {
        let (width, hidden) = (self.width(), wide.bias.len());
        check("residual block's dilated weight", &wide.weight, hidden * width * 3)?;
        check("residual block's pointwise weight", &point.weight, width * hidden)?;
        check("residual block's pointwise bias", &point.bias, width)?;
        if dilation == 0 || hidden == 0 {
            return Err(EngineError::Request("residual block with a zero size".to_owned()));
        }
        let (wide, point) = ([wide.weight.as_slice(), &wide.bias], [point.weight.as_slice(), &point.bias]);
        self.layers.push(Layer::Residual(Residual::new(dilation, wide, point, scale)));
        Ok(())
    }

    /// A song's way through the layers, at its start.
    #[must_use]
    pub fn begin(&self) -> Stream<'_> {
        self.begin_with(Isa::detect())
    }

    fn begin_with(&self, isa: Isa) -> Stream<'_> {
        let between = std::iter::once(self.channels).chain(self.layers.iter().map(Layer::channels_out));
        Stream { isa, layers: &self.layers, held: between.map(Held::new).collect(), last: false }
    }
}

fn kernel(taps: &Taps, inputs: usize) -> Result<usize, EngineError> {
    let channels = inputs * taps.bias.len();
    let kernel = taps.weight.len() / channels.max(1);
    check("convolution weight", &taps.weight, kernel.max(1) * channels.max(1))?;
    Ok(kernel)
}

fn two_strides(taps: &Taps, inputs: usize, stride: usize) -> Result<(), EngineError> {
    if stride == 0 || !stride.is_multiple_of(2) {
        return Err(EngineError::Request(format!("a convolution with a stride of {stride}; hint: strides are even")));
    }
    check("strided convolution's weight", &taps.weight, inputs * taps.bias.len() * 2 * stride)
}

/// A song on its way through a [`Network`].
pub struct Stream<'a> {
    isa: Isa,
    layers: &'a [Layer],
    /// What the layers have of their inputs, and at last what came out.
    held: Vec<Held>,
    last: bool,
}

impl Stream<'_> {
    /// Takes the next samples, `[channels, time]`, and gives those that come out, `[channels, time]`: they lag behind, until with
    /// the `last` ones all come. A song has a multiple of all strides.
    ///
    /// # Errors
    /// If these are no rows of equal length, or the last ones came before.
    pub fn push(&mut self, samples: &[f32], last: bool) -> Result<Vec<f32>, EngineError> {
        let channels = self.held[0].channels();
        if self.last || !samples.len().is_multiple_of(channels) {
            let values = samples.len();
            return Err(EngineError::Request(format!("{values} values for {channels} channels of a stream")));
        }
        self.last = last;
        let new = samples.len() / channels;
        if new > 0 {
            for (row, samples) in self.held[0].grow(new).into_iter().zip(samples.chunks_exact(new)) {
                row.copy_from_slice(samples);
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let [input, output] = &mut self.held[index..index + 2] else { break };
            let (from, to) = (output.end(), layer.ready(input.end(), last));
            if to > from {
                layer.run(self.isa, input, from, output.grow(to - from));
                input.forget(layer.needed(to));
            }
        }
        let Some(output) = self.held.last_mut() else { return Ok(Vec::new()) };
        let mut made = Vec::with_capacity(output.channels() * (output.end() - output.first()));
        for channel in 0..output.channels() {
            made.extend_from_slice(output.row(channel));
        }
        output.forget(output.end());
        Ok(made)
    }
}
