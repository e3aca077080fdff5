//! Sixteen floats at a time, with the same result on every machine.
//!
//! A kernel is written once over [`Simd`], whose vectors always have [`LANES`] floats, whatever the registers' size; all
//! operations round as IEEE 754 says, so every instruction set gives the same bits. The value of a `Simd` type is the
//! proof that the machine has the instructions: it comes from detection only. Kernels are therefore safe code:
//! of what they need, `unsafe` stands in this folder alone.

#![allow(unsafe_code)]

pub(crate) mod exp;
pub(crate) mod gelu;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
pub(crate) mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Floats in a vector.
pub(crate) const LANES: usize = 16;

/// A vector in memory.
pub(crate) type Block = [f32; LANES];

/// The smallest multiple of [`LANES`] that is at least `n`: rows are stored padded to it.
pub(crate) fn padded(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

/// Operations on vectors of [`LANES`] floats.
pub(crate) trait Simd: Copy {
    /// A vector.
    type V: Copy;
    /// Whether 24 vectors fit into the registers beside the operands, rather than 6.
    const ROOMY: bool;
    /// All lanes equal.
    fn splat(self, x: f32) -> Self::V;
    /// From memory.
    fn load(self, from: &Block) -> Self::V;
    /// From memory, where each is the upper half of an `f32`.
    fn load_bf16(self, from: &[u16; LANES]) -> Self::V;
    /// From memory, where each is a byte.
    fn load_i8(self, from: &[i8; LANES]) -> Self::V;
    /// Has a line of memory brought near that will soon be read. Any address will do.
    #[inline(always)]
    fn prefetch(self, _at: *const u8) {}
    /// To memory.
    fn store(self, v: Self::V, to: &mut Block);
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a` where `a > b`, else `b`.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// 2 to the power of the integer in the low bits of each lane's bit pattern; between -126 and 127.
    fn power_of_two(self, bits: Self::V) -> Self::V;

    /// Sum of the lanes, by halving.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// Largest lane.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        let mut largest = lanes[0];
        for lane in lanes {
            if lane > largest {
                largest = lane;
            }
        }
        largest
    }
}

/// Work that can be compiled for any instruction set.
///
/// `run` and all it calls must be `#[inline(always)]`, and must not use vectors within closures, which don't inherit the
/// instruction set.
pub(crate) trait Kernel {
    /// What the work gives.
    type Output;
    /// Does the work.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
    /// Plain Rust: the twin that tests compare with, and what runs where there is nothing better.
    Scalar(scalar::Scalar),
}

impl Isa {
    /// All sets of this machine, widest first.
    pub(crate) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            sets.extend(x86::Avx512::detect().map(Self::Avx512));
            sets.extend(x86::Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        sets.extend(neon::Neon::detect().map(Self::Neon));
        sets.push(Self::Scalar(scalar::Scalar));
        sets
    }

    /// The widest set of this machine.
    pub(crate) fn detect() -> Self {
        Self::available().first().copied().unwrap_or(Self::Scalar(scalar::Scalar))
    }

    /// Runs a kernel with this set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx512` exists only where its features were detected.
            Self::Avx512(simd) => unsafe { x86::with_avx512(simd, kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx2` exists only where its features were detected.
            Self::Avx2(simd) => unsafe { x86::with_avx2(simd, kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a `Neon` exists only where the feature was detected.
            Self::Neon(simd) => unsafe { neon::with_neon(simd, kernel) },
            Self::Scalar(simd) => kernel.run(simd),
        }
    }
}
