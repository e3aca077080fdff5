//! The parity ladder: golden numbers of the published model on random weights, from
//! `fixtures/jukebox`, or from the folder that `ORCHESTRION_JUKEBOX_FIXTURES` names. Whole priors are compared where they are put
//! together, in the model crate.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;

use super::*;
use crate::decode::cache::Cache;
use crate::decode::layer::{Chunk, Layer};
use crate::decode::matrix::Matrix;
use crate::decode::product::Finish;
use crate::lanes::padded;
use crate::team::Team;

/// One fixture file.
struct Golden {
    name: String,
    bytes: Vec<u8>,
    config: Value,
}

/// The files whose names begin with `kind`.
fn all(kind: &str) -> Vec<Golden> {
    let folder = crate::fixtures::folder();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "safetensors")
            && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind))
    };
    let found: Vec<Golden> = paths.iter().filter(|path| wanted(path)).map(|path| Golden::open(path)).collect();
    assert!(!found.is_empty(), "no `{kind}*` in {}", folder.display());
    found
}

impl Golden {
    fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
        let config = serde_json::from_str(&head.metadata().as_ref().unwrap()["config"]).unwrap();
        Self { name: path.file_stem().unwrap().to_string_lossy().into_owned(), bytes, config }
    }
    fn has(&self, key: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(key).is_ok()
    }
    fn floats(&self, key: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(key).unwrap_or_else(|_| panic!("no `{key}`"));
        tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
    fn size(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in the config")) as usize
    }
    fn linear(&self, name: &str) -> Linear {
        let (w, b) = (self.floats(&format!("{name}.w")), self.floats(&format!("{name}.b")));
        Linear { inputs: w.len() / b.len(), outputs: b.len(), w, b }
    }
    fn norm(&self, name: &str) -> Norm {
        Norm { g: self.floats(&format!("{name}.weight")), b: self.floats(&format!("{name}.bias")) }
    }
    /// The keys that a layer at the front sees: whole blocks, always more than there are lyric tokens.
    fn prime(&self) -> usize {
        let blocks = self.size("blocks");
        (self.size("prime_len") / blocks + 1) * blocks
    }
}

