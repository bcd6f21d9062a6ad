//! [`Callback`]: what happens beside the steps of training.

use std::collections::BTreeMap;
use std::fmt::Debug;

use mapsto_tensor::{ParamStore, StateDict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::history::History;
use crate::snapshot::{Position, Snapshot};

/// Figures by name: `train.loss`, `val.accuracy`, ...
pub type Logs = BTreeMap<String, f64>;

/// Why `fit` ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All epochs were trained.
    Completed,
    /// A callback asked for it, with its reason.
    Stopped(String),
    /// The program was asked to end.
    Interrupted,
}

/// What a callback sees, and what it may ask for.
#[derive(Debug)]
pub struct Context<'a> {
    /// After the step or epoch that this is about.
    pub position: Position,
    /// Epochs that `fit` was asked for.
    pub epochs: usize,
    /// Batches of the current epoch, if known.
    pub batches: Option<usize>,
    /// Samples trained on since `fit` started.
    pub samples: usize,
    /// Running figures of the epoch, or all figures at its end.
    pub logs: &'a Logs,
    /// Learning rate of the next step.
    pub lr: f64,
    /// The model's parameters, those of the last step.
    pub store: &'a ParamStore,
    /// Parameters that were measured in place of those of the same names, such as an average.
    pub averaged: Option<&'a StateDict>,
    /// Finished epochs.
    pub history: &'a History,
    pub(crate) stop: Option<StopReason>,
    pub(crate) restore: Option<StateDict>,
    pub(crate) snapshot: bool,
}

impl Context<'_> {
    /// Ends `fit` after this event.
    pub fn stop(&mut self, reason: impl Into<String>) {
        self.stop.get_or_insert(StopReason::Stopped(reason.into()));
    }

    /// Sets the model's parameters once all callbacks have seen this event.
    pub fn restore(&mut self, weights: StateDict) {
        self.restore = Some(weights);
    }

    /// Asks for [`Callback::on_snapshot`] once all callbacks have seen this event.
    pub fn take_snapshot(&mut self) {
        self.snapshot = true;
    }
}

/// Hooks into `fit`. Callbacks run in the order in which they were added.
///
/// What a callback carries from epoch to epoch belongs in [`state`](Self::state) and
/// [`tensors`](Self::tensors), so that a resumed run goes on exactly.
#[allow(unused_variables)]
pub trait Callback: Debug + Send {
    /// A name that is unique among the callbacks of a trainer.
    fn name(&self) -> &'static str;

    /// Before the first batch, in a resumed run too.
    ///
    /// # Errors
    /// Any error ends `fit`; the same holds for all hooks.
    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    /// After the forward pass and before anything changes: the loss of the batch.
    ///
    /// # Errors
    /// Any error ends `fit`, and the step is not made.
    fn on_loss(&mut self, loss: f64, position: Position) -> Result<()> {
        Ok(())
    }

    /// After each optimizer step.
    ///
    /// # Errors
    /// Any error ends `fit`.
    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    /// After each epoch and its validation.
    ///
    /// # Errors
    /// Any error ends `fit`.
    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    /// After the last epoch, or after a stop.
    ///
    /// # Errors
    /// Any error ends `fit`.
    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    /// When a callback asked for a snapshot: the whole state of training.
    ///
    /// # Errors
    /// Any error ends `fit`.
    fn on_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        Ok(())
    }

    /// Parameters to validate and keep in place of those of the last step, such as an average.
    fn averaged(&self) -> Option<StateDict> {
        None
    }

    /// What to carry over a resume.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Tensors to carry over a resume.
    fn tensors(&self) -> StateDict {
        StateDict::new()
    }

    /// Takes both back.
    ///
    /// # Errors
    /// When they are not a state of this callback.
    fn load_state(&mut self, state: &Value, tensors: StateDict) -> serde_json::Result<()> {
        Ok(())
    }
}
