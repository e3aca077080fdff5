//! The parity ladder: golden numbers of the published model on random weights, from the folder that
//! `ORCHESTRION_JUKEBOX_FIXTURES` names. Without it the tests say so and pass.

use safetensors::SafeTensors;
use serde_json::Value;

use super::*;
use crate::decode::cache::Cache;
use crate::decode::layer::{Chunk, Layer};
use crate::decode::{Decoder, panels::Panels};
use crate::lanes::{Isa, padded};

/// One fixture file.
struct Golden {
    bytes: Vec<u8>,
    config: Value,
}

impl Golden {
    fn open(name: &str) -> Option<Self> {
        let Some(folder) = std::env::var_os("ORCHESTRION_JUKEBOX_FIXTURES") else {
            println!("skipped: ORCHESTRION_JUKEBOX_FIXTURES is not set");
            return None;
        };
        let bytes = std::fs::read(std::path::Path::new(&folder).join(format!("{name}.safetensors"))).unwrap();
        let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
        let config = serde_json::from_str(&head.metadata().as_ref().unwrap()["config"]).unwrap();
        Some(Self { bytes, config })
    }
    fn raw<const N: usize>(&self, key: &str) -> Vec<[u8; N]> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(key).unwrap_or_else(|_| panic!("no `{key}`"));
        tensor.data().as_chunks::<N>().0.to_vec()
    }
    fn floats(&self, key: &str) -> Vec<f32> {
        self.raw(key).into_iter().map(f32::from_le_bytes).collect()
    }
    fn integers(&self, key: &str) -> Vec<u32> {
        self.raw(key).into_iter().map(|b| i64::from_le_bytes(b) as u32).collect()
    }
    fn size(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap() as usize
    }
    fn linear(&self, name: &str) -> Linear {
        let (w, b) = (self.floats(&format!("{name}.w")), self.floats(&format!("{name}.b")));
        Linear { inputs: w.len() / b.len(), outputs: b.len(), w, b }
    }
    fn norm(&self, name: &str) -> Norm {
        Norm { g: self.floats(&format!("{name}.weight")), b: self.floats(&format!("{name}.bias")) }
    }
    fn layers(&self, prefix: &str) -> Vec<LayerWeights> {
        let layer = |d: usize| {
            let at = |part: &str| format!("{prefix}._attn_mods.{d}.{part}");
            LayerWeights {
                attn_func: ALL[1 + d % 3],
                ln_0: self.norm(&at("ln_0")),
                c_attn: self.linear(&at("attn.c_attn")),
                c_proj: self.linear(&at("attn.c_proj")),
                ln_1: self.norm(&at("ln_1")),
                c_fc: self.linear(&at("mlp.c_fc")),
                mlp_proj: self.linear(&at("mlp.c_proj")),
            }
        };
        (0..self.size("depth")).map(layer).collect()
    }
}

fn near(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}: {a} at {i} where {b} is golden");
    }
}

/// The attention alone: a layer whose norms and feed-forward part are not called.
#[test]
fn jukebox_parity_attention() {
    const BATCH: usize = 2;
    let Some(golden) = Golden::open("attention") else {
        return;
    };
    let (width, heads, context) = (golden.size("n_in"), golden.size("heads"), golden.size("n_ctx"));
    let columns = context / golden.size("blocks");
    let isa = Isa::detect();
    let apply = |linear: &Linear, x: &[f32]| {
        let panels = Panels::pack(linear.inputs, linear.outputs, &linear.b, |i, o| linear.w[i * linear.outputs + o]);
        let mut y = vec![0.0; x.len() / padded(linear.inputs) * padded(linear.outputs)];
        panels.multiply(isa, x, &mut y);
        y
    };
    for (f, attn_func) in ALL.into_iter().enumerate() {
        let (c_attn, c_proj) = (golden.linear(&format!("w.f{f}.c_attn")), golden.linear(&format!("w.f{f}.c_proj")));
        let state = c_proj.inputs;
        let mut x = vec![0.0; BATCH * context * padded(width)];
        for (to, from) in x.chunks_mut(padded(width)).zip(golden.floats(&format!("in.f{f}.x")).chunks(width)) {
            to[..width].copy_from_slice(from);
        }
        let triple = apply(&c_attn, &x);
        let unused =
            |inputs, outputs| Linear { w: vec![0.0; inputs * outputs], b: vec![0.0; outputs], inputs, outputs };
        let norm = Norm { g: vec![1.0; width], b: vec![0.0; width] };
        let layer = Layer::pack(&LayerWeights {
            attn_func,
            ln_0: norm.clone(),
            c_attn,
            c_proj: c_proj.clone(),
            ln_1: norm,
            c_fc: unused(width, 1),
            mlp_proj: unused(1, width),
        });
        let mut attended = vec![0.0; BATCH * context * padded(state)];
        let rows = triple.chunks(triple.len() / BATCH).zip(attended.chunks_mut(context * padded(state)));
        for (triple, attended) in rows {
            let mut cache = Cache::new(heads, state / heads, attn_func.extent(context, columns)).unwrap();
            let mut first = 0;
            let parts = triple.chunks(5 * padded(3 * state)).zip(attended.chunks_mut(5 * padded(state)));
            for (triple, attended) in parts {
                let count = attended.len() / padded(state);
                let chunk = Chunk { isa, first, count, heads, columns, residual_scale: 1.0, task: count };
                layer.attend(chunk, triple, &mut cache, attended);
                first += count;
            }
        }
        let found: Vec<f32> =
            apply(&c_proj, &attended).chunks(padded(width)).flat_map(|row| row[..width].to_vec()).collect();
        near(&format!("f{f}"), &found, &golden.floats(&format!("out.f{f}.y")), 2e-5);
    }
}

