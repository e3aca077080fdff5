//! One file of golden numbers: its values, its sizes, and what came of comparing with it.

#[path = "../../../../fixtures/jukebox/folder.rs"]
mod folder;

use burn::tensor::{Device, Tensor, TensorData};
pub use folder::folder;
use orchestrion_model::nn::{Parameters, each_parameter};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

/// A file of golden numbers.
pub struct Fixture {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Range<usize>)>,
    bytes: Vec<u8>,
    /// Sizes of the model it came from.
    pub config: Config,
    lines: String,
    /// What differs by more than it may.
    pub failures: Vec<String>,
}

/// The `config` metadata.
#[derive(Clone)]
pub struct Config(pub Value);

impl Config {
    /// A part of it.
    pub fn part(&self, key: &str) -> Self {
        Self(self.0[key].clone())
    }

    /// A number that may be missing or null.
    pub fn optional(&self, key: &str) -> Option<f64> {
        self.0[key].as_f64()
    }

    /// A number.
    pub fn number(&self, key: &str) -> f64 {
        self.optional(key).unwrap_or_else(|| panic!("config: no number `{key}`"))
    }

    /// A count.
    pub fn count(&self, key: &str) -> usize {
        self.0[key].as_u64().unwrap_or_else(|| panic!("config: no count `{key}`")) as usize
    }

    /// Several counts.
    pub fn counts(&self, key: &str) -> Vec<usize> {
        let list = self.0[key].as_array().unwrap_or_else(|| panic!("config: no list `{key}`"));
        list.iter().map(|n| n.as_u64().unwrap() as usize).collect()
    }

    /// A flag; false if it is missing.
    pub fn flag(&self, key: &str) -> bool {
        self.0[key].as_bool().unwrap_or(false)
    }

    /// A word.
    pub fn word(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("config: no word `{key}`"))
    }
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter().collect()
}

