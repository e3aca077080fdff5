//! In what numbers products multiply.

/// In what numbers a training product multiplies its operands. Sums are always `f32`, and so are the operands outside the
/// product and its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbers {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bfloat16: the upper half of an `f32`, to the nearest, ties to even.
    Bf16,
}

impl Numbers {
    /// Whether the products of [`product`](crate::product) have an instruction of this processor for them, and so are faster
    /// than in `f32`.
    #[must_use]
    pub fn has_instruction(self) -> bool {
        match self {
            Self::F32 => false,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16 => crate::product::has_bf16(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Bf16 => false,
        }
    }
}

/// The nearest bfloat16, ties to even, as the `f32` with its bits; not-a-number stays one.
pub(crate) fn round_to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    if value.is_nan() {
        return f32::from_bits((bits | 0x0040_0000) & 0xffff_0000);
    }
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_to_the_nearest_and_ties_to_even() {
        let rounded = |bits: u32| round_to_bf16(f32::from_bits(bits)).to_bits();
        assert_eq!(rounded(0x3f80_0000), 0x3f80_0000);
        assert_eq!(rounded(0x3f80_7fff), 0x3f80_0000);
        assert_eq!(rounded(0x3f80_8000), 0x3f80_0000);
        assert_eq!(rounded(0x3f81_8000), 0x3f82_0000);
        assert_eq!(rounded(0xbf80_8001), 0xbf81_0000);
        assert_eq!(round_to_bf16(f32::MAX), f32::INFINITY);
        assert_eq!(round_to_bf16(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(round_to_bf16(f32::from_bits(0x7f80_0001)).is_nan());
    }
}
