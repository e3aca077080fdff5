//! Files that were made to do harm, or came to harm.

use super::writer::{self, Entry, Tensor, archive, old_form, text};
use super::{open, refusal};
use proptest::prelude::*;
use serde_json::json;

fn tensors() -> Vec<Tensor> {
    vec![
        ("prior.a".into(), vec![2, 3], (0..6).map(|n| n as f32).collect()),
        ("prior.b".into(), vec![2], vec![0.5, -1.5]),
    ]
}

/// The old form around `{"hps": BODY}`, or around any pickle.
fn settings(body: &[u8]) -> Vec<u8> {
    pickle(&[b"}".to_vec(), text("hps"), body.to_vec(), b"s.".to_vec()].concat())
}

fn pickle(body: &[u8]) -> Vec<u8> {
    old_form(&[b"\x80\x02", body].concat(), &[])
}

#[test]
fn calls_are_refused_by_name() {
    assert!(refusal(&settings(b"cos\nsystem\nX\x04\x00\x00\x00echo\x85R")).contains("`os.system`"));
    assert!(refusal(&settings(b"cbuiltins\neval\n")).contains("`builtins.eval`"), "its name alone is enough");
    assert!(refusal(&settings(b"\x8c\x05posix\x8c\x06system\x93)R")).contains("`posix.system`"));
    assert!(refusal(&settings(b"ctorch\nload\n)R")).contains("`torch.load`"));
    assert!(refusal(&settings(b"ctorch._utils\n_rebuild_tensor_v3\n)R")).contains("`torch._utils._rebuild_tensor_v3`"));
    assert!(refusal(&settings(b"c\x1b[31mevil\nfunction\n")).contains("evil.function"));
    for (code, body) in
        [("0x69", b"(ios\nsystem\n".as_slice()), ("0x6f", b"(o"), ("0x81", b"}}\x81"), ("0x82", b"\x82\x01")]
    {
        assert!(refusal(&settings(body)).contains(code), "{code}");
    }
    // Known names called in other ways than theirs.
    for body in [
        b"ccollections\nOrderedDict\n}R".as_slice(),
        b"ctorch\nFloatStorage\n)R",
        b"NNR",
        b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR",
    ] {
        assert!(refusal(&settings(body)).contains("byte"));
    }
}

#[test]
fn foreign_names_are_cut_and_escaped() {
    let name = format!("a\x1b[31m\u{202e}{}", "x".repeat(60_000));
    let entry = Entry { name: name.clone(), method: 8, packed: 1, size: 2, content: vec![0] };
    let key = [b"\x80\x02(".to_vec(), text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(&name)].concat();
    let key = [key, text("cpu"), b"\x8a\x08\0\0\0\0\0\0\0\x40NtQ.".to_vec()].concat();
    let header = |header: serde_json::Value| {
        let header = header.to_string().into_bytes();
        [(header.len() as u64).to_le_bytes().to_vec(), header].concat()
    };
    for file in [
        archive(&[entry]),
        old_form(&key, &[]),
        header(json!({ name.as_str(): { "dtype": "F32", "shape": [9], "data_offsets": [0, 0] } })),
        header(json!({ name.as_str(): { "dtype": name, "shape": [9], "data_offsets": [0, 0] } })),
        header(json!({ name.as_str(): { "dtype": "F32", "shape": name, "data_offsets": [0, 0] } })),
        header(json!({ "a": { "dtype": "F32", "shape": vec![1; 60_000], "data_offsets": [0, 4] } })),
    ] {
        let message = refusal(&file);
        assert!(message.len() < 1200 && !message.contains(['\x1b', '\u{202e}']), "{message}");
    }
}

