//! Checkpoints on disk: `last`, from which a run resumes, and `best`, the model to use.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::callback::{Callback, Context};
use crate::callbacks::Monitor;
use crate::error::Result;
use crate::snapshot::Snapshot;

/// Writes the whole state of training after every epoch, and every some steps.
///
/// A snapshot is taken once all callbacks have seen an event, so their order does not matter.
#[derive(Debug, Clone)]
#[doc(alias = "BackupAndRestore")]
pub struct LastCheckpoint {
    path: PathBuf,
    every_steps: Option<u64>,
}

impl LastCheckpoint {
    /// Writes to `path` after every epoch.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            every_steps: None,
        }
    }

    /// Also after every `steps` steps; 0 for never.
    #[must_use]
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.every_steps = (steps > 0).then_some(steps);
        self
    }
}

impl Callback for LastCheckpoint {
    fn name(&self) -> &'static str {
        "last_checkpoint"
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self
            .every_steps
            .is_some_and(|every| context.position.step.is_multiple_of(every))
        {
            context.take_snapshot();
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        context.take_snapshot();
        Ok(())
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        snapshot.save(&self.path)
    }
}

/// Writes the weights of the best epoch so far: a plain state dict with the model's description.
#[derive(Debug, Clone)]
#[doc(alias = "ModelCheckpoint")]
pub struct BestCheckpoint {
    path: PathBuf,
    monitor: Option<Monitor>,
    due: bool,
}

impl BestCheckpoint {
    /// Writes to `path` whenever the figure improves.
    pub fn new(path: impl Into<PathBuf>, monitor: Monitor) -> Self {
        Self {
            path: path.into(),
            monitor: Some(monitor),
            due: false,
        }
    }

    /// Writes to `path` after every epoch: without a validation set, the newest counts as best.
    pub fn newest(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            monitor: None,
            due: false,
        }
    }
}

impl Callback for BestCheckpoint {
    fn name(&self) -> &'static str {
        "best_checkpoint"
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        // The snapshot that was resumed from is of the best epoch, and the run may have been
        // killed before this file followed.
        if self.due {
            context.take_snapshot();
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.due = match &mut self.monitor {
            Some(monitor) => monitor.observe(context.logs, context.position.epoch - 1)?,
            None => true,
        };
        if self.due {
            context.take_snapshot();
        }
        Ok(())
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        if std::mem::take(&mut self.due) {
            let mut checkpoint = snapshot.without_training();
            checkpoint.metadata["monitor"] = json!(self.monitor);
            checkpoint.save(&self.path)?;
        }
        Ok(())
    }

    fn state(&self) -> Value {
        json!({"monitor": self.monitor, "due": self.due})
    }

    fn load_state(&mut self, state: &Value, _: mapsto_tensor::StateDict) -> serde_json::Result<()> {
        self.monitor = Option::deserialize(&state["monitor"])?;
        self.due = bool::deserialize(&state["due"])?;
        Ok(())
    }
}