/// The largest difference, which must be within the tolerance.
fn near(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = found.iter().zip(expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    println!("{what}: {largest:.1e}");
    assert!(largest <= tolerance, "{what}: off by {largest}, {tolerance} is allowed");
}

fn pad(rows: &[f32], width: usize) -> Vec<f32> {
    let mut all = vec![0.0; rows.len() / width * padded(width)];
    for (to, from) in all.chunks_mut(padded(width)).zip(rows.chunks(width)) {
        to[..width].copy_from_slice(from);
    }
    all
}

fn unpad(rows: &[f32], width: usize) -> Vec<f32> {
    rows.chunks(padded(width)).flat_map(|row| &row[..width]).copied().collect()
}

fn multiply(linear: &Linear, x: &[f32]) -> Vec<f32> {
    let size = [linear.inputs, linear.outputs];
    let matrix = Matrix::pack(size, &linear.b, Precision::F32, |i, o| linear.w[i * linear.outputs + o]);
    let mut y = vec![0.0; x.len() / padded(linear.inputs) * padded(linear.outputs)];
    matrix.multiply(&mut Team::new(2).gather(), Isa::detect(), x, &mut y, Finish::Keep);
    y
}

/// The attention alone, step by step and in chunks of five: a layer whose norms and feed-forward part are not called.
#[test]
fn jukebox_parity_attention() {
    for golden in all("attention") {
        for (f, function) in [0, 1, 2, 3, 6, 7].into_iter().zip(ALL) {
            for (head, step) in (0..golden.size("heads")).flat_map(|head| [(head, 1), (head, 5)]) {
                attention(&golden, f, function, head, step);
            }
        }
    }
}

fn attention(golden: &Golden, f: usize, function: AttnFunc, head: usize, step: usize) {
    let (width, heads, context) = (golden.size("n_in"), golden.size("heads"), golden.size("n_ctx"));
    let key = |part: &str, name: &str| format!("{part}.f{f}.{name}");
    let (c_attn, c_proj) = (golden.linear(&key("w", "c_attn")), golden.linear(&key("w", "c_proj")));
    let (state, isa) = (c_proj.inputs, Isa::detect());
    let x = golden.floats(&key("in", "x"));
    let batch = x.len() / (context * width);
    let encoder = if function == AttnFunc::Encoder { golden.floats(&key("in", "enc")) } else { Vec::new() };
    let states = encoder.len() / (batch * width);
    let unused = |inputs, outputs| Linear { w: vec![0.0; inputs * outputs], b: vec![0.0; outputs], inputs, outputs };
    let norm = Norm { g: vec![1.0; width], b: vec![0.0; width] };
    let layer = LayerWeights {
        attn_func: function,
        ln_0: norm.clone(),
        c_attn: c_attn.clone(),
        encoder_kv: (states > 0).then(|| golden.linear(&key("w", "c_enc_kv"))),
        c_proj: c_proj.clone(),
        ln_1: norm,
        c_fc: unused(width, 1),
        mlp_proj: unused(1, width),
    };
    let sizes = TransformerWeights {
        width,
        heads,
        context,
        blocks: golden.size("blocks"),
        prime: golden.prime(),
        residual_scale: 1.0,
        vocab: 0,
        embedding: Vec::new(),
        position: Vec::new(),
        output: None,
        add_condition_after: false,
    };
    let layer = Layer::pack(0, layer, &sizes, Precision::F32).unwrap();
    let (strips, keys) = layer.pattern.extent(context, states);
    let triple = multiply(&c_attn, &pad(&x, width));
    let mut attended = vec![0.0; batch * context * padded(state)];
    let mut shares = Vec::new();
    let mut crew = Team::new(2).gather();
    for row in 0..batch {
        let caches = || (0..heads).map(|_| Cache::new(state / heads, (strips, keys)).unwrap()).collect::<Vec<_>>();
        let (mut seen, mut looked) = (caches(), caches());
        for caches in [&mut seen, &mut looked] {
            layer.look_up(&mut crew, isa, &pad(&encoder[row * states * width..][..states * width], width), caches);
        }
        let triple_wide = padded(c_attn.outputs);
        for first in (0..context).step_by(step) {
            let count = step.min(context - first);
            let at = row * context + first;
            let chunk = Chunk { isa, first, count, heads, encoder: states, residual_scale: 1.0 };
            let out = &mut attended[at * padded(state)..][..count * padded(state)];
            let triple = &triple[at * triple_wide..][..count * triple_wide];
            layer.attend(&mut crew, chunk, triple, &mut seen, out);
            shares.extend(layer.shares(&mut crew, chunk, [head, keys], triple, &mut looked));
        }
    }
    let what = format!("{} f{f} in steps of {step}", golden.name);
    let y = unpad(&multiply(&c_proj, &attended), width);
    near(&what, &y, &golden.floats(&key("out", "y")), 2e-5);
    if strips == 1 && function != AttnFunc::Block && golden.has(&key("out", "attn0")) {
        // Those of the first row: `[heads, queries, keys]`.
        let all = golden.floats(&key("out", "attn0"));
        let ours = all.chunks(all.len() / (heads * context)).skip(head * context).take(context);
        let expected: Vec<f32> = ours.flat_map(|row| &row[..keys]).copied().collect();
        near(&format!("{what}, head {head}"), &shares[..context * keys], &expected, 2e-5);
    }
}

/// The stacks, fed through the condition and read through an output head that is the identity.
#[test]
fn jukebox_parity_transformer() {
    for golden in all("transformer_") {
        let functions: Vec<u64> =
            golden.config["funcs"].as_array().unwrap().iter().map(|f| f.as_u64().unwrap()).collect();
        if functions.iter().any(|f| [4, 5].contains(f)) {
            println!("{}: its summaries cannot be run one token ahead", golden.name);
            continue;
        }
        transformer(&golden, &functions);
    }
}

fn transformer(golden: &Golden, functions: &[u64]) {
    let (width, context) = (golden.size("n_in"), golden.size("n_ctx"));
    let layers = functions.iter().enumerate().map(|(d, f)| {
        let at = |part: &str| format!("w._attn_mods.{d}.{part}");
        Ok::<_, EngineError>(LayerWeights {
            attn_func: match f {
                6 => AttnFunc::Encoder,
                7 => AttnFunc::Prime,
                f => ALL[*f as usize],
            },
            ln_0: golden.norm(&at("ln_0")),
            c_attn: golden.linear(&at("attn.c_attn")),
            encoder_kv: (*f == 6).then(|| golden.linear(&at("attn.c_enc_kv"))),
            c_proj: golden.linear(&at("attn.c_proj")),
            ln_1: golden.norm(&at("ln_1")),
            c_fc: golden.linear(&at("mlp.c_fc")),
            mlp_proj: golden.linear(&at("mlp.c_proj")),
        })
    });
    let scaled = golden.config["res_scale"].as_bool().unwrap_or_default();
    let weights = TransformerWeights {
        width,
        heads: golden.size("heads"),
        context,
        blocks: golden.size("blocks"),
        prime: golden.prime(),
        residual_scale: if scaled { 1.0 / functions.len() as f32 } else { 1.0 },
        vocab: width,
        embedding: vec![0.0; width * width],
        position: vec![0.0; context * width],
        output: Some((0..width * width).map(|i| if i / width == i % width { 1.0 } else { 0.0 }).collect()),
        add_condition_after: false,
    };
    let mut decoder = Decoder::new(weights, layers, Precision::F32).unwrap();
    let (x, encoder) = (golden.floats("in.x"), golden.has("in.enc").then(|| golden.floats("in.enc")));
    let batch = x.len() / (context * width);
    let start = vec![0.0; batch * width];
    let conditions = Conditions { start: &start, positions: Some(&x), encoder: encoder.as_deref() };
    decoder.begin(conditions, batch, context).unwrap();
    let mut found = vec![Vec::new(); batch];
    for t in 0..context {
        let logits = decoder.advance(&vec![&[0][..t.min(1)]; batch]).unwrap();
        for (found, logits) in found.iter_mut().zip(logits.chunks(width)) {
            found.extend_from_slice(logits);
        }
    }
    near(&golden.name, &found.concat(), &golden.floats("out.y"), 1e-4);
}
