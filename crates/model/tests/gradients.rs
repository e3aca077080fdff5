//! Gradients of whole models, through the kernels with a backward pass of their own, against differences of the outputs.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_engine::Numbers;
use orchestrion_model::codec::{Bandwidth, VqVae, VqVaeConfig, loss};
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, TimingConfig, UpperConfig};
use orchestrion_model::nn::attention::{Attention, AttentionSizes, AttnFunc};
use orchestrion_model::nn::resnet::ResnetConfig;
use orchestrion_model::nn::transformer::TransformerConfig;
use orchestrion_model::nn::{Parameters, Random, Work, each_parameter, move_to, with_kernels};
use orchestrion_model::prior::{LyricsConfig, Prior, PriorConfig, token_tensor};

/// Lengths of the steps along a parameter: a long one crosses kinks of ReLUs, a short one drowns in rounding. Where a kink
/// lies close by on one side, the step to the other side shows the slope.
const STEPS: [f32; 3] = [4e-3, 1e-3, 2.5e-4];
/// How far the difference over the best step and the gradient may lie apart, relative to the gradient.
const APART: f64 = 0.01;

fn normals(n: usize, random: &mut Random) -> Vec<f32> {
    (0..n).map(|_| random.normal()).collect()
}

fn training() -> Device {
    Device::flex().autodiff()
}

/// Moves one parameter by `scale * direction`.
fn shift(model: &mut impl Parameters, name: &str, direction: &[f32], scale: f32) {
    each_parameter(model, |found, mut p| {
        if found == name {
            let moved = p.values().iter().zip(direction).map(|(v, d)| v + scale * d).collect();
            p.set(moved, &Device::flex(), false);
        }
    });
}

/// Checks every parameter's gradient of `sum(output * weights)` along the gradient mixed with a random direction.
fn check<M: Parameters + Clone>(
    model: &mut M,
    forward: impl Fn(&M, &Device) -> Tensor<3>,
    skip: impl Fn(&str) -> bool,
) {
    let (device, plain) = (training(), Device::flex());
    let random = &mut Random::new(5);
    move_to(model, &device);
    let output = forward(model, &device);
    let dims = output.dims();
    let weights = normals(dims.iter().product(), random);
    let weighted = output * Tensor::from_data(TensorData::new(weights.clone(), dims), &device);
    let mut found = weighted.sum().backward();
    // The sum in double precision: the difference of two nearly equal numbers needs it.
    let value = |model: &M| -> f64 {
        let output: Vec<f32> = forward(model, &plain).into_data().iter().collect();
        output.iter().zip(&weights).map(|(o, w)| f64::from(*o) * f64::from(*w)).sum()
    };
    let mut names = Vec::new();
    each_parameter(model, |name, p| {
        if !skip(name) {
            names.push((name.to_owned(), p.take_gradient(&mut found).unwrap_or_else(|| panic!("no gradient: {name}"))));
        }
    });
    assert!(!names.is_empty());
    move_to(model, &plain);
    let here = value(model);
    for (name, gradient) in names {
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 0.0, "{name}: the gradient vanishes");
        let other = normals(gradient.len(), random);
        let length = other.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let direction: Vec<f32> = gradient
            .iter()
            .zip(&other)
            .map(|(g, v)| (f64::from(*g) / norm + 0.5 * f64::from(*v) / length) as f32)
            .collect();
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let at = |scale: f32| {
            let mut moved = model.clone();
            shift(&mut moved, &name, &direction, scale);
            value(&moved)
        };
        let mut differences = Vec::new();
        let close = STEPS.iter().any(|&step| {
            let (up, down, long) = (at(step) - here, here - at(-step), f64::from(step));
            let found = [(up + down) / (2.0 * long), up / long, down / long];
            differences.push(found);
            found.iter().any(|d| (d - slope).abs() < APART * norm)
        });
        assert!(close, "{name}: slope {slope}, differences {differences:?}, norm of the gradient {norm}");
    }
}

