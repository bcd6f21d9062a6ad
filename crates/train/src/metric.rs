//! [`Metric`]: a figure accumulated over batches.

use std::fmt::Debug;

use mapsto_tensor::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::objective::Output;

/// Which values of a figure are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Such as a loss.
    Lower,
    /// Such as accuracy.
    Higher,
}

impl Direction {
    /// Whether `new` is better than `old` by more than `margin`.
    pub fn improves(self, new: f64, old: f64, margin: f64) -> bool {
        match self {
            Self::Lower => new < old - margin,
            Self::Higher => new > old + margin,
        }
    }
}

/// Accumulates a figure over the batches of an epoch; its state can be saved in mid-epoch.
pub trait Metric: Debug + Send {
    /// Name in logs, such as `accuracy`.
    fn name(&self) -> String;

    /// Takes in a batch.
    ///
    /// # Errors
    /// When predictions and targets have shapes that the metric cannot use.
    fn update(&mut self, output: &Output) -> Result<()>;

    /// The figure over all batches since the last reset; NaN before the first.
    fn value(&self) -> f64;

    /// Tables behind the figure, such as a confusion matrix.
    fn details(&self) -> Option<Value> {
        None
    }

    /// Forgets all batches.
    fn reset(&mut self);

    /// Everything accumulated, for a checkpoint in mid-epoch.
    fn state(&self) -> Value;

    /// Restores [`state`](Self::state).
    ///
    /// # Errors
    /// When the value is not a state of this metric.
    fn load_state(&mut self, state: &Value) -> serde_json::Result<()>;

    /// An independent copy.
    fn clone_box(&self) -> Box<dyn Metric>;
}
