//! What `sample` leaves in its folder: sounds, previews of the levels, tokens, and the page.

use super::sample::Format;
use super::sample_alignment;
use crate::failure::Failure;
use orchestrion_audio::{Clip, Loudness, measure_loudness, spectrum, waveform_peaks};
use orchestrion_data::{TokenStream, Tokens, write_whole};
use orchestrion_generate::{LabelTables, Session, TakeWords};
use orchestrion_model::store::{Dtype, ModelFolder};
use orchestrion_page::{LevelSound, Measurements, SamplePage, Sound, SoundFormat, Spectrogram, Take, Waveform};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Columns of a waveform picture.
const COLUMNS: usize = 1200;

/// The folder being filled.
pub struct Output {
    folder: PathBuf,
    format: Format,
    model: String,
    tables: LabelTables,
    identity: String,
    prompt_seconds: Option<f64>,
    takes: Vec<Vec<LevelSound>>,
    loudness: Vec<Option<Loudness>>,
    files: Vec<Vec<(String, PathBuf)>>,
}

impl Output {
    /// An output with nothing in it yet.
    pub fn new(
        folder: PathBuf,
        format: Format,
        model: &ModelFolder,
        identity: &str,
        session: &Session,
        prompt_seconds: Option<f64>,
    ) -> Result<Self, Failure> {
        let takes = session.request().takes;
        Ok(Self {
            folder,
            format,
            model: model.config().name.clone(),
            tables: LabelTables::open(model)?,
            identity: identity.to_owned(),
            prompt_seconds,
            takes: vec![Vec::new(); takes],
            loudness: vec![None; takes],
            files: vec![Vec::new(); takes],
        })
    }

    /// Writes the sound of one level of a take, coarse levels first.
    pub fn level(&mut self, session: &Session, level: usize, take: usize, samples: Vec<f32>) -> Result<(), Failure> {
        let shape = session.shape();
        let ending = match self.format {
            Format::Wav => "wav",
            Format::Flac => "flac",
        };
        let finest = (0..=level).rev().filter(|&l| !session.stream(l, take).is_empty()).min() == Some(level);
        let name = match finest {
            true => format!("take-{}.{ending}", take + 1),
            false => format!("take-{}.level-{level}.{ending}", take + 1),
        };
        let tags: Vec<(String, String)> = std::iter::once(("SOFTWARE".to_owned(), "Orchestrion".to_owned()))
            .chain([("TITLE".to_owned(), format!("Take {} (level {level})", take + 1))])
            .chain(self.settings(session, take).into_iter().map(|(k, v)| (k.to_uppercase(), v)))
            .collect();
        let clip = Clip::from_mono(samples, shape.sample_rate);
        let path = self.folder.join(&name);
        // The file, its smaller form for the page, and what is measured are made side by side.
        let (written, bytes, measured) = std::thread::scope(|scope| {
            let written = scope.spawn(|| orchestrion_audio::write(&path, &clip, &tags));
            let measured = scope.spawn(|| measure(&clip));
            let bytes = orchestrion_audio::encode_flac(&clip, &tags);
            (written.join(), bytes, measured.join())
        });
        let broken = |_| Failure::new(format!("cannot write `{}`: a thread ended early", path.display()));
        written.map_err(broken)??;
        let (waveform, spectrogram, loudness) = measured.map_err(broken)??;
        self.loudness[take] = Some(loudness);
        self.files[take].push((format!("level_{level}"), path));
        self.takes[take].push(LevelSound {
            level,
            hop_length: shape.levels[level].hop_length,
            // The page holds the smaller form, whatever lies beside it.
            sound: Sound {
                bytes: bytes?,
                format: SoundFormat::Flac,
                file_name: format!("{}.flac", name.trim_end_matches(&format!(".{ending}"))),
            },
            waveform,
            spectrogram,
        });
        Ok(())
    }

