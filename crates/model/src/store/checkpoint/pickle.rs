//! A pickle machine that cannot call anything: its whole world is plain data, and descriptions of tensors.
//!
//! A pickle is a program for a stack machine (PEP 3154 and the module `pickletools` describe it). Python's own reader lets
//! it name and call any function. This one knows the few names that `torch.save` writes for tensors; any other is an error
//! before anything comes of it. Steps, bytes, and sizes of texts and integers have limits.

use super::objects::{Id, Object, Objects};
use super::torch::callable;
use std::collections::BTreeMap;
use std::io::Read;

/// Most instructions. The largest published checkpoint has under 100 000.
const MOST_STEPS: usize = 1_000_000;
/// Most bytes.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// Longest text.
const LONGEST_TEXT: u64 = 1 << 20;
/// Longest name of a module or function.
const LONGEST_NAME: usize = 200;

/// Where pickles are read from; it knows how much was taken.
pub(super) struct Input<R> {
    reader: R,
    /// Bytes taken so far.
    pub taken: u64,
}

impl<R: Read> Input<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, taken: 0 }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|_| "it ends in the middle; hint: fetch it again".to_owned())?;
        self.taken += N as u64;
        if self.taken > MOST_BYTES {
            return Err(format!("its description of tensors is longer than {MOST_BYTES} bytes"));
        }
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array().map(|[b]| b)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, String> {
        if length > LONGEST_TEXT {
            return Err(format!("a text of {length} bytes is longer than the limit of {LONGEST_TEXT}"));
        }
        (0..length).map(|_| self.byte()).collect()
    }

    fn text(&mut self, length: u64) -> Result<String, String> {
        String::from_utf8(self.bytes(length)?).map_err(|_| "a text is not UTF-8".to_owned())
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
                _ if line.len() == LONGEST_NAME => return Err("a name is too long".to_owned()),
                byte => line.push(byte),
            }
        }
    }
}

/// Reads one pickle; the object that it leaves.
pub(super) fn read<R: Read>(input: &mut Input<R>, objects: &mut Objects) -> Result<Id, String> {
    let (stack, marks, memo, known) = (Vec::new(), Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut machine = Machine { objects, stack, marks, memo, known };
    for _ in 0..MOST_STEPS {
        let at = input.taken;
        match input.byte()? {
            b'.' => return machine.pop(),
            code => machine.step(code, input).map_err(|what| format!("at byte {at} of its pickle: {what}"))?,
        }
    }
    Err(format!("its description of tensors takes more than {MOST_STEPS} steps"))
}

pub(super) struct Machine<'a> {
    pub objects: &'a mut Objects,
    stack: Vec<Id>,
    /// Heights of the stack; what lies below the last is out of reach.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// Places of the storages by their keys.
    pub known: BTreeMap<String, usize>,
}

