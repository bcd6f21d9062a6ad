//! [`Snapshot`]: the whole state of training in one file, for exact resume.
//!
//! Weights and buffers stand under their own names, so the file also loads as a model; the
//! rest stands under `train/`: optimizer state as `train/<optimizer>/<key>`, tensors of
//! callbacks as `train/callback/<name>/<key>`. The metadata holds the position (epoch, batch,
//! step), the generator of this thread, and the states of metrics and callbacks. One file, so
//! that its atomic replacement replaces everything together.
//!
//! A loop written by hand takes and restores the same snapshots:
//!
//! ```
//! use mapsto_train::{Position, Snapshot};
//! use mapsto_optim::{IntoOptimizer, Sgd};
//! use mapsto_tensor::{DType, Device, ParamKind, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! store.insert("w", &Tensor::new(&[1f32], &Device::Cpu)?, ParamKind::Parameter)?;
//! let mut optimizer = Sgd::default().into_optimizer(&store)?;
//! let here = Position { epoch: 1, batch: 7, step: 42 };
//! let snapshot = Snapshot::take(&store, &[("optim", &*optimizer)], here)?;
//! let back = snapshot.restore(&store, &mut [("optim", &mut *optimizer)])?;
//! assert_eq!(back, here);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;

use mapsto_optim::Optimizer;
use mapsto_tensor::rng::{self, Generator};
use mapsto_tensor::{Checkpoint, ParamStore, StateDict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Where training stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch under way, from 0.
    pub epoch: usize,
    /// Batches of it already trained on.
    pub batch: usize,
    /// Optimizer steps since the start.
    pub step: u64,
}

/// Tensor names with this prefix are state of training, not weights.
const TRAIN: &str = "train/";

/// The part that holds parameters to use in place of those of the last step.
pub(crate) const AVERAGED: &str = "averaged";

/// The state of training at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    checkpoint: Checkpoint,
}

