//! What a pickle built: plain data and descriptions of tensors, in one list. Objects name each other by their place in it,
//! so one may stand in several others, or in itself, and nothing here recurses without a limit.

use super::super::element::Element;
use serde_json::{Number, Value};

/// Deepest nesting of data that is taken out.
const DEEPEST: usize = 32;
/// Most bytes that are taken out at once: shared objects count each time.
const MOST_BYTES: usize = 4 << 20;
/// What a value costs beside its text.
const VALUE: usize = 32;

/// Place of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

/// The only things that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

/// A view of a storage.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Place in [`Objects::storages`].
    pub storage: usize,
    /// First number.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// In numbers.
    pub strides: Vec<usize>,
}

/// A run of numbers that lies elsewhere in the file.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub key: String,
    pub element: Element,
    /// How many.
    pub length: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    /// Their content is of no use to anybody here.
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(usize),
    Tensor(Box<View>),
}

/// All objects of a pickle.
#[derive(Debug, Default)]
pub(super) struct Objects {
    all: Vec<Object>,
    pub storages: Vec<Storage>,
}

impl Objects {
    pub fn add(&mut self, object: Object) -> Id {
        self.all.push(object);
        Id(self.all.len() - 1)
    }

    /// An id only comes from [`Objects::add`]; another list's would be a `None`.
    pub fn get(&self, id: Id) -> &Object {
        self.all.get(id.0).unwrap_or(&Object::None)
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Object> {
        self.all.get_mut(id.0)
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self, id: Id) -> Option<i128> {
        match self.get(id) {
            Object::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// A count: an integer that fits memory.
    pub fn count(&self, id: Id) -> Option<usize> {
        self.integer(id).and_then(|n| usize::try_from(n).ok())
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Items of a list or a tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a text key; the last one counts, as in Python.
    pub fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        self.entries(dict)?.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }

    /// Plain data as JSON; tensors and what JSON lacks become `null`.
    pub fn json(&self, id: Id) -> Result<Value, String> {
        self.json_within(id, DEEPEST, &mut MOST_BYTES.clone())
    }

    fn json_within(&self, id: Id, depth: usize, left: &mut usize) -> Result<Value, String> {
        let cost = VALUE + self.text(id).map_or(0, str::len);
        let (Some(depth), Some(fewer)) = (depth.checked_sub(1), left.checked_sub(cost)) else {
            return Err(format!("its settings are nested more than {DEEPEST} deep or in themselves, or are too large"));
        };
        *left = fewer;
        Ok(match self.get(id) {
            Object::Bool(b) => Value::Bool(*b),
            Object::Int(n) => i64::try_from(*n).map_or(Value::Null, Value::from),
            Object::Float(x) => Number::from_f64(*x).map_or(Value::Null, Value::Number),
            Object::Text(text) => Value::String(text.clone()),
            Object::Tuple(items) | Object::List(items) => {
                Value::Array(items.iter().map(|i| self.json_within(*i, depth, left)).collect::<Result<_, _>>()?)
            }
            Object::Dict(entries) => {
                let mut object = serde_json::Map::new();
                for (key, value) in entries {
                    *left = left.saturating_sub(self.text(*key).map_or(VALUE, str::len));
                    let key = match self.get(*key) {
                        Object::Text(text) => text.clone(),
                        Object::Int(n) => n.to_string(),
                        _ => continue,
                    };
                    object.insert(key, self.json_within(*value, depth, left)?);
                }
                Value::Object(object)
            }
            Object::None | Object::Bytes | Object::Callable(_) | Object::Storage(_) | Object::Tensor(_) => Value::Null,
        })
    }
}