fn codec(random: &mut Random) -> VqVae {
    let config = VqVaeConfig {
        sample_rate: 8000,
        strides: vec![vec![4], vec![2]],
        embedding_width: 5,
        codebook_size: 12,
        width: 6,
        resnet: ResnetConfig {
            depth: 3,
            hidden: 1.5,
            dilation_growth: 3,
            dilation_cycle: Some(2),
            residual_scale: true,
        },
        multipliers: vec![1, 1],
        reverse_decoder_dilation: true,
    };
    let mut codec = config.init(random, &Device::flex()).unwrap();
    // Larger weights than training starts from: through so many layers the first ones would hardly be heard.
    each_parameter(&mut codec, |name, mut p| {
        let scale = if name.ends_with("weight") { 1.8 } else { 1.0 };
        let values = p.values().into_iter().map(|v| v * scale);
        let entries = normals(12 * 5, random).into_iter().map(|v| v * 0.3);
        p.set(if name.ends_with(".k") { entries.collect() } else { values.collect() }, &Device::flex(), false);
    });
    codec
}

/// A wave and noise, `[batch, 1, time]`.
fn sound([batch, time]: [usize; 2], device: &Device) -> Tensor<3> {
    let random = &mut Random::new(9);
    let samples = (0..batch * time).map(|t| (t as f32 * 0.1).sin() * 0.5 + random.normal() * 0.2).collect();
    Tensor::from_data(TensorData::new(samples, [batch, 1, time]), device)
}

#[test]
fn codec_gradients_are_the_slopes_of_its_sound() {
    let random = &mut Random::new(1);
    let mut codec = codec(random);
    for level in 0..2 {
        let ours = |name: &str| name.contains(&format!("coders.{level}."));
        // Without the codebook, which is no smooth function.
        let forward = |codec: &VqVae, device: &Device| {
            let network = &codec.levels[level];
            network.decode(network.encode(sound([2, 64], device)))
        };
        check(&mut codec, forward, |name| !ours(name));
    }
}

#[test]
fn gradients_pass_straight_through_the_codebook() {
    let random = &mut Random::new(2);
    let device = training();
    let mut codec = codec(random);
    move_to(&mut codec, &device);
    let (batch, time) = (2, 1200);
    let audio = sound([batch, time], &device);
    let bandwidth = Bandwidth { l1: 0.4, l2: 0.2, spectral: 30.0 };
    let losses = |output: Tensor<3>| {
        let (target, output) = (audio.clone().reshape([batch, time]), output.reshape([batch, time]));
        loss::l2(target.clone(), output.clone(), &bandwidth)
            + loss::linf(target.clone(), output.clone(), 64, &bandwidth)
            + loss::multispectral(target, output, &bandwidth)
    };
    let mut whole = codec.clone();
    whole.levels.truncate(1);
    let quantized = whole.levels[0].quantize(whole.levels[0].encode(audio.clone()));
    let total = losses(whole.levels[0].decode(quantized.output.clone())) + quantized.commit.mul_scalar(0.02);
    let mut found = total.backward();

    // The same in two halves: the slope at the quantised latents, then that slope at the latents themselves.
    let leaf: Tensor<3> = Tensor::from_data(quantized.output.to_data(), &device).require_grad();
    let slope = leaf.grad(&losses(whole.levels[0].decode(leaf.clone())).backward()).unwrap();
    let slope = Tensor::<3>::from_data(slope.into_data(), &device);
    let latents = whole.levels[0].encode(audio.clone());
    let entries =
        Tensor::<3>::from_data(whole.levels[0].codebook.lookup(&quantized.codes, [batch, time / 4]).to_data(), &device);
    let halves = (latents.clone() * slope).sum() + (latents - entries).square().mean().mul_scalar(0.02);
    let mut again = halves.backward();
    let mut count = 0;
    each_parameter(&mut whole, |name, p| {
        if name.starts_with("encoders.") {
            let (a, b) = (p.take_gradient(&mut found).unwrap(), p.take_gradient(&mut again).unwrap());
            let most = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(most > 0.0, "{name}: the gradient vanishes");
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() <= 1e-4 * most, "{name}: {a} for {b}");
            }
            count += 1;
        }
        // Entries move by their averages, not by gradients.
        assert!(!name.ends_with(".k") || p.take_gradient(&mut found).is_none_or(|g| g.iter().all(|v| *v == 0.0)));
    });
    // A strided convolution, three blocks of two, a convolution: weights and biases.
    assert_eq!(count, 2 * (1 + 3 * 2 + 1));
}

fn labels() -> Vec<Labels> {
    let one = |artist, offset| Labels {
        artist: vec![(artist, 0.7), (0, 0.3)],
        genre: vec![(1, 1.0), (2, 1.0)],
        total_length: 40_000,
        offset,
        lyrics: Vec::new(),
    };
    vec![one(1, 0), one(2, 9_000)]
}

