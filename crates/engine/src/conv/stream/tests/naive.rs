//! The definitions, in `f64`.

use super::Taps;

/// Rows of samples.
pub struct Song {
    pub rows: Vec<Vec<f64>>,
}

impl Song {
    pub fn new(channels: usize, samples: &[f32]) -> Self {
        let rows = samples.chunks_exact(samples.len() / channels);
        Self { rows: rows.map(|row| row.iter().copied().map(f64::from).collect()).collect() }
    }

    fn time(&self) -> usize {
        self.rows[0].len()
    }

    fn made(taps: &Taps, time: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let row = |(output, bias): (usize, &f32)| (0..time).map(|t| f64::from(*bias) + value(output, t)).collect();
        Self { rows: taps.bias.iter().enumerate().map(row).collect() }
    }

    fn at(&self, channel: usize, t: isize, relu: bool) -> f64 {
        let value = usize::try_from(t).ok().and_then(|t| self.rows[channel].get(t)).copied().unwrap_or(0.0);
        if relu { value.max(0.0) } else { value }
    }

    pub fn convolved(&self, taps: &Taps, dilation: usize, relu: bool) -> Self {
        let kernel = taps.weight.len() / taps.bias.len() / self.rows.len();
        Self::made(taps, self.time(), |output, t| {
            let pairs = (0..self.rows.len()).flat_map(|input| (0..kernel).map(move |k| (input, k)));
            let term = |(input, k): (usize, usize)| {
                let weight = f64::from(taps.weight[(output * self.rows.len() + input) * kernel + k]);
                weight * self.at(input, t as isize + (k as isize - kernel as isize / 2) * dilation as isize, relu)
            };
            pairs.map(term).sum()
        })
    }

    pub fn strided(&self, taps: &Taps, stride: usize) -> Self {
        Self::made(taps, self.time() / stride, |output, t| {
            let pairs = (0..self.rows.len()).flat_map(|input| (0..2 * stride).map(move |k| (input, k)));
            let term = |(input, k): (usize, usize)| {
                let weight = f64::from(taps.weight[(output * self.rows.len() + input) * 2 * stride + k]);
                weight * self.at(input, (t * stride + k) as isize - stride as isize / 2, false)
            };
            pairs.map(term).sum()
        })
    }

    pub fn transposed(&self, taps: &Taps, stride: usize) -> Self {
        Self::made(taps, self.time() * stride, |output, t| {
            let from = t + stride / 2;
            let pairs = (0..self.rows.len()).flat_map(|input| [0, 1].map(|before| (input, before)));
            let term = |(input, before): (usize, usize)| {
                let tap = before * stride + from % stride;
                let weight = f64::from(taps.weight[(input * taps.bias.len() + output) * 2 * stride + tap]);
                weight * self.at(input, (from / stride) as isize - before as isize, false)
            };
            pairs.map(term).sum()
        })
    }

    pub fn plus(&self, scale: f64, other: &Self) -> Self {
        let rows = self.rows.iter().zip(&other.rows);
        Self { rows: rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + scale * b).collect()).collect() }
    }
}
