//! Baselines that know only the last token.

/// Unigram and bigram of token streams, for bits of other streams.
pub struct Ngram {
    size: usize,
    unigram: Vec<f64>,
    /// Counts of pairs, `[first, second]`.
    pairs: std::collections::HashMap<(u32, u32), f64>,
    /// Pairs that begin with each token.
    firsts: Vec<f64>,
    total: f64,
    weight: f64,
}

impl Ngram {
    /// Counts of streams over `size` tokens, with the share of the bigram that suits `tuning` best.
    pub fn fit<'a>(size: usize, train: impl Iterator<Item = &'a [u32]>, tuning: &[&[u32]]) -> Self {
        let mut n = Self {
            size,
            unigram: vec![0.0; size],
            pairs: Default::default(),
            firsts: vec![0.0; size],
            total: 0.0,
            weight: 0.5,
        };
        for stream in train {
            for token in stream {
                n.unigram[*token as usize] += 1.0;
                n.total += 1.0;
            }
            for pair in stream.windows(2) {
                *n.pairs.entry((pair[0], pair[1])).or_insert(0.0) += 1.0;
                n.firsts[pair[0] as usize] += 1.0;
            }
        }
        let mut best = f64::INFINITY;
        for step in 0..20 {
            let weight = f64::from(step) / 20.0;
            let bits = tuning.iter().map(|s| n.bits_with(s, weight) * s.len() as f64).sum::<f64>();
            if bits < best {
                (best, n.weight) = (bits, weight);
            }
        }
        n
    }

    fn unigram_probability(&self, token: u32) -> f64 {
        (self.unigram[token as usize] + 1.0) / (self.total + self.size as f64)
    }

    fn bits_with(&self, stream: &[u32], weight: f64) -> f64 {
        let mut bits = 0.0;
        for (i, token) in stream.iter().enumerate() {
            let base = self.unigram_probability(*token);
            let p = match i.checked_sub(1).map(|j| stream[j]) {
                Some(before) if self.firsts[before as usize] > 0.0 => {
                    let pair = self.pairs.get(&(before, *token)).copied().unwrap_or(0.0);
                    weight * pair / self.firsts[before as usize] + (1.0 - weight) * base
                }
                _ => base,
            };
            bits -= p.max(1e-12).log2();
        }
        bits / stream.len().max(1) as f64
    }

    /// Mean bits a token by the interpolated bigram.
    pub fn bigram_bits(&self, stream: &[u32]) -> f64 {
        self.bits_with(stream, self.weight)
    }

    /// Mean bits a token by the unigram.
    pub fn unigram_bits(&self, stream: &[u32]) -> f64 {
        self.bits_with(stream, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bigram_knows_an_alternation_and_a_unigram_does_not() {
        let stream: Vec<u32> = (0..2000).map(|i| i % 2).collect();
        let n = Ngram::fit(2, std::iter::once(stream.as_slice()), &[&stream]);
        assert!((n.unigram_bits(&stream) - 1.0).abs() < 1e-3);
        assert!(n.bigram_bits(&stream) < 0.1, "{}", n.bigram_bits(&stream));
    }
}
