//! [`Ema`]: an exponential moving average of the weights, which is what is validated and kept.

use mapsto_tensor::StateDict;
use serde::Deserialize;
use serde_json::{Value, json};

use super::mean::follow;
use crate::callback::{Callback, Context};
use crate::error::Result;

/// Averages parameters over the last steps: `average = d average + (1 - d) parameter` after each
/// step, with the decay `d`. In the first `1 / (1 - d)` steps it is the plain mean, so that the
/// initial values are forgotten.
///
/// Two models that play against each other circle about where they would settle; the average of
/// the generator makes better samples than any of its states. Buffers stay those of the last step.
///
/// **References:** Boris Polyak, Anatoli Juditsky, "Acceleration of stochastic approximation by
/// averaging", 1992; Yasin Yazıcı et al., "The unusual effectiveness of averaging in GAN training",
/// 2019.
#[derive(Debug, Clone)]
#[doc(alias = "ExponentialMovingAverage")]
pub struct Ema {
    prefix: String,
    decay: f64,
    steps: u64,
    average: StateDict,
}

impl Ema {
    /// Averages all trainable parameters with this decay, in `[0, 1)`; others count as the nearest
    /// that is.
    pub fn new(decay: f64) -> Self {
        Self {
            prefix: String::new(),
            decay: decay.clamp(0.0, 1.0 - f64::EPSILON),
            steps: 0,
            average: StateDict::new(),
        }
    }

    /// Only those whose names begin like this, such as `generator.`; the others stay as they are.
    #[must_use]
    pub fn of(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

impl Callback for Ema {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.steps += 1;
        let share = (1.0 - self.decay).max(1.0 / self.steps as f64);
        let prefix = self.prefix.as_str();
        let select = |name: &str| name.starts_with(prefix);
        Ok(follow(&mut self.average, context.store, select, share)?)
    }

    fn averaged(&self) -> Option<StateDict> {
        (!self.average.is_empty()).then(|| self.average.clone())
    }

    fn state(&self) -> Value {
        json!({"steps": self.steps})
    }

    fn tensors(&self) -> StateDict {
        self.average.clone()
    }

    fn load_state(&mut self, state: &Value, tensors: StateDict) -> serde_json::Result<()> {
        self.steps = u64::deserialize(&state["steps"])?;
        self.average = tensors;
        Ok(())
    }
}