impl Fixture {
    pub fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let start = 8 + header;
        let place = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
            let (from, to) = info.data_offsets;
            (name, (info.dtype, info.shape.clone(), start + from..start + to))
        };
        let tensors = metadata.tensors().into_iter().map(place).collect();
        let config = metadata.metadata().as_ref().and_then(|m| m.get("config")).expect("no `config` metadata");
        let config = Config(serde_json::from_str(config).unwrap());
        Self { tensors, bytes, config, lines: String::new(), failures: Vec::new() }
    }

    pub fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    pub fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn find(&self, key: &str) -> &(Dtype, Vec<usize>, Range<usize>) {
        self.tensors.get(key).unwrap_or_else(|| panic!("no `{key}`"))
    }

    pub fn shape(&self, key: &str) -> Vec<usize> {
        self.find(key).1.clone()
    }

    fn words<const N: usize, T>(&self, key: &str, dtype: Dtype, of: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (found, _, range) = self.find(key);
        assert_eq!(*found, dtype, "type of `{key}`");
        self.bytes[range.clone()].as_chunks().0.iter().map(|b| of(*b)).collect()
    }

    pub fn floats(&self, key: &str) -> Vec<f32> {
        self.words(key, Dtype::F32, f32::from_le_bytes)
    }

    pub fn doubles(&self, key: &str) -> Vec<f64> {
        self.words(key, Dtype::F64, f64::from_le_bytes)
    }

    /// Whole numbers; truths as 0 and 1.
    pub fn integers(&self, key: &str) -> Vec<i64> {
        match self.find(key).0 {
            Dtype::U8 | Dtype::BOOL => self.words(key, self.find(key).0, |[b]: [u8; 1]| i64::from(b)),
            _ => self.words(key, Dtype::I64, i64::from_le_bytes),
        }
    }

    /// Rows of tokens `[batch, time]`.
    pub fn tokens(&self, key: &str) -> Vec<Vec<u32>> {
        let time = self.shape(key)[1];
        let all: Vec<u32> = self.integers(key).iter().map(|v| u32::try_from(*v).unwrap()).collect();
        all.chunks_exact(time).map(<[u32]>::to_vec).collect()
    }

    /// A tensor of given sizes.
    pub fn tensor<const D: usize>(&self, key: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.floats(key), shape), device)
    }

    /// Puts the weights behind `w.` into a model; every one must have its place, but those named in `spare`.
    pub fn fill(&self, model: &mut impl Parameters, spare: &[&str], device: &Device) {
        self.fill_from("w.", model, spare, device);
    }

    /// Puts the weights behind a prefix into a model; every one must have its place, but those named in `spare`.
    pub fn fill_from(&self, prefix: &str, model: &mut impl Parameters, spare: &[&str], device: &Device) {
        let mut left: BTreeSet<&str> = self.tensors.keys().filter_map(|n| n.strip_prefix(prefix)).collect();
        each_parameter(model, |name, mut parameter| {
            let key = format!("{prefix}{name}");
            assert!(left.remove(name), "the file has no `{key}`");
            assert_eq!(self.shape(&key), parameter.shape(), "sizes of `{key}`");
            parameter.set(self.floats(&key), device, device.is_autodiff());
        });
        left.retain(|name| !spare.contains(name));
        assert!(left.is_empty(), "weights without a place in the model: {left:?}");
    }

    /// Compares floats: none may differ by more than `absolute` plus `relative` times the golden one.
    pub fn floats_within(&mut self, key: &str, ours: &[f32], theirs: &[f32], absolute: f64, relative: f64) {
        let mut largest = 0.0f64;
        let mut worst = None;
        for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
            let (a, b) = (f64::from(*a), f64::from(*b));
            let difference = (a - b).abs();
            largest = largest.max(if relative > 0.0 { difference / b.abs().max(1e-30) } else { difference });
            let near = difference <= absolute + relative * b.abs();
            // Not near is not the same as far: a NaN is a failure.
            if !near && worst.is_none() {
                worst = Some(format!("at {i}: {a} for {b}"));
            }
        }
        let failure = match worst {
            _ if ours.len() != theirs.len() => Some(format!("{key}: {} values for {}", ours.len(), theirs.len())),
            Some(worst) => Some(format!("{key}: largest difference {largest:.2e}, first {worst}")),
            None => None,
        };
        self.note(&format!("{key} {largest:.1e}"), failure);
    }

    /// Compares with `out.{key}` at an absolute tolerance.
    pub fn close(&mut self, key: &str, ours: &[f32], tolerance: f64) {
        let theirs = self.floats(&format!("out.{key}"));
        self.floats_within(key, ours, &theirs, tolerance, 0.0);
    }

    /// Compares with `out.{key}` at a relative tolerance. Zero is met by zero alone.
    pub fn relative(&mut self, key: &str, ours: &[f32], tolerance: f64) {
        let theirs = self.floats(&format!("out.{key}"));
        self.floats_within(key, ours, &theirs, 0.0, tolerance);
    }

    /// Compares with `out.{key}`, a spectrogram, at a relative tolerance. A magnitude comes out of a sum over the frame
    /// with single precision's rounding of the loud bins, so a nearly silent bin has no relative precision: the golden
    /// ones too are off by up to 1.6e-3 of their exact values there. Bins may differ by that rounding as well.
    pub fn relative_spectrum(&mut self, key: &str, ours: &[f32], tolerance: f64) {
        let theirs = self.floats(&format!("out.{key}"));
        let loudest = f64::from(theirs.iter().copied().fold(0.0, f32::max));
        self.floats_within(key, ours, &theirs, 4.0 * f64::from(f32::EPSILON) * loudest, tolerance);
    }

    /// Compares whole numbers with `out.{key}`; those at places where `free` says so may differ.
    pub fn equal(&mut self, key: &str, ours: &[i64], free: impl Fn(usize) -> bool) {
        let theirs = self.integers(&format!("out.{key}"));
        let wrong: Vec<usize> =
            (0..ours.len().min(theirs.len())).filter(|&i| ours[i] != theirs[i] && !free(i)).collect();
        let failure = match wrong.first() {
            _ if ours.len() != theirs.len() => Some(format!("{key}: {} values for {}", ours.len(), theirs.len())),
            Some(&i) => Some(format!("{key}: {} differ, first at {i}: {} for {}", wrong.len(), ours[i], theirs[i])),
            None => None,
        };
        self.note(&format!("{key} {}/{}", ours.len() - wrong.len(), theirs.len()), failure);
    }

    /// Adds to what was compared, and to what differs.
    pub fn note(&mut self, compared: &str, failure: Option<String>) {
        let _ = write!(self.lines, " {compared}");
        self.failures.extend(failure);
    }

    /// What was compared, each with its largest difference (relative where the tolerance is).
    pub fn summary(&self) -> &str {
        self.lines.trim()
    }
}
