//! Whatever ends a training, it goes on from its last step; what would keep it from being saved is told before it begins.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{SMALL_CODEC, Studio};

const NEWEST: &str = "state.safetensors";
const PREVIOUS: &str = "state.previous.safetensors";

/// A number that the environment may raise above that of a short run.
fn count(name: &str, short: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Random numbers of a test, in `[0, 1)`.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as f64 / (1_u64 << 31) as f64
}

/// The studio with songs and a manifest alone: nothing is trained for it.
fn studio() -> &'static Studio {
    static STUDIO: std::sync::OnceLock<Studio> = std::sync::OnceLock::new();
    STUDIO.get_or_init(|| {
        let studio = Studio::empty();
        studio.write_songs();
        studio.good("data scan songs --out songs.jsonl --folders artist --min-seconds 2 --valid 0.1 --test 0.1");
        studio
    })
}

fn train(out: &str, more: &str) -> String {
    format!("train recipes/codec.toml --data songs.jsonl --out {out} --no-samples {SMALL_CODEC} {more}")
}

/// Losses by step, in the order of the file.
fn losses(run: &Path) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.filter_map(|row| Some((row["step"].as_u64()?, row["loss/train"].as_f64()?))).collect()
}

/// The last number behind a word on stderr.
fn last(stderr: &str, word: &str) -> Option<u64> {
    let line = stderr.lines().rev().find(|line| line.starts_with(word))?;
    line[word.len()..].split_whitespace().next()?.parse().ok()
}

#[test]
fn killed_while_it_saves_a_training_goes_on_from_its_last_step() {
    let studio = studio();
    let kills = count("ORCHESTRION_KILLS", 20);
    // Every step is saved, so that nearly every kill hits a save.
    let same = "--set run.steps=100000 --set run.decay={kind='none'}";
    let line = train("killed", &format!("{same} --set run.save_every=1"));
    let (mut seed, mut reached) = (7_u64, 0);
    let mut halves = 0;
    for kill in 0..kills {
        let mut run = studio.start(&line, "killed-log");
        run.wait_until("a saved step", |run| last(&run.stderr(), "saved step ").is_some());
        std::thread::sleep(Duration::from_secs_f64(0.5 * random(&mut seed)));
        run.child.kill().unwrap();
        let stderr = run.stderr();
        run.child.wait().unwrap();
        let first = last(&stderr, "going on after step ").unwrap_or(0);
        assert!(first >= reached, "kill {kill}: step {reached} was saved, and it went on after step {first}\n{stderr}");
        assert!(!stderr.contains("is damaged"), "kill {kill}: {stderr}");
        reached = last(&run.stderr(), "saved step ").unwrap();
        halves += fs::read_dir(studio.path("killed"))
            .unwrap()
            .flatten()
            .filter(|e| {
                let name = e.file_name().into_string().unwrap();
                name.ends_with(".part") || name.starts_with(".best")
            })
            .count()
            .min(1);
    }
    // It all was one training: the losses are those of one that nobody killed.
    let mut whole = studio.start(&train("never", &format!("{same} --set run.save_every=100000")), "never-log");
    whole.wait_until("as many steps", |_| {
        let run = studio.path("never");
        run.join("metrics.jsonl").exists() && losses(&run).len() as u64 >= reached
    });
    whole.interrupt();
    assert_eq!(whole.end().code, Some(130));
    let found: Vec<_> = losses(&studio.path("killed")).into_iter().filter(|(step, _)| *step <= reached).collect();
    assert_eq!(found.len() as u64, reached, "a row for each step");
    assert!(found == losses(&studio.path("never"))[..reached as usize], "other losses");
    println!("{kills} kills, {halves} of them in the middle of a file; all loaded; {reached} steps");
}

#[test]
fn an_interrupt_ends_training_after_the_step_and_a_second_one_at_once() {
    let studio = studio();
    let line = train("interrupted", "--set run.steps=100000 --set run.save_every=10000");
    let mut done = 0;
    for n in 0..count("ORCHESTRION_INTERRUPTS", 3) {
        let mut run = studio.start(&line, "interrupted-log");
        // Rows of steps that were never saved go when a run goes on.
        run.wait_until("a new step", |run| {
            let goes_on = done == 0 || run.stderr().contains("going on after step");
            goes_on && losses(&studio.path("interrupted")).len() as u64 > done
        });
        let asked = Instant::now();
        run.interrupt();
        let twice = n % 2 == 1;
        if twice {
            run.interrupt();
        }
        let ended = run.end();
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        if let Some(saved) = last(&ended.stderr, "saved step ") {
            assert!(saved > done, "{}", ended.stderr);
            done = saved;
        } else {
            assert!(twice, "{}", ended.stderr);
        }
    }
    assert!(done > 0);
    studio.good(&line.replace("100000", &(done + 1).to_string()));
}

