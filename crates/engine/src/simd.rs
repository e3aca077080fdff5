//! One vector of floats, and the choice of instructions at run time.
//!
//! A kernel is a value that implements [`Kernel`]; its `run` is generic over [`Vector`] and `#[inline(always)]`, so that
//! [`dispatch`] compiles it once for every instruction set, inside a function that has that set enabled. Closures in
//! a kernel would not inherit the instruction set: kernels use plain loops.

#![allow(unsafe_code)]

/// A register of `LANES` single-precision floats.
pub(crate) trait Vector: Copy {
    /// Floats in a register.
    const LANES: usize;
    /// Registers the instruction set has: decides how large a tile may be.
    const REGISTERS: usize;
    /// All lanes equal to `x`.
    fn splat(x: f32) -> Self;
    /// Reads `LANES` floats.
    ///
    /// # Safety
    /// `from .. from + LANES` must lie within one allocation that is valid for reads.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes `LANES` floats.
    ///
    /// # Safety
    /// `to .. to + LANES` must lie within one allocation that is valid for writes.
    unsafe fn store(self, to: *mut f32);
    /// `self + a * b`, lane by lane.
    fn add_product(self, a: Self, b: Self) -> Self;
    /// Sum of the lanes, in a fixed order.
    fn sum(self) -> f32;
}

/// Work that can be compiled for any instruction set.
pub(crate) trait Kernel {
    /// What the work gives.
    type Output;
    /// Does the work with vectors of type `V`. Implementations must be `#[inline(always)]`.
    fn run<V: Vector>(self) -> Self::Output;
}

/// Runs a kernel with the widest vectors this machine has.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::with_avx512(kernel) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: both features were just detected.
            return unsafe { x86::with_avx2(kernel) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // NEON is part of the base instruction set of every supported aarch64 target.
        return kernel.run::<neon::Neon>();
    }
    #[allow(unreachable_code)]
    kernel.run::<Portable>()
}

/// Eight floats in plain Rust: the twin of the others, and what runs on machines without them.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

impl Vector for Portable {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises 8 readable floats; `[f32; 8]` has the alignment of `f32`.
        Self(unsafe { from.cast::<[f32; 8]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises 8 writable floats.
        unsafe { to.cast::<[f32; 8]>().write(self.0) }
    }
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        let mut out = self.0;
        for i in 0..8 {
            out[i] += a.0[i] * b.0[i];
        }
        Self(out)
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let v = self.0;
        ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Kernel, Vector};
    use std::arch::x86_64::*;

    /// # Safety
    /// The machine must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx512>()
    }

    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx2>()
    }

    /// Sixteen floats. Values of this type exist only below [`with_avx512`], after detection: that is why the safe
    /// methods may use the instructions.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(__m512);

    impl Vector for Avx512 {
        const LANES: usize = 16;
        const REGISTERS: usize = 32;
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller promises 16 readable floats.
            Self(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller promises 16 writable floats.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: see the type.
            unsafe { _mm512_reduce_add_ps(self.0) }
        }
    }

    /// Eight floats. Values exist only below [`with_avx2`], after detection.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(__m256);

    impl Vector for Avx2 {
        const LANES: usize = 8;
        const REGISTERS: usize = 16;
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller promises 8 readable floats.
            Self(unsafe { _mm256_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller promises 8 writable floats.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: see the type.
            unsafe {
                let quarter = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps(self.0, 1));
                let pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
                _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1)))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::Vector;
    use std::arch::aarch64::*;

    /// Four floats.
    #[derive(Clone, Copy)]
    pub(super) struct Neon(float32x4_t);

    impl Vector for Neon {
        const LANES: usize = 4;
        const REGISTERS: usize = 32;
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: NEON is always there on aarch64.
            Self(unsafe { vdupq_n_f32(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller promises 4 readable floats.
            Self(unsafe { vld1q_f32(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller promises 4 writable floats.
            unsafe { vst1q_f32(to, self.0) }
        }
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: NEON is always there on aarch64.
            Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: NEON is always there on aarch64.
            unsafe { vaddvq_f32(self.0) }
        }
    }
}
