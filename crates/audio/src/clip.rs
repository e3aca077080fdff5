//! Sound in memory.

/// Planar sound: `channels[channel][time]`, nominally in `[-1, 1]`, at `sample_rate` hertz.
///
/// All channels should be equally long; where they are not, only the frames that every channel has count.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Samples by channel; stereo is left, right.
    pub channels: Vec<Vec<f32>>,
    /// Frames per second.
    pub sample_rate: u32,
}

impl Clip {
    /// A one-channel clip.
    pub fn from_mono(samples: Vec<f32>, sample_rate: u32) -> Self {
        Self { channels: vec![samples], sample_rate }
    }

    /// `frames` frames of silence in `channels` channels.
    pub fn silence(channels: usize, frames: usize, sample_rate: u32) -> Self {
        Self { channels: vec![vec![0.0; frames]; channels], sample_rate }
    }

    /// Number of frames (samples per channel).
    pub fn len(&self) -> usize {
        self.channels.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Whether there is no frame at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length in seconds; 0 for a clip without a sample rate.
    pub fn duration_seconds(&self) -> f64 {
        if self.sample_rate == 0 { 0.0 } else { self.len() as f64 / f64::from(self.sample_rate) }
    }

    /// The mean of all channels.
    pub fn mono(&self) -> Vec<f32> {
        match self.channels.as_slice() {
            [only] => only.clone(),
            channels => {
                let scale = 1.0 / channels.len().max(1) as f32;
                let mut sum = vec![0.0; self.len()];
                for channel in channels {
                    for (total, sample) in sum.iter_mut().zip(channel) {
                        *total += sample * scale;
                    }
                }
                sum
            }
        }
    }

    /// One channel from stereo: `mix * left + (1 - mix) * right`, with `mix` limited to `[0, 1]`.
    ///
    /// A random `mix` per example is Jukebox's down-mix augmentation (Dhariwal et al. 2020, appendix B).
    /// Clips that are not stereo give their [`mono`](Self::mono) mean.
    pub fn mix(&self, mix: f32) -> Vec<f32> {
        match self.channels.as_slice() {
            [left, right] => {
                let mix = mix.clamp(0.0, 1.0);
                left.iter().zip(right).map(|(left, right)| mix * left + (1.0 - mix) * right).collect()
            }
            _ => self.mono(),
        }
    }

    /// Frames `start..end`; bounds beyond the clip are moved to its end.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let end = end.min(self.len());
        let start = start.min(end);
        let channels = self.channels.iter().map(|channel| channel.get(start..end).unwrap_or_default().to_vec());
        Self { channels: channels.collect(), sample_rate: self.sample_rate }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn stereo() -> Clip {
        Clip { channels: vec![vec![1.0, 0.5, 0.0], vec![0.0, -0.5, 1.0]], sample_rate: 2 }
    }

    #[test]
    fn mono_is_the_mean_and_mix_weighs_left_against_right() {
        assert_eq!(stereo().mono(), [0.5, 0.0, 0.5]);
        assert_eq!(stereo().mix(1.0), stereo().channels[0]);
        assert_eq!(stereo().mix(0.0), stereo().channels[1]);
        assert_eq!(stereo().mix(0.25), [0.25, -0.25, 0.75]);
        assert_eq!(Clip::from_mono(vec![0.3], 2).mix(0.9), [0.3]);
    }

    #[test]
    fn slices_stay_inside_the_clip() {
        assert_eq!(stereo().slice(1, 2).channels, [[0.5], [-0.5]]);
        assert_eq!(stereo().slice(2, 99).len(), 1);
        assert!(stereo().slice(7, 3).is_empty());
        assert_eq!(stereo().duration_seconds(), 1.5);
        assert_eq!(Clip::silence(2, 5, 0).duration_seconds(), 0.0);
    }
}
