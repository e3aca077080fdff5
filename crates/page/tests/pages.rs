//! Whole pages: complete, self-contained, and safe with hostile words in every field.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use orchestrion_page::{
    Chart, FrequencyLabel, LevelSound, Line, ListeningPage, Mark, Measurements, PageError, Picture, Rendition,
    ReportPage, Row, SamplePage, Scale, Section, Sound, SoundFormat, Spectrogram, Stimulus, Table, Take, Track,
    TrainingPage, Trial, Waveform, Word, charts_by_name,
};

const HOSTILE: &str = "</script><script>alert(1)</script>'\"><img src=https://evil.example/x onerror=a>\u{2028}";

fn sound(file_name: &str) -> Sound {
    Sound { bytes: vec![1, 2, 3, 250], format: SoundFormat::Flac, file_name: file_name.to_owned() }
}

fn spectrogram(text: &str) -> Spectrogram {
    let label = FrequencyLabel { bin: 1.0, text: text.to_owned() };
    Spectrogram::new(vec![-20.0; 12], 4, 3).unwrap().with_labels(vec![label])
}

fn waveform() -> Waveform {
    Waveform { peaks: vec![(-0.5, 0.5); 8] }
}

fn sample_page(text: &str) -> SamplePage {
    let level = |level: usize, hop_length: usize| LevelSound {
        level,
        hop_length,
        sound: sound(text),
        waveform: waveform(),
        spectrogram: spectrogram(text),
    };
    let take = |number: usize| Take {
        name: format!("{text} {number}"),
        seconds: 20.0,
        sample_rate: 22_050,
        prompt_seconds: Some(5.0),
        levels: vec![level(0, 32), level(1, 128), level(2, 256)],
        lyrics: vec![
            Word { text: text.to_owned(), gap: format!("{text}\n"), start: Some(0.5) },
            Word { text: text.to_owned(), gap: String::new(), start: None },
        ],
        settings: vec![(text.to_owned(), text.to_owned())],
        command: text.to_owned(),
        measurements: Measurements { loudness: -14.26, peak: f64::NEG_INFINITY, silence: 0.5 },
    };
    SamplePage { title: text.to_owned(), takes: vec![take(1), take(2)] }
}

fn training_page(text: &str) -> TrainingPage {
    let row = |step: u64| Row { step, values: BTreeMap::from([(text.to_owned(), 1.0 / (step + 1) as f64)]) };
    let rendition = Rendition {
        name: text.to_owned(),
        detail: text.to_owned(),
        sound: sound(text),
        waveform: waveform(),
        spectrogram: spectrogram(text),
    };
    TrainingPage {
        title: text.to_owned(),
        status: text.to_owned(),
        facts: vec![(text.to_owned(), text.to_owned())],
        rows: (0..5).map(row).collect(),
        charts: vec![Chart {
            title: text.to_owned(),
            unit: text.to_owned(),
            scale: Scale::Linear,
            lines: vec![Line { metric: text.to_owned(), label: text.to_owned() }],
        }],
        sounds: vec![Track {
            name: text.to_owned(),
            seconds: 1.0,
            marks: vec![Mark { seconds: 0.9, text: text.to_owned() }],
            renditions: vec![rendition],
        }],
        recipe: text.to_owned(),
    }
}

fn report_page(text: &str) -> ReportPage {
    let words = || text.to_owned();
    let section = Section {
        title: words(),
        words: words(),
        tables: vec![Table { title: words(), columns: vec![words(), words()], rows: vec![vec![words(), words()]] }],
        pictures: vec![Picture { caption: words(), values: spectrogram(text), range: None }],
        command: words(),
    };
    ReportPage {
        title: words(),
        subtitle: words(),
        facts: vec![(words(), words())],
        sounds: training_page(text).sounds,
        sections: vec![section],
    }
}

fn listening_page(text: &str) -> ListeningPage {
    let codes = || ["k1".to_owned(), "k2".to_owned()];
    ListeningPage {
        test: text.to_owned(),
        scales: vec![("overall".to_owned(), text.to_owned())],
        stimuli: codes().map(|code| Stimulus { code, sound: sound(text) }).into(),
        trials: vec![
            Trial::Rate { code: "k1".to_owned(), instruction: text.to_owned() },
            Trial::Pair { codes: codes() },
        ],
    }
}

/// Every start tag of a page: name and attributes, in order. Fails where markup does not nest
/// as text, attribute or raw script should.
fn tags(page: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let mut quoted = false;
        let end = rest
            .find(|c| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .expect("every tag ends");
        let tag = &rest[..end];
        let name_end = tag.find([' ', '\n']).unwrap_or(tag.len());
        let name = tag[..name_end].to_owned();
        let pieces: Vec<&str> = tag[name_end..].split('"').collect();
        let attributes = pieces.chunks_exact(2).map(|pair| {
            let key = pair[0].trim().trim_end_matches('=').rsplit(' ').next().unwrap();
            (key.to_owned(), pair[1].to_owned())
        });
        found.push((name.clone(), attributes.collect()));
        rest = &rest[end + 1..];
        if name == "script" || name == "style" {
            let close = rest.find(&format!("</{name}>")).expect("raw text ends");
            rest = &rest[close..];
        }
    }
    found
}

