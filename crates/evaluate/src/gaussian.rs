//! Sets of feature vectors as Gaussians, and the Fréchet distance between two of them.

use crate::EvaluateError;
use crate::symmetric::{eigen, product};

/// Mean and covariance of feature vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// Vectors it was fitted to.
    pub count: usize,
    mean: Vec<f64>,
    /// `[width, width]`, divided by `count - 1`.
    covariance: Vec<f64>,
}

impl Gaussian {
    /// Fits vectors of equal width, in `f64`.
    ///
    /// # Errors
    /// With fewer than two vectors, or if their widths differ.
    pub fn fit<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone) -> Result<Self, EvaluateError> {
        let count = rows.clone().count();
        let width = rows.clone().next().map_or(0, <[f32]>::len);
        if count < 2 || width == 0 || rows.clone().any(|row| row.len() != width) {
            return Err(EvaluateError::Nothing(format!(
                "{count} feature vectors have no covariance; hint: give at least two seconds of sound"
            )));
        }
        let mut mean = vec![0.0; width];
        for row in rows.clone() {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / count as f64);
        }
        let mut covariance = vec![0.0; width * width];
        let mut centred = vec![0.0; width];
        for row in rows {
            centred.iter_mut().zip(row.iter().zip(&mean)).for_each(|(c, (x, m))| *c = f64::from(*x) - m);
            for (out, x) in covariance.chunks_exact_mut(width).zip(&centred) {
                out.iter_mut().zip(&centred).for_each(|(out, y)| *out += x * y);
            }
        }
        covariance.iter_mut().for_each(|c| *c /= (count - 1) as f64);
        Ok(Self { count, mean, covariance })
    }

    fn trace(&self) -> f64 {
        self.covariance.iter().step_by(self.mean.len() + 1).sum()
    }
}

/// A Gaussian to which others are compared: the root of its covariance is taken once.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    gaussian: Gaussian,
    root: Vec<f64>,
}

impl Reference {
    /// Takes the root.
    #[must_use]
    pub fn new(gaussian: Gaussian) -> Self {
        let parts = eigen(&gaussian.covariance, gaussian.mean.len());
        Self { root: parts.with(|value| value.max(0.0).sqrt()), gaussian }
    }

    /// Vectors it was fitted to.
    #[must_use]
    pub fn count(&self) -> usize {
        self.gaussian.count
    }

    /// `|μ₁ - μ₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)` (Dowson and Landau 1982), the trace of the root as the sum of the roots
    /// of the eigenvalues of `√C₁ C₂ √C₁`, which is symmetric: stable where covariances have no full rank. 0 for equal
    /// Gaussians; not a number for other widths.
    #[must_use]
    pub fn distance(&self, other: &Gaussian) -> f64 {
        let width = self.gaussian.mean.len();
        if other.mean.len() != width {
            return f64::NAN;
        }
        let apart: f64 = self.gaussian.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let inner = product(&product(&self.root, &other.covariance, width), &self.root, width);
        let root: f64 = eigen(&inner, width).values.iter().map(|value| value.max(0.0).sqrt()).sum();
        (apart + self.gaussian.trace() + other.trace() - 2.0 * root).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use orchestrion_data::Draw;

    fn cloud(count: usize, width: usize, scale: f32, shift: f32) -> Vec<Vec<f32>> {
        let mut draw = Draw::new("cloud", 1, 0, 0);
        (0..count)
            .map(|_| (0..width).map(|i| scale * (draw.unit() as f32 - 0.5) * (i + 1) as f32 + shift).collect())
            .collect()
    }

    fn fit(rows: &[Vec<f32>]) -> Gaussian {
        Gaussian::fit(rows.iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn equal_sets_are_0_apart_and_a_shift_counts_squared() {
        // Fewer vectors than channels: the covariance has no full rank.
        let (here, there) = (cloud(12, 20, 1.0, 0.0), cloud(12, 20, 1.0, 0.5));
        let reference = Reference::new(fit(&here));
        assert!(reference.distance(&fit(&here)) < 1e-5, "{}", reference.distance(&fit(&here)));
        let shifted = reference.distance(&fit(&there));
        assert!((shifted - 20.0 * 0.25).abs() < 1e-4, "{shifted}");
        // Twice as wide around the same mean: tr C (1 - 2)^2.
        let centred = |rows: &[Vec<f32>], factor: f32| {
            let mean: Vec<f32> = (0..20).map(|i| rows.iter().map(|r| r[i]).sum::<f32>() / rows.len() as f32).collect();
            rows.iter().map(|r| r.iter().zip(&mean).map(|(x, m)| m + factor * (x - m)).collect()).collect::<Vec<_>>()
        };
        let wide = reference.distance(&fit(&centred(&here, 2.0)));
        assert!((wide / fit(&here).trace() - 1.0).abs() < 1e-4, "{wide}");
        assert!(Gaussian::fit(here.iter().take(1).map(Vec::as_slice)).unwrap_err().to_string().contains("hint"));
    }
}
