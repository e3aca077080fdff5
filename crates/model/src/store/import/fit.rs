//! Whether a checkpoint's tensors are those of a configuration, and if not, how they differ.

use super::super::{Shape, StoredTensor};
use crate::shown;
use orchestrion_data::nearest;
use std::collections::BTreeMap;

/// Differences of a kind that are told.
const TOLD: usize = 4;

/// How tensors differ from what is expected.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fit {
    missing: Vec<String>,
    extra: Vec<String>,
    /// Name, and what is wrong with it.
    other: Vec<(String, String)>,
}

impl Fit {
    /// Compares; `spare` may be there or not, but not otherwise.
    pub fn new(expected: &[Shape], found: &BTreeMap<String, StoredTensor>, spare: Option<&Shape>) -> Self {
        let mut fit = Self::default();
        let mut left: BTreeMap<&str, &StoredTensor> = found.iter().map(|(n, t)| (n.as_str(), t)).collect();
        for (name, shape) in expected.iter().chain(spare) {
            match left.remove(name.as_str()) {
                None if spare.is_some_and(|(spare, _)| spare == name) => {}
                None => fit.missing.push(name.clone()),
                Some(tensor) if tensor.shape != *shape => {
                    fit.other.push((name.clone(), format!("is {:?}, not {shape:?}", tensor.shape)));
                }
                Some(tensor) if !tensor.element.is_float() => {
                    fit.other.push((name.clone(), format!("holds {}, not weights", tensor.element.name())));
                }
                Some(_) => {}
            }
        }
        fit.extra = left.into_keys().map(str::to_owned).collect();
        fit
    }

    /// Whether nothing differs.
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// All differences on one line, the first of each kind by name.
    pub fn message(&self) -> String {
        let near = |name: &String| match nearest(name, self.extra.iter()).into_iter().find(|other| is_kin(name, other))
        {
            Some(near) => format!("`{name}` (near: `{}`)", shown(&near)),
            None => format!("`{name}`"),
        };
        let kinds = [
            ("missing", list(&self.missing, near)),
            ("not part of it", list(&self.extra, |name| format!("`{}`", shown(name)))),
            ("of another kind", list(&self.other, |(name, what)| format!("`{name}` {what}"))),
        ];
        let told = kinds.into_iter().filter_map(|(kind, list)| Some(format!("{kind}: {}", list?)));
        told.collect::<Vec<_>>().join("; ")
    }
}

/// Whether names differ in their first step alone, or only behind it: others are not meant by one another.
fn is_kin(name: &str, other: &str) -> bool {
    let [(root, rest), (other_root, other_rest)] = [name, other].map(|n| n.split_once('.').unwrap_or((n, "")));
    root == other_root || rest == other_rest
}

/// The first of a list, and how many more there are; none if it is empty.
fn list<T>(all: &[T], text: impl Fn(&T) -> String) -> Option<String> {
    let told: Vec<String> = all.iter().take(TOLD).map(text).collect();
    let more = match all.len() - told.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    (!told.is_empty()).then(|| told.join(", ") + &more)
}
