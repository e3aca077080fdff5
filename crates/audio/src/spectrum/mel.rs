//! Mel bands: frequency as the ear spaces it.

use super::{Spectrogram, Stft, StftSettings};
use crate::AudioError;

/// Mel magnitudes below this count as this before the logarithm.
pub const LOG_MEL_FLOOR: f32 = 1e-5;

const LOG_MEL: StftSettings = StftSettings { n_fft: 2048, hop: 512, window_length: 2048 };
const LOG_MEL_BANDS: usize = 80;
const MAX_BANDS: usize = 4096;

/// Triangular filters on the mel scale of Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above.
/// Each filter has unit area in hertz, so a flat spectrum stays flat.
pub struct MelFilterbank {
    /// Per band: the first bin and the weights from there.
    filters: Vec<(usize, Vec<f32>)>,
}

impl MelFilterbank {
    /// `bands` filters between `low` and `high` hertz over the bins of an `n_fft` transform at `sample_rate`.
    ///
    /// # Errors
    /// No band or more than 4096, no sample rate, `n_fft` below 2, or not `0 <= low < high <= sample_rate / 2`.
    pub fn new(sample_rate: u32, n_fft: usize, bands: usize, low: f64, high: f64) -> Result<Self, AudioError> {
        let bad = |name, value, rule| Err(AudioError::BadSetting { name, value, rule });
        if sample_rate == 0 {
            return bad("sample rate", 0.0, "use a rate such as 22050");
        }
        if n_fft < 2 {
            return bad("n_fft", n_fft as f64, "use at least 2");
        }
        if !(1..=MAX_BANDS).contains(&bands) {
            return bad("number of mel bands", bands as f64, "use 1 to 4096");
        }
        if !(low >= 0.0 && low < high && high <= f64::from(sample_rate) / 2.0) {
            return bad("mel range up to", high, "use 0 <= low < high <= half the sample rate");
        }
        let (low, high) = (to_mel(low), to_mel(high));
        let edge = |index: usize| to_hertz(low + (high - low) * index as f64 / (bands + 1) as f64);
        let bin_width = f64::from(sample_rate) / n_fft as f64;
        let filters = (0..bands).map(|band| triangle(edge(band), edge(band + 1), edge(band + 2), bin_width, n_fft));
        Ok(Self { filters: filters.collect() })
    }

    /// Applies the filters to the `n_fft / 2 + 1` magnitudes of a frame: a value for each band.
    pub fn apply<'a>(&'a self, frame: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.filters.iter().map(|(first, weights)| {
            let covered = frame.get(*first..).unwrap_or_default();
            covered.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>()
        })
    }
}

/// The weights of a filter that rises from `low` to `centre` and falls to `high` (all in hertz).
fn triangle(low: f64, centre: f64, high: f64, bin_width: f64, n_fft: usize) -> (usize, Vec<f32>) {
    let first = (low / bin_width).floor().max(0.0) as usize;
    let last = ((high / bin_width).ceil() as usize).min(n_fft / 2);
    let weights = (first..=last).map(|bin| {
        let hertz = bin as f64 * bin_width;
        let rising = (hertz - low) / (centre - low);
        let falling = (high - hertz) / (high - centre);
        (rising.min(falling).max(0.0) * 2.0 / (high - low)) as f32
    });
    (first, weights.collect())
}

const LINEAR_HERTZ_PER_MEL: f64 = 200.0 / 3.0;
const LOG_FROM_HERTZ: f64 = 1_000.0;
const LOG_FROM_MEL: f64 = LOG_FROM_HERTZ / LINEAR_HERTZ_PER_MEL;

/// Above 1 kHz, 27 mels are a factor of 6.4.
fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn to_mel(hertz: f64) -> f64 {
    if hertz < LOG_FROM_HERTZ {
        hertz / LINEAR_HERTZ_PER_MEL
    } else {
        LOG_FROM_MEL + (hertz / LOG_FROM_HERTZ).ln() / log_step()
    }
}

