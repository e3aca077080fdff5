//! Labels and codes of the level above as vectors.

use super::fixture::{Config, Fixture, values};
use burn::tensor::{Device, Int, Tensor, TensorData};
use orchestrion_model::condition::{Labels, LabelsConfig, Naming, Span, TimingConfig, UpperConfig};
use orchestrion_model::nn::Random;
use orchestrion_model::nn::resnet::ResnetConfig;

const LABELS: f64 = 1e-6;
const CONDITIONER: f64 = 2e-5;

/// Label tables; `timing` for top levels.
pub fn label_sizes(config: &Config, timing: bool) -> LabelsConfig {
    LabelsConfig {
        artists: config.count("artist_bins"),
        genres: config.count("genre_bins"),
        timing: timing.then(|| TimingConfig {
            bins: config.count("t_bins"),
            min_seconds: config.number("min_duration"),
            max_seconds: config.number("max_duration"),
        }),
        naming: Naming::Own,
        genre_words: config.count("G"),
    }
}

/// The conditioner, whose residual channels stand under `width`.
pub fn upper_sizes(config: &Config, width: &str) -> UpperConfig {
    UpperConfig {
        strides: vec![config.count("cond_stride"); config.count("cond_downs")],
        codebook_size: config.count("bins"),
        width: config.count(width),
        resnet: ResnetConfig {
            depth: config.count("cond_depth"),
            hidden: config.optional("cond_m_conv").or(config.optional("m_conv")).unwrap_or(1.0),
            dilation_growth: config.count("cond_growth"),
            dilation_cycle: config.optional("cond_cycle").map(|c| c as usize),
            residual_scale: config.flag("cond_res_scale"),
        },
    }
}

/// Rows `[total, offset, length, artist, genre, genre, ...]` as the songs' labels and the windows' places.
pub fn label_rows(fixture: &Fixture) -> Vec<(Labels, Span)> {
    let columns = fixture.shape("in.y")[1];
    let row = |y: &[i64]| {
        let [total, offset, length] = [y[0], y[1], y[2]].map(|n| u64::try_from(n).unwrap());
        let labels = Labels {
            artist: vec![(u32::try_from(y[3]).unwrap(), 1.0)],
            genre: y[4..].iter().filter_map(|g| u32::try_from(*g).ok()).map(|g| (g, 1.0)).collect(),
            total_length: total,
            offset,
            lyrics: Vec::new(),
        };
        (labels, Span { total, offset, length })
    };
    fixture.integers("in.y").chunks_exact(columns).map(row).collect()
}

pub fn compare_labels(fixture: &mut Fixture) {
    let device = Device::flex();
    let config = fixture.config.clone();
    let sizes = label_sizes(&config, config.flag("time"));
    let rate = config.count("sr") as u32;
    let mut tables = sizes.init(config.count("width"), rate, 1.0, &mut Random::new(0), &device);
    fixture.fill(&mut tables, &[], &device);
    let (labels, spans): (Vec<_>, Vec<_>) = label_rows(fixture).into_iter().unzip();
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
    let sizes = upper_sizes(&fixture.config, "width");
    let mut conditioner = sizes.init(fixture.config.count("out_width"), 1.0, &mut Random::new(0), &device);
    fixture.fill(&mut conditioner, &[], &device);
    let shape: [usize; 2] = fixture.shape("in.codes").try_into().unwrap();
    let codes = Tensor::<2, Int>::from_data(TensorData::new(fixture.integers("in.codes"), shape), &device);
    fixture.close("y", &values(&conditioner.forward(codes)), CONDITIONER);
}
