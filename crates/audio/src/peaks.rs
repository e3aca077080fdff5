//! The waveform overview a page draws: lowest and highest sample per bucket.

/// Lowest and highest sample of one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Lowest sample.
    pub min: f32,
    /// Highest sample.
    pub max: f32,
}

/// Cuts `samples` into `buckets` equal parts and returns the extremes of each.
///
/// Always `buckets` long, unless there are no samples. With fewer samples than buckets, neighbours repeat.
pub fn waveform_peaks(samples: &[f32], buckets: usize) -> Vec<Peak> {
    if samples.is_empty() {
        return Vec::new();
    }
    let edge = |bucket: usize| (bucket as u128 * samples.len() as u128 / buckets.max(1) as u128) as usize;
    (0..buckets)
        .map(|bucket| {
            let start = edge(bucket);
            let end = edge(bucket + 1).max(start + 1);
            let part = samples.get(start..end).unwrap_or_default();
            let (min, max) = part
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &sample| (min.min(sample), max.max(sample)));
            Peak { min, max }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_under_one_bucket() {
        let samples: Vec<f32> =
            (0..1000).map(|index| if index == 777 { -1.0 } else { index as f32 / 1000.0 }).collect();
        let peaks = waveform_peaks(&samples, 10);
        assert_eq!(peaks.len(), 10);
        assert_eq!(peaks[0], Peak { min: 0.0, max: 0.099 });
        assert_eq!(peaks[7], Peak { min: -1.0, max: 0.799 });
    }

    #[test]
    fn more_buckets_than_samples_repeat_them() {
        let peaks = waveform_peaks(&[0.25, -0.5], 4);
        assert_eq!(peaks.iter().map(|peak| peak.max).collect::<Vec<_>>(), [0.25, 0.25, -0.5, -0.5]);
        assert!(waveform_peaks(&[], 4).is_empty());
        assert!(waveform_peaks(&[1.0], 0).is_empty());
    }
}
