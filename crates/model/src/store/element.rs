//! Types of stored numbers.

use half::{bf16, f16};

/// Type of a stored tensor's numbers, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Eight bytes.
    F64,
    /// Four bytes.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// Signed integers.
    I64,
    /// Signed integers.
    I32,
    /// Signed integers.
    I16,
    /// Signed bytes.
    I8,
    /// Bytes.
    U8,
    /// A byte, 0 or 1.
    Bool,
}

/// Every type with its name in safetensors, in PyTorch's storages, and its size in bytes.
const NAMES: [(Element, &str, &str, usize); 10] = [
    (Element::F64, "F64", "DoubleStorage", 8),
    (Element::F32, "F32", "FloatStorage", 4),
    (Element::F16, "F16", "HalfStorage", 2),
    (Element::Bf16, "BF16", "BFloat16Storage", 2),
    (Element::I64, "I64", "LongStorage", 8),
    (Element::I32, "I32", "IntStorage", 4),
    (Element::I16, "I16", "ShortStorage", 2),
    (Element::I8, "I8", "CharStorage", 1),
    (Element::U8, "U8", "ByteStorage", 1),
    (Element::Bool, "BOOL", "BoolStorage", 1),
];

impl Element {
    /// The type of this name in a safetensors header.
    pub(super) fn of_safetensors(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, n, ..)| *n == name).map(|(element, ..)| *element)
    }

    /// The type of the class `torch.{name}`.
    pub(super) fn of_storage(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, _, n, _)| *n == name).map(|(element, ..)| *element)
    }

    fn row(self) -> (&'static str, usize) {
        NAMES.iter().find(|(element, ..)| *element == self).map_or(("", 1), |(_, name, _, size)| (name, *size))
    }

    /// The name safetensors have for it.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Bytes of a number.
    pub fn size(self) -> usize {
        self.row().1
    }

    /// Whether weights may have this type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Bytes as floats; nothing for integers.
    pub(super) fn floats(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Self::Bf16 => bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            Self::F64 => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            _ => Vec::new(),
        }
    }
}
