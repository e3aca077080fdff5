//! Which seconds of the training set a song sounds most like.

use crate::features::Windows;
use serde::Serialize;

/// A window of the training set that is near to one of a song.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbour {
    /// Cosine of the two standardised feature vectors, 1 for equal ones.
    pub similarity: f64,
    /// Second of the song.
    pub second: usize,
    /// The training track.
    pub track: usize,
    /// Second of that track.
    pub track_second: usize,
}

/// The windows of a training set, standardised and of unit length.
pub struct Index {
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// Track and second of each window.
    places: Vec<(usize, usize)>,
    units: Vec<f32>,
}

impl Index {
    /// Indexes songs, which go by their numbers.
    #[must_use]
    pub fn new(songs: &[(usize, Windows)]) -> Self {
        let rows = || songs.iter().flat_map(|(_, windows)| windows.rows());
        let width = rows().next().map_or(0, <[f32]>::len);
        let count = rows().count().max(1) as f64;
        let (mut sum, mut square) = (vec![0.0_f64; width], vec![0.0_f64; width]);
        for row in rows() {
            for ((sum, square), x) in sum.iter_mut().zip(&mut square).zip(row) {
                *sum += f64::from(*x);
                *square += f64::from(*x).powi(2);
            }
        }
        let deviation = |(s, q): (&f64, &f64)| (q / count - (s / count).powi(2)).max(0.0).sqrt();
        let scale = sum.iter().zip(&square).map(deviation).map(|d| if d > 0.0 { (1.0 / d) as f32 } else { 0.0 });
        let mut index = Self {
            scale: scale.collect(),
            mean: sum.iter().map(|s| (s / count) as f32).collect(),
            places: Vec::new(),
            units: Vec::new(),
        };
        for (track, windows) in songs {
            for (second, row) in windows.rows().enumerate() {
                index.places.push((*track, second));
                let unit = index.unit(row);
                index.units.extend(unit);
            }
        }
        index
    }

    fn unit(&self, row: &[f32]) -> Vec<f32> {
        let mut unit: Vec<f32> =
            row.iter().zip(self.mean.iter().zip(&self.scale)).map(|(x, (m, s))| (x - m) * s).collect();
        let norm = unit.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        unit.iter_mut().for_each(|x| *x /= norm);
        unit
    }

    /// For every window of a song its nearest one, the nearest first. Tracks for which `leave_out` says so don't count:
    /// a song of the set itself is not its own neighbour.
    pub fn nearest(&self, song: &Windows, leave_out: impl Fn(usize) -> bool) -> Vec<Neighbour> {
        let width = self.mean.len().max(1);
        let mut found: Vec<Neighbour> = Vec::new();
        for (second, row) in song.rows().enumerate() {
            let unit = self.unit(row);
            let mut best: Option<(f32, usize)> = None;
            for (at, other) in self.units.chunks_exact(width).enumerate() {
                let cosine: f32 = unit.iter().zip(other).map(|(a, b)| a * b).sum();
                if best.is_none_or(|(most, _)| cosine > most) && !leave_out(self.places[at].0) {
                    best = Some((cosine, at));
                }
            }
            if let Some((cosine, at)) = best {
                let (track, track_second) = self.places[at];
                found.push(Neighbour { similarity: f64::from(cosine), second, track, track_second });
            }
        }
        found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        found
    }
}
