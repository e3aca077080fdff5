//! The distance of one set of songs to another, with what it would be without end, and song by song.

use crate::EvaluateError;
use crate::features::Windows;
use crate::gaussian::{Gaussian, Reference};
use orchestrion_data::Draw;
use serde::Serialize;

/// Sizes at which the distance is measured for the extrapolation.
const SIZES: usize = 8;
/// Draws at each size, whose mean counts: a single one depends too much on a few far windows.
const DRAWS: u64 = 5;
/// The smallest of them where there are windows enough.
const LEAST: usize = 256;

/// How far a set of songs is from a reference.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Distance {
    /// Fréchet distance of all windows.
    pub distance: f64,
    /// What it would be with windows without end; only with enough windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infinite: Option<Extrapolation>,
    /// Windows of the reference.
    pub reference_windows: usize,
    /// Windows of the set.
    pub windows: usize,
}

/// The line `distance = value + slope / windows`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Extrapolation {
    /// At windows without end.
    pub value: f64,
    /// How the distance grows with `1 / windows`.
    pub slope: f64,
    /// How well the line fits, 1 at best.
    pub r2: f64,
}

/// The distance of songs to a reference.
///
/// # Errors
/// If the songs have fewer than two windows together.
pub fn distance(reference: &Reference, songs: &[Windows]) -> Result<Distance, EvaluateError> {
    let rows: Vec<&[f32]> = songs.iter().flat_map(Windows::rows).collect();
    let all = Gaussian::fit(rows.iter().copied())?;
    Ok(Distance {
        distance: reference.distance(&all),
        infinite: extrapolate(reference, &rows)?,
        reference_windows: reference.count(),
        windows: rows.len(),
    })
}

/// Each song's own distance to a reference (Gui et al. 2024, per-song FAD): large ones are outliers. `None` for songs of
/// fewer than two windows.
#[must_use]
pub fn per_song(reference: &Reference, songs: &[Windows]) -> Vec<Option<f64>> {
    songs.iter().map(|song| Gaussian::fit(song.rows()).ok().map(|g| reference.distance(&g))).collect()
}

/// Draws windows with replacement at growing sizes and fits a line in `1 / size` (Chong and Forsyth 2020; Gui et al.
/// 2024). `None` below 40 windows.
fn extrapolate(reference: &Reference, rows: &[&[f32]]) -> Result<Option<Extrapolation>, EvaluateError> {
    let most = rows.len();
    if most < 40 {
        return Ok(None);
    }
    let least = (most / 4).min(LEAST);
    let mut points = Vec::with_capacity(SIZES);
    for step in 0..SIZES {
        let size = least + (most - least) * step / (SIZES - 1);
        let mut sum = 0.0;
        for row in 0..DRAWS {
            let mut draw = Draw::new("windows of a distance", 0, step as u64, row);
            let drawn: Vec<&[f32]> = (0..size).map(|_| rows[draw.below(most as u64) as usize]).collect();
            sum += reference.distance(&Gaussian::fit(drawn.into_iter())?);
        }
        points.push((1.0 / size as f64, sum / DRAWS as f64));
    }
    Ok(Some(line(&points)))
}

/// Least squares.
fn line(points: &[(f64, f64)]) -> Extrapolation {
    let n = points.len().max(1) as f64;
    let (mx, my) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        (xx, xy, yy) = (xx + (x - mx).powi(2), xy + (x - mx) * (y - my), yy + (y - my).powi(2));
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    let r2 = if xx > 0.0 && yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
    Extrapolation { value: my - slope * mx, slope, r2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found() {
        let points: Vec<(f64, f64)> = (1..9).map(|i| (1.0 / f64::from(i), 2.0 + 3.0 / f64::from(i))).collect();
        let fit = line(&points);
        assert!((fit.value - 2.0).abs() < 1e-12 && (fit.slope - 3.0).abs() < 1e-12 && (fit.r2 - 1.0).abs() < 1e-12);
    }
}
