//! AVX-512 and AVX2 with fused multiply-add.
//!
//! SAFETY of every block here: `Avx512` and `Avx2` have a private field and come from `detect` alone, so whoever holds
//! one runs on a machine that has the instructions. Sixteen floats and the registers that hold them have the same size
//! and any bits are valid in both, so one may be read as the other. (Loads and stores through pointers would be checked
//! at run time in builds with debug assertions, at half the speed.)

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{Block, Kernel, LANES, Simd};

/// Proof of AVX-512F.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

/// Proof of AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn with_avx512<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn with_avx2<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Lane-wise operations of two operands.
macro_rules! one_register {
    ($($name:ident = $intrinsic:ident),*) => {$(
        #[inline(always)]
        fn $name(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: see the head of this file.
            unsafe { $intrinsic(a, b) }
        }
    )*};
}

/// The same on two registers.
macro_rules! two_registers {
    ($($name:ident = $intrinsic:ident),*) => {$(
        #[inline(always)]
        fn $name(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            // SAFETY: see the head of this file.
            unsafe { [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1])] }
        }
    )*};
}

impl Simd for Avx512 {
    type V = __m512;
    const ROOMY: bool = true;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: see the head of this file.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &Block) -> __m512 {
        // SAFETY: see the head of this file.
        unsafe { transmute::<Block, __m512>(*from) }
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> __m512 {
        // SAFETY: see the head of this file.
        unsafe {
            let halves = transmute::<[u16; LANES], __m256i>(*from);
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }
    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> __m512 {
        // SAFETY: see the head of this file.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(transmute::<[i8; LANES], __m128i>(*from))) }
    }
    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        // SAFETY: see the head of this file; a prefetch of an address that is not there does nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[inline(always)]
    fn store(self, v: __m512, to: &mut Block) {
        // SAFETY: see the head of this file.
        *to = unsafe { transmute::<__m512, Block>(v) };
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the head of this file.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    one_register!(
        add = _mm512_add_ps,
        sub = _mm512_sub_ps,
        mul = _mm512_mul_ps,
        div = _mm512_div_ps,
        max = _mm512_max_ps
    );
    #[inline(always)]
    fn power_of_two(self, bits: __m512) -> __m512 {
        // SAFETY: see the head of this file.
        unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(bits));
            _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_castps_si512(_mm512_set1_ps(1.0))))
        }
    }
}

impl Simd for Avx2 {
    type V = [__m256; 2];
    const ROOMY: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> [__m256; 2] {
        // SAFETY: see the head of this file.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn load(self, from: &Block) -> [__m256; 2] {
        // SAFETY: see the head of this file.
        unsafe { transmute::<Block, [__m256; 2]>(*from) }
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> [__m256; 2] {
        // SAFETY: see the head of this file.
        unsafe {
            let [a, b] = transmute::<[u16; LANES], [__m128i; 2]>(*from);
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(a))),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(b))),
            ]
        }
    }
    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> [__m256; 2] {
        // SAFETY: see the head of this file.
        unsafe {
            let [a, b] = transmute::<[i8; LANES], [i64; 2]>(*from);
            [
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(a))),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(b))),
            ]
        }
    }
    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        // SAFETY: see the head of this file; a prefetch of an address that is not there does nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[inline(always)]
    fn store(self, v: [__m256; 2], to: &mut Block) {
        // SAFETY: see the head of this file.
        *to = unsafe { transmute::<[__m256; 2], Block>(v) };
    }
    #[inline(always)]
    fn mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: see the head of this file.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    two_registers!(
        add = _mm256_add_ps,
        sub = _mm256_sub_ps,
        mul = _mm256_mul_ps,
        div = _mm256_div_ps,
        max = _mm256_max_ps
    );
    #[inline(always)]
    fn power_of_two(self, bits: [__m256; 2]) -> [__m256; 2] {
        let mut powers = bits;
        for power in &mut powers {
            // SAFETY: see the head of this file.
            *power = unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(*power));
                _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_castps_si256(_mm256_set1_ps(1.0))))
            };
        }
        powers
    }
}
