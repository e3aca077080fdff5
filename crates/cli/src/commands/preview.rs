//! Sound samples and the page in a run's folder, while it trains.

use burn::tensor::Device;
use orchestrion_audio::{Clip, ReadOptions, spectrum, waveform_peaks};
use orchestrion_data::{Manifest, Split};
use orchestrion_generate::{Cancel, Event, GenerateError, Run, SampleRequest, Session, SongShape, decode_take};
use orchestrion_model::codec::Codec;
use orchestrion_model::prior::{PriorDecoder, TokenModel};
use orchestrion_model::store::{ModelFolder, Source};
use orchestrion_page::{
    Rendition, Row, Sound, SoundFormat, Spectrogram, Track, TrainingPage, Waveform, charts_by_name,
};
use orchestrion_train::{MetricsLog, Preview};
use std::fmt::Display;
use std::path::Path;

/// Seconds of a held-out recording that a codec's samples show.
const SECONDS: f64 = 8.0;

fn word(error: impl Display) -> String {
    error.to_string()
}

/// Writes a sound and its spectrogram beside each other, and gives them for the run's page.
fn write(to: &Path, name: &str, title: String, clip: &Clip) -> Result<Rendition, String> {
    std::fs::create_dir_all(to).map_err(|e| format!("`{}`: {e}", to.display()))?;
    let bytes = orchestrion_audio::encode_flac(clip, &[]).map_err(word)?;
    orchestrion_data::write_whole(&to.join(format!("{name}.flac")), &bytes).map_err(word)?;
    let mono = clip.mono();
    let mel = spectrum::log_mel(&mono, clip.sample_rate).map_err(word)?;
    let decibels = mel.values.iter().map(|v| 20.0 * v).collect();
    let spectrogram = Spectrogram::new(decibels, mel.frames, mel.bins).map_err(word)?;
    let picture = spectrogram.png(None).map_err(word)?;
    orchestrion_data::write_whole(&to.join(format!("{name}.png")), &picture).map_err(word)?;
    let peaks = waveform_peaks(&mono, 1200.min(mono.len().max(1)));
    Ok(Rendition {
        name: title,
        detail: String::new(),
        sound: Sound { bytes, format: SoundFormat::Flac, file_name: format!("{name}.flac") },
        waveform: Waveform { peaks: peaks.iter().map(|p| (p.min, p.max)).collect() },
        spectrogram,
    })
}

/// Writes the run's page: curves of all metrics, and the newest sounds.
fn write_page(folder: &Path, step: u64, seconds: f64, renditions: Vec<Rendition>) -> Result<(), String> {
    let rows: Vec<Row> = MetricsLog::open(folder, u64::MAX)
        .and_then(|log| log.rows())
        .unwrap_or_default()
        .into_iter()
        .map(|row| Row { step: row.step, values: row.values })
        .collect();
    let model = ModelFolder::open(Source::Folder(folder.to_owned())).map_err(word)?;
    let page = TrainingPage {
        title: model.config().name.clone(),
        status: format!("step {step}"),
        facts: vec![("folder".to_owned(), folder.display().to_string())],
        charts: charts_by_name(&rows),
        rows,
        sounds: vec![Track { name: format!("step {step}"), seconds, marks: Vec::new(), renditions }],
        recipe: serde_json::to_string_pretty(model.config()).unwrap_or_default(),
    };
    orchestrion_data::write_whole(&folder.join("index.html"), page.html().map_err(word)?.as_bytes()).map_err(word)
}

/// A held-out recording through every level of a codec.
pub struct CodecPreview {
    original: Clip,
}

impl CodecPreview {
    /// Takes a stretch from the first held-out track; none without one.
    pub fn new(manifest: &Manifest) -> Option<Self> {
        let entry = manifest.of_split(Split::Valid).next().or_else(|| manifest.of_split(Split::Test).next())?;
        let offset = ((entry.duration - SECONDS) / 2.0).clamp(0.0, 20.0);
        let options = ReadOptions::part(offset, SECONDS);
        orchestrion_audio::read(&manifest.audio_path(entry), &options).ok().map(|original| Self { original })
    }
}

impl Preview for CodecPreview {
    fn preview(&mut self, folder: &Path, to: &Path, step: u64) -> Result<(), String> {
        let model = ModelFolder::open(Source::Folder(folder.to_owned())).map_err(word)?;
        let codec = model.codec(&Device::flex()).map_err(word)?;
        let spec = codec.spec();
        let original = orchestrion_audio::resample(&self.original, spec.sample_rate).map_err(word)?;
        let samples = original.mono();
        let original = Clip::from_mono(samples.clone(), spec.sample_rate);
        let mut renditions = vec![write(to, "original", "Original".into(), &original)?];
        for level in 0..spec.streams.len() {
            let codes = codec.encode(&samples, level).map_err(word)?;
            let sound = codec.decode(&codes, level).map_err(word)?;
            let name = format!("step-{step:06}-level-{level}");
            let clip = Clip::from_mono(sound, spec.sample_rate);
            renditions.push(write(to, &name, format!("Level {level}"), &clip)?);
        }
        write_page(folder, step, original.duration_seconds(), renditions)
    }
}

/// The newest prior's tokens, from nothing, when it is a top prior.
pub struct PriorPreview {
    /// Ends a preview under way: there are no samples then.
    pub cancel: Cancel,
}

impl Preview for PriorPreview {
    fn preview(&mut self, folder: &Path, to: &Path, step: u64) -> Result<(), String> {
        let model = ModelFolder::open(Source::Folder(folder.to_owned())).map_err(word)?;
        let codec = model.codec(&Device::flex()).map_err(word)?;
        let shape = SongShape::of(&codec.spec()).map_err(word)?;
        let top = shape.levels.len() - 1;
        if !model.config().priors.contains_key(&top) {
            return Ok(());
        }
        let mut request = SampleRequest::new(SECONDS, shape.levels.len());
        request.levels = model.config().priors.keys().copied().collect();
        request.levels.retain(|&l| (l..=top).all(|k| model.config().priors.contains_key(&k)));
        request.song_seconds = model.config().sampling.song_seconds.or(Some(60.0));
        let finest = request.levels.iter().copied().min().unwrap_or(top);
        let mut session = Session::new(request, shape, "preview", None).map_err(word)?;
        let mut open = |level: usize| {
            let prior = PriorDecoder::open(&model, level, &Device::flex(), None)?;
            Ok(Box::new(prior) as Box<dyn TokenModel>)
        };
        let mut run = Run { priors: &mut open, file: None, progress: &mut |_: &Event| {}, cancel: &self.cancel };
        match run.make_all(&mut session) {
            Err(GenerateError::Interrupted { .. }) => return Ok(()),
            outcome => outcome.map_err(word)?,
        }
        let sound = decode_take(&codec, &session, finest, 0).map_err(word)?;
        let clip = Clip::from_mono(sound, codec.spec().sample_rate);
        let rendition = write(to, &format!("step-{step:06}"), format!("Level {finest}"), &clip)?;
        write_page(folder, step, clip.duration_seconds(), vec![rendition])
    }
}
