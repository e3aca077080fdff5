//! Waveform peaks as the path of an SVG.

/// The outline of a sound: the lowest and highest sample (-1..=1) of equal stretches of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waveform {
    /// `(minimum, maximum)` of each stretch, in order of time.
    pub peaks: Vec<(f32, f32)>,
}

/// Stretches drawn at most: more than the pixels of a wide page.
const MAX_COLUMNS: usize = 1200;

/// Half the height of a line of silence, so that it stays visible.
const HAIR: f32 = 0.006;

impl Waveform {
    /// The path in a view box of `columns` by 2000 units, the zero line at 1000, and `columns`.
    /// Samples beyond full scale are cut, those that are not finite are silence.
    pub(crate) fn path(&self) -> (String, usize) {
        let group = self.peaks.len().div_ceil(MAX_COLUMNS).max(1);
        let columns: Vec<(f32, f32)> = self.peaks.chunks(group).map(widest).collect();
        let height = |value: f32| (1000.0 - 1000.0 * value).round() as i32;
        let mut path = String::with_capacity(columns.len() * 18);
        for (index, (_, high)) in columns.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{step}{index} {}", height(*high)));
        }
        for (index, (low, _)) in columns.iter().enumerate().rev() {
            path.push_str(&format!("L{index} {}", height(*low)));
        }
        if !path.is_empty() {
            path.push('Z');
        }
        (path, columns.len().saturating_sub(1).max(1))
    }
}

fn widest(peaks: &[(f32, f32)]) -> (f32, f32) {
    let sane = |value: f32| {
        if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 }
    };
    let low = peaks.iter().map(|peak| sane(peak.0)).fold(f32::MAX, f32::min);
    let high = peaks.iter().map(|peak| sane(peak.1)).fold(f32::MIN, f32::max);
    (low.min(-HAIR), high.max(HAIR))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn path_goes_over_the_maxima_and_back_under_the_minima() {
        let waveform = Waveform { peaks: vec![(-0.5, 0.5), (-1.0, 2.0), (f32::NAN, f32::NAN)] };
        let (path, columns) = waveform.path();
        assert_eq!(path, "M0 500L1 0L2 994L2 1006L1 2000L0 1500Z");
        assert_eq!(columns, 2);
    }

    #[test]
    fn long_waveforms_are_pooled_and_empty_ones_are_empty() {
        let long = Waveform { peaks: vec![(-0.1, 0.1); 100_000] };
        assert!(long.path().1 <= MAX_COLUMNS);
        assert_eq!(Waveform::default().path(), (String::new(), 1));
    }
}
