//! What a codebook's tokens cost, and how much of that is used.

use serde::Serialize;

/// Use of one level's codebook over many tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CodebookUse {
    /// Tokens counted.
    pub tokens: u64,
    /// Bits a second: tokens a second times the logarithm of the codebook's size.
    pub bit_rate: f64,
    /// Entropy of the tokens' distribution, in bits a token.
    pub entropy: f64,
    /// Two to the power of the entropy: how many entries are in effective use.
    pub perplexity: f64,
    /// Share of the entries that occur.
    pub used: f64,
    /// Entropy over the logarithm of the size: 1 if all entries are equally frequent.
    pub efficiency: f64,
}

impl CodebookUse {
    /// From how often each entry occurs.
    #[must_use]
    pub fn of(counts: &[u64], tokens_a_second: f64) -> Self {
        let tokens: u64 = counts.iter().sum();
        let share = |count: &u64| *count as f64 / tokens.max(1) as f64;
        let entropy: f64 = counts.iter().filter(|c| **c > 0).map(|c| share(c) * share(c).recip().log2()).sum();
        let most = (counts.len().max(1) as f64).log2();
        Self {
            tokens,
            bit_rate: tokens_a_second * most,
            entropy,
            perplexity: entropy.exp2(),
            used: counts.iter().filter(|c| **c > 0).count() as f64 / counts.len().max(1) as f64,
            efficiency: if most > 0.0 { entropy / most } else { 1.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_codebook_is_efficient_and_a_collapsed_one_is_not() {
        let even = CodebookUse::of(&[5; 1024], 86.0);
        assert!((even.entropy - 10.0).abs() < 1e-9 && (even.efficiency - 1.0).abs() < 1e-9);
        assert!((even.bit_rate - 860.0).abs() < 1e-9 && (even.perplexity - 1024.0).abs() < 1e-6);
        let mut collapsed = [0; 1024];
        collapsed[3] = 7;
        let collapsed = CodebookUse::of(&collapsed, 86.0);
        assert_eq!((collapsed.entropy, collapsed.used), (0.0, 1.0 / 1024.0));
        assert_eq!(CodebookUse::of(&[0; 4], 1.0).entropy, 0.0);
    }
}
