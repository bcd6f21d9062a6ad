//! What can go wrong while training, and what to do about it.

use std::path::PathBuf;

use mapsto_tensor::CheckpointError;

/// Any error of a batch source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why training, evaluation or a run folder failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source of batches failed, in an epoch of training or, without one, in an evaluation
    /// or prediction.
    #[error("batch {batch} of {}: {error}", pass(*.epoch))]
    #[allow(missing_docs)]
    Batch {
        epoch: Option<usize>,
        batch: usize,
        error: BoxError,
    },
    /// The source gave no batch at all.
    #[error("{what} has no batches: the set is empty, or smaller than a batch with drop_last")]
    #[allow(missing_docs)]
    NoBatches { what: &'static str },
    /// The flag of [`Trainer::interrupt`](crate::Trainer::interrupt) was set.
    #[error("the evaluation was interrupted")]
    Interrupted,
    /// The loss is infinite or undefined.
    #[error(
        "the loss became {loss} in step {step} (epoch {epoch}); lower the learning rate, clip \
         the gradients, or check the inputs"
    )]
    #[allow(missing_docs)]
    Diverged { loss: f64, step: u64, epoch: usize },
    /// A callback watches something that is not measured.
    #[error("nothing called \"{name}\" is measured; there are {known}")]
    #[allow(missing_docs)]
    UnknownMetric { name: String, known: String },
    /// Callbacks keep their state under their names.
    #[error("two callbacks are called \"{name}\"; their states would overwrite each other")]
    #[allow(missing_docs)]
    DuplicateCallback { name: &'static str },
    /// A checkpoint could not be written, read or used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint holds weights only, or the state of a run with other parts.
    #[error(
        "{path} cannot be resumed from: {reason}; resume from checkpoints/last.safetensors of the same run"
    )]
    #[allow(missing_docs)]
    NotResumable { path: String, reason: String },
    /// A file or folder of the run could not be read or written.
    #[error("cannot {action} {path}: {error}")]
    #[allow(missing_docs)]
    Io {
        action: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    /// The folder is no run, or in use.
    #[error("{path}: {reason}")]
    #[allow(missing_docs)]
    Run { path: PathBuf, reason: String },
    /// An op failed.
    #[error(transparent)]
    Tensor(#[from] mapsto_tensor::Error),
}

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn pass(epoch: Option<usize>) -> String {
    epoch.map_or_else(
        || "the evaluation or prediction".to_owned(),
        |epoch| format!("epoch {epoch}"),
    )
}

impl Error {
    /// Of batch `batch` in a pass without training.
    pub(crate) fn batch(batch: usize, error: impl Into<BoxError>) -> Self {
        Self::Batch {
            epoch: None,
            batch,
            error: error.into(),
        }
    }

    pub(crate) fn not_resumable(reason: String) -> Self {
        Self::NotResumable {
            path: "the checkpoint".to_owned(),
            reason,
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }
}
