//! NEON.
//!
//! SAFETY of every block here: `Neon` has a private field and comes from `detect` alone, so whoever holds one runs on a
//! machine that has the instructions. Sixteen floats and the four registers that hold them have the same size and any
//! bits are valid in both, so one may be read as the other.

use std::arch::aarch64::*;
use std::mem::transmute;

use super::{Block, Kernel, LANES, Simd};

/// Proof of NEON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

#[target_feature(enable = "neon")]
pub(super) fn with_neon<K: Kernel>(simd: Neon, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Lane-wise operations of two operands, on four registers.
macro_rules! four_registers {
    ($($name:ident = $intrinsic:ident),*) => {$(
        #[inline(always)]
        fn $name(self, a: Four, b: Four) -> Four {
            // SAFETY: see the head of this file.
            unsafe { [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1]), $intrinsic(a[2], b[2]), $intrinsic(a[3], b[3])] }
        }
    )*};
}

type Four = [float32x4_t; 4];

impl Simd for Neon {
    type V = Four;
    const ROOMY: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Four {
        // SAFETY: see the head of this file.
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    fn load(self, from: &Block) -> Four {
        // SAFETY: see the head of this file.
        unsafe { transmute::<Block, Four>(*from) }
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Four {
        // SAFETY: see the head of this file.
        unsafe {
            let [a, b] = transmute::<[u16; LANES], [uint16x8_t; 2]>(*from);
            [
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(a))),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_high_u16(a))),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(b))),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_high_u16(b))),
            ]
        }
    }
    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> Four {
        // SAFETY: see the head of this file.
        unsafe {
            let bytes = transmute::<[i8; LANES], int8x16_t>(*from);
            let (a, b) = (vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes)));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(a))),
                vcvtq_f32_s32(vmovl_s16(vget_high_s16(a))),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(b))),
                vcvtq_f32_s32(vmovl_s16(vget_high_s16(b))),
            ]
        }
    }
    #[inline(always)]
    fn store(self, v: Four, to: &mut Block) {
        // SAFETY: see the head of this file.
        *to = unsafe { transmute::<Four, Block>(v) };
    }
    #[inline(always)]
    fn mul_add(self, a: Four, b: Four, c: Four) -> Four {
        // SAFETY: see the head of this file.
        unsafe {
            [
                vfmaq_f32(c[0], a[0], b[0]),
                vfmaq_f32(c[1], a[1], b[1]),
                vfmaq_f32(c[2], a[2], b[2]),
                vfmaq_f32(c[3], a[3], b[3]),
            ]
        }
    }
    four_registers!(add = vaddq_f32, sub = vsubq_f32, mul = vmulq_f32, div = vdivq_f32);
    #[inline(always)]
    fn max(self, a: Four, b: Four) -> Four {
        let mut larger = b;
        for (b, a) in larger.iter_mut().zip(a) {
            // Not `vmaxq_f32`, which treats zeros of both signs and NaN in its own way.
            // SAFETY: see the head of this file.
            *b = unsafe { vbslq_f32(vcgtq_f32(a, *b), a, *b) };
        }
        larger
    }
    #[inline(always)]
    fn power_of_two(self, bits: Four) -> Four {
        let mut powers = bits;
        for power in &mut powers {
            // SAFETY: see the head of this file.
            *power = unsafe {
                let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(*power));
                vreinterpretq_f32_u32(vaddq_u32(exponent, vreinterpretq_u32_f32(vdupq_n_f32(1.0))))
            };
        }
        powers
    }
}