#[test]
fn bombs_stay_small() {
    let long = |code: u8, length: &[u8]| settings(&[&[code], length].concat());
    assert!(refusal(&long(0x8b, &(1u32 << 30).to_le_bytes())).contains("integer of 1073741824 bytes"));
    assert!(refusal(&long(b'X', &(1u32 << 30).to_le_bytes())).contains("text of 1073741824 bytes"));
    assert!(refusal(&long(0x8d, &u64::MAX.to_le_bytes())).contains("text of"));
    assert!(refusal(&long(b'B', &u32::MAX.to_le_bytes())).contains("text of"));
    // A dict that holds itself, one object in ever more others, and nesting without end.
    assert!(refusal(&settings(b"}q\x00X\x01\x00\x00\x00ah\x00s")).contains("in themselves"));
    let mut doubling = b"]".to_vec();
    doubling.extend(b"2\x86".repeat(40));
    assert!(refusal(&settings(&doubling)).contains("nested"));
    let mut wide = text(&"x".repeat(1 << 19));
    wide.extend([b"q\x010(".to_vec(), b"h\x01".repeat(50_000), b"t".to_vec()].concat());
    assert!(refusal(&settings(&wide)).contains("too large"));
    assert!(refusal(&settings(&[b")".to_vec(), b"\x85".repeat(500_000)].concat())).contains("nested"));
    assert!(refusal(&settings(&b"(".repeat(2_000_000))).contains("steps"));
    assert!(refusal(&settings(&b"N0".repeat(1_000_000))).contains("steps"));
    let megabyte = [b"X\x00\x00\x10\x00".to_vec(), vec![b'x'; 1 << 20], b"0".to_vec()].concat();
    assert!(refusal(&settings(&megabyte.repeat(70))).contains("67108864"));
    // A state that is itself, and one that is nothing.
    refusal(&pickle(b"}q\x00X\x05\x00\x00\x00modelh\x00s."));
    for body in [b"N.".as_slice(), b"]q\x00h\x00a.", b".", b"0.", b"(1.", b"t.", b"u.", b"h\x07.", b"}b.", b"q\x00."] {
        refusal(&pickle(body));
    }
    // All that was read above, and this test's program with it, stays far below what a published file needs.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak =
            status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
        assert!(peak.unwrap() < 1 << 20, "{peak:?} KiB");
    }
}

/// A tensor's description with a part replaced.
fn tensor(from: &[u8], to: &[u8]) -> Vec<u8> {
    replace(writer::old(&json!({}), &tensors()), from, to)
}

fn replace(file: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = file.windows(from.len()).position(|w| w == from).unwrap();
    [&file[..at], to, &file[at + from.len()..]].concat()
}

