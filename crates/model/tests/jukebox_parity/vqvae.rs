//! The codec as a whole: latents, codes, sound, losses.

use super::fixture::{Fixture, values};
use super::losses::{convergence, multispectral};
use super::sizes;
use burn::tensor::{Device, Tensor};
use orchestrion_model::codec::{BANDWIDTH_RESOLUTION, Codec, VqVae, loss};
use orchestrion_model::nn::Random;

const ABSOLUTE: f64 = 1e-4;
const RELATIVE: f64 = 1e-4;
/// Distance between the nearest and the second entry below which rounding may choose.
const MARGIN: f32 = 1e-4;

/// Losses of one level.
struct LevelLosses {
    recons: f32,
    spectral: f32,
    multispectral: f32,
    commit: f32,
}

pub fn compare(fixture: &mut Fixture) {
    let device = Device::flex();
    let mut codec = sizes::codec(&fixture.config).init(&mut Random::new(0), &device).unwrap();
    fixture.fill(&mut codec, &[], &device);
    let hps = fixture.config.part("loss");
    let bandwidth = sizes::bandwidth(&hps);
    let weights = sizes::loss_weights(&hps, hps.word("loss_fn"));
    let [batch, time, _] = fixture.shape("in.audio").try_into().unwrap();
    let audio = fixture.tensor("in.audio", [batch, 1, time], &device);
    let target = audio.clone().reshape([batch, time]);

    let mut sums = LevelLosses { recons: 0.0, spectral: 0.0, multispectral: 0.0, commit: 0.0 };
    for level in 0..codec.levels.len() {
        let (output, commit) = compare_level(fixture, &codec, level, audio.clone());
        let output = output.reshape([batch, time]);
        let losses = LevelLosses {
            recons: loss::waveform(target.clone(), output.clone(), &weights, &bandwidth).into_scalar(),
            spectral: loss::spectral(target.clone(), output.clone(), BANDWIDTH_RESOLUTION, &bandwidth).into_scalar(),
            multispectral: multispectral(&target, &output, &hps, &bandwidth),
            commit,
        };
        // The metrics count levels from 1.
        let name = level + 1;
        fixture.relative(&format!("metric.recons_loss_l{name}"), &[losses.recons], RELATIVE);
        fixture.relative(&format!("metric.spectral_loss_l{name}"), &[losses.spectral], RELATIVE);
        fixture.relative(&format!("metric.multispectral_loss_l{name}"), &[losses.multispectral], RELATIVE);
        sums.recons += losses.recons;
        sums.spectral += losses.spectral;
        sums.multispectral += losses.multispectral;
        sums.commit += losses.commit;
        if level == 0 {
            let of = |value: Tensor<1>| [value.into_scalar::<f32>()];
            let l1 = of(loss::l1(target.clone(), output.clone(), &bandwidth));
            let l2 = of(loss::l2(target.clone(), output.clone(), &bandwidth));
            let linf = of(loss::linf(target.clone(), output.clone(), weights.linf_k, &bandwidth));
            fixture.relative("metric.l1_loss", &l1, RELATIVE);
            fixture.relative("metric.l2_loss", &l2, RELATIVE);
            fixture.relative("metric.linf_loss", &linf, RELATIVE);
            fixture.relative("metric.spectral_convergence", &[convergence(&target, &output)], RELATIVE);
        }
    }
    fixture.relative("metric.recons_loss", &[sums.recons], RELATIVE);
    fixture.relative("metric.spectral_loss", &[sums.spectral], RELATIVE);
    fixture.relative("metric.multispectral_loss", &[sums.multispectral], RELATIVE);
    fixture.relative("metric.commit_loss", &[sums.commit], RELATIVE);
    let spectral = hps.number("spectral") as f32;
    let total = sums.recons
        + spectral * sums.spectral
        + weights.multispectral * sums.multispectral
        + weights.commit * sums.commit;
    fixture.relative("loss", &[total], RELATIVE);
}

/// Latents, codes and sound of one level; gives the sound that the losses judge and the commitment loss.
fn compare_level(fixture: &mut Fixture, codec: &VqVae, level: usize, audio: Tensor<3>) -> (Tensor<3>, f32) {
    let [batch, _, time] = audio.dims();
    let network = &codec.levels[level];
    let latents = network.encode(audio.clone());
    fixture.close(&format!("latent{level}"), &values(&latents), ABSOLUTE);

    let margin = fixture.floats(&format!("out.margin{level}"));
    let key = format!("codes{level}");
    let golden: Vec<usize> = fixture.tokens(&format!("out.{key}")).concat().iter().map(|c| *c as usize).collect();
    let shape = [batch, golden.len() / batch];
    let quantized = network.quantize(latents.clone());
    let codes: Vec<i64> = quantized.codes.iter().map(|c| *c as i64).collect();
    fixture.equal(&key, &codes, |i| margin[i] <= MARGIN);
    let songs = values(&audio);
    let alone: Vec<i64> =
        songs.chunks_exact(time).flat_map(|song| codec.encode(song, level).unwrap()).map(i64::from).collect();
    fixture.equal(&key, &alone, |i| margin[i] <= MARGIN);

    // Where rounding chose another entry the rest is compared from the golden codes on.
    let agree = quantized.codes == golden;
    let entries = network.codebook.lookup(&golden, shape);
    let quantised = if agree { quantized.output } else { entries.clone() };
    fixture.close(&format!("quantised{level}"), &values(&quantised), ABSOLUTE);
    fixture.relative(&format!("fit{level}"), &[quantized.fit], RELATIVE);
    let commit = quantized.commit.into_scalar::<f32>();
    fixture.relative(&format!("commit{level}"), &[commit], RELATIVE);

    let key = format!("audio_from_codes{level}");
    fixture.close(&key, &values(&network.decode(entries)), ABSOLUTE);
    // The way outside users go gives the same sound within full scale.
    let golden_sound = fixture.floats(&format!("out.{key}"));
    for (song, codes) in golden_sound.chunks_exact(time).zip(golden.chunks_exact(shape[1])) {
        let codes: Vec<u32> = codes.iter().map(|c| *c as u32).collect();
        for (a, b) in codec.decode(&codes, level).unwrap().iter().zip(song) {
            assert!((a - b.clamp(-1.0, 1.0)).abs() <= ABSOLUTE as f32, "sound of level {level}: {a} for {b}");
        }
    }
    (network.decode(quantised), commit)
}
