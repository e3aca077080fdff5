//! A studio: a folder with synthetic songs and a model trained on them, and the built program working in it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use orchestrion_audio::Clip;
use orchestrion_data::Tokens;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Samples a second of the songs and of the model.
pub const RATE: u32 = 22_050;
/// Samples for one token of levels 0, 1 and 2.
pub const HOPS: [usize; 3] = [64, 128, 256];

/// `--set` of a codec small enough to train in a second.
pub const SMALL_CODEC: &str = "--set codec.crop=4096 --set codec.network.width=8 --set codec.network.codebook_size=64 \
     --set data.batch=2 --set run.log_every=1 --set run.evaluation_batches=1";
/// The same for priors. A context this short makes songs of a second take several windows at every level.
pub const SMALL_PRIOR: &str = "--set prior.min_seconds=0.1 --set prior.transformer.width=32 --set prior.transformer.depth=3 \
     --set prior.transformer.heads=2 --set prior.transformer.context=64 --set prior.transformer.blocks=8 \
     --set data.batch=2 --set run.log_every=1 --set run.evaluation_batches=1 --set run.warmup=2";
/// The same for the conditioners of upsamplers.
pub const SMALL_CONDITIONER: &str = "--set prior.conditioner.width=16";

/// The folder, kept by this process alone.
pub struct Studio {
    folder: PathBuf,
    _lock: File,
}

/// How a run of the program ended.
pub struct Ended {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Studio {
    /// This test binary's studio: made at the first call, in which `songs.jsonl`, `codec`, `tokens`, `top`, `up1` and
    /// `up0` appear, the last a whole model. All of it is made by the program itself.
    pub fn shared() -> &'static Self {
        static STUDIO: OnceLock<Studio> = OnceLock::new();
        STUDIO.get_or_init(|| {
            let studio = Self::empty();
            studio.write_songs();
            studio.good("data scan songs --out songs.jsonl --folders artist --min-seconds 2 --valid 0.1 --test 0.1");
            studio.train("codec", "--data songs.jsonl --out codec", &[SMALL_CODEC]);
            studio.good("data tokenize songs.jsonl --model codec --out tokens");
            studio.train("top", "--tokens tokens --model codec --out top", &[SMALL_PRIOR]);
            let upsampler = [SMALL_PRIOR, SMALL_CONDITIONER];
            studio.train("upsampler-1", "--tokens tokens --model top --out up1", &upsampler);
            studio.train("upsampler-0", "--tokens tokens --model up1 --out up0", &upsampler);
            studio
        })
    }

    /// An empty folder with the recipes; another process with the same tests waits for its turn.
    pub fn empty() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
        let lock = File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder.join("recipes")).unwrap();
        for recipe in ["codec.toml", "top.toml", "upsampler-1.toml", "upsampler-0.toml"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/tiny").join(recipe);
            fs::copy(from, folder.join("recipes").join(recipe)).unwrap();
        }
        Self { folder, _lock: lock }
    }

    fn train(&self, recipe: &str, options: &str, changes: &[&str]) {
        let changes = changes.join(" ");
        self.good(&format!(
            "train recipes/{recipe}.toml {options} {changes} --no-samples --set run.steps=4 --set run.save_every=4"
        ));
    }

    /// Three seconds each of two artists (timbres) in two genres (tempos), by folder and by tag.
    pub fn write_songs(&self) {
        for (artist, overtones) in [("bell choir", 2), ("reed organ", 7)] {
            fs::create_dir_all(self.path("songs").join(artist)).unwrap();
            for (genre, notes_a_second) in [("hymn", 2.0), ("reel", 6.0)] {
                for number in 0..3 {
                    let path = self.path("songs").join(artist).join(format!("{genre} {number}.wav"));
                    let clip = Clip::from_mono(melody(overtones, notes_a_second, number, 3 * RATE as usize), RATE);
                    orchestrion_audio::write(&path, &clip, &[("GENRE".to_owned(), genre.to_owned())]).unwrap();
                }
            }
        }
    }

    /// A place in the studio.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The program in the studio, with the words of `line` as its arguments.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrion"));
        command.current_dir(&self.folder).args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    /// Starts the program; stdout and stderr go to files, so that a full pipe never stops it.
    pub fn start(&self, line: &str, log: &str) -> Running {
        let file = |ending: &str| File::create(self.path(&format!("{log}.{ending}"))).unwrap();
        let child = self.command(line).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { child, log: self.path(log) }
    }

    /// Runs the program to its end, however it ends.
    pub fn run(&self, line: &str) -> Ended {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
            .without_panic(line)
    }

    /// Runs the program, which has to succeed; what it says on stdout.
    pub fn good(&self, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "orchestrion {line}\n{}", ended.stderr);
        ended.stdout
    }

    /// The same, with stdout read as JSON.
    pub fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.good(line)).unwrap()
    }

    /// Codes of a token file or session: `[level][take][time]`.
    pub fn codes(&self, file: &str) -> Vec<Vec<Vec<u32>>> {
        let tokens = Tokens::load(&self.path(file)).unwrap();
        let rows = |s: &orchestrion_data::TokenStream| (0..s.batch).map(|b| s.row(b, 0).unwrap().to_vec()).collect();
        tokens.streams.iter().map(rows).collect()
    }
}

impl Ended {
    fn without_panic(self, line: &str) -> Self {
        let bug = self.stderr.contains("a bug in orchestrion") || self.stderr.contains("panicked");
        assert!(!bug, "orchestrion {line}\n{}", self.stderr);
        self
    }
}

/// A program under way.
pub struct Running {
    pub child: Child,
    log: PathBuf,
}

impl Running {
    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.log.with_extension("stderr")).unwrap()
    }

    /// Waits until `met`; fails when the program ends before, or a minute is over.
    pub fn wait_until(&mut self, what: &str, mut met: impl FnMut(&Self) -> bool) {
        for _ in 0..6000 {
            if met(self) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || met(self), "ended before {what}: {}", self.stderr());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("waited a minute for {what}: {}", self.stderr());
    }

    /// Asks it to stop, as Ctrl-C does.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        let stdout = fs::read_to_string(self.log.with_extension("stdout")).unwrap();
        Ended { code, stdout, stderr: self.stderr() }.without_panic("started")
    }
}

/// Decaying notes of a few overtones.
pub fn melody(overtones: u32, notes_a_second: f64, number: usize, length: usize) -> Vec<f32> {
    const SCALE: [f64; 5] = [220.0, 247.0, 277.0, 330.0, 370.0];
    let sample = |i: usize| {
        let time = i as f64 / f64::from(RATE);
        let note = (time * notes_a_second) as usize;
        let pitch = SCALE[(note * (number + 2) + number) % SCALE.len()];
        let decay = (-3.0 * (time * notes_a_second).fract()).exp();
        let tone: f64 =
            (1..=overtones).map(|k| (f64::from(k) * pitch * time * std::f64::consts::TAU).sin() / f64::from(k)).sum();
        (0.3 * decay * tone) as f32
    };
    (0..length).map(sample).collect()
}
