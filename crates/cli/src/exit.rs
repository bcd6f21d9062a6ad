//! Exit codes, and how errors are shown.

use std::process::ExitCode;

use mapsto_models::Error as ModelError;
use mapsto_tensor::{CheckpointError, DeviceError};
use mapsto_train::Error as TrainError;

/// A wrong argument or setting.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A figure that stayed below its gate.
#[derive(Debug)]
pub(crate) struct GateMissed(pub(crate) String);

impl std::fmt::Display for GateMissed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GateMissed {}

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const DATA: u8 = 3;
pub(crate) const DIVERGED: u8 = 4;
pub(crate) const CHECKPOINT: u8 = 5;
pub(crate) const GATE: u8 = 6;
pub(crate) const DEVICE: u8 = 7;
pub(crate) const INTERRUPTED: u8 = 130;

/// Prints the error and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(of_cause).unwrap_or(FAILED)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if cause.is::<Usage>() {
        return Some(USAGE);
    }
    if cause.is::<GateMissed>() {
        return Some(GATE);
    }
    if let Some(error) = cause.downcast_ref::<ModelError>() {
        return Some(of_model(error));
    }
    if let Some(error) = cause.downcast_ref::<TrainError>() {
        return Some(of_train(error));
    }
    if cause.is::<mapsto_data::Error>() {
        return Some(DATA);
    }
    cause.is::<DeviceError>().then_some(DEVICE)
}

fn of_model(error: &ModelError) -> u8 {
    match error {
        ModelError::Config(_) => USAGE,
        ModelError::Data(_) => DATA,
        ModelError::Device(_) => DEVICE,
        ModelError::Incompatible { .. } => CHECKPOINT,
        ModelError::Checkpoint(error) => of_checkpoint(error),
        ModelError::Train(error) => of_train(error),
        _ => FAILED,
    }
}

fn of_train(error: &TrainError) -> u8 {
    match error {
        TrainError::Diverged { .. } => DIVERGED,
        TrainError::Batch { error, .. } if error.is::<mapsto_data::Error>() => DATA,
        TrainError::NoBatches { .. } => DATA,
        TrainError::Run { .. } => USAGE,
        TrainError::Checkpoint(error) => of_checkpoint(error),
        TrainError::NotResumable { .. } => CHECKPOINT,
        _ => FAILED,
    }
}

fn of_checkpoint(error: &CheckpointError) -> u8 {
    match error {
        CheckpointError::Io {
            action: "write", ..
        } => FAILED,
        _ => CHECKPOINT,
    }
}
