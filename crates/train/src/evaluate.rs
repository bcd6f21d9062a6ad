//! Evaluation and prediction: a pass over batches without training.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use mapsto_tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::callback::Logs;
use crate::error::{BoxError, Error, Result};
use crate::float;
use crate::metric::Metric;
use crate::objective::{Objective, Output};

/// What an evaluation measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// `loss` and each metric, by name.
    pub values: Logs,
    /// Tables behind the metrics, by the metric's name.
    pub details: BTreeMap<String, Value>,
    /// Number of samples.
    pub samples: usize,
}

impl std::ops::Index<&str> for Scores {
    type Output = f64;

    /// # Panics
    /// When nothing of this name was measured, as for maps.
    fn index(&self, name: &str) -> &f64 {
        &self.values[name]
    }
}

/// The means of losses weighted by samples, and the metrics, of one pass.
#[derive(Debug)]
pub(crate) struct Measure {
    /// By name, the sum and the samples that it is over.
    losses: BTreeMap<String, (f64, usize)>,
    samples: usize,
    pub(crate) metrics: Vec<Box<dyn Metric>>,
}

impl Measure {
    pub(crate) fn new(metrics: Vec<Box<dyn Metric>>) -> Self {
        Self {
            losses: BTreeMap::new(),
            samples: 0,
            metrics,
        }
    }

    /// An empty copy with the same metrics.
    pub(crate) fn fresh(&self) -> Self {
        let mut copy = Self::new(
            self.metrics
                .iter()
                .map(|metric| metric.clone_box())
                .collect(),
        );
        copy.reset();
        copy
    }

    /// Takes in the mean loss of some samples.
    pub(crate) fn add(&mut self, name: &str, loss: f64, samples: usize) {
        let (sum, count) = self.losses.entry(name.to_owned()).or_default();
        *sum += loss * samples as f64;
        *count += samples;
    }

    pub(crate) fn update(&mut self, output: &Output) -> Result<()> {
        self.samples += output.samples();
        for metric in &mut self.metrics {
            metric.update(output)?;
        }
        Ok(())
    }

    pub(crate) fn reset(&mut self) {
        (self.losses, self.samples) = (BTreeMap::new(), 0);
        self.metrics.iter_mut().for_each(|metric| metric.reset());
    }

    pub(crate) fn values(&self) -> Logs {
        let losses = self.losses.iter();
        let losses = losses.map(|(name, (sum, count))| (name.clone(), sum / *count as f64));
        let metrics = self
            .metrics
            .iter()
            .map(|metric| (metric.name(), metric.value()));
        losses.chain(metrics).collect()
    }

    pub(crate) fn scores(&self) -> Scores {
        let details = self.metrics.iter();
        Scores {
            values: self.values(),
            details: details
                .filter_map(|m| Some((m.name(), m.details()?)))
                .collect(),
            samples: self.samples,
        }
    }

    pub(crate) fn state(&self) -> Value {
        let metrics: BTreeMap<String, Value> = self
            .metrics
            .iter()
            .map(|metric| (metric.name(), metric.state()))
            .collect();
        let losses: BTreeMap<&String, (Value, usize)> = self
            .losses
            .iter()
            .map(|(name, &(sum, count))| (name, (float::to_json(sum), count)))
            .collect();
        serde_json::json!({"losses": losses, "samples": self.samples, "metrics": metrics})
    }

    pub(crate) fn load_state(&mut self, state: &Value) -> Result<(), String> {
        let losses: BTreeMap<String, (Value, usize)> =
            BTreeMap::deserialize(&state["losses"]).map_err(|error| format!("losses: {error}"))?;
        for (name, (sum, count)) in losses {
            let sum = float::from_json(&sum).ok_or_else(|| format!("no sum of {name}"))?;
            self.losses.insert(name, (sum, count));
        }
        self.samples = state["samples"].as_u64().ok_or("no samples")? as usize;
        for metric in &mut self.metrics {
            let state = &state["metrics"][metric.name()];
            metric
                .load_state(state)
                .map_err(|e| format!("metric {}: {e}", metric.name()))?;
        }
        Ok(())
    }
}

/// A loss as a number, whatever its dtype.
pub(crate) fn value_of(loss: &Tensor) -> Result<f64> {
    Ok(loss
        .detach()
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .mean(0)?
        .to_scalar()?)
}

pub(crate) fn evaluate_into<B, E: Into<BoxError>>(
    measure: &mut Measure,
    objective: &impl Objective<B>,
    batches: impl IntoIterator<Item = Result<B, E>>,
    interrupt: &AtomicBool,
) -> Result<Scores> {
    for (number, batch) in batches.into_iter().enumerate() {
        if interrupt.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let batch = batch.map_err(|error| Error::batch(number, error))?;
        let output = objective.compute_loss(&batch, false)?;
        measure.add("loss", value_of(&output.loss)?, output.samples());
        measure.update(&output)?;
    }
    if measure.samples == 0 {
        return Err(Error::NoBatches {
            what: "the evaluation",
        });
    }
    Ok(measure.scores())
}

/// Measures a model on batches, with dropout and the like off.
///
/// # Errors
/// When a batch cannot be had, an op fails, or there is no batch.
pub fn evaluate<B, E: Into<BoxError>>(
    objective: &impl Objective<B>,
    metrics: Vec<Box<dyn Metric>>,
    batches: impl IntoIterator<Item = Result<B, E>>,
) -> Result<Scores> {
    let never = AtomicBool::new(false);
    evaluate_into(&mut Measure::new(metrics), objective, batches, &never)
}

/// What a model says about batches, one row a sample.
///
/// # Errors
/// When a batch cannot be had, an op fails, or there is no batch.
pub fn predict<B, E: Into<BoxError>>(
    objective: &impl Objective<B>,
    batches: impl IntoIterator<Item = Result<B, E>>,
) -> Result<Tensor> {
    let mut rows = vec![];
    for (number, batch) in batches.into_iter().enumerate() {
        let batch = batch.map_err(|error| Error::batch(number, error))?;
        rows.push(objective.compute_loss(&batch, false)?.predictions.detach());
    }
    if rows.is_empty() {
        return Err(Error::NoBatches {
            what: "the prediction",
        });
    }
    Ok(Tensor::cat(&rows, 0)?)
}
