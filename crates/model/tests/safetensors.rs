//! Weight files that were made to break a reader.
#![allow(clippy::unwrap_used)]

use orchestrion_model::store::SafetensorsFile;
use std::borrow::Cow;

fn file(header: impl AsRef<[u8]>, data: usize) -> Vec<u8> {
    let header = header.as_ref();
    [&(header.len() as u64).to_le_bytes()[..], header, &vec![0; data]].concat()
}

/// What is said of a file, by its header or by one of its tensors.
fn refused(bytes: Vec<u8>) -> String {
    let read = |bytes| {
        let file = SafetensorsFile::parse("w.safetensors", Cow::Owned(bytes))?;
        let names: Vec<String> = file.names().map(str::to_owned).collect();
        names.iter().try_for_each(|name| file.values(name).map(drop))
    };
    let error: orchestrion_model::ModelError = read(bytes).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("w.safetensors") && message.contains("; hint: ") && !message.contains('\n'), "{message}");
    message
}

#[test]
fn fourteen_hostile_files_are_refused() {
    let tensor = |name: &str, dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let one = |dtype: &str, shape: &str, from: u64, to: u64| format!("{{{}}}", tensor("x", dtype, shape, from, to));
    let two = |a: (u64, u64), b: (u64, u64), name: &str| {
        format!("{{{},{}}}", tensor("x", "F32", "[2]", a.0, a.1), tensor(name, "F32", "[2]", b.0, b.1))
    };
    assert!(SafetensorsFile::parse("w", Cow::Owned(file(two((0, 8), (8, 16), "y"), 16))).is_ok());
    let cases = [
        ("length 2^63", [&(1_u64 << 63).to_le_bytes()[..], &[0; 40]].concat(), "not a whole"),
        ("length 0", [0; 40].to_vec(), "header is not the JSON"),
        ("header of 200 MB", [&200_000_000_u64.to_le_bytes()[..], b"{}"].concat(), "not a whole"),
        ("overlap", file(two((0, 8), (4, 12), "y"), 12), "begins at byte 4"),
        ("hole", file(two((0, 8), (12, 20), "y"), 20), "begins at byte 12"),
        ("bytes behind the last", file(one("F32", "[2]", 0, 8), 9), "9 bytes of data"),
        ("past the end", file(one("F32", "[2]", 0, 8), 7), "does not fit"),
        ("shape overflow", file(one("F32", "[4294967296,4294967296]", 0, 0), 0), "does not fit"),
        ("offsets overflow", file(one("F32", "[2]", u64::MAX - 3, 4), 8), "does not fit"),
        ("duplicate key", file(two((0, 8), (8, 16), "x"), 16), "stands twice"),
        ("bad UTF-8", file(b"{\"\xff\xfe\":1}", 0), "header is not the JSON"),
        ("depth", file("[".repeat(100_000), 0), "header is not the JSON"),
        ("NaN", [&file(one("F32", "[1]", 0, 4), 0)[..], &f32::NAN.to_le_bytes()].concat(), "NaN or infinity"),
        ("type", file(one("C64", "[1]", 0, 8), 8), "has type C64"),
    ];
    for (name, bytes, expected) in cases {
        let message = refused(bytes);
        assert!(message.contains(expected), "{name}: {message}");
    }
}
