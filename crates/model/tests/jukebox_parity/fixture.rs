//! One file of golden numbers: its values, its sizes, and what came of comparing with it.

use burn::tensor::{Device, Tensor, TensorData};
use orchestrion_model::nn::{Parameters, each_parameter};
use orchestrion_model::store::SafetensorsFile;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// A file of golden numbers.
pub struct Fixture {
    file: SafetensorsFile<'static>,
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
        let file = SafetensorsFile::parse(&path.display().to_string(), bytes.clone().into()).unwrap();
        let config = serde_json::from_str(file.metadata("config").expect("no `config` metadata")).unwrap();
        Self { file, bytes, config: Config(config), lines: String::new(), failures: Vec::new() }
    }

    pub fn has(&self, key: &str) -> bool {
        self.file.shape(key).is_some()
    }

    pub fn names(&self) -> Vec<String> {
        self.file.names().map(str::to_owned).collect()
    }

    pub fn shape(&self, key: &str) -> Vec<usize> {
        self.file.shape(key).unwrap_or_else(|| panic!("no `{key}`")).to_vec()
    }

    pub fn floats(&self, key: &str) -> Vec<f32> {
        self.file.values(key).unwrap()
    }

    pub fn integers(&self, key: &str) -> Vec<i64> {
        self.file.integers(key).unwrap()
    }

    /// Double-precision values without rounding, which the model's own reader has no use for.
    pub fn doubles(&self, key: &str) -> Vec<f64> {
        let file = safetensors::SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(key).unwrap().data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
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
        let mut left: BTreeSet<String> =
            self.file.names().filter_map(|n| n.strip_prefix("w.")).map(str::to_owned).collect();
        each_parameter(model, |name, mut parameter| {
            let key = format!("w.{name}");
            assert!(left.remove(name), "the file has no `{key}`");
            assert_eq!(self.shape(&key), parameter.shape(), "sizes of `{key}`");
            parameter.set(self.floats(&key), device, false);
        });
        left.retain(|name| !spare.contains(&name.as_str()));
        assert!(left.is_empty(), "weights without a place in the model: {left:?}");
    }

    /// Compares floats: none may differ by more than `absolute` plus `relative` times the golden one.
    fn floats_within(&mut self, key: &str, ours: &[f32], theirs: &[f32], absolute: f64, relative: f64) {
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
        let _ = write!(self.lines, " {key} {largest:.1e}");
        if ours.len() != theirs.len() {
            self.failures.push(format!("{key}: {} values for {}", ours.len(), theirs.len()));
        } else if let Some(worst) = worst {
            self.failures.push(format!("{key}: largest difference {largest:.2e}, first {worst}"));
        }
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
        let _ = write!(self.lines, " {key} {}/{}", ours.len() - wrong.len(), theirs.len());
        if ours.len() != theirs.len() {
            self.failures.push(format!("{key}: {} values for {}", ours.len(), theirs.len()));
        } else if let Some(&i) = wrong.first() {
            self.failures.push(format!("{key}: {} differ, first at {i}: {} for {}", wrong.len(), ours[i], theirs[i]));
        }
    }

    /// What was compared, each with its largest difference (relative where the tolerance is).
    pub fn summary(&self) -> &str {
        self.lines.trim()
    }
}
