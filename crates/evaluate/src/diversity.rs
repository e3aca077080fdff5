//! How much songs differ from each other.

use crate::features::Windows;
use crate::symmetric::eigen;
use serde::Serialize;

/// Diversity of a set of songs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Diversity {
    /// Songs compared.
    pub songs: usize,
    /// Mean cosine distance of pairs of songs, 0 for equal ones.
    pub pairs: f64,
    /// The Vendi score (Friedman and Dieng 2023): 1 for one song again and again, growing with the
    /// number of different songs.
    pub vendi: f64,
}

/// Compares songs by their mean feature vectors: `(1 + cosine) / 2` is how alike two are.
#[must_use]
pub fn diversity(songs: &[Windows]) -> Diversity {
    let unit = |song: &Windows| {
        let mean = song.mean();
        let norm = mean.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        mean.iter().map(|x| x / norm).collect()
    };
    diversity_of(&songs.iter().filter(|s| !s.is_empty()).map(unit).collect::<Vec<_>>())
}

fn diversity_of(units: &[Vec<f64>]) -> Diversity {
    let n = units.len();
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let kernel: Vec<f64> = units.iter().flat_map(|a| units.iter().map(move |b| cosine(a, b))).collect();
    let off: f64 = kernel.iter().enumerate().filter(|(at, _)| at / n != at % n).map(|(_, k)| 1.0 - k).sum();
    let scaled: Vec<f64> = kernel.iter().map(|k| 0.5 * (1.0 + k) / n as f64).collect();
    let entropy: f64 = eigen(&scaled, n).values.iter().filter(|v| **v > 0.0).map(|v| -v * v.ln()).sum();
    Diversity { songs: n, pairs: off / (n * n.saturating_sub(1)).max(1) as f64, vendi: entropy.exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_songs_are_worth_one_and_opposite_ones_two() {
        let unit = |i: usize, sign: f64| (0..4).map(|j| if i == j { sign } else { 0.0 }).collect::<Vec<f64>>();
        let equal = diversity_of(&vec![unit(1, 1.0); 4]);
        assert!((equal.vendi - 1.0).abs() < 1e-6 && equal.pairs.abs() < 1e-12, "{equal:?}");
        let opposite = diversity_of(&[unit(1, 1.0), unit(1, -1.0)]);
        assert!((opposite.vendi - 2.0).abs() < 1e-9 && (opposite.pairs - 2.0).abs() < 1e-12, "{opposite:?}");
        assert_eq!(diversity_of(&[]).songs, 0);
    }
}
