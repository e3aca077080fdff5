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
    /// The Vendi score (Friedman and Dieng 2023): how many altogether different songs the set is worth, 1 to `songs`.
    pub vendi: f64,
}

/// Compares songs by their mean feature vectors, from which the mean of `reference` is taken away.
#[must_use]
pub fn diversity(songs: &[Windows], reference: &[Windows]) -> Diversity {
    let filled: Vec<Vec<f64>> = songs.iter().filter(|s| !s.is_empty()).map(Windows::mean).collect();
    let (n, width) = (filled.len(), filled.first().map_or(0, Vec::len));
    let (mut middle, mut windows) = (vec![0.0; width], 0.0);
    for song in reference {
        let count = song.len() as f64;
        windows += count;
        middle.iter_mut().zip(song.mean()).for_each(|(m, x)| *m += count * x);
    }
    let units: Vec<Vec<f64>> = filled
        .iter()
        .map(|mean| {
            let away: Vec<f64> = mean.iter().zip(&middle).map(|(x, m)| x - m / f64::max(windows, 1.0)).collect();
            let norm = away.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            away.iter().map(|x| x / norm).collect()
        })
        .collect();
    diversity_of(&units, n)
}

fn diversity_of(units: &[Vec<f64>], n: usize) -> Diversity {
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let kernel: Vec<f64> = units.iter().flat_map(|a| units.iter().map(move |b| cosine(a, b))).collect();
    let off: f64 = kernel.iter().enumerate().filter(|(at, _)| at / n != at % n).map(|(_, k)| 1.0 - k).sum();
    let scaled: Vec<f64> = kernel.iter().map(|k| k / n as f64).collect();
    let entropy: f64 = eigen(&scaled, n).values.iter().filter(|v| **v > 0.0).map(|v| -v * v.ln()).sum();
    Diversity { songs: n, pairs: off / (n * n.saturating_sub(1)).max(1) as f64, vendi: entropy.exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_songs_are_worth_one_and_orthogonal_ones_all() {
        let unit = |i: usize| (0..4).map(|j| f64::from(i == j)).collect::<Vec<f64>>();
        let different = diversity_of(&(0..4).map(unit).collect::<Vec<_>>(), 4);
        assert!((different.vendi - 4.0).abs() < 1e-9 && (different.pairs - 1.0).abs() < 1e-12);
        let equal = diversity_of(&vec![unit(1); 4], 4);
        assert!((equal.vendi - 1.0).abs() < 1e-6 && equal.pairs.abs() < 1e-12, "{equal:?}");
    }
}
