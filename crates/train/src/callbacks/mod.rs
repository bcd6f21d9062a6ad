//! The callbacks that ship.

mod averaging;
mod checkpoints;
mod early_stopping;
mod ema;
mod jsonl;
mod mean;
mod monitor;
mod nan;
mod progress;

pub use averaging::Averaging;
pub use checkpoints::{BestCheckpoint, LastCheckpoint};
pub use early_stopping::EarlyStopping;
pub use ema::Ema;
pub use jsonl::JsonlLog;
pub use monitor::Monitor;
pub use nan::TerminateOnNan;
pub use progress::Progress;