fn prior(merged: bool, upper: bool, attn_order: usize, random: &mut Random) -> Prior {
    PriorConfig {
        level: usize::from(!upper),
        sample_rate: 8000,
        hop_length: 16,
        codebook_size: 11,
        transformer: TransformerConfig {
            width: 12,
            depth: 4,
            heads: 3,
            context: 16,
            blocks: 4,
            attn_order,
            spread: 0,
            prime: 0,
            attention_width: 0.5,
            mlp_width: 2.0,
            init_scale: 12.0,
            zero_out: false,
            residual_scale: false,
        },
        labels: Some(LabelsConfig {
            artists: 3,
            genres: 4,
            timing: (!upper).then_some(TimingConfig { bins: 8, min_seconds: 1.0, max_seconds: 10.0 }),
            naming: Naming::Own,
            genre_words: 5,
        }),
        lyrics: None,
        upper: upper.then(|| UpperConfig {
            strides: vec![2, 2],
            codebook_size: 11,
            width: 6,
            resnet: ResnetConfig {
                depth: 2,
                hidden: 1.0,
                dilation_growth: 3,
                dilation_cycle: None,
                residual_scale: true,
            },
        }),
        merged_decoder: merged,
    }
    .init(random, &Device::flex())
    .unwrap()
}

#[test]
fn prior_gradients_are_the_slopes_of_its_logits() {
    let random = &mut Random::new(3);
    let mut rows =
        |n: usize| -> Vec<Vec<u32>> { (0..2).map(|_| (0..n).map(|_| random.below(11) as u32).collect()).collect() };
    let (tokens, above) = (rows(16), rows(4));
    for (merged, upper, attn_order) in [(false, true, 2), (true, false, 9)] {
        let mut prior = prior(merged, upper, attn_order, random);
        let forward = |prior: &Prior, device: &Device| {
            let above = above.iter().map(Vec::as_slice).collect::<Vec<_>>();
            let conditions = prior.conditions(&labels(), 0, 16, upper.then_some(above.as_slice())).unwrap();
            let ids = token_tensor(&tokens.iter().map(Vec::as_slice).collect::<Vec<_>>(), device);
            prior.forward(ids, &conditions)
        };
        check(&mut prior, forward, |_| false);
    }
}

#[test]
fn attention_gradients_are_the_slopes_of_its_output() {
    use AttnFunc::{Dense, Encoder, PreviousBlock, Prime, SpreadSummary, Summary, TransposeBlock};
    let sizes = AttentionSizes { width: 6, state: 6, heads: 3, blocks: 4, block: 4, spread: 2, prime: 10 };
    for func in [Dense, AttnFunc::Block, TransposeBlock, PreviousBlock, Summary, SpreadSummary, Encoder, Prime] {
        let random = &mut Random::new(6);
        let (x, states) = (normals(2 * 16 * 6, random), normals(2 * 5 * 6, random));
        let forward = |layer: &Attention, device: &Device| {
            let tensor = |values: &[f32], n| Tensor::from_data(TensorData::new(values.to_vec(), [2, n, 6]), device);
            layer.forward(tensor(&x, 16), Some(&tensor(&states, 5)), Numbers::F32)
        };
        check(&mut Attention::init(func, sizes, 0.6, 0.6, random, &Device::flex()), forward, |_| false);
    }
}

/// A prior with words: beside the music with an encoder of their own, or in front of it.
fn lyric_prior(separate: bool, random: &mut Random) -> Prior {
    let transformer = |width, depth, context, attn_order, prime| TransformerConfig {
        width,
        depth,
        heads: 2,
        context,
        blocks: 4,
        attn_order,
        spread: 0,
        prime,
        attention_width: 0.5,
        mlp_width: 1.0,
        init_scale: 12.0,
        zero_out: false,
        residual_scale: depth > 4,
    };
    let mut config = prior(separate, false, 0, random).config().clone();
    // Order 12 has its attention to words in layer 15.
    config.transformer = if separate { transformer(12, 4, 16, 6, 0) } else { transformer(12, 16, 24, 12, 8) };
    config.lyrics = Some(LyricsConfig {
        tokens: 8,
        vocabulary: 7,
        loss_share: 0.8,
        encoder: separate.then(|| transformer(8, 2, 8, 2, 0)),
        alignment: None,
    });
    let mut prior = config.init(random, &Device::flex()).unwrap();
    // Attention to words starts silent: here it shall be heard.
    each_parameter(&mut prior, |_, mut p| {
        if p.shape().len() == 2 && p.values().iter().all(|v| *v == 0.0) {
            let values = normals(p.values().len(), random).into_iter().map(|v| v * 0.24).collect();
            p.set(values, &Device::flex(), false);
        }
    });
    prior
}

