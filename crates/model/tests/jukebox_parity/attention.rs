//! Attention layers, transformers of several orders, and the tables of orders.

use super::fixture::{Config, Fixture, values};
use super::probabilities::probabilities;
use super::sizes;
use burn::tensor::{Device, Tensor};
use orchestrion_engine::Numbers;
use orchestrion_model::nn::Random;
use orchestrion_model::nn::attention::{Attention, AttentionSizes, AttnFunc};
use orchestrion_model::nn::transformer::TransformerConfig;
use serde_json::Value;

const LAYER: f64 = 2e-5;
const STACK: f64 = 1e-4;

/// Functions by their number.
pub const FUNCTIONS: [AttnFunc; 8] = [
    AttnFunc::Dense,
    AttnFunc::Block,
    AttnFunc::TransposeBlock,
    AttnFunc::PreviousBlock,
    AttnFunc::Summary,
    AttnFunc::SpreadSummary,
    AttnFunc::Encoder,
    AttnFunc::Prime,
];

fn transformer(config: &Config) -> TransformerConfig {
    let prime = config.optional("prime_len").map_or(0, |n| n as usize);
    sizes::transformer(config, ["n_in", "attn_order"], config.count("n_ctx"), prime)
}

pub fn compare(fixture: &mut Fixture) {
    let device = Device::flex();
    let config = fixture.config.clone();
    let transformer = transformer(&config);
    let TransformerConfig { width, heads, blocks, context, spread, .. } = transformer;
    let sizes = AttentionSizes {
        width,
        state: config.count("n_state"),
        heads,
        blocks,
        block: context / blocks,
        spread,
        prime: transformer.prime_keys(),
    };
    for (n, func) in FUNCTIONS.into_iter().enumerate() {
        if !fixture.has(&format!("in.f{n}.x")) {
            continue;
        }
        let mut layer = Attention::init(func, sizes, 0.0, 0.0, &mut Random::new(0), &device);
        fixture.fill_from(&format!("w.f{n}."), &mut layer, &[], &device);
        let cube =
            |key: String| -> Tensor<3> { fixture.tensor(&key, fixture.shape(&key).try_into().unwrap(), &device) };
        let x = cube(format!("in.f{n}.x"));
        let encoder = (func == AttnFunc::Encoder).then(|| cube(format!("in.f{n}.enc")));
        let y = layer.forward(x.clone(), encoder.as_ref(), Numbers::F32);
        let seen = probabilities(&mut layer, func, sizes, x, encoder);
        fixture.close(&format!("f{n}.y"), &values(&y), LAYER);
        compare_probabilities(fixture, n, seen);
    }
}

/// Attention of the first row's heads, whose columns begin with the zero keys, and the mask. What a query leaves over of the
/// keys it has goes to zero keys in equal parts.
fn compare_probabilities(fixture: &mut Fixture, n: usize, seen: Tensor<4>) {
    let [_, heads, time, keys] = seen.dims();
    let zeros =
        if fixture.has(&format!("out.f{n}.n_null")) { fixture.integers(&format!("out.f{n}.n_null"))[0] } else { 0 };
    let zeros = usize::try_from(zeros).unwrap();
    let mut ours = Vec::with_capacity(heads * time * (zeros + keys));
    for row in values(&seen.narrow(0, 0, 1)).chunks_exact(keys) {
        let left = (1.0 - row.iter().sum::<f32>()).max(0.0) / zeros.max(1) as f32;
        ours.extend(std::iter::repeat_n(if left > 1e-6 { left } else { 0.0 }, zeros));
        ours.extend_from_slice(row);
    }
    fixture.close(&format!("f{n}.attn0"), &ours, LAYER);
    if fixture.has(&format!("out.f{n}.mask")) {
        let mask: Vec<i64> = ours[..time * (zeros + keys)].iter().map(|p| i64::from(*p > 0.0)).collect();
        fixture.equal(&format!("f{n}.mask"), &mask, |_| false);
    }
}

pub fn compare_transformer(fixture: &mut Fixture) {
    let device = Device::flex();
    let config = fixture.config.clone();
    let sizes = transformer(&config);
    if config.part("funcs").0.is_array() {
        let funcs: Vec<AttnFunc> = config.counts("funcs").into_iter().map(|f| FUNCTIONS[f]).collect();
        let ours: Vec<AttnFunc> = (0..sizes.depth).map(|d| sizes.func(d).unwrap()).collect();
        assert_eq!(ours, funcs, "attention of the layers");
    }
    let mut stack = sizes.init(&mut Random::new(0), &device).unwrap();
    fixture.fill(&mut stack, &[], &device);
    let cube = |key: &str| -> Tensor<3> { fixture.tensor(key, fixture.shape(key).try_into().unwrap(), &device) };
    let encoder = fixture.has("in.enc").then(|| cube("in.enc"));
    let y = stack.forward(cube("in.x"), encoder.as_ref());
    fixture.close("y", &values(&y), STACK);
}

/// Attention of every layer of every order.
pub fn compare_orders(values: &Value) {
    let orders = values["attn_funcs"].as_object().unwrap();
    for (order, funcs) in orders {
        let funcs = funcs.as_array().unwrap();
        let config = TransformerConfig {
            width: 8,
            depth: funcs.len(),
            heads: 1,
            context: 64,
            blocks: 8,
            attn_order: order.parse().unwrap(),
            spread: 1,
            prime: 16,
            attention_width: 1.0,
            mlp_width: 1.0,
            init_scale: 1.0,
            zero_out: false,
            residual_scale: false,
        };
        config.validate().unwrap();
        for (d, func) in funcs.iter().enumerate() {
            let expected = FUNCTIONS[func.as_u64().unwrap() as usize];
            assert_eq!(config.func(d).unwrap(), expected, "order {order}, layer {d}");
        }
    }
    println!("values: attn_funcs of {} orders", orders.len());
}
