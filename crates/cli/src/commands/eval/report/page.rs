//! A report's figures as a page, with what they mean.

use super::figures::{EXCERPT_SECONDS, Figures};
use super::samples::Made;
use crate::commands::eval::structure::Structures;
use crate::failure::Failure;
use orchestrion_audio::{Clip, low_pass, spectrum, waveform_peaks};
use orchestrion_data::{Manifest, Split};
use orchestrion_evaluate::{Excerpt, Fidelity, SelfSimilarity, spread};
use orchestrion_model::codec::{Codec, VqVae};
use orchestrion_model::store::ModelFolder;
use orchestrion_page::{
    DecibelRange, Picture, Rendition, ReportPage, Section, Sound, SoundFormat, Spectrogram, Table, Track, Waveform,
};

/// Songs that the page plays.
const PLAYED: usize = 4;
/// Columns of a waveform.
const COLUMNS: usize = 1200;

/// The page.
pub fn page(
    folder: &ModelFolder,
    codec: &VqVae,
    manifest: &Manifest,
    figures: &Figures,
    made: &Made,
    facts: Vec<(String, String)>,
) -> Result<String, Failure> {
    let rate = codec.spec().sample_rate;
    let mut sounds = Vec::new();
    for (i, (samples, labels)) in made.sounds.iter().zip(&made.labels).enumerate().take(PLAYED) {
        let rendition = rendition(&format!("song-{}", i + 1), "Song", labels, samples, rate)?;
        sounds.push(track(format!("Song {}", i + 1), figures.seconds, vec![rendition]));
    }
    let mut pictures = Vec::new();
    if let Some(entry) = spread(manifest, Split::Test, 1)?.first() {
        let excerpt = Excerpt::read(manifest, entry, EXCERPT_SECONDS, rate)?;
        let renditions = through_the_codec(codec, &excerpt)?;
        for r in &renditions {
            pictures.push(Picture { caption: r.name.clone(), values: r.spectrogram.clone(), range: None });
        }
        let range = DecibelRange::covering(pictures.iter().map(|p| &p.values));
        pictures.iter_mut().for_each(|p| p.range = Some(range));
        sounds.push(track("Codec".into(), excerpt.samples.len() as f64 / f64::from(rate), renditions));
    }
    let sections = vec![
        Section {
            title: "Songs beside the training set".into(),
            words: "The Fréchet distance between Gaussians fitted to what the codec hears in every second. Smaller is \
                    nearer. The rows below the songs say what the number means: held-out recordings are the floor, \
                    white noise the ceiling. Without end: extrapolated to a set that never ends, for a small set is \
                    farther away. The numbers are not those of FAD with another embedding."
                .into(),
            tables: figures.distances.iter().map(distance_table).collect(),
            ..Section::default()
        },
        reconstruction(figures, pictures),
        likelihood(figures),
        memory(figures),
        structure(figures, made, rate)?,
    ];
    let config = folder.config();
    let page = ReportPage {
        title: format!("{} · evaluation", config.name),
        subtitle: format!(
            "{} songs of {} seconds, and the recordings held out from training",
            figures.takes, figures.seconds
        ),
        facts,
        sounds,
        sections,
    };
    Ok(page.html()?)
}

fn table(title: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { title: title.into(), columns: columns.iter().map(|c| (*c).into()).collect(), rows }
}

