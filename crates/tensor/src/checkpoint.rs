//! Checkpoints: safetensors files that describe themselves, written atomically.
//!
//! The tensors carry PyTorch's state-dict names, so `safetensors.torch.load_file` reads our
//! files and we read files written by `safetensors.torch.save_file`, with no map. What a file
//! knows about itself (model kind, config, class names) stands in its metadata as one JSON
//! text under the key `mapsto`. Writing goes to a temporary file in the same folder which then
//! takes the name, so a reader or a crash sees the old file or the new one, never a part.
//!
//! ```
//! use mapsto_tensor::{Checkpoint, Device, StateDict, Tensor};
//! let folder = std::env::temp_dir().join("mapsto-doc-checkpoint");
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("model.safetensors");
//! let tensors = StateDict::from([("w".into(), Tensor::new(&[1f32, 2.0], &Device::Cpu)?)]);
//! Checkpoint { tensors, metadata: serde_json::json!({"kind": "demo"}) }.save(&path)?;
//! let back = Checkpoint::load(&path)?;
//! assert_eq!(back.metadata["kind"], "demo");
//! assert_eq!(back.tensors["w"].to_vec1::<f32>()?, [1.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{Device, Shape, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;

/// Tensors by their state-dict names, in name order.
pub type StateDict = BTreeMap<String, Tensor>;

/// The one metadata key that this project writes.
const KEY: &str = "mapsto";

/// Why a checkpoint could not be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be opened, read or written.
    #[error("cannot {action} {path}: {error}")]
    #[allow(missing_docs)]
    Io {
        action: &'static str,
        path: PathBuf,
        /// Part of the message, hence not its source as well.
        error: std::io::Error,
    },
    /// The file is no complete safetensors file.
    #[error(
        "{path} is no complete safetensors file ({reason}); it may be cut off or of another \
         format: use another checkpoint of the run"
    )]
    #[allow(missing_docs)]
    Corrupt { path: PathBuf, reason: String },
    /// The file's tensors do not fit the model.
    #[error(
        "the checkpoint does not fit the model: {0}; load it into the architecture it was trained with"
    )]
    Mismatch(LoadReport),
    /// candle failed to build or convert a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<CheckpointError> for candle_core::Error {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Tensor(error) => error,
            other => Self::wrap(other),
        }
    }
}

/// How the names and shapes of a file differ from those of a model.
#[derive(Debug, Clone, Default, PartialEq)]
#[doc(alias = "missing_keys")]
#[doc(alias = "unexpected_keys")]
pub struct LoadReport {
    /// In the model but not in the file.
    pub missing: Vec<String>,
    /// In the file but not in the model.
    pub unexpected: Vec<String>,
    /// In both, with different shapes: name, model's, file's.
    pub mismatched: Vec<(String, Shape, Shape)>,
}

impl LoadReport {
    /// Whether names and shapes agree.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl std::fmt::Display for LoadReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = vec![];
        if !self.missing.is_empty() {
            parts.push(format!("missing {}", self.missing.join(", ")));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!("unexpected {}", self.unexpected.join(", ")));
        }
        for (name, model, file) in &self.mismatched {
            parts.push(format!(
                "{name} is {model:?} in the model but {file:?} in the file"
            ));
        }
        f.write_str(&parts.join("; "))
    }
}

/// The content of a checkpoint file.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// All tensors.
    pub tensors: StateDict,
    /// What the file says about itself; `Null` for a file of PyTorch's.
    pub metadata: Value,
}

impl Checkpoint {
    /// Writes the file atomically; the same content gives the same bytes.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] when the folder is missing, read-only or full; an existing file
    /// then stays as it was.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let io = |error| CheckpointError::Io {
            action: "write",
            path: path.to_owned(),
            error,
        };
        let metadata = match &self.metadata {
            Value::Null => None,
            value => Some(HashMap::from([(KEY.to_owned(), value.to_string())])),
        };
        let bytes = safetensors::serialize(&self.tensors, metadata)
            .map_err(|error| io(std::io::Error::other(error)))?;
        write_atomic(path, &bytes).map_err(io)
    }

    /// Reads and checks a whole file, onto the CPU.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] when it cannot be read, [`CheckpointError::Corrupt`] when it is
    /// cut off, is no safetensors file, or its metadata is no JSON.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|error| CheckpointError::Io {
            action: "read",
            path: path.to_owned(),
            error,
        })?;
        Self::from_bytes(&bytes).map_err(|reason| CheckpointError::Corrupt {
            path: path.to_owned(),
            reason,
        })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let metadata = match header.metadata().as_ref().and_then(|m| m.get(KEY)) {
            Some(text) => serde_json::from_str(text).map_err(|e| format!("metadata: {e}"))?,
            None => Value::Null,
        };
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
            .map_err(|e| e.to_string())?;
        Ok(Self {
            tensors: tensors.into_iter().collect(),
            metadata,
        })
    }
}

/// Replaces the file at `path` by `bytes`: entirely or not at all, also across a power cut.
///
/// # Errors
/// Any I/O error; the temporary file is then removed and an existing file stays.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = temporary_for(path)?;
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Removes what killed writers left in `folder`.
///
/// # Errors
/// When the folder cannot be listed or a leftover cannot be removed.
pub fn remove_leftovers(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(TEMPORARY) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

const TEMPORARY: &str = ".writing";

fn temporary_for(path: &Path) -> std::io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| std::io::Error::other("the path names no file"))?;
    let id = std::process::id();
    Ok(path.with_file_name(format!(".{}-{id}{TEMPORARY}", name.to_string_lossy())))
}