#[test]
fn two_programs_do_not_train_in_one_folder_and_no_folder_is_trampled_on() {
    let studio = studio();
    let line = train("busy", "--set run.steps=100000");
    let mut first = studio.start(&line, "busy-log");
    first.wait_until("a step", |_| studio.path("busy/metrics.jsonl").exists());
    let second = studio.run(&line);
    assert_eq!(second.code, Some(1));
    let pid = format!("in use by process {}", first.child.id());
    assert!(second.stderr.contains("`busy`") && second.stderr.contains(&pid), "{}", second.stderr);
    first.interrupt();
    assert_eq!(first.end().code, Some(130));

    let refused = |out: &str, names: &[&str]| {
        let begun = Instant::now();
        let ended = studio.run(&train(out, "--set run.steps=2"));
        assert_eq!(ended.code, Some(1), "{out}: {}", ended.stderr);
        let words = names.iter().all(|name| ended.stderr.contains(name)) && ended.stderr.contains("\nhint: ");
        assert!(words && !ended.stderr.contains("reading recordings"), "{out}: {}", ended.stderr);
        assert!(begun.elapsed() < Duration::from_secs(5));
    };
    // Somebody's thesis, a file, a place in a file, a name too long, and a link to nowhere.
    fs::create_dir(studio.path("home")).unwrap();
    fs::write(studio.path("home/thesis.tex"), "a").unwrap();
    refused("home", &["`home`", "`thesis.tex`"]);
    assert_eq!(fs::read_dir(studio.path("home")).unwrap().count(), 1);
    fs::write(studio.path("plain"), "a").unwrap();
    refused("plain", &["`plain`"]);
    refused("plain/run", &["`plain/run`"]);
    refused(&"n".repeat(256), &["nnn"]);
    std::os::unix::fs::symlink("/nowhere/at/all", studio.path("dangling")).unwrap();
    refused("dangling", &["`dangling`"]);
    // Where nobody may write, not even a superuser.
    if Path::new("/proc/sys").is_dir() {
        refused("/proc/sys/run", &["`/proc/sys/run`"]);
    }
    // Odd names are names.
    for odd in ["run-🎵-é", &"n".repeat(255)] {
        studio.good(&train(odd, "--set run.steps=1"));
    }
}

/// The limit on file sizes stands for a disk that fills up: the write fails after so many bytes.
#[test]
fn on_a_full_disk_the_state_before_stays() {
    let studio = studio();
    let line = train("full", "--set run.save_every=2 --set codec.network.width=24");
    studio.good(&format!("{line} --set run.steps=2"));
    let state = fs::read(studio.path("full").join(NEWEST)).unwrap();
    for share in [0.1, 0.5, 0.9, 0.99] {
        let blocks = (state.len() as f64 * share) as u64 / 512;
        let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" {line} --set run.steps=4");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_orchestrion")]).current_dir(studio.path(""));
        let output = shell.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{share}: {stderr}");
        assert!(stderr.contains("error: `full/") && stderr.contains("\nhint: "), "{share}: {stderr}");
        assert!(fs::read(studio.path("full").join(NEWEST)).unwrap() == state, "{share}: the state before is whole");
        let left = fs::read_dir(studio.path("full"))
            .unwrap()
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "part"));
        assert_eq!(left.count(), 0, "{share}: the half file is gone");
    }
    let ended = studio.run(&format!("{line} --set run.steps=4"));
    assert!(ended.code == Some(0) && ended.stderr.contains("going on after step 2"), "{}", ended.stderr);
    assert!(studio.path("full").join(PREVIOUS).exists());
}

#[test]
fn metrics_go_to_tensorboard_when_it_is_asked_for() {
    let studio = studio();
    studio.good(&train("board", "--set run.steps=3 --set run.tensorboard=true"));
    let names = fs::read_dir(studio.path("board")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
    let files: Vec<String> = names.filter(|name| name.starts_with("events.out.tfevents.")).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let bytes = fs::read(studio.path("board").join(file)).unwrap();
    assert!(bytes.windows(10).any(|w| w == b"loss/train"));
}

/// The most memory that a run of the program had, in bytes.
#[cfg(target_os = "linux")]
fn peak_of(studio: &Studio, line: &str) -> f64 {
    let mut run = studio.start(line, "peak-log");
    let status = format!("/proc/{}/status", run.child.id());
    let mut peak = 0.0;
    while run.child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run.end().code, Some(0));
    1024.0 * peak
}

#[test]
#[cfg(target_os = "linux")]
fn a_plan_forecasts_memory_and_leaves_nothing_behind() {
    let studio = studio();
    let line = train(
        "planned",
        "--set run.steps=12 --set run.save_every=6 --set codec.crop=32768 --set codec.network.width=32",
    );
    let told = studio.good(&format!("{line} --plan"));
    assert!(!studio.path("planned").exists(), "a plan leaves nothing behind");
    for word in ["trains ", "on ", "steps        12 of 1 batches of 2", "a step ", "takes ", "memory "] {
        assert!(told.contains(word), "no `{word}`:\n{told}");
    }
    let words = told.lines().find_map(|line| line.strip_prefix("memory")).unwrap();
    let forecast = 1e9 * words.split_whitespace().next().unwrap().parse::<f64>().unwrap();
    let peak = peak_of(studio, &line);
    assert!((0.75..1.25).contains(&(forecast / peak)), "{forecast} for {peak}");

    // What cannot fit is refused before data is read, and tried with `--force` only.
    let huge = train(
        "huge",
        "--set run.steps=1 --set codec.network.width=16384 --set codec.network.resnet.depth=64 --set codec.network.resnet.dilation_cycle=4",
    );
    let ended = studio.run(&huge);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("GB at least") && ended.stderr.contains("`--force`"), "{}", ended.stderr);
    assert!(!studio.path("huge").exists());
}
