#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use std::fs;

fn read(text: &[u8]) -> Result<Manifest, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.jsonl");
    fs::write(&path, text).unwrap();
    Manifest::read(&path)
}

const LINE: &str = r#"{"path": "a.wav", "duration": 1.5, "sample_rate": 44100}"#;

#[test]
fn other_names_lists_nulls_and_unknown_fields_are_read() {
    let text = [
        r#"{"path": "a.wav", "duration": 1.5, "sample_rate": 44100, "amplitude": null, "weight": null, "info_path": null, "genre": null}"#,
        r#"{"file": "b.ogg", "seconds": 2, "sr": 22050, "genre": "Jazz", "license": "CC-BY-3.0", "codec": "vorbis", "split": "valid"}"#,
        r#"{"path": "/c.mp3", "duration": 3, "sample_rate": 8000, "genre": ["Rock", "Folk"], "weight": 2.5, "artist": "X"}"#,
    ];
    let manifest = read(text.join("\n").as_bytes()).unwrap();
    let [a, b, c] = &manifest.entries[..] else { panic!("{manifest:?}") };
    assert_eq!(*a, Entry::new("a.wav", 1.5, 44_100));
    assert_eq!((b.sample_rate, b.duration, &b.genre[..]), (22_050, 2.0, &["Jazz".to_string()][..]));
    assert_eq!((b.split, b.licence.as_deref()), (Some(Split::Valid), Some("CC-BY-3.0")));
    assert_eq!((c.genre.len(), c.weight), (2, Some(2.5)));
    assert_eq!(manifest.audio_path(c), Path::new("/c.mp3"));
    assert_eq!(manifest.audio_path(a), manifest.folder.join("a.wav"));
    assert_eq!(manifest.of_split(Split::Train).count(), 2);
}

#[test]
fn byte_order_mark_windows_line_ends_and_blank_lines_are_no_matter() {
    let text = format!("\u{feff}{LINE}\r\n\r\n  \n{LINE}\r\n{LINE}");
    let manifest = read(text.as_bytes()).unwrap();
    assert_eq!((manifest.entries.len(), manifest.broken_count), (3, 0));
}

#[test]
fn one_broken_line_in_a_hundred_is_told_two_are_refused() {
    let mut lines = vec![LINE; 99];
    lines.insert(41, "{\"path\": 3");
    let manifest = read(lines.join("\n").as_bytes()).unwrap();
    assert_eq!((manifest.entries.len(), manifest.broken_count), (99, 1));
    assert_eq!(manifest.broken[0].line, 42);
    lines[7] = "nonsense";
    let message = read(lines.join("\n").as_bytes()).unwrap_err().to_string();
    assert!(message.contains("2 of 100 lines are broken; the first is line 8"), "{message}");
}

#[test]
fn every_kind_of_broken_line_is_refused_in_a_small_file() {
    let broken: [&[u8]; 11] = [
        b"[1, 2]",
        b"\xff\xfe{\0",
        br#"{"duration": 1, "sample_rate": 1}"#,
        br#"{"path": "", "duration": 1, "sample_rate": 1}"#,
        br#"{"path": "a", "duration": 0, "sample_rate": 1}"#,
        br#"{"path": "a", "duration": -1, "sample_rate": 1}"#,
        br#"{"path": "a", "duration": 1e999, "sample_rate": 1}"#,
        br#"{"path": "a", "duration": 1, "sample_rate": 0}"#,
        br#"{"path": "a", "duration": 1, "sample_rate": 1, "weight": -1}"#,
        br#"{"path": "a", "duration": 1, "sample_rate": 1, "genre": 7}"#,
        br#"{"path": "a", "duration": 1, "sample_rate": 1, "split": "dev"}"#,
    ];
    for line in broken {
        let text = [LINE.as_bytes(), b"\n", line].concat();
        let message = read(&text).unwrap_err().to_string();
        assert!(message.contains("line 2") && !message.contains('\n'), "{message}");
    }
    for empty in ["", "\n\n", "\u{feff}"] {
        let message = read(empty.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("no track"), "{message}");
    }
}

#[test]
fn a_line_over_the_limit_is_skipped_whole() {
    let long = format!("{{\"path\": \"{}\"}}", "x".repeat(3 * LONGEST_LINE));
    let text = format!("{}{long}\n{LINE}\n", format!("{LINE}\n").repeat(100));
    let manifest = read(text.as_bytes()).unwrap();
    assert_eq!((manifest.entries.len(), manifest.broken[0].line), (101, 101));
}

#[test]
fn words_longer_than_a_song_s_are_refused() {
    let sung = |count: usize| LINE.replace('}', &format!(", \"lyrics\": \"{}\"}}", "é".repeat(count)));
    assert_eq!(read(sung(MAX_LYRICS).as_bytes()).unwrap().entries.len(), 1);
    let message = read(sung(MAX_LYRICS + 1).as_bytes()).unwrap_err().to_string();
    assert!(message.contains("`lyrics` has more than the limit of 100000 characters"), "{message}");
}

#[test]
fn what_was_written_is_read_from_wherever_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let mut entry = Entry::new("inner/é.wav", 1.0 / 3.0, 48_000);
    entry.genre = vec!["a".into(), "b".into()];
    entry.lyrics = Some("one\ntwo".into());
    entry.split = Some(Split::Test);
    let manifest = Manifest {
        folder: folder.path().to_path_buf(),
        entries: vec![entry, Entry::new("top.wav", 2.0, 8_000)],
        ..Manifest::default()
    };
    let here = folder.path().join("set.jsonl");
    manifest.write(&here).unwrap();
    assert_eq!(Manifest::read(&here).unwrap(), manifest);

    let moved = inner.join("set.jsonl");
    manifest.write(&moved).unwrap();
    let moved = Manifest::read(&moved).unwrap();
    assert_eq!(moved.entries[0].path, Path::new("é.wav"));
    for (new, old) in moved.entries.iter().zip(&manifest.entries) {
        assert_eq!(moved.audio_path(new), manifest.audio_path(old));
    }
}

#[test]
fn a_million_lines_are_read_and_one_broken_in_ten_thousand_is_told() {
    let many = format!("{LINE}\n").repeat(9_999) + "{\n";
    let manifest = read(many.repeat(100).as_bytes()).unwrap();
    assert_eq!((manifest.entries.len(), manifest.broken_count, manifest.broken.len()), (999_900, 100, BROKEN_KEPT));
    assert_eq!((manifest.broken[0].line, manifest.broken[1].line), (10_000, 20_000));
}

#[test]
fn what_is_no_text_is_refused_and_paths_stay_what_they_are() {
    // The start of a gzip file, which is not unpacked.
    let packed = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &[0x5a; 5000]].concat();
    assert!(read(&packed).unwrap_err().to_string().contains("line 1"));
    let paths = ["../../etc/passwd", "/etc/passwd", "a/../b.wav", "C:\\\\x.wav", "a\\u0000b.wav"];
    let text: String = paths.iter().map(|p| LINE.replace("a.wav", p) + "\n").collect();
    let manifest = read(text.as_bytes()).unwrap();
    assert_eq!(manifest.entries.len(), paths.len(), "a manifest may name any file: SECURITY.md says so");
    #[cfg(unix)]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop.jsonl");
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let message = Manifest::read(&path).unwrap_err().to_string();
        assert!(message.contains("loop.jsonl") && message.contains("; hint: "), "{message}");
        let message = Manifest::read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
    }
}
