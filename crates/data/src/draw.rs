//! Random numbers that are a pure function of where they are needed.

/// Odd constant of the golden ratio: consecutive multiples of it are spread evenly over 64 bits.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A short stream of random numbers for one `(purpose, seed, step, row)`.
///
/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) started at a hash of
/// the four. No state is carried from one step to the next, so a resumed run draws what the first one would have.
#[derive(Debug, Clone)]
pub struct Draw {
    state: u64,
}

impl Draw {
    /// Starts the stream of a place. `purpose` keeps uses with the same seed apart.
    #[must_use]
    pub fn new(purpose: &str, seed: u64, step: u64, row: u64) -> Self {
        let purpose = purpose.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        let state = [seed, step, row].iter().fold(purpose, |hash, &part| mix(hash ^ part));
        Self { state }
    }

    /// A number of 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STRIDE);
        finish(self.state)
    }

    /// A uniform number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        // 53 bits: what a f64 holds exactly.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A uniform whole number below `end`; 0 if `end` is 0. The bias, `end / 2^64`, is beyond measuring for any
    /// number of samples or tokens.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }
}

fn mix(value: u64) -> u64 {
    finish(value.wrapping_add(STRIDE))
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_independent_and_numbers_uniform() {
        let mut counts = [0_u32; 10];
        let mut sum = 0.0;
        for step in 0..1000 {
            for row in 0..10 {
                let mut draw = Draw::new("test", 1, step, row);
                if let Some(count) = counts.get_mut(draw.below(10) as usize) {
                    *count += 1;
                }
                sum += draw.unit();
            }
        }
        // Ten standard deviations of a binomial of 10 000 draws at 0.1 are 300.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 300), "{counts:?}");
        assert!((sum / 10_000.0 - 0.5).abs() < 0.03, "{sum}");
        let first = |purpose, seed, step, row| Draw::new(purpose, seed, step, row).bits();
        let base = first("a", 1, 2, 3);
        for other in [first("b", 1, 2, 3), first("a", 2, 1, 3), first("a", 1, 3, 2), first("a", 3, 2, 1)] {
            assert_ne!(base, other);
        }
        assert_eq!(base, first("a", 1, 2, 3));
        assert_eq!(Draw::new("a", 0, 0, 0).below(0), 0);
        assert_eq!(Draw::new("a", 0, 0, 0).below(1), 0);
    }

    /// The algorithm is part of what makes a run repeatable: these numbers must never change.
    #[test]
    fn numbers_are_the_same_for_ever() {
        // The first outputs of SplitMix64 from state 0, as published.
        let mut draw = Draw { state: 0 };
        assert_eq!(draw.bits(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(draw.bits(), 0x6e78_9e6a_a1b9_65f4);
    }
}
