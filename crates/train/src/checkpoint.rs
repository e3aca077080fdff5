//! All that a run needs to go on, in one file that is whole or absent; the one before it is kept.
//!
//! A hash of each tensor, and one of the description, make sure that what is read is what was written.

use crate::TrainError;
use crate::adam::Adam;
use crate::metrics::Gathered;
use burn::tensor::Device;
use orchestrion_data::replace_whole;
use orchestrion_model::nn::{Parameters, each_parameter};
use orchestrion_model::store::SafetensorsFile;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The newest state of a run.
pub(crate) const NEWEST: &str = "state.safetensors";
/// The state before it.
pub(crate) const PREVIOUS: &str = "state.previous.safetensors";
/// A state that was damaged, out of the way.
const DAMAGED: &str = "state.damaged.safetensors";
/// Layout of the file: 1 had no hashes.
const FORMAT: u32 = 2;
/// Key of the description in the file's metadata.
const KEY: &str = "orchestrion";
/// Numbers that are turned into bytes at a time.
const PIECE: usize = 4096;

/// State beside the optimiser's: named lists of numbers.
pub(crate) type Extra = Vec<(String, Vec<f32>)>;

/// Numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Version of this file's layout.
    pub(crate) format: u32,
    /// Steps done.
    pub(crate) step: u64,
    /// Steps the optimiser has taken.
    pub(crate) updates: u64,
    /// The recipe, as JSON: going on with another is refused.
    pub(crate) recipe: String,
    /// Steps in a row that were left out.
    #[serde(default)]
    pub(crate) skipped: u32,
    /// Values of the steps since the last row of metrics.
    #[serde(default)]
    pub(crate) gathered: Gathered,
    /// Whether an evaluation at this step was put off because the run was asked to stop.
    #[serde(default)]
    pub(crate) due: bool,
    /// The best held-out value so far.
    #[serde(default)]
    pub(crate) best: Option<f64>,
    /// SHA-256 of each tensor's bytes.
    #[serde(default)]
    sha256: BTreeMap<String, String>,
    /// SHA-256 of this description as JSON, with this field empty.
    #[serde(default)]
    seal: String,
}

impl Header {
    fn sealed(mut self) -> Self {
        self.seal.clear();
        let text = serde_json::to_vec(&self).unwrap_or_default();
        self.seal = hexadecimal(Sha256::digest(&text));
        self
    }
}

/// A state that was read, and proved to be what was written.
#[derive(Debug)]
pub(crate) struct State {
    /// Its numbers.
    pub(crate) header: Header,
    tensors: BTreeMap<String, Vec<f32>>,
}

fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hands the little-endian bytes of numbers on, piece by piece.
fn in_bytes(values: &[f32], mut to: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut piece = Vec::with_capacity(4 * PIECE);
    for some in values.chunks(PIECE) {
        piece.clear();
        piece.extend(some.iter().flat_map(|v| v.to_le_bytes()));
        to(&piece)?;
    }
    Ok(())
}

fn hash(values: &[f32]) -> String {
    let mut hash = Sha256::new();
    // A hash takes all that it is given.
    let _ = in_bytes(values, |bytes| {
        hash.update(bytes);
        Ok(())
    });
    hexadecimal(hash.finalize())
}

/// Writes the state of a run to its folder: the model's weights, the optimiser's state, and what else there is. The state
/// before it becomes the previous one.
pub(crate) fn save(
    run: &Path,
    header: Header,
    model: &mut impl Parameters,
    adam: &Adam,
    extra: &Extra,
) -> Result<(), TrainError> {
    let mut weights: Vec<Vec<f32>> = Vec::new();
    each_parameter(model, |_, p| weights.push(p.values()));
    let mut tensors: Vec<(String, &[f32])> = Vec::new();
    for (slot, weights) in adam.slots.iter().zip(&weights) {
        tensors.push((format!("value.{}", slot.name), weights));
        if slot.trained {
            tensors.push((format!("mean.{}", slot.name), &slot.mean));
            tensors.push((format!("square.{}", slot.name), &slot.square));
            tensors.push((format!("average.{}", slot.name), &slot.average));
        }
    }
    tensors.extend(extra.iter().map(|(name, values)| (format!("extra.{name}"), values.as_slice())));
    let sha256 = tensors.par_iter().map(|(name, values)| (name.clone(), hash(values))).collect();
    let header = Header { format: FORMAT, sha256, ..header }.sealed();

    let text = serde_json::to_string(&header).unwrap_or_default();
    let mut described = serde_json::Map::from_iter([("__metadata__".to_owned(), json!({ KEY: text }))]);
    let mut end = 0;
    for (name, values) in &tensors {
        let start = end;
        end += 4 * values.len();
        described
            .insert(name.clone(), json!({ "dtype": "F32", "shape": [values.len()], "data_offsets": [start, end] }));
    }
    let mut described = serde_json::to_vec(&described).unwrap_or_default();
    described.resize(described.len().next_multiple_of(8), b' ');
    replace_whole(&run.join(NEWEST), Some(&run.join(PREVIOUS)), |file: &mut dyn Write| {
        file.write_all(&(described.len() as u64).to_le_bytes())?;
        file.write_all(&described)?;
        tensors.iter().try_for_each(|(_, values)| in_bytes(values, |bytes| file.write_all(bytes)))
    })?;
    Ok(())
}

