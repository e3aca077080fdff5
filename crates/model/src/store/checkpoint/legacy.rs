//! The stream that `torch.save` wrote before PyTorch 1.6: five pickles (a magic number, a protocol number, facts about the
//! writer's machine, the object, the keys of its storages), then the storages in the order of the keys, each behind its
//! count of numbers in eight bytes.

use super::objects::{Id, Object, Objects};
use super::pickle::{self, Input};
use crate::shown;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// What the first pickle holds.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// What the second one holds.
const PROTOCOL: i128 = 1001;

/// Reads all but the numbers: the objects, the saved one among them, and where each storage begins in the file.
pub(super) fn read(file: &File, length: u64) -> Result<(Objects, Id, Vec<u64>), String> {
    let mut objects = Objects::default();
    let mut input = Input::new(BufReader::new(file));
    let magic = pickle::read(&mut input, &mut objects)?;
    if objects.integer(magic) != Some(MAGIC) {
        return Err("it is a pickle, but no checkpoint; hint: give a file that `torch.save` wrote".into());
    }
    let protocol = pickle::read(&mut input, &mut objects)?;
    if objects.integer(protocol) != Some(PROTOCOL) {
        return Err("it is a checkpoint of an unknown version".into());
    }
    let machine = pickle::read(&mut input, &mut objects)?;
    if !objects.entry(machine, "little_endian").is_some_and(|v| matches!(objects.get(v), Object::Bool(true))) {
        return Err("it was written by a big-endian machine; hint: save it anew on a usual one".into());
    }
    let root = pickle::read(&mut input, &mut objects)?;
    let keys = pickle::read(&mut input, &mut objects)?;
    let keys = objects.items(keys).ok_or("its storages are not listed")?;
    let places: BTreeMap<&str, usize> =
        objects.storages.iter().enumerate().map(|(i, storage)| (storage.key.as_str(), i)).collect();
    let mut starts = vec![None; objects.storages.len()];
    let (mut at, mut file) = (input.taken, file);
    for key in keys {
        let key = objects.text(*key).unwrap_or_default();
        let Some(&place) = places.get(key) else {
            return Err(format!("it lists a storage `{}` that no tensor has", shown(key)));
        };
        let storage = &objects.storages[place];
        let key = shown(key);
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut count))
            .map_err(|_| format!("it ends before storage `{key}`; hint: fetch it again"))?;
        let end =
            (storage.length as u64).checked_mul(storage.element.size() as u64).and_then(|n| n.checked_add(at + 8));
        let Some(end) = end.filter(|end| *end <= length) else {
            let what = format!("it ends within storage `{key}` of {} numbers", storage.length);
            return Err(format!("{what}: {length} bytes are too few; hint: fetch it again"));
        };
        if u64::from_le_bytes(count) != storage.length as u64 {
            let found = u64::from_le_bytes(count);
            return Err(format!("storage `{key}` has {found} numbers in one place and {} in another", storage.length));
        }
        if starts[place].replace(at + 8).is_some() {
            return Err(format!("it lists storage `{key}` twice"));
        }
        at = end;
    }
    let missing = starts.iter().position(Option::is_none).and_then(|i| objects.storages.get(i));
    if let Some(storage) = missing {
        return Err(format!("it does not list storage `{}`", shown(&storage.key)));
    }
    let starts = starts.into_iter().flatten().collect();
    Ok((objects, root, starts))
}
