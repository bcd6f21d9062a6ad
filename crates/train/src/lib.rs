#![doc = include_str!("../README.md")]

mod bleu;
mod callback;
mod callbacks;
mod environment;
mod error;
mod evaluate;
mod float;
mod frechet;
mod history;
mod metric;
mod metrics;
mod objective;
mod perplexity;
mod run_folder;
mod snapshot;
mod trainer;

pub use bleu::{Bleu, BleuConfig, BleuTokenizer, corpus_bleu, sentence_bleu};
pub use callback::{Callback, Context, Logs, StopReason};
pub use callbacks::{
    Averaging, BestCheckpoint, EarlyStopping, Ema, JsonlLog, LastCheckpoint, Monitor, Progress,
    TerminateOnNan,
};
pub use environment::Environment;
pub use error::{BoxError, Error, Result};
pub use evaluate::{Scores, evaluate, predict};
pub use frechet::{PrecisionRecall, frechet_distance, precision_recall};
pub use history::{EpochRecord, History};
pub use metric::{Direction, Metric};
pub use metrics::{Accuracy, ConfusionMatrix, TopK};
pub use objective::{Objective, Output};
pub use perplexity::Perplexity;
pub use run_folder::RunFolder;
pub use snapshot::{Position, Snapshot, weights_sha256};
pub use trainer::{Descent, Duel, Game, Optimizers, Step, Trainer, Turn};
