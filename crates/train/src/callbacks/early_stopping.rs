//! Stops when a figure has not improved for some epochs, and puts the best weights back.

use mapsto_tensor::StateDict;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::callback::{Callback, Context};
use crate::callbacks::Monitor;
use crate::error::Result;

/// Ends `fit` after `patience` epochs without improvement.
///
/// However `fit` ends, the weights that were measured in the best epoch, averaged ones among them,
/// are put back at its end (Keras' `restore_best_weights`). A resumed run remembers them, and one
/// whose patience was spent stays stopped: `fit` trains no further epoch.
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    waited: usize,
    best_weights: StateDict,
}

impl EarlyStopping {
    /// `patience` in epochs, at least 1.
    pub fn new(monitor: Monitor, patience: usize) -> Self {
        Self {
            monitor,
            patience: patience.max(1),
            waited: 0,
            best_weights: StateDict::new(),
        }
    }

    fn stop_if_spent(&self, context: &mut Context<'_>) {
        if self.waited >= self.patience {
            let Monitor {
                name, best_epoch, ..
            } = &self.monitor;
            context.stop(format!(
                "{name} has not improved for {} epochs; best was epoch {}",
                self.waited,
                best_epoch + 1
            ));
        }
    }
}

impl Callback for EarlyStopping {
    fn name(&self) -> &'static str {
        "early_stopping"
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        // The run was killed after the checkpoint of its last epoch, before it had ended.
        self.stop_if_spent(context);
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self
            .monitor
            .observe(context.logs, context.position.epoch - 1)?
        {
            self.waited = 0;
            let mut weights = context.store.state_dict();
            weights.extend(context.averaged.cloned().unwrap_or_default());
            self.best_weights.clear();
            for (name, tensor) in weights {
                self.best_weights.insert(name, tensor.copy()?);
            }
            return Ok(());
        }
        self.waited += 1;
        self.stop_if_spent(context);
        Ok(())
    }

    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if !self.best_weights.is_empty() {
            context.restore(self.best_weights.clone());
        }
        Ok(())
    }

    fn state(&self) -> Value {
        json!({"monitor": self.monitor, "waited": self.waited})
    }

    fn tensors(&self) -> StateDict {
        self.best_weights.clone()
    }

    fn load_state(&mut self, state: &Value, tensors: StateDict) -> serde_json::Result<()> {
        self.monitor = Monitor::deserialize(&state["monitor"])?;
        self.waited = usize::deserialize(&state["waited"])?;
        self.best_weights = tensors;
        Ok(())
    }
}
