//! In what numbers weights are kept.

/// How a decoder's matrices are packed. Activations, sums, biases and tables of embeddings are `f32` whatever it is.
///
/// Logits have the same bits, whatever the way, within one precision; weights that `Bf16` can hold exactly give with `Bf16`
/// the bits of `F32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// The upper half of an `f32`, rounded to nearest, ties to even.
    Bf16,
    /// A byte from -127 to 127, and a scale for each output: its largest weight's magnitude by 127.
    Int8,
}

impl Precision {
    /// Replaces the weights of one output by those that are kept.
    pub(super) fn round(self, weights: &mut [f32]) {
        match self {
            Self::F32 => {}
            Self::Bf16 => weights.iter_mut().for_each(|w| *w = f32::from_bits(u32::from(bf16(*w)) << 16)),
            Self::Int8 => {
                let scale = weights.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0;
                if scale > 0.0 {
                    weights.iter_mut().for_each(|w| *w = (*w / scale).round_ties_even() * scale);
                }
            }
        }
    }
}

/// The nearest number with 8 bits of mantissa, as the upper half of an `f32`.
fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
