//! Short convolutions with fewer products: Winograd's minimal filtering in one dimension.
//!
//! A convolution with three taps makes one output of three products. Four neighbouring outputs together need six
//! instead of twelve: six sums of the six inputs that they see, each times one sum of the taps, and four sums of the
//! six products (Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308, F(4, 3) with the points 0, ±1, ±2 and infinity).
//! With many channels the sums cost little: they are made once a channel, the products once a pair of channels.

use crate::lanes::Simd;

/// How [`OUTPUTS`](Self::OUTPUTS) outputs are made of [`INPUTS`](Self::INPUTS) inputs.
pub(super) trait Filter {
    /// Outputs made together.
    const OUTPUTS: usize;
    /// Inputs that they see.
    const INPUTS: usize;
    /// Products, each of a part of the inputs in their order.
    const PRODUCTS: usize;
    /// What the inputs are multiplied with instead of three taps; the first [`INPUTS`](Self::INPUTS) are used.
    fn taps(taps: [f32; 3]) -> [f32; 6];
    /// What the products take instead of the inputs, in their place.
    fn inputs<S: Simd>(simd: S, x: &mut [S::V; 6]);
    /// The outputs, made of the products.
    fn outputs<S: Simd>(simd: S, m: &[S::V; 6]) -> [S::V; 4];
}

/// One output: the definition, as one product over three inputs.
pub(super) struct One;

/// Four outputs of six products.
pub(super) struct Four;

impl Filter for One {
    const OUTPUTS: usize = 1;
    const INPUTS: usize = 3;
    const PRODUCTS: usize = 1;

    fn taps([a, b, c]: [f32; 3]) -> [f32; 6] {
        [a, b, c, 0.0, 0.0, 0.0]
    }

    #[inline(always)]
    fn inputs<S: Simd>(_: S, _: &mut [S::V; 6]) {}

    #[inline(always)]
    fn outputs<S: Simd>(_: S, m: &[S::V; 6]) -> [S::V; 4] {
        [m[0]; 4]
    }
}

impl Filter for Four {
    const OUTPUTS: usize = 4;
    const INPUTS: usize = 6;
    const PRODUCTS: usize = 6;

    fn taps(taps: [f32; 3]) -> [f32; 6] {
        let [a, b, c] = taps.map(f64::from);
        let (outer, far) = ((a + c) / 6.0, a / 24.0 + c / 6.0);
        [a / 4.0, -outer - b / 6.0, -outer + b / 6.0, far + b / 12.0, far - b / 12.0, c].map(|tap| tap as f32)
    }

    #[inline(always)]
    fn inputs<S: Simd>(simd: S, x: &mut [S::V; 6]) {
        let [a, b, c, d, e, f] = *x;
        let (two, four) = (simd.splat(2.0), simd.splat(4.0));
        let (minus_four, minus_five) = (simd.splat(-4.0), simd.splat(-5.0));
        // 4a - 5c + e, and the same one place on.
        let first = simd.mul_add(four, a, simd.mul_add(minus_five, c, e));
        let last = simd.mul_add(four, b, simd.mul_add(minus_five, d, f));
        // e - 4c ± (d - 4b), e - c ± 2(d - b).
        let (even, odd) = (simd.mul_add(minus_four, c, e), simd.mul_add(minus_four, b, d));
        let (even_far, odd_far) = (simd.sub(e, c), simd.mul(two, simd.sub(d, b)));
        let (near, far) =
            ([simd.add(even, odd), simd.sub(even, odd)], [simd.add(even_far, odd_far), simd.sub(even_far, odd_far)]);
        *x = [first, near[0], near[1], far[0], far[1], last];
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, m: &[S::V; 6]) -> [S::V; 4] {
        let (two, four, eight) = (simd.splat(2.0), simd.splat(4.0), simd.splat(8.0));
        let (near, far) = (simd.add(m[1], m[2]), simd.add(m[3], m[4]));
        let (near_odd, far_odd) = (simd.sub(m[1], m[2]), simd.sub(m[3], m[4]));
        [
            simd.add(m[0], simd.add(near, far)),
            simd.mul_add(two, far_odd, near_odd),
            simd.mul_add(four, far, near),
            simd.mul_add(eight, far_odd, simd.add(near_odd, m[5])),
        ]
    }
}