/// The stack, fed through the condition and read through an output head that is the identity.
#[test]
fn jukebox_parity_transformer() {
    let Some(golden) = Golden::open("transformer_order2") else {
        return;
    };
    let (width, context) = (golden.size("n_in"), golden.size("n_ctx"));
    let mut decoder = Decoder::new(TransformerWeights {
        width,
        heads: golden.size("heads"),
        context,
        blocks: golden.size("blocks"),
        residual_scale: 1.0,
        vocab: width,
        embedding: vec![0.0; width * width],
        position: vec![0.0; context * width],
        layers: golden.layers("w"),
        output: Some((0..width * width).map(|i| if i / width == i % width { 1.0 } else { 0.0 }).collect()),
        add_condition_after: false,
    })
    .unwrap();
    decoder.begin(&vec![0.0; width], Some(&golden.floats("in.x")), 1, context).unwrap();
    let mut found = decoder.advance(&[&[]]).unwrap().to_vec();
    for _ in 1..context {
        found.extend_from_slice(decoder.advance(&[&[0]]).unwrap());
    }
    near("transformer_order2", &found, &golden.floats("out.y"), 1e-4);
}

#[test]
fn jukebox_parity_priors() {
    for name in ["prior_top_labels", "prior_top_nolabels", "prior_upsampler_l0", "prior_upsampler_l1"] {
        let Some(golden) = Golden::open(name) else {
            return;
        };
        prior(name, &golden);
    }
}

fn prior(name: &str, golden: &Golden) {
    const BATCH: usize = 2;
    let (width, context, vocab) = (golden.size("width"), golden.size("n_ctx"), golden.size("bins"));
    let labels = golden.config["labels"].as_bool().unwrap();
    let merged = golden.config["merged"].as_bool().unwrap();
    assert_eq!(golden.size("order"), 2);
    let mut decoder = Decoder::new(TransformerWeights {
        width,
        heads: golden.size("heads"),
        context,
        blocks: golden.size("blocks"),
        residual_scale: 1.0,
        vocab,
        embedding: golden.floats("w.prior.x_emb.weight"),
        position: golden.floats("w.prior.pos_emb.pos_emb"),
        layers: golden.layers("w.prior.transformer"),
        output: merged.then(|| golden.floats("w.prior.x_out.weight")),
        add_condition_after: !merged,
    })
    .unwrap();
    let start = if labels { golden.floats("out.y_cond") } else { golden.floats("w.prior.start_token").repeat(BATCH) };
    let condition = labels.then(|| golden.floats("out.x_cond"));
    let begin = |decoder: &mut Decoder| decoder.begin(&start, condition.as_deref(), BATCH, context).unwrap();
    let columns = |tokens: &[u32], count: usize| -> Vec<Vec<u32>> {
        tokens.chunks(tokens.len() / BATCH).map(|row| row[..count].to_vec()).collect()
    };
    let rows =
        |tokens: &[Vec<u32>], from: usize| -> Vec<Vec<u32>> { tokens.iter().map(|row| row[from..].to_vec()).collect() };
    let advance = |decoder: &mut Decoder, tokens: &[Vec<u32>]| -> Vec<f32> {
        decoder.advance(&tokens.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().to_vec()
    };
    // `[batch, steps, vocab]` of a golden file, at one step.
    let at = |all: &[f32], step: usize| -> Vec<f32> {
        all.chunks(all.len() / BATCH).flat_map(|row| &row[step * vocab..][..vocab]).copied().collect()
    };

    let (codes, logits) = (golden.integers("in.z"), golden.floats("out.logits"));
    begin(&mut decoder);
    for t in 0..context {
        let new = columns(&codes, t);
        let found = advance(&mut decoder, &rows(&new, t.saturating_sub(1)));
        near(&format!("{name} logits {t}"), &found, &at(&logits, t), 2e-4);
    }

    let (tokens, logits) = (golden.integers("out.greedy_tokens"), golden.floats("out.greedy_logits"));
    begin(&mut decoder);
    let mut made = vec![Vec::new(); BATCH];
    for t in 0..tokens.len() / BATCH {
        let found = advance(&mut decoder, &rows(&made, t.saturating_sub(1)));
        near(&format!("{name} greedy {t}"), &found, &at(&logits, t), 2e-4);
        for (made, logits) in made.iter_mut().zip(found.chunks(vocab)) {
            made.push((0..vocab).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32);
        }
    }
    assert_eq!(made.concat(), tokens, "{name}: greedy tokens");

    let (tokens, logits) = (golden.integers("out.icdf_tokens"), golden.floats("out.icdf_logits"));
    let prime = golden.integers("in.prime_len")[0] as usize;
    let draws: Vec<f64> = golden.raw("in.icdf_u_f64").into_iter().map(f64::from_le_bytes).collect();
    let steps = draws.len() / BATCH;
    begin(&mut decoder);
    let mut made = columns(&codes, prime);
    for step in 0..steps {
        let found = advance(&mut decoder, &rows(&made, if step == 0 { 0 } else { prime + step - 1 }));
        near(&format!("{name} draw {step}"), &found, &at(&logits, step), 2e-4);
        for (row, (made, logits)) in made.iter_mut().zip(found.chunks(vocab)).enumerate() {
            made.push(draw(logits, draws[row * steps + step]));
        }
    }
    assert_eq!(made.concat(), tokens, "{name}: drawn tokens");
}

/// Number of tokens whose cumulative probability at temperature 0.99 is at most `u`.
fn draw(logits: &[f32], u: f64) -> u32 {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f64> = logits.iter().map(|l| (f64::from(l - largest) / 0.99).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut cumulative = 0.0;
    let passed = weights.iter().take_while(|w| {
        cumulative += **w / total;
        cumulative <= u
    });
    passed.count() as u32
}
