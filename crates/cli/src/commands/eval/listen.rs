//! `orchestrion eval listen`: makes a blind listening test, and puts together what people said.

use super::sounds;
use crate::failure::Failure;
use orchestrion_audio::{Clip, low_pass, measure_loudness};
use orchestrion_data::{Draw, write_whole};
use orchestrion_evaluate::listening::{ANCHOR, Key, REFERENCE, Stimulus, read_answers, score};
use orchestrion_page::{ListeningPage, Sound, SoundFormat, Stimulus as Heard, Trial};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options of `eval listen`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Systems to compare, each as `name=SET`: a folder of sounds, a manifest, or a split of it
    #[arg(value_name = "NAME=SET", required_unless_present = "score")]
    systems: Vec<String>,
    /// Real music: the hidden reference and the low anchor are made of it
    #[arg(long, value_name = "SET")]
    reference: Option<String>,
    /// Folder to write to: `index.html` for the listeners, `key.json` for you
    #[arg(long, value_name = "FOLDER", default_value = "listening-test")]
    out: PathBuf,
    /// Name of the test
    #[arg(long, default_value = "listening test")]
    name: String,
    /// Pieces of each system
    #[arg(long, default_value_t = 6)]
    pieces: usize,
    /// Seconds of each piece
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Sample rate of all sounds
    #[arg(long, default_value_t = 22_050)]
    sample_rate: u32,
    /// Answers that listeners saved: says what they say, instead of making a test
    #[arg(long, value_name = "CSV", num_args = 1.., requires = "key", conflicts_with_all = ["systems", "reference"])]
    score: Vec<PathBuf>,
    /// Key of the test, with `--score`
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// With `--score`: as JSON
    #[arg(long)]
    json: bool,
}

/// What is asked of every sound.
const SCALES: [(&str, &str); 5] = [
    ("overall", "Overall quality"),
    ("coherence", "Coherence: does it hold together through time?"),
    ("musicality", "Musicality: are harmony, rhythm and melody pleasing?"),
    ("diversity", "Diversity: is there enough going on?"),
    ("novelty", "Novelty: is it something that you have not heard before?"),
];

/// Cut-off of the low anchor in hertz (ITU-R BS.1534).
const ANCHOR_HERTZ: f64 = 3500.0;
/// Loudness that all pieces are brought to, in LUFS, as far as their peaks allow.
const LOUDNESS: f64 = -23.0;
/// Sounds for one attention check.
const RATED_FOR_A_CHECK: usize = 12;

/// Runs it.
pub fn run(a: &Arguments) -> Result<(), Failure> {
    if let (false, Some(key)) = (a.score.is_empty(), &a.key) { say_score(a, key) } else { make(a) }
}

/// A test being put together.
#[derive(Default)]
struct Test {
    stimuli: BTreeMap<String, Stimulus>,
    sounds: Vec<Heard>,
    trials: Vec<Trial>,
}

impl Test {
    /// Adds a sound under a code of its own that tells nothing.
    fn add(&mut self, clip: &Clip, stimulus: Stimulus) -> Result<String, Failure> {
        let place = format!("{}\n{}\n{}", stimulus.system, stimulus.item, self.sounds.len());
        let mut draw = Draw::new(&place, 0, 0, 0);
        let code = format!("s{:012x}", draw.bits() >> 16);
        let bytes = orchestrion_audio::encode_flac(clip, &[])?;
        let sound = Sound { bytes, format: SoundFormat::Flac, file_name: format!("{code}.flac") };
        self.sounds.push(Heard { code: code.clone(), sound });
        self.stimuli.insert(code.clone(), stimulus);
        Ok(code)
    }
}

