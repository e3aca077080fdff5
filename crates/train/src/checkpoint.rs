//! All that a run needs to go on, in one file that is whole or absent.

use crate::TrainError;
use crate::adam::Adam;
use burn::tensor::Device;
use orchestrion_data::write_whole;
use orchestrion_model::nn::{Parameters, each_parameter};
use orchestrion_model::store::SafetensorsFile;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// State beside the optimiser's: named lists of numbers.
pub(crate) type Extra = Vec<(String, Vec<f32>)>;

/// Numbers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Version of this file's layout.
    pub(crate) format: u32,
    /// Steps done.
    pub(crate) step: u64,
    /// Steps the optimiser has taken.
    pub(crate) updates: u64,
    /// The recipe, as JSON: going on with another is refused.
    pub(crate) recipe: String,
}

/// Writes the state of a run: the model's weights, the optimiser's state, and what else there is.
pub(crate) fn save(
    path: &Path,
    header: &Header,
    model: &mut impl Parameters,
    adam: &Adam,
    extra: &Extra,
) -> Result<(), TrainError> {
    let bad = |what: String| TrainError::Checkpoint { path: path.to_owned(), what };
    let mut tensors: Vec<(String, Vec<u8>, usize)> = Vec::new();
    let mut add = |name: String, values: &[f32]| {
        tensors.push((name, values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.len()));
    };
    each_parameter(model, |name, p| add(format!("value.{name}"), &p.values()));
    for slot in &adam.slots {
        if slot.trained {
            add(format!("mean.{}", slot.name), &slot.mean);
            add(format!("square.{}", slot.name), &slot.square);
            add(format!("average.{}", slot.name), &slot.average);
        }
    }
    for (name, values) in extra {
        add(format!("extra.{name}"), values);
    }
    let views = tensors
        .iter()
        .map(|(name, bytes, n)| {
            TensorView::new(Dtype::F32, vec![*n], bytes).map(|v| (name, v)).map_err(|e| bad(e.to_string()))
        })
        .collect::<Result<Vec<_>, TrainError>>()?;
    let text = serde_json::to_string(header).map_err(|e| bad(e.to_string()))?;
    let metadata = HashMap::from([("orchestrion".to_owned(), text)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| bad(e.to_string()))?;
    write_whole(path, &bytes)?;
    Ok(())
}

/// Reads the state of a run back into model, on `device`, and optimiser.
pub(crate) fn load(
    path: &Path,
    model: &mut impl Parameters,
    adam: &mut Adam,
    device: &Device,
) -> Result<(Header, Extra), TrainError> {
    let bad = |what: String| TrainError::Checkpoint { path: path.to_owned(), what };
    let bytes = std::fs::read(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
    let file = SafetensorsFile::parse(&path.display().to_string(), Cow::Owned(bytes))?;
    let header: Header = file
        .metadata("orchestrion")
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| bad("not written by training; hint: remove it to start anew".into()))?;
    if header.format != 1 {
        return Err(bad(format!("format {} is not 1; hint: it was written by another version", header.format)));
    }
    let mut values = Vec::with_capacity(adam.slots.len());
    for slot in &mut adam.slots {
        let read = |kind: &str| -> Result<Vec<f32>, TrainError> {
            let values = file.values(&format!("{kind}.{}", slot.name))?;
            let expected: usize = slot.shape.iter().product();
            if values.len() == expected { Ok(values) } else { Err(bad(format!("`{}` has another size", slot.name))) }
        };
        values.push(read("value")?);
        slot.trained = file.shape(&format!("mean.{}", slot.name)).is_some();
        if slot.trained {
            (slot.mean, slot.square, slot.average) = (read("mean")?, read("square")?, read("average")?);
        }
    }
    adam.updates = header.updates;
    let mut values = values.into_iter();
    each_parameter(model, |_, mut p| {
        if let Some(values) = values.next() {
            p.set(values, device, device.is_autodiff());
        }
    });
    let names: Vec<String> = file.names().filter_map(|n| n.strip_prefix("extra.")).map(str::to_owned).collect();
    let extra = names
        .into_iter()
        .map(|name| file.values(&format!("extra.{name}")).map(|v| (name, v)))
        .collect::<Result<Extra, _>>()?;
    Ok((header, extra))
}