impl Machine<'_> {
    fn push(&mut self, object: Object) {
        let id = self.objects.add(object);
        self.stack.push(id);
    }

    pub fn pop(&mut self) -> Result<Id, String> {
        match self.stack.len() > self.marks.last().copied().unwrap_or(0) {
            true => self.stack.pop().ok_or_else(String::new),
            false => Err("it takes from an empty stack".to_owned()),
        }
    }

    fn top(&mut self) -> Result<Id, String> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    /// All above the last mark.
    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let height = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(height))
    }

    fn pop_several<const N: usize>(&mut self) -> Result<Vec<Id>, String> {
        let mut items = (0..N).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    /// One instruction.
    fn step<R: Read>(&mut self, code: u8, input: &mut Input<R>) -> Result<(), String> {
        let object = match code {
            b'N' => Object::None,
            0x88 => Object::Bool(true),
            0x89 => Object::Bool(false),
            b'K' => Object::Int(input.byte()?.into()),
            b'M' => Object::Int(u16::from_le_bytes(input.array()?).into()),
            b'J' => Object::Int(i32::from_le_bytes(input.array()?).into()),
            0x8a => {
                let length = input.byte()?.into();
                integer(input, length)?
            }
            0x8b => {
                let length = u32::from_le_bytes(input.array()?).into();
                integer(input, length)?
            }
            b'G' => Object::Float(f64::from_be_bytes(input.array()?)),
            b'X' | b'T' | 0x8c | b'U' | 0x8d => {
                let length = length(code, input)?;
                Object::Text(input.text(length)?)
            }
            b'B' | b'C' | 0x8e => {
                let length = length(code, input)?;
                input.bytes(length)?;
                Object::Bytes
            }
            b')' => Object::Tuple(Vec::new()),
            0x85 => Object::Tuple(self.pop_several::<1>()?),
            0x86 => Object::Tuple(self.pop_several::<2>()?),
            0x87 => Object::Tuple(self.pop_several::<3>()?),
            b't' => Object::Tuple(self.pop_to_mark()?),
            b']' => Object::List(Vec::new()),
            b'l' => Object::List(self.pop_to_mark()?),
            b'}' => Object::Dict(Vec::new()),
            b'd' => Object::Dict(pairs(&self.pop_to_mark()?)?),
            b'c' => Object::Callable(callable(&input.line()?, &input.line()?)?),
            0x93 => {
                let names = self.pop_several::<2>()?;
                let name = |i: usize| names.get(i).and_then(|id| self.objects.text(*id)).unwrap_or_default();
                Object::Callable(callable(name(0), name(1))?)
            }
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)?
            }
            other => return self.rearrange(other, input),
        };
        self.push(object);
        Ok(())
    }

    /// Instructions that make no plain object.
    fn rearrange<R: Read>(&mut self, code: u8, input: &mut Input<R>) -> Result<(), String> {
        match code {
            0x80 => match input.byte()? {
                2..=5 => {}
                other => return Err(format!("protocol {other} is not read; hint: save it with protocol 2")),
            },
            // The length of a frame: of no use to who reads byte by byte.
            0x95 => drop(input.array::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
            }
            b'q' | b'r' | 0x94 => {
                let key = match code {
                    b'q' => input.byte()?.into(),
                    b'r' => u32::from_le_bytes(input.array()?),
                    _ => self.memo.len() as u32,
                };
                let id = self.top()?;
                self.memo.insert(key, id);
            }
            b'h' | b'j' => {
                let key = if code == b'h' { input.byte()?.into() } else { u32::from_le_bytes(input.array()?) };
                let id = *self.memo.get(&key).ok_or_else(|| format!("memo {key} was never set"))?;
                self.stack.push(id);
            }
            b'a' | b'e' => {
                let new = if code == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
                let list = self.top()?;
                match self.objects.get_mut(list) {
                    Some(Object::List(items)) => items.extend(new),
                    _ => return Err("it appends to what is no list".to_owned()),
                }
            }
            b's' | b'u' => {
                let new = if code == b's' { self.pop_several::<2>()? } else { self.pop_to_mark()? };
                let (dict, new) = (self.top()?, pairs(&new)?);
                match self.objects.get_mut(dict) {
                    Some(Object::Dict(entries)) => entries.extend(new),
                    _ => return Err("it sets an item of what is no dict".to_owned()),
                }
            }
            // The attributes of a dict (`_metadata` of PyTorch's state) say nothing about weights.
            b'b' => {
                self.pop()?;
                let of = self.top()?;
                if self.objects.entries(of).is_none() {
                    return Err("it sets attributes of what is no dict".to_owned());
                }
            }
            b'R' => {
                let id = self.call()?;
                self.stack.push(id);
            }
            other => {
                return Err(format!(
                    "instruction 0x{other:02x} is none that weights need; hint: save the file anew with `torch.save` of \
                     a plain dict of tensors"
                ));
            }
        }
        Ok(())
    }
}

/// Length of a text or of bytes.
fn length<R: Read>(code: u8, input: &mut Input<R>) -> Result<u64, String> {
    Ok(match code {
        b'X' | b'T' | b'B' => u32::from_le_bytes(input.array()?).into(),
        0x8d | 0x8e => u64::from_le_bytes(input.array()?),
        _ => input.byte()?.into(),
    })
}

/// A little-endian integer of `length` bytes.
fn integer<R: Read>(input: &mut Input<R>, length: u64) -> Result<Object, String> {
    let mut bytes = [0u8; 16];
    if length > bytes.len() as u64 {
        return Err(format!("an integer of {length} bytes is longer than the limit of {}", bytes.len()));
    }
    for byte in bytes.iter_mut().take(length as usize) {
        *byte = input.byte()?;
    }
    let unused = 128 - 8 * length as u32;
    Ok(Object::Int(if length == 0 { 0 } else { i128::from_le_bytes(bytes) << unused >> unused }))
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => Err("a key without a value".to_owned()),
    }
}
