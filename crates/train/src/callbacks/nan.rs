//! Stops a run whose loss is infinite or undefined, before the step spoils the parameters.

use crate::callback::Callback;
use crate::error::{Error, Result};
use crate::snapshot::Position;

/// Ends `fit` with [`Error::Diverged`] when a loss is not finite.
#[derive(Debug, Clone, Copy, Default)]
pub struct TerminateOnNan;

impl Callback for TerminateOnNan {
    fn name(&self) -> &'static str {
        "terminate_on_nan"
    }

    fn on_loss(&mut self, loss: f64, position: Position) -> Result<()> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(Error::Diverged {
            loss,
            step: position.step,
            epoch: position.epoch,
        })
    }
}
