//! Whatever ends the program, the music goes on as if nothing had happened.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

mod support;

use std::time::{Duration, Instant};
use support::Studio;

/// Longer than anyone waits: runs of it are stopped.
const LONG: &str = "sample --model up0 --seconds 590 --takes 16 --seed 3";

#[test]
fn killed_at_random_moments_the_tokens_are_those_of_one_run() {
    let studio = Studio::shared();
    let line = "sample --model up0 --seconds 3 --seed 4 --takes 2";
    let begun = Instant::now();
    studio.good(&format!("{line} --out whole"));
    // How long a run takes; a busy machine's first one may be slow, so runs that end before their kill shorten it.
    let mut time = begun.elapsed();
    let whole = studio.codes("whole/session.safetensors");
    let mut random = 2026_u64;
    let mut cut_short = 0;
    let kills: usize = std::env::var("ORCHESTRION_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    for number in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (random >> 33) as f64 / (1_u64 << 31) as f64;
        let out = format!("killed-{number}");
        let mut run = studio.start(&format!("{line} --out {out}"), &out);
        let (begun, moment) = (Instant::now(), time.mul_f64(share));
        while begun.elapsed() < moment {
            if run.child.try_wait().unwrap().is_some() {
                time = begun.elapsed();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        run.child.kill().unwrap();
        assert!(run.end().code.is_none_or(|code| code == 0), "ended by the signal, or finished before");
        let session = format!("{out}/session.safetensors");
        if studio.path(&session).exists() {
            let done = studio.codes(&session);
            cut_short += usize::from(done[0][0].len() < whole[0][0].len());
            for (level, rows) in done.iter().enumerate() {
                for (take, row) in rows.iter().enumerate() {
                    assert!(whole[level][take].starts_with(row), "kill {number}: level {level} of take {take}");
                }
            }
            studio.good(&format!("sample --model up0 --continue {session}"));
        } else {
            // Killed before there was anything to go on with: the command itself is what one runs again.
            cut_short += 1;
            studio.good(&format!("{line} --out {out}"));
        }
        assert_eq!(studio.codes(&session), whole, "kill {number}, at {:.0} % of the time", 100.0 * share);
        assert!(studio.path(&format!("{out}/index.html")).exists(), "kill {number}: the page is made in the end");
    }
    // A run of this length decodes and draws for half of its time, with all tokens made.
    println!("{kills} kills, {cut_short} of them before all tokens were made; all went on to the same tokens");
    assert!(cut_short * 10 >= kills * 3, "only {cut_short} of {kills} runs were killed before their tokens were made");
}

#[test]
fn one_program_at_a_time_and_an_interrupt_tells_how_to_go_on() {
    let studio = Studio::shared();
    let mut first = studio.start(&format!("{LONG} --out busy"), "busy");
    first.wait_until("it samples", |run| run.stderr().contains("seed 3"));

    let second = studio.run("sample --model up0 --continue busy/session.safetensors");
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let pid = format!("in use by process {}", first.child.id());
    assert!(
        second.stderr.contains("error: `busy/session.safetensors`") && second.stderr.contains(&pid),
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains("\nhint: "), "{}", second.stderr);
    let third = studio.run("sample --model up0 --seconds 1 --out busy");
    assert!(third.code == Some(1) && third.stderr.contains(&pid), "{}", third.stderr);

    let asked = Instant::now();
    first.interrupt();
    let ended = first.end();
    assert!(asked.elapsed() < Duration::from_secs(5), "an interrupt took {:?}", asked.elapsed());
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let hint = ended.stderr.lines().find_map(|line| line.strip_prefix("hint: `orchestrion ")).expect("no hint");
    let hint = hint.trim_end_matches('`').to_owned();

    // The hint is a command that works as it stands: it goes on in the same session.
    let mut again = studio.start(&hint, "again");
    again.wait_until("it goes on", |run| run.stderr().contains("session `busy/session.safetensors`"));
    again.interrupt();
    assert_eq!(again.end().code, Some(130));
}

#[test]
fn a_second_interrupt_ends_at_once_and_spoils_nothing() {
    let studio = Studio::shared();
    let mut run = studio.start(&format!("{LONG} --out twice"), "twice");
    run.wait_until("a window", |_| {
        let session = "twice/session.safetensors";
        studio.path(session).exists() && !studio.codes(session)[2][0].is_empty()
    });
    run.interrupt();
    run.interrupt();
    assert_eq!(run.end().code, Some(130));
    assert!(!studio.codes("twice/session.safetensors")[2][0].is_empty(), "the session is whole");
}
