//! Types of weights: in files, and in a decoder.

use super::int8;
use half::bf16;
use orchestrion_engine::decode::Precision;
use safetensors::tensor::Dtype as FileDtype;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};

/// How weights are stored, and how matrices are held to sample with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Four bytes, exact.
    #[default]
    F32,
    /// Two bytes: the upper half of an f32, rounded to nearest.
    Bf16,
    /// Transformers' matrices in a byte, with an f32 scale for each output channel; the rest as bf16.
    Int8,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// `f32`, `bf16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Bytes of a tensor.
    pub fn bytes(self, name: &str, shape: &[usize]) -> u64 {
        let count = shape.iter().map(|d| *d as u64).product::<u64>();
        match self {
            Self::F32 => 4 * count,
            Self::Int8 if int8::applies_to(name, shape) => count + 4 * shape.last().map_or(0, |d| *d as u64),
            Self::Bf16 | Self::Int8 => 2 * count,
        }
    }

    /// What is written for a tensor: names behind it, types, sizes and bytes.
    pub(super) fn encode(
        self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Vec<(String, FileDtype, Vec<usize>, Vec<u8>)> {
        let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let own = |dtype, bytes| (name.to_owned(), dtype, shape.to_vec(), bytes);
        match self {
            Self::F32 => vec![own(FileDtype::F32, floats(values))],
            Self::Int8 if int8::applies_to(name, shape) => {
                let outputs = shape.last().copied().unwrap_or_default();
                let (bytes, scales) = int8::quantise(values, outputs);
                vec![own(FileDtype::I8, bytes), (int8::scales_of(name), FileDtype::F32, vec![outputs], floats(&scales))]
            }
            Self::Bf16 | Self::Int8 => {
                let bytes = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
                vec![own(FileDtype::BF16, bytes)]
            }
        }
    }
}

impl Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::Bf16 => Self::Bf16,
            Dtype::Int8 => Self::Int8,
        }
    }
}
