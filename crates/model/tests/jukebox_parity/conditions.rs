//! Labels and codes of the level above as vectors.

use super::fixture::{Fixture, values};
use super::sizes;
use burn::tensor::{Device, Int, Tensor, TensorData};
use orchestrion_model::nn::Random;

const LABELS: f64 = 1e-6;
const CONDITIONER: f64 = 2e-5;

pub fn compare_labels(fixture: &mut Fixture) {
    let device = Device::flex();
    let config = fixture.config.clone();
    let sizes = sizes::labels(&config, config.flag("time"));
    let rate = config.count("sr") as u32;
    let mut tables = sizes.init(config.count("width"), rate, 1.0, &mut Random::new(0), &device);
    fixture.fill(&mut tables, &[], &device);
    let (labels, spans): (Vec<_>, Vec<_>) = sizes::label_rows(fixture, "in.y").into_iter().unzip();
    tables.check(&labels).unwrap();
    fixture.close("start", &values(&tables.start(&labels).unwrap()), LABELS);
    let context = config.count("n_ctx");
    match (tables.positions(&spans, context), &sizes.timing) {
        (Some(positions), Some(timing)) => {
            let bins = spans.iter().map(|s| timing.bins(*s, rate, context));
            let mut rows: [Vec<i64>; 3] = Default::default();
            for bins in bins {
                for (row, bins) in rows.iter_mut().zip(bins) {
                    row.extend(bins.into_iter().map(|b| b as i64));
                }
            }
            for (key, row) in ["bins_total", "bins_abs", "bins_rel"].iter().zip(rows) {
                fixture.equal(key, &row, |_| false);
            }
            fixture.close("pos", &values(&positions), LABELS);
        }
        _ => assert!(!fixture.has("out.pos"), "the file has timing, the model none"),
    }
}

pub fn compare_conditioner(fixture: &mut Fixture) {
    let device = Device::flex();
    let sizes = sizes::upper(&fixture.config, "width");
    let mut conditioner = sizes.init(fixture.config.count("out_width"), 1.0, &mut Random::new(0), &device);
    fixture.fill(&mut conditioner, &[], &device);
    let shape: [usize; 2] = fixture.shape("in.codes").try_into().unwrap();
    let codes = Tensor::<2, Int>::from_data(TensorData::new(fixture.integers("in.codes"), shape), &device);
    fixture.close("y", &values(&conditioner.forward(codes)), CONDITIONER);
}
