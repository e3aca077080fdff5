//! Recordings through Opus (RFC 6716): the codec that listeners know, at its lowest bit rates.

use crate::EvaluateError;
use opus_rs::{Application, OpusDecoder, OpusEncoder};
use orchestrion_audio::{Clip, resample};

/// Bits a second: the lowest that Opus has, and two above. The tokens of Jukebox's levels cost fewer.
const BIT_RATES: [i32; 3] = [6_000, 12_000, 24_000];
/// Opus's own sample rate, and its usual frame of 20 ms.
const RATE: u32 = 48_000;
const FRAME: usize = 960;
/// Longest packet that the standard allows, in bytes.
const PACKET: usize = 1275;

/// A clip at each bit rate, with what it is called.
///
/// # Errors
/// If the codec refuses.
pub fn baselines(clip: &Clip) -> Result<Vec<(String, Vec<f32>)>, EvaluateError> {
    BIT_RATES.iter().map(|rate| Ok((format!("Opus at {} kbit/s", rate / 1000), round_trip(clip, *rate)?))).collect()
}

/// Mono samples of a clip through the codec and back, at the clip's rate and without the codec's delay.
fn round_trip(clip: &Clip, bit_rate: i32) -> Result<Vec<f32>, EvaluateError> {
    let refused = |what: &str| EvaluateError::Nothing(format!("Opus at {bit_rate} bits a second: {what}"));
    let samples = resample(&Clip::from_mono(clip.mono(), clip.sample_rate), RATE)?.mono();
    let mut encoder = OpusEncoder::new(RATE as i32, 1, Application::Audio).map_err(refused)?;
    encoder.bitrate_bps = bit_rate;
    let mut decoder = OpusDecoder::new(RATE as i32, 1).map_err(refused)?;
    let mut out = Vec::with_capacity(samples.len() + 2 * FRAME);
    let (mut frame, mut packet) = ([0.0; FRAME], [0; PACKET]);
    // One frame more, for what the delay holds back.
    for start in (0..samples.len() + FRAME).step_by(FRAME) {
        let rest = samples.get(start..).unwrap_or_default();
        let count = rest.len().min(FRAME);
        frame[..count].copy_from_slice(&rest[..count]);
        frame[count..].fill(0.0);
        let bytes = encoder.encode(&frame, FRAME, &mut packet).map_err(refused)?;
        let mut sound = [0.0; FRAME];
        decoder.decode(&packet[..bytes], FRAME, &mut sound).map_err(refused)?;
        out.extend(sound);
    }
    let delay = delay(&samples, &out);
    let aligned = out[delay..].iter().copied().chain(std::iter::repeat(0.0)).take(samples.len()).collect();
    Ok(resample(&Clip::from_mono(aligned, RATE), clip.sample_rate)?.mono())
}

/// By how many samples, up to a frame, the output comes later: where it goes best with the input.
fn delay(input: &[f32], output: &[f32]) -> usize {
    let together = |lag: usize| input.iter().zip(&output[lag..]).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    (0..FRAME).map(|lag| (together(lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |best| best.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Fidelity;

    #[test]
    fn more_bits_are_nearer_and_nothing_is_late() {
        let rate = 22_050;
        let tone = |i: u32, hertz: f64| (std::f64::consts::TAU * hertz * f64::from(i) / f64::from(rate)).sin();
        let chord = |i: u32| (0.2 * (tone(i, 220.0) + tone(i, 277.2) + tone(i, 1760.0))) as f32;
        let samples: Vec<f32> = (0..rate).map(chord).collect();
        let clip = Clip::from_mono(samples.clone(), rate);
        let apart: Vec<Fidelity> = baselines(&clip)
            .unwrap()
            .iter()
            .map(|(_, sound)| Fidelity::measure(&samples, sound, rate).unwrap())
            .collect();
        assert!(apart[2].si_sdr > 5.0 && apart[2].si_sdr > apart[0].si_sdr, "{apart:?}");
        assert!(apart[2].log_mel < apart[0].log_mel, "{apart:?}");
    }
}