#[test]
fn hostile_words_change_no_tag() {
    // As many words as the hostile text has: a command line is marked up word by word.
    let harmless = HOSTILE.replace(|c: char| c != ' ', "w");
    for (tame, hostile) in [
        (sample_page(&harmless).html().unwrap(), sample_page(HOSTILE).html().unwrap()),
        (training_page(&harmless).html().unwrap(), training_page(HOSTILE).html().unwrap()),
        (report_page(&harmless).html().unwrap(), report_page(HOSTILE).html().unwrap()),
        (listening_page(&harmless).html().unwrap(), listening_page(HOSTILE).html().unwrap()),
    ] {
        assert!(!hostile.contains(HOSTILE) && !hostile.contains("<img src=https"));
        let skeleton = |page: &str| -> Vec<(String, Vec<String>)> {
            let tags = tags(page).into_iter();
            tags.map(|(name, attributes)| (name, attributes.into_keys().collect())).collect()
        };
        assert_eq!(skeleton(&tame), skeleton(&hostile));
    }
}

#[test]
fn pages_ask_for_nothing_outside() {
    let pages = [
        sample_page(HOSTILE).html().unwrap(),
        training_page(HOSTILE).html().unwrap(),
        report_page(HOSTILE).html().unwrap(),
        listening_page(HOSTILE).html().unwrap(),
    ];
    for page in pages {
        for (name, attributes) in tags(&page) {
            for key in ["src", "href", "srcset", "poster", "action", "data"] {
                if let Some(address) = attributes.get(key) {
                    assert!(address.starts_with("data:"), "<{name} {key}={address}>");
                }
            }
            assert!(!attributes.keys().any(|key| key.starts_with("on")), "<{name}> has a handler");
        }
        assert!(page.contains("default-src 'none'"));
        let tame = sample_page("word").html().unwrap();
        for word in ["http://", "https://", "@import", "url(", "//cdn"] {
            assert!(!tame.contains(word), "the page contains {word}");
        }
    }
}

#[test]
fn sample_page_is_complete() {
    let page = sample_page("word").html().unwrap();
    let tags = tags(&page);
    let count = |wanted: &str| tags.iter().filter(|(name, _)| name == wanted).count();
    assert_eq!(count("article"), 2, "one article a take");
    assert_eq!(count("audio"), 6, "one sound a take and level");
    assert_eq!(count("img"), 6, "one spectrogram a sound");
    assert_eq!(count("input"), 2 + 3, "one choice a take and a level");
    for (name, attributes) in &tags {
        if attributes.get("role").is_some_and(|role| role == "slider") {
            let names = ["aria-label", "aria-valuemin", "aria-valuemax", "aria-valuenow", "tabindex"];
            assert!(names.iter().all(|key| attributes.contains_key(*key)), "<{name}> {attributes:?}");
        }
        if name == "button" {
            assert!(attributes.contains_key("type"), "a button without a type would submit");
        }
    }
    let audio = tags.iter().find(|(name, _)| name == "audio").unwrap();
    assert_eq!(audio.1["src"], "data:audio/flac;base64,AQID+g==");
    for text in ["−14.3 <span>LUFS", "−∞ <span>dBFS", "50.0 <span>%", "level 2 · hop 256", "prompt ends"] {
        assert!(page.contains(text), "the page lacks {text}");
    }
    let order = ["Top preview", "Middle preview", "Final"].map(|name| page.find(name).unwrap());
    assert!(order.is_sorted(), "levels go from coarse to fine");
}

#[test]
fn training_page_lives_without_sounds_or_metrics() {
    let full = training_page("word").html().unwrap();
    assert!(full.contains("<path class=\"curve line-0\"") && full.contains("How it sounds now"));
    let bare = TrainingPage { rows: vec![], sounds: vec![], ..training_page("word") };
    let bare = bare.html().unwrap();
    assert!(bare.contains("No values yet") && !bare.contains("<audio"));
    assert!(charts_by_name(&[]).is_empty());
}

#[test]
fn a_report_holds_figures_pictures_and_sounds() {
    let page = report_page("word").html().unwrap();
    let count = |wanted: &str| tags(&page).iter().filter(|(name, _)| name == wanted).count();
    assert_eq!((count("table"), count("audio"), count("figure")), (1, 1, 2));
    assert!(page.contains("<th scope=\"row\">word</th><td>word</td>"));
    let bare = ReportPage { sounds: vec![], sections: vec![], ..report_page("word") };
    assert!(!bare.html().unwrap().contains("<audio"));
}

#[test]
fn a_listening_page_holds_every_sound_once_and_no_file_name() {
    let page = ListeningPage { test: "blind".to_owned(), ..listening_page("secret system") };
    let html = page.html().unwrap();
    assert_eq!(html.matches("data:audio/flac;base64,AQID+g==").count(), 2);
    let told =
        ListeningPage { trials: vec![Trial::Pair { codes: ["k1".into(), "k2".into()] }], scales: vec![], ..page };
    assert!(!told.html().unwrap().contains("secret system"), "file names would tell which system it is");
    assert_eq!(ListeningPage { trials: vec![], ..told }.html(), Err(PageError::NoTake));
}

#[test]
fn wrong_input_is_named() {
    let mut page = sample_page("word");
    page.takes[1].seconds = f64::NAN;
    assert!(page.html().unwrap_err().to_string().starts_with("`word 2` lasts NaN seconds"));
    page.takes[1].levels.clear();
    page.takes[1].seconds = 1.0;
    assert_eq!(page.html(), Err(PageError::NoSound { track: "word 2".to_owned() }));
    page.takes.clear();
    assert_eq!(page.html(), Err(PageError::NoTake));
}
