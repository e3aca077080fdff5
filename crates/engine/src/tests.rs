//! What the tests of several kernels need.

/// A small generator: the same numbers on every machine.
pub(crate) struct Numbers(pub u64);

impl Numbers {
    /// Between -1 and 1.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
    pub fn many(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| scale * self.next()).collect()
    }
    pub fn below(&mut self, bound: usize) -> usize {
        (((self.next() + 1.0) * 0.5 * bound as f32) as usize).min(bound - 1)
    }
    pub fn tokens(&mut self, count: usize, vocab: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(vocab) as u32).collect()
    }
}
