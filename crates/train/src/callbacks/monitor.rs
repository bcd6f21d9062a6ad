//! [`Monitor`]: which figure decides that an epoch was the best so far.

use serde::{Deserialize, Serialize};

use crate::callback::Logs;
use crate::error::{Error, Result};
use crate::metric::Direction;

/// Watches one figure of the epoch logs and keeps its best value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    /// Name in the logs, such as `val.loss`.
    pub name: String,
    /// Which values are better.
    pub direction: Direction,
    /// How much better a value must be to count.
    pub min_delta: f64,
    /// The best value so far.
    #[serde(with = "crate::float::optional")]
    pub best: Option<f64>,
    /// The epoch that gave it.
    pub best_epoch: usize,
}

impl Monitor {
    /// Watches `name`, such as `val.accuracy`.
    pub fn new(name: impl Into<String>, direction: Direction) -> Self {
        Self {
            name: name.into(),
            direction,
            min_delta: 0.0,
            best: None,
            best_epoch: 0,
        }
    }

    /// Takes in the figures of an epoch; whether they are the best so far. NaN never is.
    ///
    /// # Errors
    /// When the figure is not among the logs.
    pub fn observe(&mut self, logs: &Logs, epoch: usize) -> Result<bool> {
        let Some(&value) = logs.get(&self.name) else {
            let known: Vec<&str> = logs.keys().map(String::as_str).collect();
            return Err(Error::UnknownMetric {
                name: self.name.clone(),
                known: known.join(", "),
            });
        };
        let improved = match self.best {
            None => !value.is_nan(),
            Some(best) => self.direction.improves(value, best, self.min_delta),
        };
        if improved {
            (self.best, self.best_epoch) = (Some(value), epoch);
        }
        Ok(improved)
    }
}
