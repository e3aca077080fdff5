//! QuickGELU in place.

use crate::lanes::gelu;
use crate::lanes::{Isa, Kernel, LANES, Simd};

/// Applies QuickGELU to padded rows, in place.
pub(super) fn quick_gelu(isa: Isa, values: &mut [f32]) {
    isa.run(QuickGelu(values));
}

struct QuickGelu<'a>(&'a mut [f32]);

impl Kernel for QuickGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for block in self.0.as_chunks_mut::<LANES>().0 {
            simd.store(gelu::quick_gelu(simd, simd.load(block)), block);
        }
    }
}
