//! In what numbers weights are kept.

use crate::lanes::{Block, LANES, Simd};

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

/// Sixteen weights in memory. They never lie across two cache lines.
pub(super) trait Weights: Copy + Send + Sync {
    /// Nothing but zeros.
    const ZERO: Self;
    /// What the weights of an output are kept as multiples of.
    fn scale(_largest: f32) -> f32 {
        1.0
    }
    /// Puts a weight, divided by its output's scale, into a lane.
    fn put(&mut self, lane: usize, weight: f32);
    /// The weights, divided by their outputs' scales.
    fn load<S: Simd>(&self, simd: S) -> S::V;
    /// All of them as `f32`, in `room` if they must be.
    #[inline(always)]
    fn unpack<'a, S: Simd>(simd: S, packed: &'a [Self], room: &'a mut Vec<Whole>) -> &'a [Whole] {
        if room.len() < packed.len() {
            room.resize(packed.len(), Whole::ZERO);
        }
        for (to, from) in room.iter_mut().zip(packed) {
            simd.store(from.load(simd), &mut to.0);
        }
        &room[..packed.len()]
    }
}

/// As they are.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Whole(pub Block);

/// The upper halves.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(super) struct Half([u16; LANES]);

/// Multiples of a scale.
#[derive(Debug, Clone, Copy)]
#[repr(align(16))]
pub(super) struct Byte([i8; LANES]);

impl Weights for Whole {
    const ZERO: Self = Self([0.0; LANES]);
    fn put(&mut self, lane: usize, weight: f32) {
        self.0[lane] = weight;
    }
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S) -> S::V {
        simd.load(&self.0)
    }
    #[inline(always)]
    fn unpack<'a, S: Simd>(_: S, packed: &'a [Self], _: &'a mut Vec<Whole>) -> &'a [Whole] {
        packed
    }
}

impl Weights for Half {
    const ZERO: Self = Self([0; LANES]);
    fn put(&mut self, lane: usize, weight: f32) {
        let bits = weight.to_bits();
        self.0[lane] = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    }
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S) -> S::V {
        simd.load_bf16(&self.0)
    }
}

impl Weights for Byte {
    const ZERO: Self = Self([0; LANES]);
    fn scale(largest: f32) -> f32 {
        let scale = largest / 127.0;
        // Below that, a weight divided by it may be infinite; all of them are nothing beside the bias.
        if scale >= f32::MIN_POSITIVE { scale } else { 1.0 }
    }
    fn put(&mut self, lane: usize, weight: f32) {
        self.0[lane] = weight.round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S) -> S::V {
        simd.load_i8(&self.0)
    }
}
