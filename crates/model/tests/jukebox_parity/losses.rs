//! Losses and data statistics without a model.

use super::fixture::{Config, Fixture, values};
use super::sizes;
use burn::tensor::{Device, Tensor};
use orchestrion_engine::spectral::{Resolution, magnitudes};
use orchestrion_model::codec::{BANDWIDTH_RESOLUTION, Bandwidth, RESOLUTIONS, loss};

/// Norm below which the original takes a target as silent.
const SILENCE: f32 = 2e-3;
const RELATIVE: f64 = 1e-4;

/// The multi-resolution loss at the file's resolutions.
pub fn multispectral(target: &Tensor<2>, output: &Tensor<2>, hps: &Config, bandwidth: &Bandwidth) -> f32 {
    let resolutions = resolutions(hps);
    if resolutions == RESOLUTIONS {
        return loss::multispectral(target.clone(), output.clone(), bandwidth).into_scalar::<f32>();
    }
    let each = resolutions.iter().map(|r| loss::spectral(target.clone(), output.clone(), *r, bandwidth));
    each.map(Tensor::into_scalar::<f32>).sum::<f32>() / resolutions.len() as f32
}

/// Distance relative to the target's norm, mean over clips.
pub fn convergence(target: &Tensor<2>, output: &Tensor<2>) -> f32 {
    loss::spectral_convergence(target.clone(), output.clone(), BANDWIDTH_RESOLUTION, SILENCE)
}

fn resolutions(hps: &Config) -> Vec<Resolution> {
    let [n_fft, hop, window] =
        ["n_fft", "hop_length", "window_size"].map(|name| hps.counts(&format!("multispec_loss_{name}")));
    n_fft.into_iter().zip(hop).zip(window).map(|((n_fft, hop), window)| Resolution { n_fft, hop, window }).collect()
}

pub fn compare(fixture: &mut Fixture) {
    let device = Device::flex();
    let hps = fixture.config.part("hps");
    let bandwidth = sizes::bandwidth(&hps);
    let [batch, time, channels] = fixture.shape("in.target").try_into().unwrap();
    assert_eq!(channels, 1, "the losses are of mono sound");
    let target = fixture.tensor("in.target", [batch, time], &device);
    let output = fixture.tensor("in.pred", [batch, time], &device);

    for kind in ["l1", "l2", "linf", "lmix"] {
        let ours = loss::waveform(target.clone(), output.clone(), &sizes::loss_weights(&hps, kind), &bandwidth);
        fixture.relative(&format!("recon_{kind}"), &values(&ours), RELATIVE);
    }

    // The file has distances clip by clip, before they are brought to the data's scale.
    let unit = Bandwidth { l1: 1.0, l2: 1.0, spectral: 1.0 };
    let clips: Vec<_> = (0..batch).map(|b| (target.clone().narrow(0, b, 1), output.clone().narrow(0, b, 1))).collect();
    let distance = |resolution| -> Vec<f32> {
        clips.iter().flat_map(|(t, o)| values(&loss::spectral(t.clone(), o.clone(), resolution, &unit))).collect()
    };
    fixture.relative("spectral", &distance(BANDWIDTH_RESOLUTION), RELATIVE);
    for (i, resolution) in resolutions(&hps).into_iter().enumerate() {
        fixture.relative(&format!("multi{i}"), &distance(resolution), RELATIVE);
    }
    let ours: Vec<f32> = clips.iter().map(|(t, o)| multispectral(t, o, &hps, &unit)).collect();
    fixture.relative("multispectral", &ours, RELATIVE);
    let ours: Vec<f32> = clips.iter().map(|(t, o)| convergence(t, o)).collect();
    fixture.relative("convergence", &ours, RELATIVE);

    compare_magnitudes(fixture);
    compare_bandwidth(fixture);
}

/// Spectrograms of the targets; the golden ones are `[batch, bins, frames]`, their resolution stands in the name.
fn compare_magnitudes(fixture: &mut Fixture) {
    for key in fixture.names() {
        let Some(sizes) = key.strip_prefix("out.magnitude_") else { continue };
        let sizes: Vec<usize> = sizes.split('_').map(|n| n.parse().unwrap()).collect();
        let resolution = Resolution { n_fft: sizes[0], hop: sizes[1], window: sizes[2] };
        let [_, bins, frames] = fixture.shape(&key).try_into().unwrap();
        let time = fixture.shape("in.target")[1];
        let mut ours = Vec::new();
        for clip in fixture.floats("in.target").chunks_exact(time) {
            let spectrogram = magnitudes(clip, resolution).unwrap();
            ours.extend((0..bins * frames).map(|i| spectrogram[(i % frames) * bins + i / frames]));
        }
        fixture.relative_spectrum(key.trim_start_matches("out."), &ours, RELATIVE);
    }
}

/// Statistics over the items `in.bw{n}`, each `[time, channels]`.
fn compare_bandwidth(fixture: &mut Fixture) {
    let mut items = Vec::new();
    while let key = format!("in.bw{}", items.len())
        && fixture.has(&key)
    {
        let channels = fixture.shape(&key)[1];
        let samples = fixture.floats(&key);
        let channel = |c: usize| samples.iter().skip(c).step_by(channels).copied().collect();
        items.push((0..channels).map(channel).collect());
    }
    let Bandwidth { l1, l2, spectral } = Bandwidth::measure(&items).unwrap();
    fixture.relative("bandwidth_l1_l2_spec", &[l1, l2, spectral], RELATIVE);
}
