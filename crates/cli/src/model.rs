//! Which model, on which device.

use crate::failure::Failure;
use burn::tensor::Device;
use orchestrion_model::store::{Dtype, ModelFolder, Source};
use std::path::{Path, PathBuf};

/// The model that is part of the program.
pub const EMBEDDED: &str = "tiny";

#[cfg(feature = "embedded")]
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Options that choose a model.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelChoice {
    /// Model folder (a training run is one), or `tiny`, which is part of the program
    #[arg(long, value_name = "FOLDER", default_value = EMBEDDED)]
    pub model: PathBuf,
}

impl ModelChoice {
    /// Opens it: configuration and index, no weights yet.
    pub fn open(&self) -> Result<ModelFolder, Failure> {
        open(&self.model)
    }
}

/// Opens a model folder, or the one within the program.
pub fn open(path: &Path) -> Result<ModelFolder, Failure> {
    if path.is_dir() {
        return Ok(ModelFolder::open(Source::Folder(path.to_owned()))?);
    }
    if path == Path::new(EMBEDDED) {
        #[cfg(feature = "embedded")]
        return Ok(ModelFolder::open(Source::Embedded { name: EMBEDDED, files: embedded::FILES })?);
    }
    Err(Failure::usage(format!(
        "no model `{}`; hint: give a model folder with `--model`{}",
        path.display(),
        if cfg!(feature = "embedded") { ", or leave the option out for the built-in one" } else { "" }
    )))
}

/// What tells models apart.
pub fn identity(folder: &ModelFolder) -> Result<String, Failure> {
    let hash = folder.fingerprint()?;
    Ok(format!("{} {}", folder.config().name, &hash[..16.min(hash.len())]))
}

/// Options that choose the numbers in which priors are held.
#[derive(Debug, Clone, clap::Args)]
pub struct WeightsChoice {
    /// Numbers in which a prior's matrices are held: fewer bytes are faster and take less memory [default: auto]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub weights: Option<Weights>,
}

/// Numbers in which a prior's matrices are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Weights {
    /// As the model stores them
    Auto,
    /// Four bytes
    F32,
    /// Two bytes: of a model stored as bf16 the same music as f32
    Bf16,
    /// One byte, and a scale for each output
    Int8,
}

impl WeightsChoice {
    /// The type; none: as the model stores them.
    pub fn dtype(&self) -> Option<Dtype> {
        self.weights.and_then(Weights::dtype)
    }
}

impl Weights {
    /// The type; none: as the model stores them.
    pub fn dtype(self) -> Option<Dtype> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Dtype::F32),
            Self::Bf16 => Some(Dtype::Bf16),
            Self::Int8 => Some(Dtype::Int8),
        }
    }
}

/// Options that choose a device.
#[derive(Debug, Clone, clap::Args)]
pub struct DeviceChoice {
    /// Where networks run: `cpu`, or `cuda`, `vulkan`, `metal` in builds with that feature
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
}

impl DeviceChoice {
    /// The device.
    pub fn open(&self) -> Result<Device, Failure> {
        match self.device.as_str() {
            "cpu" => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            "cuda" => Ok(Device::cuda(0)),
            #[cfg(feature = "vulkan")]
            "vulkan" => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "metal")]
            "metal" => Ok(Device::metal(burn::tensor::DeviceKind::DefaultDevice)),
            other => Err(Failure::usage(format!(
                "no device `{other}` in this build; hint: use `--device cpu`, or build with `--features {other}`"
            ))),
        }
    }
}
