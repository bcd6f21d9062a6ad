//! What can go wrong with data: each message says what was wrong, where, and what to do.
//!
//! An [`Error`] converts into candle's error, so a loader feeds code that returns
//! [`mapsto_tensor::Result`], and candle's converts into this one, so `?` works both ways.
//!
//! ```
//! let error = mapsto_data::Idx::read("no/such/file").unwrap_err();
//! assert!(matches!(error, mapsto_data::Error::NotFound { .. }));
//! let error: mapsto_tensor::Error = error.into();
//! assert!(error.to_string().contains("no/such/file"));
//! ```

use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with data.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder does not exist, or does not hold what was asked for.
    #[error("{path}: not found: {hint}", path = path.display())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
        /// What is looked for there, and what to do.
        hint: String,
    },
    /// The operating system refused to read or write.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error; it is part of the message, hence not its source as well.
        error: std::io::Error,
    },
    /// A file does not hold what its format asks for.
    #[error("{path}: {what}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The place in the file, what was expected, what was found, and what to do.
        what: String,
    },
    /// An argument is out of its range.
    #[error("{0}")]
    Config(String),
    /// An index lies beyond the end of a data set.
    #[error("index {index} is beyond the data set of {len} samples: check the sampler's indices")]
    Index {
        /// The index asked for.
        index: usize,
        /// The number of samples.
        len: usize,
    },
    /// A token is not in the vocabulary, which has none to stand for unknown ones.
    #[error(
        "token {place}, `{token}`, is not in the vocabulary: build the vocabulary with an \
         unknown token (unk), or from a text that holds it"
    )]
    UnknownToken {
        /// The token.
        token: String,
        /// Its place among the tokens to encode, from 0.
        place: usize,
    },
    /// A number is not that of a token.
    #[error(
        "number {place} is {id}, but the vocabulary has {len} tokens: take the vocabulary that \
         the numbers were made with"
    )]
    UnknownId {
        /// The number.
        id: u32,
        /// Its place among the numbers to decode, from 0.
        place: usize,
        /// The number of tokens.
        len: usize,
    },
    /// A tokenizer could not be trained, read or used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A loader's worker thread panicked or could not be started.
    #[error("the loader's worker {worker} failed at batch {batch}: {what}")]
    Worker {
        /// Number of the worker.
        worker: usize,
        /// Number of the batch in the epoch.
        batch: usize,
        /// The panic's message or the system's reason.
        what: String,
    },
    /// candle could not make or change a tensor.
    #[error(transparent)]
    Tensor(#[from] mapsto_tensor::Error),
}

impl Error {
    /// For a file that does not hold what its format asks for.
    pub(crate) fn format(path: &Path, what: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// For a system error; a missing file gets its own variant.
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        let path = path.to_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            let hint = "check the spelling and the folder".to_owned();
            return Self::NotFound { path, hint };
        }
        Self::Io { path, error }
    }
}

impl From<Error> for mapsto_tensor::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(error) => error,
            other => Self::wrap(other),
        }
    }
}
