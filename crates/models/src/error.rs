//! What can go wrong in the zoo.

use std::path::PathBuf;

/// Why a model could not be built, trained, loaded or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of range or does not fit the others.
    #[error("{0}")]
    Config(String),
    /// A checkpoint is of another kind, or does not describe itself.
    #[error("{path} {reason}")]
    #[allow(missing_docs)]
    Incompatible { path: PathBuf, reason: String },
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] mapsto_data::Error),
    /// Training or evaluation failed.
    #[error(transparent)]
    Train(mapsto_train::Error),
    /// A checkpoint could not be read or does not fit.
    #[error(transparent)]
    Checkpoint(#[from] mapsto_tensor::CheckpointError),
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] mapsto_tensor::DeviceError),
    /// An op failed.
    #[error(transparent)]
    Tensor(#[from] mapsto_tensor::Error),
}

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<mapsto_train::Error> for Error {
    fn from(error: mapsto_train::Error) -> Self {
        match error {
            // The same variant whichever crate read the file.
            mapsto_train::Error::Checkpoint(error) => Self::Checkpoint(error),
            other => Self::Train(other),
        }
    }
}
