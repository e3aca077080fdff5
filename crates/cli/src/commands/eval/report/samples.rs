//! The songs that a report is about.

use super::Arguments;
use crate::commands::eval::corpus::Corpus;
use crate::commands::eval::takes;
use crate::failure::Failure;
use burn::tensor::Device;
use orchestrion_generate::{LabelTables, decode_take};
use orchestrion_model::codec::VqVae;
use orchestrion_model::store::ModelFolder;

/// Songs of the model, each with the labels of a held-out recording.
pub struct Made {
    /// The held-out tracks whose labels they have.
    pub tracks: Vec<usize>,
    /// Artist and genre that were asked for.
    pub labels: Vec<String>,
    /// Their samples.
    pub sounds: Vec<Vec<f32>>,
    /// Their tokens of the top level, as they were drawn.
    pub top: Vec<Vec<u32>>,
}

impl Made {
    /// Makes them.
    pub fn new(
        a: &Arguments,
        folder: &ModelFolder,
        device: &Device,
        codec: &VqVae,
        corpus: &Corpus,
    ) -> Result<Self, Failure> {
        let (mut request, shape) = takes::request(folder, codec, a.seconds)?;
        let (tables, top) = (LabelTables::open(folder)?, shape.levels.len() - 1);
        let mut tracks = Corpus::spread(&corpus.test, a.takes);
        tracks = tracks.iter().copied().cycle().take(a.takes).collect();
        (request.takes, request.seed) = (a.takes, a.seed);
        request.labels = tracks.iter().map(|&t| takes::labels(&tables, &corpus.cache, t)).collect();
        let names = |labels| {
            let (artist, genre) = tables.names(labels);
            format!("{artist}, {genre}")
        };
        let labels = request.labels.iter().map(names).collect();
        let session = takes::make(folder, device, request, shape, None, "songs")?;
        let sounds = (0..a.takes).map(|take| decode_take(codec, &session, 0, take)).collect::<Result<_, _>>()?;
        Ok(Self { tracks, labels, sounds, top: (0..a.takes).map(|take| session.stream(top, take).to_vec()).collect() })
    }
}