fn fixed(value: f64, places: usize) -> String {
    format!("{value:.places$}").replace('-', "−")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn distance_table(distances: &crate::commands::eval::distance::Distances) -> Table {
    let rows = distances.rows.iter().map(|row| {
        let d = &row.distance;
        let without_end = d.infinite.map_or("".into(), |i| fixed(i.value, 3));
        let song =
            |s: Option<&crate::commands::eval::distance::SongDistance>| s.map_or("".into(), |s| fixed(s.distance, 2));
        vec![
            row.name.clone(),
            fixed(d.distance, 3),
            without_end,
            d.windows.to_string(),
            song(row.songs.last()),
            song(row.songs.first()),
        ]
    });
    let columns = ["", "distance", "without end", "seconds", "nearest song", "farthest song"];
    table(&distances.name, &columns, rows.collect())
}

fn reconstruction(figures: &Figures, pictures: Vec<Picture>) -> Section {
    let line = |name: &str, f: &Fidelity| {
        let values = [f.log_mel, f.stft, f.si_sdr, f.convergence, f.loudness, f.chroma, f.onset];
        std::iter::once(name.to_owned()).chain(values.map(|v| fixed(v, 3))).collect::<Vec<_>>()
    };
    let columns =
        ["", "log-mel", "STFT", "SI-SDR dB", "convergence", "loudness LU", "chroma agrees", "onset correlation"];
    let report = &figures.reconstruction;
    let all = report.rows.iter().map(|row| line(&row.name, &row.all));
    let by_genre = report.rows.iter().filter(|row| row.codebook.is_some()).flat_map(|row| {
        row.genres.iter().map(|(genre, f)| line(&format!("{}, {genre}", row.name), f)).collect::<Vec<_>>()
    });
    let codebooks =
        report.rows.iter().filter_map(|row| row.codebook.map(|c| (row.name.clone(), c))).map(|(name, c)| {
            vec![
                name,
                fixed(c.bit_rate, 0),
                fixed(c.entropy, 2),
                fixed(c.perplexity, 0),
                percent(c.used),
                fixed(c.efficiency, 3),
            ]
        });
    Section {
        title: "The codec".into(),
        words: format!(
            "{} held-out recordings, {EXCERPT_SECONDS} seconds of each, through every level and back, beside the \
             recordings with their treble cut off. Log-mel, STFT and convergence are distances: 0 is equal. SI-SDR, \
             chroma and onset say what is kept: more is better. The pictures show one recording and what each level \
             leaves of it.",
            report.recordings
        ),
        tables: vec![
            table("All recordings", &columns, all.collect()),
            table("By genre", &columns, by_genre.collect()),
            table(
                "Codebooks",
                &["", "bits a second", "entropy, bits a token", "perplexity", "entries used", "efficiency"],
                codebooks.collect(),
            ),
        ],
        pictures,
        command: String::new(),
    }
}

fn likelihood(figures: &Figures) -> Section {
    let with = |bits: f64, half: f64| format!("{} ± {}", fixed(bits, 3), fixed(half, 3));
    let rows = figures.likelihood.iter().map(|l| {
        let f = &l.figures;
        vec![
            l.name.clone(),
            with(f.bits, f.interval),
            with(f.shuffled_labels, f.shuffled_interval),
            with(f.no_labels, f.no_labels_interval),
            with(f.bigram, f.bigram_interval),
            with(f.unigram, f.unigram_interval),
            with(f.compressor, f.compressor_interval),
        ]
    });
    let mut positions = Vec::new();
    for l in &figures.likelihood {
        let cells = l.figures.by_position.iter().map(|b| fixed(*b, 2));
        positions.push(std::iter::once(format!("{}, eighths of the window", l.name)).chain(cells).collect());
        let cells = l.figures.by_time.iter().map(|t| fixed(t.bits, 2));
        positions.push(std::iter::once(format!("{}, eighths of the song", l.name)).chain(cells).collect());
    }
    Section {
        title: "The priors".into(),
        words: "Bits that a prior needs for a held-out token, fewer being better, with 95 % intervals over tracks; with the \
                recording's labels, those of another, and none; beside what knows only the last token, only how often \
                tokens occur, and a general compressor."
            .into(),
        tables: vec![
            table(
                "Bits a token",
                &["", "prior", "labels of another", "no labels", "bigram", "unigram", "compressor"],
                rows.collect(),
            ),
            table("Where the bits go", &["", "1", "2", "3", "4", "5", "6", "7", "8"], positions),
        ],
        ..Section::default()
    }
}

fn memory(figures: &Figures) -> Section {
    let m = &figures.memory;
    let rows = [("", &m.songs), ("held out: ", &m.held_out)].into_iter().flat_map(|(prefix, songs)| {
        songs.iter().map(move |s| {
            let neighbour = s.neighbours.first();
            vec![
                format!("{prefix}{}", s.name),
                format!("{} s", fixed(s.longest_seconds, 2)),
                format!("{} ({} different)", s.longest.tokens, s.longest.different),
                percent(s.nearest.share),
                neighbour.map_or(String::new(), |n| fixed(n.at.similarity, 3)),
                neighbour.map_or(String::new(), |n| format!("{} at {} s", n.name, n.at.track_second)),
            ]
        })
    });
    let continued = m
        .continuations
        .iter()
        .map(|c| vec![c.name.clone(), c.clips.to_string(), percent(c.equal), percent(c.exact), percent(c.approximate)]);
    let control = figures.control.iter().map(|c| vec![c.name.clone(), percent(c.artist), percent(c.genre)]);
    Section {
        title: "Memory and control".into(),
        words: "What songs share with the training set, token by token at the top level, beside what held-out recordings of \
                the same length share with it without any copying. Continued: what the model makes of the beginning of a \
                clip with its likeliest tokens, beside what really follows. Control: how often the nearest second of the \
                training set has the label that was asked for."
            .into(),
        tables: vec![
            table(
                "Copies",
                &["", "longest run", "tokens", "most equal in 5 s", "nearest second", "of"],
                rows.collect(),
            ),
            table("Continuations", &["", "clips", "equal tokens", "exact", "80 % or more"], continued.collect()),
            table("Control", &["", "artist", "genre"], control.collect()),
        ],
        ..Section::default()
    }
}

fn structure(figures: &Figures, made: &Made, rate: u32) -> Result<Section, Failure> {
    let means = |name: &str, all: &Structures| {
        let n = all.songs.len().max(1) as f64;
        let mean = |of: &dyn Fn(&orchestrion_evaluate::Structure) -> f64| {
            fixed(all.songs.iter().map(|s| of(&s.structure)).sum::<f64>() / n, 3)
        };
        vec![
            name.to_owned(),
            mean(&|s| s.repetition),
            mean(&|s| s.novelty),
            mean(&|s| s.late_coherence),
            fixed(all.diversity.pairs, 3),
            format!("{} of {}", fixed(all.diversity.vendi, 2), all.diversity.songs),
        ]
    };
    let mut pictures = Vec::new();
    for (samples, i) in made.sounds.iter().zip(1..).take(PLAYED) {
        let similarity = SelfSimilarity::of(samples, rate)?;
        if similarity.frames > 0 {
            let values = similarity.values.iter().map(|v| *v as f32).collect();
            let values = Spectrogram::new(values, similarity.frames, similarity.frames)?;
            let range = Some(DecibelRange { floor: -1.0, ceiling: 1.0 });
            pictures.push(Picture {
                caption: format!("Song {i}: every half second beside every other"),
                values,
                range,
            });
        }
    }
    Ok(Section {
        title: "Structure and diversity".into(),
        words: "Repetition: how much more alike the pitches of a song are at its best lag than on average. Novelty: how much \
                what comes differs from what was. Late coherence: how much the spectrum of the second half is the \
                beginning's. Diversity: how far songs are from each other, and the Vendi score, which is 1 for one song again \
                and again. Neither more nor less is better: what counts is to be near the recordings."
            .into(),
        tables: vec![table(
            "Means",
            &["", "repetition", "novelty", "late coherence", "distance of pairs", "Vendi score"],
            vec![
                means("songs of the model", &figures.structure),
                means("held-out recordings", &figures.held_out_structure),
            ],
        )],
        pictures,
        command: String::new(),
    })
}

/// A recording, and what every level leaves of it.
fn through_the_codec(codec: &VqVae, excerpt: &Excerpt) -> Result<Vec<Rendition>, Failure> {
    let rate = codec.spec().sample_rate;
    let mut all = vec![rendition("original", "Recording", &excerpt.name, &excerpt.samples, rate)?];
    for level in 0..codec.spec().streams.len() {
        let sound = codec.decode(&codec.encode(&excerpt.samples, level)?, level)?;
        all.push(rendition(&format!("level-{level}"), &format!("Level {level}"), "", &sound, rate)?);
    }
    let dull = low_pass(&Clip::from_mono(excerpt.samples.clone(), rate), 4000.0).mono();
    all.push(rendition("low-passed", "Low-passed at 4 kHz", "", &dull, rate)?);
    Ok(all)
}

fn track(name: String, seconds: f64, renditions: Vec<Rendition>) -> Track {
    Track { name, seconds, marks: Vec::new(), renditions }
}

fn rendition(file: &str, name: &str, detail: &str, samples: &[f32], rate: u32) -> Result<Rendition, Failure> {
    let clip = Clip::from_mono(samples.to_vec(), rate);
    let mel = spectrum::log_mel(samples, rate)?;
    let peaks = waveform_peaks(samples, COLUMNS.min(samples.len().max(1)));
    Ok(Rendition {
        name: name.to_owned(),
        detail: detail.to_owned(),
        sound: Sound {
            bytes: orchestrion_audio::encode_flac(&clip, &[])?,
            format: SoundFormat::Flac,
            file_name: format!("{file}.flac"),
        },
        waveform: Waveform { peaks: peaks.iter().map(|p| (p.min, p.max)).collect() },
        spectrogram: Spectrogram::new(mel.values.iter().map(|v| 20.0 * v).collect(), mel.frames, mel.bins)?,
    })
}