    /// Writes tokens and page, and says where everything is.
    pub fn finish(mut self, session: &Session, words: &[Option<TakeWords>], as_json: bool) -> Result<(), Failure> {
        let mut takes = Vec::new();
        let mut report = Vec::new();
        for take in 0..self.takes.len() {
            let tokens = self.folder.join(format!("take-{}.tokens.safetensors", take + 1));
            self.tokens(session, take)?.save(&tokens)?;
            let levels = std::mem::take(&mut self.takes[take]);
            let Some(loudness) = self.loudness[take] else { continue };
            let words = words.get(take).and_then(Option::as_ref);
            let written = words.map(|words| sample_alignment::write(words, &self.folder, take)).transpose()?;
            let decibels = |x: f32| 20.0 * f64::from(x).log10();
            let mut files = json!({
                "files": self.files[take].iter().map(|(k, p)| (k.clone(), json!(p))).collect::<Map<_, _>>(),
                "tokens": tokens,
                "loudness_lufs": loudness.integrated_lufs,
                "peak_dbfs": if loudness.peak > 0.0 { Some(decibels(loudness.peak)) } else { None },
                "silent_share": loudness.silent_share,
                "clipped_samples": loudness.clipped_samples,
            });
            for (key, path) in written.unwrap_or_default() {
                files[key] = json!(path);
            }
            report.push(files);
            takes.push(Take {
                name: format!("Take {}", take + 1),
                seconds: session.request().seconds,
                sample_rate: session.shape().sample_rate,
                prompt_seconds: self.prompt_seconds,
                levels,
                lyrics: words.map(sample_alignment::page).unwrap_or_default(),
                settings: self.settings(session, take),
                command: self.command(session),
                measurements: Measurements {
                    loudness: loudness.integrated_lufs.unwrap_or(f64::NEG_INFINITY),
                    peak: decibels(loudness.peak),
                    silence: f64::from(loudness.silent_share),
                },
            });
        }
        let page = self.folder.join("index.html");
        let html = SamplePage { title: format!("{} · seed {}", self.model, session.request().seed), takes }.html()?;
        write_whole(&page, html.as_bytes())?;
        if as_json {
            let all = json!({
                "model": self.identity,
                "seed": session.request().seed,
                "seconds": session.request().seconds,
                "page": page,
                "session": self.folder.join("session.safetensors"),
                "takes": report,
            });
            println!("{all:#}");
        } else {
            for (_, path) in self.files.iter().filter_map(|f| f.last()) {
                println!("{}", path.display());
            }
            println!("{}", page.display());
        }
        Ok(())
    }

    /// The tokens of one take alone.
    fn tokens(&self, session: &Session, take: usize) -> Result<Tokens, Failure> {
        let mut streams = Vec::new();
        for (level, shape) in session.shape().levels.iter().enumerate() {
            let codes = session.stream(level, take);
            if !codes.is_empty() {
                streams.push(TokenStream::from_rows(level, shape.hop_length, shape.codebook_size, &[codes.to_vec()])?);
            }
        }
        let settings = self.settings(session, take).into_iter().map(|(k, v)| (k, Value::from(v))).collect();
        Ok(Tokens::new(session.shape().sample_rate, streams, settings)?)
    }

    /// What the take was made with, in words.
    fn settings(&self, session: &Session, take: usize) -> Vec<(String, String)> {
        let request = session.request();
        let (artist, genre) = self.tables.names(&request.take_labels(take));
        let each = |of: &dyn Fn(usize) -> String| (0..request.sampling.len()).map(of).collect::<Vec<_>>().join(",");
        vec![
            ("model".into(), self.identity.clone()),
            ("artist".into(), artist),
            ("genre".into(), genre),
            ("seed".into(), request.seed.to_string()),
            ("take".into(), format!("{} of {}", take + 1, request.takes)),
            (
                "song_seconds".into(),
                format!("{:.1}", session.labels(0, take).total_length as f64 / f64::from(session.shape().sample_rate)),
            ),
            ("weights".into(), request.weights.map_or("auto", Dtype::name).to_owned()),
            ("temperature".into(), each(&|l| request.sampling[l].sampler.temperature.to_string())),
            ("hop_fraction".into(), each(&|l| request.sampling[l].hop_fraction.to_string())),
        ]
    }

    /// The command that makes it again: this one, with the seed said.
    fn command(&self, session: &Session) -> String {
        let mut words: Vec<String> = std::env::args().skip(1).collect();
        let says = |option: &str| words.iter().any(|w| w == option || w.starts_with(&format!("{option}=")));
        if !says("--seed") && !says("--continue") {
            words.extend(["--seed".to_owned(), session.request().seed.to_string()]);
        }
        let plain = |w: &str| w.chars().all(|c| c.is_alphanumeric() || "-_=./,:".contains(c));
        let quote = |w: &String| if plain(w) { w.clone() } else { format!("'{}'", w.replace('\'', "'\\''")) };
        format!("orchestrion {}", words.iter().map(quote).collect::<Vec<_>>().join(" "))
    }
}

/// What the page shows of a sound of one channel, and how loud it is.
fn measure(clip: &Clip) -> Result<(Waveform, Spectrogram, Loudness), Failure> {
    let samples = clip.channels.first().map_or(&[][..], Vec::as_slice);
    let mut mel = spectrum::log_mel(samples, clip.sample_rate)?;
    mel.values.iter_mut().for_each(|value| *value *= 20.0);
    let peaks = waveform_peaks(samples, COLUMNS.min(samples.len().max(1)));
    let waveform = Waveform { peaks: peaks.iter().map(|p| (p.min, p.max)).collect() };
    Ok((waveform, Spectrogram::new(mel.values, mel.frames, mel.bins)?, measure_loudness(clip)))
}