#[test]
fn sizes_that_lie_are_refused() {
    let count = |n: i32| [b"J".as_slice(), &n.to_le_bytes()].concat();
    let shape = |a, b| [b"(".to_vec(), count(a), count(b), b"t".to_vec()].concat();
    assert!(refusal(&tensor(&shape(2, 3), &shape(3, 2))).contains("does not fit its storage"));
    for (a, b) in [(2, 4), (i32::MAX, i32::MAX), (-2, 3), (200_000, 1)] {
        refusal(&tensor(&shape(2, 3), &shape(a, b)));
    }
    let length = |n: i32| [count(n), b"NtQ".to_vec()].concat();
    assert!(refusal(&tensor(&length(6), &length(i32::MAX))).contains("storage `0`"));
    assert!(refusal(&tensor(&length(6), &length(5))).contains("does not fit its storage of 5"));
    let negative = [b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40".to_vec(), b"NtQ".to_vec()].concat();
    assert!(refusal(&tensor(&length(6), &negative)).contains("more than a file can hold"));
    // One number seen as many.
    let strides = [b"(".to_vec(), count(3), count(1), b"t".to_vec()].concat();
    let expanded = [b"(".to_vec(), count(0), count(0), b"t".to_vec()].concat();
    let seen = open(&tensor(&strides, &expanded)).unwrap();
    assert_eq!(seen.values("prior.a").unwrap(), [0.0; 6], "six times its first number, of six");
    // A few numbers at the ends of a large storage are not worth reading it.
    let many: Tensor = ("a".into(), vec![2000], vec![0.0; 2000]);
    let ends = [b"(".to_vec(), count(2), b"t(".to_vec(), count(1999), b"t".to_vec()].concat();
    let plain = [b"(".to_vec(), count(2000), b"t(".to_vec(), count(1), b"t".to_vec()].concat();
    let file = replace(writer::old(&json!({}), &[many]), &plain, &ends);
    let error = open(&file).unwrap().values("a").unwrap_err().to_string();
    assert!(error.contains("its 2 numbers lie spread over 2000"), "{error}");
    let turned = [b"(".to_vec(), count(1), count(2), b"t".to_vec()].concat();
    assert_eq!(open(&tensor(&strides, &turned)).unwrap().values("prior.a").unwrap(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
}

#[test]
fn archives_that_lie_are_refused() {
    let pickle = || writer::object(&json!({}), &tensors(), false);
    let with = |entry: Entry| archive(&[Entry::stored("a/data.pkl", pickle()), entry]);
    let entry = |method, packed, size| Entry { name: "a/data/0".into(), method, packed, size, content: vec![0; 24] };
    assert!(refusal(&with(entry(8, 24, u32::MAX - 1))).contains("compressed"));
    assert!(refusal(&with(entry(0, 24, 4_000_000))).contains("compressed"));
    assert!(refusal(&with(entry(0, 4_000_000_000, 4_000_000_000))).contains("outside"));
    assert!(refusal(&with(entry(0, u32::MAX, u32::MAX))).contains("outside"), "zip64 without its field");
    assert!(refusal(&with(entry(0, 20, 20))).contains("`a/data/0` has 20 bytes"));
    assert!(refusal(&with(Entry::stored("a/data/1", vec![]))).contains("no entry `a/data/0`"));
    assert!(refusal(&archive(&[Entry::stored("a/other", vec![])])).contains("data.pkl"));
    let big_endian = [Entry::stored("a/data.pkl", pickle()), Entry::stored("a/byteorder", b"big".to_vec())];
    assert!(refusal(&archive(&big_endian)).contains("big-endian"));
}

#[test]
fn other_files_are_told_from_checkpoints() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refusal(&tar).contains("tar archive"));
    for file in [b"".as_slice(), b"\x80", b"PK\x03\x04", b"RIFF....WAVE", &[0xff; 64], b"\x80\x02K\x01."] {
        refusal(file);
    }
}

#[test]
fn files_cut_anywhere_are_refused() {
    for whole in [writer::old(&json!({ "sr": 8000 }), &tensors()), writer::new(&json!({ "sr": 8000 }), &tensors())] {
        open(&whole).unwrap();
        for end in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
            refusal(&whole[..end]);
        }
    }
}

#[test]
fn both_forms_hold_the_same() {
    let settings = json!({ "sr": 8000, "downs_t": [3, 2], "lr": 0.25, "name": "x", "labels": true, "none": null });
    let wrapped: Vec<Tensor> = tensors().into_iter().map(|(n, s, v)| (format!("module.{n}"), s, v)).collect();
    for file in [writer::old(&settings, &tensors()), writer::new(&settings, &wrapped)] {
        let checkpoint = open(&file).unwrap();
        assert_eq!(serde_json::Value::Object(checkpoint.settings().clone()), settings);
        for (name, shape, values) in tensors() {
            assert_eq!(checkpoint.tensors()[&name].shape, shape);
            assert_eq!(checkpoint.values(&name).unwrap(), values);
        }
    }
}

/// Reads all of a file that may be anything.
fn read_all(bytes: &[u8]) {
    if let Ok(checkpoint) = open(bytes) {
        for name in checkpoint.tensors().keys() {
            let _ = checkpoint.values(name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_it_panic(kind in 0usize..5, noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        let starts: [&[u8]; 5] = [b"", writer::MAGIC, b"PK\x03\x04", b"\x40\0\0\0\0\0\0\0{", b"\x80\x02"];
        read_all(&[starts[kind], &noise].concat());
        read_all(&pickle(&noise));
    }

    #[test]
    fn no_change_makes_it_panic(
        new in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let form = if new { writer::new } else { writer::old };
        let mut file = form(&json!({ "sr": 8000 }), &tensors());
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        read_all(&file);
    }
}