#[test]
fn lyric_prior_gradients_are_the_slopes_of_its_logits_and_loss() {
    let random = &mut Random::new(8);
    let tokens: Vec<Vec<u32>> = (0..2).map(|_| (0..16).map(|_| random.below(11) as u32).collect()).collect();
    let words = labels().into_iter().map(|l| Labels { lyrics: (0..20).map(|i| i * i % 7).collect(), ..l });
    let words: Vec<Labels> = words.collect();
    for separate in [true, false] {
        let mut prior = lyric_prior(separate, random);
        let forward = |prior: &Prior, device: &Device| {
            let conditions = prior.conditions(&words, 0, 16, None).unwrap();
            let ids = token_tensor(&tokens.iter().map(Vec::as_slice).collect::<Vec<_>>(), device);
            let lyrics = prior.losses(ids.clone(), &conditions).lyrics.unwrap();
            let logits = prior.forward(ids, &conditions);
            let n = logits.dims().iter().product();
            Tensor::cat(vec![logits.reshape([1, 1, n]), lyrics.reshape([1, 1, 1])], 2)
        };
        // Of the stack in front of the layer that attends to words, the first layer is enough.
        let between = |name: &str| (1..15).any(|d| name.contains(&format!("_attn_mods.{d}.")));
        check(&mut prior, forward, |name| !separate && between(name));
    }
}

/// Output and gradients of every parameter and of both inputs of a transformer.
fn trained(config: &TransformerConfig, time: usize, work: Work) -> Vec<(String, Vec<f32>)> {
    let (random, device) = (&mut Random::new(10), training());
    let mut stack = config.init(random, &device).unwrap();
    // Nothing is silent, no norm is plain.
    each_parameter(&mut stack, |_, mut p| {
        let values = p.values().into_iter().map(|v| v + 0.1 * random.normal()).collect();
        p.set(values, &device, true);
    });
    stack.work = work;
    let mut leaf = |n: usize| {
        let values = normals(2 * n * config.width, random);
        Tensor::<3>::from_data(TensorData::new(values, [2, n, config.width]), &device).require_grad()
    };
    let (x, states, weights) = (leaf(time), leaf(5), leaf(time).detach());
    let y = with_kernels(work.kernels, || stack.forward(x.clone(), Some(&states)));
    let mut found = (y.clone() * weights).sum().backward();
    let values = |t: Tensor<3>| t.into_data().iter::<f32>().collect::<Vec<f32>>();
    let mut all = vec![("output".to_owned(), values(y)), ("input".to_owned(), values(x.grad(&found).unwrap()))];
    all.extend(states.grad(&found).map(|g| ("encoder".to_owned(), values(g))));
    each_parameter(&mut stack, |name, p| all.push((name.to_owned(), p.take_gradient(&mut found).unwrap())));
    all
}

#[test]
fn kernels_and_burn_s_own_operations_give_the_same_gradients() {
    // Orders that have all functions among their layers; 12 has its attention to words in layer 15.
    for (attn_order, depth, scaled) in
        [(0, 2, false), (9, 4, true), (4, 2, false), (3, 2, true), (6, 4, false), (12, 16, true)]
    {
        let config = TransformerConfig {
            width: 20,
            depth,
            heads: 3,
            context: 32,
            blocks: 4,
            attn_order,
            spread: 2,
            prime: 6,
            attention_width: 0.75,
            mlp_width: 1.5,
            init_scale: 8.0,
            zero_out: false,
            residual_scale: scaled,
        };
        // Whole windows, and the front of one.
        for time in [32, 24] {
            let fast = trained(&config, time, Work::default());
            let slow = trained(&config, time, Work { kernels: false, ..Work::default() });
            assert_eq!(fast.len(), slow.len());
            for ((name, ours), (_, theirs)) in fast.iter().zip(&slow) {
                let most = theirs.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                assert!(most > 0.0 && ours.len() == theirs.len(), "order {attn_order}, {name}: nothing");
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() <= 1e-4 * most, "order {attn_order}, {name}: {a} for {b}, largest {most}");
                }
            }
            let again = trained(&config, time, Work { recompute: true, ..Work::default() });
            assert_eq!(fast, again, "order {attn_order}: computed again");
        }
    }
}
