//! The vectors in plain Rust. Operations are calls, not copies in every kernel: machines that run them are rare, and the
//! compiler would spend more time on them than on all the rest of this crate.

use std::array::from_fn;

use super::{Block, LANES, Simd};

/// No instructions needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type V = Block;
    const ROOMY: bool = false;

    fn splat(self, x: f32) -> Block {
        [x; LANES]
    }
    fn load(self, from: &Block) -> Block {
        *from
    }
    #[inline(never)]
    fn load_bf16(self, from: &[u16; LANES]) -> Block {
        from.map(|half| f32::from_bits(u32::from(half) << 16))
    }
    #[inline(never)]
    fn load_i8(self, from: &[i8; LANES]) -> Block {
        from.map(f32::from)
    }
    fn store(self, v: Block, to: &mut Block) {
        *to = v;
    }
    #[inline(never)]
    fn mul_add(self, a: Block, b: Block, c: Block) -> Block {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(never)]
    fn add(self, a: Block, b: Block) -> Block {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(never)]
    fn sub(self, a: Block, b: Block) -> Block {
        from_fn(|i| a[i] - b[i])
    }
    #[inline(never)]
    fn mul(self, a: Block, b: Block) -> Block {
        from_fn(|i| a[i] * b[i])
    }
    #[inline(never)]
    fn div(self, a: Block, b: Block) -> Block {
        from_fn(|i| a[i] / b[i])
    }
    #[inline(never)]
    fn max(self, a: Block, b: Block) -> Block {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(never)]
    fn power_of_two(self, bits: Block) -> Block {
        from_fn(|i| f32::from_bits((bits[i].to_bits() << 23).wrapping_add(1.0f32.to_bits())))
    }
}
