//! Dilated one-dimensional convolution on `[batch, channels, time]`, forward and backward.
//!
//! Strided and transposed convolutions are this one on samples dealt out by phase. No patches are gathered: `window`
//! copies a stretch of all input rows, with the padding's zeros and (on request) through a ReLU, to where it stays in
//! cache, and every tap reads it from another place. `forward` makes output from it, and by transposition the gradient
//! of the input; `weight` makes the gradients of weight and bias. Results depend on neither the number of threads nor
//! the instruction set.

mod forward;
mod shape;
pub mod stream;
mod weight;
mod window;

#[cfg(test)]
pub(crate) mod tests;

pub use shape::ConvShape;

use crate::EngineError;
use crate::lanes::Isa;
use forward::{Packed, convolve};
use shape::check;

/// `y[n, o, t] = bias[o] + sum over (i, k) of w[o, i, k] * x[n, i, t + k * dilation - padding]`.
///
/// `x` is `[batch, channels_in, length]`, `w` is `[channels_out, channels_in, kernel]`, `bias` is `[channels_out]`; gives
/// `[batch, channels_out, length_out]`.
///
/// # Errors
/// If a slice does not fit the shape.
pub fn forward(shape: &ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Result<Vec<f32>, EngineError> {
    let length_out = shape.length_out()?;
    check("convolution input", x, shape.inputs())?;
    check("convolution weight", w, shape.weights())?;
    if let Some(bias) = bias {
        check("convolution bias", bias, shape.channels_out)?;
    }
    let taps = shape.channels_in * shape.kernel;
    let weight = Packed::new(shape.channels_out, taps, bias, |o, tap| w[o * taps + tap]);
    Ok(convolve(Isa::detect(), shape, length_out, x, &weight, None))
}

/// Gradient of the input, `[batch, channels_in, length]`, from that of the output. `x` is needed for the ReLU's mask.
///
/// # Errors
/// If a slice does not fit the shape, or a padding is longer than `(kernel - 1) * dilation`.
pub fn grad_input(shape: &ConvShape, x: &[f32], w: &[f32], grad: &[f32]) -> Result<Vec<f32>, EngineError> {
    let length_out = shape.length_out()?;
    let back = shape.transposed(length_out)?;
    check("convolution gradient", grad, back.inputs())?;
    check("convolution weight", w, shape.weights())?;
    if shape.relu {
        check("convolution input", x, shape.inputs())?;
    }
    let kernel = shape.kernel;
    // Taps of the transposed convolution run over (output channel, reversed place).
    let weight = Packed::new(shape.channels_in, shape.channels_out * kernel, None, |i, tap| {
        let (o, k) = (tap / kernel, kernel - 1 - tap % kernel);
        w[(o * shape.channels_in + i) * kernel + k]
    });
    Ok(convolve(Isa::detect(), &back, back.length_out()?, grad, &weight, shape.relu.then_some(x)))
}

/// Gradients of the weight, `[channels_out, channels_in, kernel]`, and of the bias, `[channels_out]`.
///
/// # Errors
/// If a slice does not fit the shape.
pub fn grad_weight(shape: &ConvShape, x: &[f32], grad: &[f32]) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
    let length_out = shape.length_out()?;
    check("convolution input", x, shape.inputs())?;
    check("convolution gradient", grad, shape.batch * shape.channels_out * length_out)?;
    Ok(weight::gradients(Isa::detect(), shape, length_out, x, grad))
}
