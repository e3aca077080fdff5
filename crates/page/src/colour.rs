//! The colour map of spectrograms: night blue, violet, ember, cream.
//!
//! The map is a line through OKLCH (Ottosson 2020, "A perceptual color space for image
//! processing"): lightness rises evenly from black to cream, hue turns once through the warm
//! side, chroma swells in the middle. Equal steps of decibels are therefore equal steps of
//! perceived lightness, and the map reads the same in grey and to colour-blind eyes.

/// Colours in the map.
pub const PALETTE_SIZE: usize = 256;

/// The map as RGB triples, dark to light, as a PNG palette wants them.
pub(crate) fn palette() -> Vec<u8> {
    (0..PALETTE_SIZE).flat_map(|index| colour_at(index as f32 / (PALETTE_SIZE - 1) as f32)).collect()
}

/// The sRGB colour at `position` in 0..=1.
fn colour_at(position: f32) -> [u8; 3] {
    let lightness = 0.11 + 0.86 * position;
    let hue = (272.0 + 178.0 * position.powf(0.85)).to_radians();
    let mut chroma = 0.035 + 0.165 * (std::f32::consts::PI * position.powf(0.8)).sin().max(0.0);
    // Screens cannot show every chroma at every lightness: give up chroma, never lightness.
    loop {
        let linear = oklch_to_linear_rgb(lightness, chroma, hue);
        let shown = linear.iter().all(|channel| (0.0..=1.0).contains(channel));
        if shown || chroma <= 0.0 {
            return linear.map(encode_srgb);
        }
        chroma -= 0.002;
    }
}

/// OKLCH to linear-light sRGB, with the constants of the paper's reference matrices.
fn oklch_to_linear_rgb(lightness: f32, chroma: f32, hue: f32) -> [f32; 3] {
    let (a, b) = (chroma.max(0.0) * hue.cos(), chroma.max(0.0) * hue.sin());
    let long = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let medium = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let short = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    [
        4.076_741_7 * long - 3.307_711_6 * medium + 0.230_969_94 * short,
        -1.268_438 * long + 2.609_757_4 * medium - 0.341_319_4 * short,
        -0.004_196_086_3 * long - 0.703_418_6 * medium + 1.707_614_7 * short,
    ]
}

/// The transfer curve of sRGB (IEC 61966-2-1), rounded to eight bits.
fn encode_srgb(linear: f32) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let encoded = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// WCAG relative luminance.
    fn luminance(colour: &[u8]) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    #[test]
    fn luminance_rises_from_dark_to_light() {
        let palette = palette();
        assert_eq!(palette.len(), 3 * PALETTE_SIZE);
        let steps: Vec<f64> = palette.chunks(3).map(luminance).collect();
        // Neighbours may be equal within eight-bit rounding; four steps apart they must rise.
        for (index, pair) in steps.windows(5).enumerate() {
            assert!(pair[4] > pair[0], "luminance falls near colour {index}");
        }
        assert!(steps[0] < 0.01 && steps[PALETTE_SIZE - 1] > 0.85);
    }
}
