//! Sixteen dot products of pairs of bfloat16 at a time: the instruction, and what it is documented to do in plain Rust.
//!
//! A *pair* is a `u32` with one bfloat16 in each half: that of the even index in the lower one.

use crate::lanes::{Block, LANES};

/// Pairs of a vector in memory.
pub(super) type PairBlock = [u32; LANES];

/// Operations on vectors of 16 sums, and of 16 pairs.
pub(super) trait Pairs: Copy + Sync {
    /// 16 sums.
    type Sums: Copy;
    /// 16 pairs.
    type V: Copy;
    /// 16 zeros.
    fn zeros(self) -> Self::Sums;
    /// Pairs from memory.
    fn load(self, from: &PairBlock) -> Self::V;
    /// One pair in all lanes.
    fn splat(self, pair: u32) -> Self::V;
    /// In each lane, `sums` plus the products of the pairs' halves with each other.
    fn dot(self, sums: Self::Sums, a: Self::V, b: Self::V) -> Self::Sums;
    /// Sums to memory.
    fn store(self, sums: Self::Sums) -> Block;
    /// Compiles `work` for this set and runs it.
    fn run<W: Work>(self, work: W);
}

/// Work that can be compiled for any [`Pairs`]. `run` and all it calls must be `#[inline(always)]`.
pub(super) trait Work {
    fn run<P: Pairs>(self, pairs: P);
}

/// Plain Rust: the instruction as its manual has it. A pair's products are added one after the other, the odd one first,
/// each with one rounding; numbers too small for a normal `f32` count as zero, before and after.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Twin;

#[cfg(test)]
impl Pairs for Twin {
    type Sums = Block;
    type V = PairBlock;

    fn zeros(self) -> Block {
        [0.0; LANES]
    }
    fn load(self, from: &PairBlock) -> PairBlock {
        *from
    }
    fn splat(self, pair: u32) -> PairBlock {
        [pair; LANES]
    }
    fn dot(self, sums: Block, a: PairBlock, b: PairBlock) -> Block {
        let flush = |x: f32| if x.is_subnormal() { 0.0f32.copysign(x) } else { x };
        let odd = |pair: u32| flush(f32::from_bits(pair & 0xffff_0000));
        let even = |pair: u32| flush(f32::from_bits(pair << 16));
        std::array::from_fn(|i| {
            let sum = flush(odd(a[i]).mul_add(odd(b[i]), flush(sums[i])));
            flush(even(a[i]).mul_add(even(b[i]), sum))
        })
    }
    fn store(self, sums: Block) -> Block {
        sums
    }
    fn run<W: Work>(self, work: W) {
        work.run(self);
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::Avx512Bf16;

/// AVX-512-BF16.
///
/// SAFETY of every block here: `Avx512Bf16` has a private field and comes from `detect` alone, so whoever holds one runs
/// on a machine that has the instructions. Sixteen floats, sixteen `u32` and the registers that hold them have the same
/// size and any bits are valid in all, so one may be read as the other.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::{Block, LANES, PairBlock, Pairs, Work};

    /// Proof of AVX-512F and AVX-512-BF16.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Avx512Bf16(());

    impl Avx512Bf16 {
        pub(in super::super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")).then_some(Self(()))
        }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn with_bf16<W: Work>(pairs: Avx512Bf16, work: W) {
        work.run(pairs);
    }

    impl Pairs for Avx512Bf16 {
        type Sums = __m512;
        type V = __m512bh;

        #[inline(always)]
        fn zeros(self) -> __m512 {
            // SAFETY: see the head of this module.
            unsafe { transmute::<Block, __m512>([0.0; LANES]) }
        }
        #[inline(always)]
        fn load(self, from: &PairBlock) -> __m512bh {
            // SAFETY: see the head of this module.
            unsafe { transmute::<PairBlock, __m512bh>(*from) }
        }
        #[inline(always)]
        fn splat(self, pair: u32) -> __m512bh {
            // SAFETY: see the head of this module.
            unsafe { transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair.cast_signed())) }
        }
        #[inline(always)]
        fn dot(self, sums: __m512, a: __m512bh, b: __m512bh) -> __m512 {
            // SAFETY: see the head of this module.
            unsafe { _mm512_dpbf16_ps(sums, a, b) }
        }
        #[inline(always)]
        fn store(self, sums: __m512) -> Block {
            // SAFETY: see the head of this module.
            unsafe { transmute::<__m512, Block>(sums) }
        }
        #[inline]
        fn run<W: Work>(self, work: W) {
            // SAFETY: an `Avx512Bf16` exists only where its features were detected.
            unsafe { with_bf16(self, work) }
        }
    }
}