impl Snapshot {
    /// Copies weights, optimizers, this thread's generator and the position.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn take(
        store: &ParamStore,
        optimizers: &[(&str, &dyn Optimizer)],
        position: Position,
    ) -> Result<Self> {
        let mut tensors = StateDict::new();
        for (name, tensor) in store.state_dict() {
            tensors.insert(name, tensor.copy()?);
        }
        for (name, optimizer) in optimizers {
            for (key, tensor) in optimizer.state_dict()? {
                tensors.insert(format!("{TRAIN}{name}/{key}"), tensor);
            }
        }
        let metadata = json!({"training": {"position": position, "generator": rng::generator()}});
        Ok(Self {
            checkpoint: Checkpoint { tensors, metadata },
        })
    }

    /// Puts weights, optimizers and this thread's generator back and returns the position.
    ///
    /// # Errors
    /// [`Error::NotResumable`] when the snapshot holds weights only or another optimizer,
    /// [`Error::Checkpoint`] when another model. Nothing has changed then.
    pub fn restore(
        &self,
        store: &ParamStore,
        optimizers: &mut [(&str, &mut dyn Optimizer)],
    ) -> Result<Position> {
        let position: Position = self.training("position")?;
        let generator: Generator = self.training("generator")?;
        let report = store.compare(&self.weights());
        if !report.is_exact() {
            return Err(mapsto_tensor::CheckpointError::Mismatch(report).into());
        }
        self.restore_optimizers(optimizers)?;
        store.load_state_dict(&self.weights(), true)?;
        rng::set_generator(generator);
        Ok(position)
    }

    /// All of them, or none.
    fn restore_optimizers(&self, optimizers: &mut [(&str, &mut dyn Optimizer)]) -> Result<()> {
        let before = optimizers
            .iter()
            .map(|(_, optimizer)| optimizer.state_dict());
        let before: Vec<StateDict> = before.collect::<Result<_, _>>()?;
        let restored = optimizers.iter_mut().try_for_each(|(name, optimizer)| {
            let loaded = optimizer.load_state_dict(&self.tensors_of(name));
            loaded.map_err(|error| Error::not_resumable(format!("optimizer \"{name}\": {error}")))
        });
        if restored.is_err() {
            for ((_, optimizer), state) in optimizers.iter_mut().zip(&before) {
                optimizer.load_state_dict(state)?;
            }
        }
        restored
    }

    /// Weights and buffers alone: what a finished model needs.
    pub fn weights(&self) -> StateDict {
        let is_weight = |(name, _): &(&String, _)| !name.starts_with(TRAIN);
        let owned =
            |(name, tensor): (&String, &mapsto_tensor::Tensor)| (name.clone(), tensor.clone());
        self.checkpoint
            .tensors
            .iter()
            .filter(is_weight)
            .map(owned)
            .collect()
    }

    /// The tensors stored under `train/<part>/`, without the prefix.
    pub fn tensors_of(&self, part: &str) -> StateDict {
        let prefix = format!("{TRAIN}{part}/");
        let of_part = |(name, tensor): (&String, &mapsto_tensor::Tensor)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), tensor.clone()))
        };
        self.checkpoint.tensors.iter().filter_map(of_part).collect()
    }

    /// Stores further tensors under `train/<part>/`.
    pub fn insert_tensors(&mut self, part: &str, tensors: StateDict) {
        for (key, tensor) in tensors {
            self.checkpoint
                .tensors
                .insert(format!("{TRAIN}{part}/{key}"), tensor);
        }
    }

    /// Stores a further value about training, such as the state of metrics.
    pub fn insert(&mut self, key: &str, value: Value) {
        self.checkpoint.metadata["training"][key] = value;
    }

    /// Reads a value about training.
    ///
    /// # Errors
    /// [`Error::NotResumable`] when it is absent or of another form.
    pub fn training<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<T> {
        let value = self
            .checkpoint
            .metadata
            .get("training")
            .and_then(|t| t.get(key));
        let value = value.cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| {
            Error::not_resumable(format!(
                "its state of training has no usable \"{key}\" ({error})"
            ))
        })
    }

    /// What the model says about itself (kind, config, class names), stored beside the state.
    pub fn describe(&mut self, model: &Value) {
        self.checkpoint.metadata["model"] = model.clone();
    }

    /// The description of the model.
    pub fn model(&self) -> &Value {
        &self.checkpoint.metadata["model"]
    }

    /// The same without the state of training, what `best` holds; with averaged parameters in
    /// place of those of the last step, if training averaged them.
    pub fn without_training(&self) -> Checkpoint {
        let mut tensors = self.weights();
        tensors.extend(self.tensors_of(AVERAGED));
        Checkpoint {
            tensors,
            metadata: json!({"model": self.model()}),
        }
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// When the folder cannot be written; an existing file stays as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.checkpoint.save(path)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self {
            checkpoint: Checkpoint::load(path)?,
        })
    }
}

/// A fingerprint of weights: sha256 over names, shapes, dtypes and bits, in name order.
///
/// # Errors
/// When a tensor cannot be read.
pub fn weights_sha256(weights: &StateDict) -> Result<String> {
    let bytes = safetensors_bytes(weights)?;
    let digest = Sha256::digest(&bytes);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn safetensors_bytes(weights: &StateDict) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    for (name, tensor) in weights {
        bytes.extend(format!("{name} {:?} {:?}\n", tensor.shape(), tensor.dtype()).as_bytes());
        // f64 holds every value of the smaller float types and of 32-bit integers exactly.
        let values = tensor
            .to_device(&mapsto_tensor::Device::Cpu)?
            .to_dtype(mapsto_tensor::DType::F64)?
            .flatten_all()?
            .to_vec1::<f64>()?;
        values
            .iter()
            .for_each(|value| bytes.extend(value.to_bits().to_le_bytes()));
    }
    Ok(bytes)
}
