//! QuickGELU: `x · sigmoid(1.702 x)`.

use crate::lanes::exp::exp;
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
        let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
        for block in self.0.as_chunks_mut::<LANES>().0 {
            let x = simd.load(block);
            let slope = simd.max(simd.mul(x, simd.splat(1.702)), simd.splat(-87.0));
            let denominator = simd.add(one, exp(simd, simd.sub(zero, slope)));
            simd.store(simd.div(x, denominator), block);
        }
    }
}
