//! Writes files as `torch.save` does, in both of its forms, without it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use serde_json::Value;

/// The magic number of the old form, pickled.
pub const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
/// Its protocol number and its facts about the machine.
const FACTS: &[u8] = b"\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.";

/// A tensor of floats: name, sizes, values.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// Text as a pickle has it.
pub fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [b"X", length.to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn count(n: usize) -> Vec<u8> {
    [b"J", i32::try_from(n).unwrap().to_le_bytes().as_slice()].concat()
}

fn tuple(items: &[usize]) -> Vec<u8> {
    [b"(".to_vec(), items.iter().flat_map(|n| count(*n)).collect(), b"t".to_vec()].concat()
}

/// Plain data as a pickle has it; lists become tuples, as they mostly are in settings.
pub fn plain(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => b"N".to_vec(),
        Value::Bool(b) => vec![if *b { 0x88 } else { 0x89 }],
        Value::Number(n) => match n.as_i64() {
            Some(n) => [b"J", i32::try_from(n).unwrap().to_le_bytes().as_slice()].concat(),
            None => [b"G", n.as_f64().unwrap().to_be_bytes().as_slice()].concat(),
        },
        Value::String(s) => text(s),
        Value::Array(items) => [b"(".to_vec(), items.iter().flat_map(plain).collect(), b"t".to_vec()].concat(),
        Value::Object(entries) => {
            let entries = entries.iter().flat_map(|(k, v)| [text(k), plain(v)].concat()).collect();
            [b"}(".to_vec(), entries, b"u".to_vec()].concat()
        }
    }
}

/// A checkpoint's `{"hps": settings, "model": tensors, "opt": None, "step": 7}`; `view` says where storages are seen.
pub fn object(settings: &Value, tensors: &[Tensor], old: bool) -> Vec<u8> {
    let mut state = b"ccollections\nOrderedDict\n)R(".to_vec();
    for (i, (name, shape, values)) in tensors.iter().enumerate() {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        state.extend(text(name));
        state.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        state.extend(text("storage"));
        state.extend(b"ctorch\nFloatStorage\n");
        state.extend([text(&i.to_string()), text("cpu"), count(values.len())].concat());
        state.extend(if old { b"NtQ".as_slice() } else { b"tQ" });
        state.extend([count(0), tuple(shape), tuple(&strides)].concat());
        state.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    state.extend(b"u}");
    state.extend(text("_metadata"));
    state.extend(b"}sb");
    let all = [text("hps"), plain(settings), text("model"), state, text("opt"), b"N".to_vec(), text("step"), count(7)];
    [b"\x80\x02}(".to_vec(), all.concat(), b"u.".to_vec()].concat()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The old form around an object's pickle.
pub fn old_form(object: &[u8], tensors: &[Tensor]) -> Vec<u8> {
    let keys = (0..tensors.len()).flat_map(|i| text(&i.to_string())).collect();
    let mut file =
        [MAGIC.to_vec(), FACTS.to_vec(), object.to_vec(), b"\x80\x02](".to_vec(), keys, b"e.".to_vec()].concat();
    for (.., values) in tensors {
        file.extend((values.len() as u64).to_le_bytes());
        file.extend(bytes(values));
    }
    file
}

/// A checkpoint in the old form.
pub fn old(settings: &Value, tensors: &[Tensor]) -> Vec<u8> {
    old_form(&object(settings, tensors, true), tensors)
}

/// An entry of an archive: name, method, sizes when packed and not, content.
pub struct Entry {
    pub name: String,
    pub method: u16,
    pub packed: u32,
    pub size: u32,
    pub content: Vec<u8>,
}

impl Entry {
    pub fn stored(name: &str, content: Vec<u8>) -> Self {
        let size = u32::try_from(content.len()).unwrap();
        Self { name: name.to_owned(), method: 0, packed: size, size, content }
    }
}

/// An archive.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let at = u32::try_from(file.len()).unwrap();
        let name_length = u16::try_from(entry.name.len()).unwrap();
        let mut middle = Vec::new();
        middle.extend([20u16, 0, entry.method, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
        middle.extend([0u32, entry.packed, entry.size].iter().flat_map(|n| n.to_le_bytes()));
        middle.extend([name_length, 0].iter().flat_map(|n| n.to_le_bytes()));
        file.extend([b"PK\x03\x04".as_slice(), &middle, entry.name.as_bytes(), &entry.content].concat());
        directory.extend([b"PK\x01\x02\x14\x00".as_slice(), &middle].concat());
        directory.extend([0u16, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
        directory.extend([0u32, at].iter().flat_map(|n| n.to_le_bytes()));
        directory.extend(entry.name.as_bytes());
    }
    let (at, count) = (u32::try_from(file.len()).unwrap(), u16::try_from(entries.len()).unwrap());
    let size = u32::try_from(directory.len()).unwrap();
    file.extend(directory);
    file.extend(b"PK\x05\x06");
    file.extend([0u16, 0, count, count].iter().flat_map(|n| n.to_le_bytes()));
    file.extend([size, at].iter().flat_map(|n| n.to_le_bytes()));
    file.extend([0, 0]);
    file
}

/// A checkpoint in the new form.
pub fn new(settings: &Value, tensors: &[Tensor]) -> Vec<u8> {
    let mut entries = vec![Entry::stored("a/data.pkl", object(settings, tensors, false))];
    entries.push(Entry::stored("a/byteorder", b"little".to_vec()));
    let storages = tensors.iter().enumerate();
    entries.extend(storages.map(|(i, (.., values))| Entry::stored(&format!("a/data/{i}"), bytes(values))));
    archive(&entries)
}
