//! A decibel matrix as a picture: time to the right, frequency upwards, loudness as light.

use crate::colour;
use crate::error::PageError;

/// The most values a spectrogram may hold: 64 Mi, a quarter of a gigabyte of decibels.
pub const MAX_PICTURE_VALUES: usize = 1 << 26;

/// Decibels shown below the loudest value when no range is given.
const DEFAULT_SPAN: f32 = 80.0;

/// A label on the frequency axis.
#[derive(Debug, Clone, PartialEq)]
pub struct FrequencyLabel {
    /// Where, in bins from the lowest; fractions allowed.
    pub bin: f32,
    /// What stands there, such as `1 kHz`.
    pub text: String,
}

/// The decibels that become the darkest and the lightest colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecibelRange {
    /// Values at or below are darkest.
    pub floor: f32,
    /// Values at or above are lightest.
    pub ceiling: f32,
}

impl DecibelRange {
    /// The range from the loudest finite value of all `spectrograms` down by 80 dB, so that
    /// pictures drawn with it can be compared by eye.
    pub fn covering<'a>(spectrograms: impl IntoIterator<Item = &'a Spectrogram>) -> Self {
        let loudest = spectrograms
            .into_iter()
            .flat_map(|spectrogram| spectrogram.decibels.iter().copied())
            .filter(|value| value.is_finite())
            .fold(f32::NEG_INFINITY, f32::max);
        let ceiling = if loudest.is_finite() { loudest } else { 0.0 };
        Self { floor: ceiling - DEFAULT_SPAN, ceiling }
    }

    /// The palette index of a value; not-a-number is as dark as silence.
    fn shade(self, decibels: f32) -> u8 {
        let span = (self.ceiling - self.floor).max(f32::MIN_POSITIVE);
        let position = ((decibels - self.floor) / span).clamp(0.0, 1.0);
        // A cast of not-a-number gives 0.
        (position * (colour::PALETTE_SIZE - 1) as f32).round() as u8
    }
}

/// A spectrogram in decibels, `[frames][bins]`, lowest frequency first.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    decibels: Vec<f32>,
    frames: usize,
    bins: usize,
    /// Labels of the frequency axis; those outside the bins are not drawn.
    pub labels: Vec<FrequencyLabel>,
}

impl Spectrogram {
    /// Takes `frames * bins` decibel values, frame after frame, each from the lowest bin up.
    /// Values that are not finite are drawn as silence (or, for `+inf`, as the loudest).
    ///
    /// # Errors
    /// [`PageError::SpectrogramShape`] when the count does not fit or is zero,
    /// [`PageError::SpectrogramTooLarge`] above [`MAX_PICTURE_VALUES`].
    pub fn new(decibels: Vec<f32>, frames: usize, bins: usize) -> Result<Self, PageError> {
        let values = frames.saturating_mul(bins);
        if values > MAX_PICTURE_VALUES {
            return Err(PageError::SpectrogramTooLarge { frames, bins, limit: MAX_PICTURE_VALUES });
        }
        if values == 0 || values != decibels.len() {
            return Err(PageError::SpectrogramShape { frames, bins, values: decibels.len() });
        }
        Ok(Self { decibels, frames, bins, labels: Vec::new() })
    }

    /// The same spectrogram with a frequency axis.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<FrequencyLabel>) -> Self {
        self.labels = labels;
        self
    }

    /// Frames, the picture's width in pixels.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Frequency bins, the picture's height in pixels.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The picture as the bytes of a PNG file, one pixel a value, in 256 palette colours whose
    /// lightness rises evenly with the decibels. `None` takes the range from the values.
    ///
    /// # Errors
    /// [`PageError::Png`] when the encoder fails.
    pub fn png(&self, range: Option<DecibelRange>) -> Result<Vec<u8>, PageError> {
        let range = range.unwrap_or_else(|| DecibelRange::covering([self]));
        let mut pixels = vec![0_u8; self.decibels.len()];
        for (frame, values) in self.decibels.chunks_exact(self.bins).enumerate() {
            let column = pixels.iter_mut().skip(frame).step_by(self.frames);
            for (pixel, value) in column.zip(values.iter().rev()) {
                *pixel = range.shade(*value);
            }
        }
        self.encode(&pixels).map_err(|error| PageError::Png { reason: error.to_string() })
    }

    fn encode(&self, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        // Both sides are at most MAX_PICTURE_VALUES, which fits 32 bits.
        let mut encoder = png::Encoder::new(&mut bytes, self.frames as u32, self.bins as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(colour::palette());
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        writer.finish()?;
        Ok(bytes)
    }

    /// The spectrogram with at most `columns` frames: neighbours are averaged (in decibels).
    pub(crate) fn narrowed(&self, columns: usize) -> Self {
        let group = self.frames.div_ceil(columns.max(1));
        let mut decibels = Vec::with_capacity(self.decibels.len() / group + self.bins);
        for frames in self.decibels.chunks(group * self.bins) {
            let count = (frames.len() / self.bins) as f32;
            decibels.extend((0..self.bins).map(|bin| {
                let column = frames.iter().skip(bin).step_by(self.bins);
                column.sum::<f32>() / count
            }));
        }
        Self { decibels, frames: self.frames.div_ceil(group), bins: self.bins, labels: self.labels.clone() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn decode(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn png_has_time_to_the_right_and_low_frequencies_below() {
        // Two frames of three bins: the first loud in its lowest bin, the second in its highest.
        let values = vec![0.0, -80.0, -80.0, -80.0, -40.0, 0.0];
        let spectrogram = Spectrogram::new(values, 2, 3).unwrap();
        let (width, height, pixels) = decode(&spectrogram.png(None).unwrap());
        assert_eq!((width, height), (2, 3));
        assert_eq!(pixels, [0, 255, 0, 128, 255, 0]);
    }

    #[test]
    fn values_that_are_no_numbers_are_dark() {
        let values = vec![f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -10.0];
        let spectrogram = Spectrogram::new(values, 4, 1).unwrap();
        let (_, _, pixels) = decode(&spectrogram.png(None).unwrap());
        assert_eq!(pixels, [0, 0, 255, 255]);
        let silent = Spectrogram::new(vec![f32::NEG_INFINITY; 4], 2, 2).unwrap();
        assert_eq!(decode(&silent.png(None).unwrap()).2, [0; 4]);
    }

    #[test]
    fn narrowing_averages_and_keeps_the_rest() {
        let spectrogram = Spectrogram::new((0..10).map(|v| v as f32).collect(), 5, 2).unwrap();
        let narrow = spectrogram.narrowed(3);
        assert_eq!((narrow.frames, narrow.bins), (3, 2));
        assert_eq!(narrow.decibels, [1.0, 2.0, 5.0, 6.0, 8.0, 9.0]);
        assert_eq!(spectrogram.narrowed(5), spectrogram);
    }

    #[test]
    fn wrong_shapes_are_named() {
        let wrong = Spectrogram::new(vec![0.0; 5], 2, 3).unwrap_err();
        assert!(wrong.to_string().contains("2 frames and 3 bins"));
        assert!(Spectrogram::new(vec![], 0, 3).is_err());
        let huge = Spectrogram::new(vec![], usize::MAX, 2).unwrap_err();
        assert!(matches!(huge, PageError::SpectrogramTooLarge { .. }));
    }
}
