//! The random numbers of training: a seed in, the same numbers out, on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014): 64 bits of state, one step a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    state: u64,
    idle: bool,
}

impl Random {
    /// A generator whose numbers depend on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, idle: false }
    }

    /// A generator that does no work, all its numbers are 0: for weights that are about to be read.
    pub fn idle() -> Self {
        Self { state: 0, idle: true }
    }

    /// Whether it does no work.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle
    }

    /// The state: a generator made from it goes on where this one stands.
    pub fn state(&self) -> u64 {
        self.state
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        if self.idle {
            return 0;
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform in `0 .. n`; 0 for `n = 0`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.uniform()).cos()
    }

    /// `count` different numbers below `n` in random order; `count <= n`.
    pub fn choose(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        for i in 0..count.min(n) {
            let j = i + self.below(n - i);
            all.swap(i, j);
        }
        all.truncate(count);
        all
    }
}
