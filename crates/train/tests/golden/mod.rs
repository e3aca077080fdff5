//! The models, settings and batches of the golden files of training.

#[path = "../../../model/tests/jukebox_parity/fixture.rs"]
#[allow(dead_code, reason = "the model's own tests use the rest")]
pub mod fixture;
#[path = "../../../model/tests/jukebox_parity/sizes.rs"]
#[allow(dead_code, reason = "the model's own tests use the rest")]
pub mod sizes;

use burn::tensor::{Device, Tensor};
use fixture::{Config, Fixture, values};
use orchestrion_model::codec::{CodebookUpdate, VqVae};
use orchestrion_model::nn::{Parameters, Random, Visitor, each_parameter};
use orchestrion_model::prior::Prior;
use orchestrion_train::{AdamConfig, CodecRecipe, Objective, Restart};

/// The optimiser's settings.
pub fn settings(config: &Config) -> AdamConfig {
    AdamConfig {
        lr: config.number("lr"),
        beta1: config.number("beta1"),
        beta2: config.number("beta2"),
        eps: config.number("eps"),
        weight_decay: config.number("weight_decay"),
        clip: config.number("clip"),
        ema: config.optional("ema_mu").unwrap_or(0.0),
        ema_warmup: false,
    }
}

/// A codec but for its codebooks, which start from data.
struct Networks<'a>(&'a mut VqVae);

impl Parameters for Networks<'_> {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        each_parameter(self.0, |name, p| {
            if !name.ends_with(".k") {
                visitor.show(name, p);
            }
        });
    }
}

/// The rows that a permutation under `key` puts first.
pub fn chosen(fixture: &Fixture, key: &str, rows: &[f32], [size, width]: [usize; 2]) -> Vec<f32> {
    let order = fixture.integers(key);
    assert_eq!(order.len() * width, rows.len(), "`{key}` is of other rows");
    order[..size].iter().flat_map(|r| rows[*r as usize * width..][..width].to_vec()).collect()
}

/// The codec with its first weights, but for its codebooks, and what it is trained for.
pub fn codec(fixture: &Fixture, device: &Device) -> (VqVae, Objective) {
    let config = fixture.config.clone();
    let network = sizes::codec(&config);
    let hps = config.part("loss");
    let mut codec = network.init(&mut Random::new(0), device).unwrap();
    fixture.fill(&mut Networks(&mut codec), &[], device);
    let objective = Objective {
        recipe: CodecRecipe {
            crop: config.count("sample_length"),
            loss: sizes::loss_weights(&hps, hps.word("loss_fn")),
            codebook: CodebookUpdate::Ema,
            codebook_decay: config.number("l_mu") as f32,
            restart: Restart::Count(config.number("threshold") as f32),
            network,
        },
        bandwidth: sizes::bandwidth(&hps),
    };
    (codec, objective)
}

/// Takes the codebooks' first entries from the first batch; gives them.
pub fn fill(fixture: &Fixture, codec: &mut VqVae, audio: &Tensor<3>) -> Vec<Vec<f32>> {
    let fill = |(l, level): (usize, &mut orchestrion_model::codec::Level)| {
        let latents = level.encode(audio.clone()).detach().swap_dims(1, 2);
        let first = chosen(fixture, &format!("in.perm_init{l}"), &values(&latents), level.codebook.dims());
        level.codebook.fill(first.clone(), 1.0);
        first
    };
    codec.levels.iter_mut().enumerate().map(fill).collect()
}

/// The prior with its first weights.
pub fn prior(fixture: &Fixture, device: &Device) -> Prior {
    let config = fixture.config.clone();
    // The codec's steps are not in the file: the window's length in samples says what they were.
    let length = fixture.integers("in.s0.y")[2] as usize;
    let sizes = sizes::prior_of_hop(&config, length / config.count("n_ctx"));
    let mut prior = sizes.init(&mut Random::new(0), device).unwrap();
    fixture.fill(&mut prior, &["prior.x_out.weight"], device);
    prior
}