fn make(a: &Arguments) -> Result<(), Failure> {
    let mut systems = Vec::new();
    for system in &a.systems {
        let Some((name, set)) = system.split_once('=').filter(|(name, _)| ![REFERENCE, ANCHOR, ""].contains(name))
        else {
            return Err(Failure::usage(format!(
                "`{system}` is no system; hint: write `name=FOLDER`, with a name other than `{REFERENCE}` and `{ANCHOR}`"
            )));
        };
        systems.push((name.to_owned(), sounds::files(set)?));
    }
    if let Some(set) = &a.reference {
        systems.push((REFERENCE.to_owned(), sounds::files(set)?));
    }
    let mut test = Test::default();
    let mut pieces: Vec<Vec<(String, String)>> = vec![Vec::new(); a.pieces];
    let mut rated = 0;
    for (name, files) in &systems {
        let every = (files.len() / a.pieces.max(1)).max(1);
        for (piece, file) in files.iter().step_by(every).take(a.pieces).enumerate() {
            let clip = level(Clip::from_mono(sounds::read(file, a.seconds, a.sample_rate)?, a.sample_rate));
            let mut kinds = vec![(name.as_str(), clip)];
            if name == REFERENCE {
                kinds.push((ANCHOR, low_pass(&kinds[0].1, ANCHOR_HERTZ)));
            }
            for (system, clip) in kinds {
                let item = format!("{} {}", piece + 1, sounds::name(file));
                let code = test.add(&clip, Stimulus { system: system.to_owned(), item, check: None })?;
                test.trials.push(Trial::Rate { code: code.clone(), instruction: String::new() });
                pieces[piece].push((system.to_owned(), code));
                rated += 1;
                if rated % RATED_FOR_A_CHECK == 1 {
                    check(&mut test, &clip, rated)?;
                }
            }
        }
    }
    for piece in &pieces {
        for (i, (first, code)) in piece.iter().enumerate() {
            for (second, other) in &piece[i + 1..] {
                // Nobody needs to be asked whether the anchor is worse.
                if first != ANCHOR && second != ANCHOR {
                    test.trials.push(Trial::Pair { codes: [code.clone(), other.clone()] });
                }
            }
        }
    }
    std::fs::create_dir_all(&a.out).map_err(|e| {
        Failure::new(format!("cannot write to `{}`: {e}; hint: choose a folder with `--out`", a.out.display()))
    })?;
    let scales = SCALES.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned())).collect();
    // The page's order of sounds must not be that of the systems.
    test.sounds.sort_by(|a, b| a.code.cmp(&b.code));
    let page = ListeningPage { test: a.name.clone(), scales, stimuli: test.sounds, trials: test.trials }.html()?;
    let key = Key { test: a.name.clone(), stimuli: test.stimuli };
    let (page_path, key_path) = (a.out.join("index.html"), a.out.join("key.json"));
    write_whole(&page_path, page.as_bytes())?;
    write_whole(&key_path, serde_json::to_string_pretty(&key).unwrap_or_default().as_bytes())?;
    eprintln!("give listeners `{}`; keep `{}`", page_path.display(), key_path.display());
    println!("{}", page_path.display());
    Ok(())
}

/// The same sound again, with the answer that has to be given.
fn check(test: &mut Test, clip: &Clip, number: usize) -> Result<(), Failure> {
    let value = 2 + number / RATED_FOR_A_CHECK % 3;
    let stimulus = Stimulus { system: "check".into(), item: number.to_string(), check: Some(value as f64) };
    let code = test.add(clip, stimulus)?;
    let instruction = format!("This one only shows that you are still listening: choose {value} in every row.");
    test.trials.push(Trial::Rate { code, instruction });
    Ok(())
}

/// A clip at the loudness of all, or as near as its peaks allow.
fn level(clip: Clip) -> Clip {
    let loudness = measure_loudness(&clip);
    let wanted = loudness.integrated_lufs.map_or(1.0, |lufs| 10f64.powf((LOUDNESS - lufs) / 20.0)) as f32;
    let gain = wanted.min(0.99 / loudness.peak.max(1e-6));
    let scaled = clip.channels.iter().map(|c| c.iter().map(|x| gain * x).collect()).collect();
    Clip { channels: scaled, ..clip }
}

fn say_score(a: &Arguments, key: &Path) -> Result<(), Failure> {
    let bad =
        |what: String| Failure::usage(format!("`{}`: {what}; hint: give the `key.json` of the test", key.display()));
    let bytes = std::fs::read(key).map_err(|e| bad(e.to_string()))?;
    let key: Key = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let mut answers = Vec::new();
    for file in &a.score {
        answers.extend(read_answers(file, &key)?);
    }
    let report = score(&key, &answers)?;
    if a.json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
        return Ok(());
    }
    println!("{} raters", report.raters);
    for dropped in &report.dropped {
        println!("left out: {}, because {}", dropped.rater, dropped.why);
    }
    let interval = |half: Option<f64>| half.map_or(String::new(), |half| format!(" ± {half:.2}"));
    for o in &report.opinions {
        println!("{:<12} {:<24} {:>5.2}{} ({} opinions)", o.scale, o.system, o.mean, interval(o.interval), o.count);
    }
    for s in &report.strengths {
        println!(
            "{:<12} {:<24} {:>+5.2} ± {:.2} ({:.0} % of {} pairs won)",
            "strength",
            s.system,
            s.strength,
            s.interval,
            100.0 * s.won,
            s.pairs
        );
    }
    Ok(())
}
