//! How near a codec's output is to the recording, beside recordings with their treble cut off.

use crate::EvaluateError;
use orchestrion_audio::spectrum::{chroma, log_mel_distance, onset_strength, spectral_convergence};
use orchestrion_audio::{Clip, ReadOptions, low_pass, measure_loudness, read, resample};
use orchestrion_data::{Manifest, Split};
use orchestrion_model::codec::Codec;
use serde::Serialize;

/// Means over recordings.
#[derive(Debug, Clone, Serialize)]
pub struct ReconstructionReport {
    /// Recordings measured.
    pub recordings: usize,
    /// A row for each level, then for each baseline.
    pub rows: Vec<ReconstructionRow>,
}

/// One way to come back to sound.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReconstructionRow {
    /// `level 0`, `low-passed at 4 kHz`.
    pub name: String,
    /// Mean absolute difference of log10 mel magnitudes.
    pub log_mel: f64,
    /// Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019).
    pub si_sdr: f64,
    /// Norm of the difference of magnitude spectrograms over that of the recording's.
    pub convergence: f64,
    /// Loudness difference in LU.
    pub loudness: f64,
    /// Share of frames whose strongest pitch class is the recording's.
    pub chroma: f64,
    /// Correlation of onset strengths.
    pub onset: f64,
}

/// Scale-invariant signal-to-distortion ratio in dB.
fn si_sdr(reference: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let scale = dot(reference, other) / dot(reference, reference).max(1e-12);
    let signal = scale * scale * dot(reference, reference);
    let distortion: f64 =
        reference.iter().zip(other).map(|(r, o)| (f64::from(*o) - scale * f64::from(*r)).powi(2)).sum();
    10.0 * (signal.max(1e-12) / distortion.max(1e-12)).log10()
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len().min(b.len()).max(1) as f64;
    let mean = |x: &[f32]| x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - ma, f64::from(*y) - mb);
        (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
    }
    ab / (aa * bb).sqrt().max(1e-12)
}

/// Adds what one recording says to a row of sums.
fn measure(row: &mut ReconstructionRow, original: &Clip, other: &[f32]) -> Result<(), EvaluateError> {
    let (reference, rate) = (original.mono(), original.sample_rate);
    let n = reference.len().min(other.len());
    let (reference, other) = (&reference[..n], &other[..n]);
    row.log_mel += log_mel_distance(reference, other, rate)?;
    row.si_sdr += si_sdr(reference, other);
    row.convergence += spectral_convergence(reference, other)?;
    let loudness = |x: &[f32]| measure_loudness(&Clip::from_mono(x.to_vec(), rate)).integrated_lufs.unwrap_or(-70.0);
    row.loudness += loudness(other) - loudness(reference);
    let (a, b) = (chroma(reference, rate)?, chroma(other, rate)?);
    let strongest = |f: &[f32]| (0..f.len()).max_by(|&i, &j| f[i].total_cmp(&f[j]));
    let frames = a.frames.min(b.frames);
    let agree = (0..frames).filter(|&f| strongest(a.frame(f)) == strongest(b.frame(f))).count();
    row.chroma += agree as f64 / frames.max(1) as f64;
    row.onset += correlation(&onset_strength(reference, rate)?, &onset_strength(other, rate)?);
    Ok(())
}

/// Measures a codec on `seconds` from the middle of at most `limit` recordings of a split.
///
/// # Errors
/// If there is no recording, or one cannot be read.
pub fn reconstruction(
    codec: &dyn Codec,
    manifest: &Manifest,
    split: Split,
    seconds: f64,
    limit: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<ReconstructionReport, EvaluateError> {
    let spec = codec.spec();
    let entries: Vec<_> = manifest.of_split(split).collect();
    let chosen: Vec<_> = entries.iter().step_by(entries.len().div_ceil(limit.max(1)).max(1)).collect();
    if chosen.is_empty() {
        return Err(EvaluateError::Nothing("no recording of that split; hint: choose another with `--split`".into()));
    }
    let levels = spec.streams.len();
    let names = (0..levels).map(|l| format!("level {l}"));
    let cuts = [4000.0, 6000.0];
    let mut rows: Vec<ReconstructionRow> = names
        .chain(cuts.iter().map(|c| format!("low-passed at {} kHz", c / 1000.0)))
        .map(|name| ReconstructionRow { name, ..Default::default() })
        .collect();
    for (i, entry) in chosen.iter().enumerate() {
        let offset = ((entry.duration - seconds) / 2.0).max(0.0);
        let clip = read(&manifest.audio_path(entry), &ReadOptions::part(offset, seconds))?;
        let clip = Clip::from_mono(resample(&clip, spec.sample_rate)?.mono(), spec.sample_rate);
        let samples = clip.mono();
        for (level, row) in rows.iter_mut().take(levels).enumerate() {
            let codes = codec.encode(&samples, level)?;
            measure(row, &clip, &codec.decode(&codes, level)?)?;
        }
        for (cut, row) in cuts.iter().zip(rows.iter_mut().skip(levels)) {
            measure(row, &clip, &low_pass(&clip, *cut).mono())?;
        }
        progress(i + 1, chosen.len());
    }
    let n = chosen.len() as f64;
    for row in &mut rows {
        for value in [
            &mut row.log_mel,
            &mut row.si_sdr,
            &mut row.convergence,
            &mut row.loudness,
            &mut row.chroma,
            &mut row.onset,
        ] {
            *value /= n;
        }
    }
    Ok(ReconstructionReport { recordings: chosen.len(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_copy_has_no_distortion_and_noise_of_equal_power_has_0_db() {
        let x: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.1).sin()).collect();
        let double: Vec<f32> = x.iter().map(|v| v * 2.0).collect();
        assert!(si_sdr(&x, &double) > 60.0);
        let noisy: Vec<f32> = x.iter().enumerate().map(|(i, v)| v + (i as f32 * 0.1).cos()).collect();
        assert!(si_sdr(&x, &noisy).abs() < 0.5, "{}", si_sdr(&x, &noisy));
        assert!((correlation(&x, &double) - 1.0).abs() < 1e-9);
    }
}
