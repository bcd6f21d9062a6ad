//! [`Averaging`]: the mean of the weights over the steps, from when training stops to improve.

use mapsto_tensor::StateDict;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::mean::follow;
use crate::callback::{Callback, Context};
use crate::error::{Error, Result};

/// Averages the parameters over all steps since the figure was worse than its best of more than
/// `patience` epochs before (NT-ASGD); from then on the average is what is validated and kept.
///
/// Plain SGD at a constant learning rate does not settle, but wanders about a minimum; the mean
/// of the places where it was lies nearer to it. Buffers stay those of the last step.
///
/// **References:** Boris Polyak, Anatoli Juditsky, "Acceleration of stochastic approximation by
/// averaging", 1992; Stephen Merity et al., "Regularizing and optimizing LSTM language models",
/// 2018, algorithm 1.
#[derive(Debug, Clone)]
#[doc(alias = "ASGD")]
#[doc(alias = "AveragedModel")]
pub struct Averaging {
    figure: String,
    patience: usize,
    told: Told,
    average: StateDict,
}

/// What it remembers besides the average.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// The figure of each epoch before averaging began.
    #[serde(with = "crate::float::several")]
    values: Vec<f64>,
    begun: bool,
    steps: u64,
}

impl Averaging {
    /// Watches `figure`, such as `val.loss`, of which lower is better; `patience` in epochs, 5 in
    /// the paper.
    pub fn new(figure: impl Into<String>, patience: usize) -> Self {
        Self {
            figure: figure.into(),
            patience,
            told: Told::default(),
            average: StateDict::new(),
        }
    }
}

impl Callback for Averaging {
    fn name(&self) -> &'static str {
        "averaging"
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if !self.told.begun {
            return Ok(());
        }
        self.told.steps += 1;
        let share = 1.0 / self.told.steps as f64;
        Ok(follow(&mut self.average, context.store, |_| true, share)?)
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(&value) = context.logs.get(&self.figure) else {
            let known: Vec<&str> = context.logs.keys().map(String::as_str).collect();
            return Err(Error::UnknownMetric {
                name: self.figure.clone(),
                known: known.join(", "),
            });
        };
        let Told { values, begun, .. } = &mut self.told;
        if !*begun {
            let earlier = values.len().saturating_sub(self.patience);
            *begun = values[..earlier].iter().any(|&before| value > before);
            values.push(value);
        }
        Ok(())
    }

    fn averaged(&self) -> Option<StateDict> {
        (!self.average.is_empty()).then(|| self.average.clone())
    }

    fn state(&self) -> Value {
        json!(self.told)
    }

    fn tensors(&self) -> StateDict {
        self.average.clone()
    }

    fn load_state(&mut self, state: &Value, tensors: StateDict) -> serde_json::Result<()> {
        self.told = Told::deserialize(state)?;
        self.average = tensors;
        Ok(())
    }
}