/// The newest whole state in a run folder, if there is one, with a word if it is not the last that was written. A damaged
/// file is put out of the way.
///
/// # Errors
/// If there are states, but none is whole, or the newest cannot be read at all.
pub(crate) fn newest(run: &Path) -> Result<Option<(State, Option<String>)>, TrainError> {
    let (newest, previous) = (run.join(NEWEST), run.join(PREVIOUS));
    let fault = match read(&newest) {
        Ok(state) => return Ok(Some((state, None))),
        Err(fault @ (TrainError::Damaged { .. } | TrainError::Io { .. })) => fault,
        Err(other) => return Err(other),
    };
    let is_missing =
        |error: &TrainError| matches!(error, TrainError::Io { source, .. } if source.kind() == ErrorKind::NotFound);
    match (read(&previous), fault) {
        (Ok(state), TrainError::Damaged { what, .. }) => {
            let aside = run.join(DAMAGED);
            std::fs::rename(&newest, &aside).map_err(|source| TrainError::Io { path: aside, source })?;
            let word = format!(
                "`{NEWEST}` is damaged ({what}) and now named `{DAMAGED}`; going on from `{PREVIOUS}`, step {}",
                state.header.step
            );
            Ok(Some((state, Some(word))))
        }
        (Ok(state), fault) if is_missing(&fault) => {
            let word = format!("`{NEWEST}` is not there; going on from `{PREVIOUS}`, step {}", state.header.step);
            Ok(Some((state, Some(word))))
        }
        (Err(second), fault) if is_missing(&second) && is_missing(&fault) => Ok(None),
        (Err(second), fault) if is_missing(&fault) => Err(second),
        (_, fault) => Err(fault),
    }
}

/// Reads a state and compares it with its hashes.
fn read(path: &Path) -> Result<State, TrainError> {
    let damaged = |what: String| TrainError::Damaged { path: path.to_owned(), what };
    let bytes = std::fs::read(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
    let file = SafetensorsFile::parse(NEWEST, Cow::Owned(bytes)).map_err(|e| damaged(what_of(&e)))?;
    let header: Header = file
        .metadata(KEY)
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| damaged("it does not say which run it is of".into()))?;
    if header.format > FORMAT {
        return Err(TrainError::Checkpoint {
            path: path.to_owned(),
            what: format!(
                "format {} is later than {FORMAT}; hint: go on with the version that wrote it",
                header.format
            ),
        });
    }
    let names: Vec<&str> = file.names().collect();
    let tensors: BTreeMap<String, Vec<f32>> = names
        .into_par_iter()
        .map(|name| Ok((name.to_owned(), file.values(name).map_err(|e| damaged(what_of(&e)))?)))
        .collect::<Result<_, TrainError>>()?;
    if header.format == FORMAT {
        if header.clone().sealed().seal != header.seal {
            return Err(damaged("its description is not as it was written".into()));
        }
        let found: BTreeMap<&str, String> = tensors.par_iter().map(|(name, v)| (name.as_str(), hash(v))).collect();
        let differs = |name: &&str| found.get(name) != header.sha256.get(*name);
        if let Some(name) = found.keys().copied().chain(header.sha256.keys().map(String::as_str)).find(differs) {
            return Err(damaged(format!("`{name}` is not as it was written")));
        }
    }
    Ok(State { header, tensors })
}

/// What an error says, without its hint.
fn what_of(error: &impl ToString) -> String {
    let text = error.to_string();
    text.split("; hint: ").next().unwrap_or_default().to_owned()
}

impl State {
    /// Puts the state into the model, on `device`, and the optimiser; what is the task's own comes back.
    ///
    /// # Errors
    /// If the state is of a network of other sizes. The model is then as it was.
    pub(crate) fn put(
        mut self,
        path: &Path,
        model: &mut impl Parameters,
        adam: &mut Adam,
        device: &Device,
    ) -> Result<(Header, Extra), TrainError> {
        let mut weights = Vec::new();
        for slot in &mut adam.slots {
            let expected: usize = slot.shape.iter().product();
            let mut take = |kind: &str| {
                self.tensors.remove(&format!("{kind}.{}", slot.name)).filter(|v| v.len() == expected).ok_or_else(|| {
                    let what = format!("`{kind}.{}` is missing or has another size", slot.name);
                    TrainError::Checkpoint { path: path.to_owned(), what }
                })
            };
            weights.push(take("value")?);
            slot.trained = take("mean").map(|mean| slot.mean = mean).is_ok();
            if slot.trained {
                (slot.square, slot.average) = (take("square")?, take("average")?);
            }
        }
        adam.updates = self.header.updates;
        let mut weights = weights.into_iter();
        each_parameter(model, |_, mut p| {
            if let Some(values) = weights.next() {
                p.set(values, device, device.is_autodiff());
            }
        });
        let extra = self.tensors.into_iter().filter_map(|(name, v)| Some((name.strip_prefix("extra.")?.to_owned(), v)));
        Ok((self.header, extra.collect()))
    }
}