fn to_hertz(mel: f64) -> f64 {
    if mel < LOG_FROM_MEL {
        mel * LINEAR_HERTZ_PER_MEL
    } else {
        LOG_FROM_HERTZ * ((mel - LOG_FROM_MEL) * log_step()).exp()
    }
}

/// Mel magnitudes of one channel, `[1 + samples / hop, bands]`, not yet logarithmic.
pub(super) fn mel_magnitudes(
    samples: &[f32],
    sample_rate: u32,
    settings: StftSettings,
    bands: usize,
) -> Result<Spectrogram, AudioError> {
    let filters = MelFilterbank::new(sample_rate, settings.n_fft, bands, 0.0, f64::from(sample_rate) / 2.0)?;
    let stft = Stft::new(settings)?;
    let frames = stft.frames(samples.len());
    let mut values = Vec::with_capacity(frames * bands);
    // Frame by frame: the magnitudes of all would take twice the memory of the sound.
    stft.each_frame(samples, |frame| values.extend(filters.apply(frame)));
    Ok(Spectrogram { frames, bins: bands, values })
}

/// `log10` of 80 mel magnitudes from 0 Hz to half the sample rate (n_fft and window 2048, hop 512), with a floor of
/// [`LOG_MEL_FLOOR`]: `[1 + samples / 512, 80]`.
///
/// # Errors
/// The sample rate is 0.
pub fn log_mel(samples: &[f32], sample_rate: u32) -> Result<Spectrogram, AudioError> {
    let mut mel = mel_magnitudes(samples, sample_rate, LOG_MEL, LOG_MEL_BANDS)?;
    for value in &mut mel.values {
        *value = value.max(LOG_MEL_FLOOR).log10();
    }
    Ok(mel)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::sine;
    use super::*;

    #[test]
    fn the_scale_is_slaneys_and_inverts() {
        assert!((to_mel(500.0) - 7.5).abs() < 1e-12);
        assert!((to_mel(6_400.0) - 42.0).abs() < 1e-12);
        for hertz in [0.0, 440.0, 999.9, 1_000.0, 4_321.0, 11_025.0] {
            assert!((to_hertz(to_mel(hertz)) - hertz).abs() < 1e-8);
        }
    }

    #[test]
    fn a_flat_spectrum_gives_equal_bands() {
        let filters = MelFilterbank::new(22_050, 8192, 40, 0.0, 11_025.0).unwrap();
        let bands: Vec<f32> = filters.apply(&[1.0; 4097]).collect();
        let per_bin = 8192.0 / 22_050.0;
        assert!(bands.iter().all(|band| (band / per_bin - 1.0).abs() < 0.01), "{bands:?}");
    }

    #[test]
    fn a_sine_is_loudest_in_the_band_around_it() {
        let mel = log_mel(&sine(2_000.0, 22_050, 22_050), 22_050).unwrap();
        let frame = mel.frame(20);
        let loudest = (0..80).max_by(|a, b| frame[*a].total_cmp(&frame[*b])).unwrap();
        let centre = to_hertz(to_mel(11_025.0) * (loudest + 1) as f64 / 81.0);
        assert!((centre / 2_000.0 - 1.0).abs() < 0.03, "{centre} Hz");
        assert!(log_mel(&[0.0; 100], 22_050).unwrap().values.iter().all(|value| (*value + 5.0).abs() < 1e-6));
    }

    #[test]
    fn bad_settings_are_errors() {
        for (rate, n_fft, bands, low, high) in [
            (0, 2048, 80, 0.0, 1.0),
            (22_050, 0, 80, 0.0, 1.0),
            (22_050, 2048, 0, 0.0, 1.0),
            (22_050, 2048, 80, 5.0, 5.0),
            (22_050, 2048, 80, 0.0, 12_000.0),
            (22_050, 2048, 80, f64::NAN, 8_000.0),
        ] {
            assert!(MelFilterbank::new(rate, n_fft, bands, low, high).is_err());
        }
    }
}
