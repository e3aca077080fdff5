//! Every verb under odd words: an exit code of its own, one error with a hint, and never a panic.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

const VERBS: [&str; 14] = [
    "sample",
    "encode",
    "decode",
    "embed",
    "train",
    "data scan",
    "data tokenize",
    "eval reconstruction",
    "eval likelihood",
    "model info",
    "model merge",
    "model import",
    "bench",
    "doctor",
];

fn run(verb: &str, more: &[&OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrion"));
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).args(verb.split(' ')).args(more).stdin(Stdio::null());
    let output = command.env("NO_COLOR", "1").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("a bug in orchestrion") && !stderr.contains("panicked"), "{verb} {more:?}: {stderr}");
    assert!(!stderr.contains('\u{1b}'), "{verb}: colours without a terminal");
    output
}

#[test]
fn help_odd_words_and_odd_paths() {
    let nowhere = OsStr::from_bytes(b"/nowhere/\xff\xfe.x");
    for verb in VERBS {
        let help = run(verb, &["--help".as_ref()]);
        assert_eq!(help.status.code(), Some(0), "{verb} --help");
        assert!(help.stdout.len() > 100, "{verb} --help");
        for odd in [OsString::from("--no-such-word"), OsString::from("--"), nowhere.to_owned()] {
            // Verbs that need no word would begin to work.
            if odd == "--" && ["sample", "bench", "doctor", "model info"].contains(&verb) {
                continue;
            }
            let output = run(verb, &[&odd]);
            let code = output.status.code();
            assert!(
                matches!(code, Some(1 | 2)),
                "{verb} {odd:?}: {code:?} {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.stderr.starts_with(b"error: "), "{verb} {odd:?}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_bug() {
    for verb in ["doctor", "doctor --json", "model info"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrion"));
        let output = command.args(verb.split(' ')).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && stderr.starts_with("error: stdout was closed\nhint: "),
            "{verb}: {stderr}"
        );
    }
}
