//! [`History`]: what each epoch gave, as Keras' `fit` returns it.

use serde::{Deserialize, Serialize};

use crate::callback::Logs;

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 0.
    pub epoch: usize,
    /// Optimizer steps since the start of training.
    pub step: u64,
    /// Seconds of training, without validation.
    pub seconds: f64,
    /// Figures under names such as `train.loss`, `val.accuracy`.
    #[serde(with = "crate::float::logs")]
    pub logs: Logs,
}

/// All epochs so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    /// In order.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// The values of one figure, such as `val.accuracy`, epoch by epoch.
    pub fn values(&self, name: &str) -> Vec<f64> {
        self.epochs
            .iter()
            .filter_map(|record| record.logs.get(name).copied())
            .collect()
    }

    /// A table with a line an epoch.
    pub fn to_csv(&self) -> String {
        let names: std::collections::BTreeSet<&String> = self
            .epochs
            .iter()
            .flat_map(|record| record.logs.keys())
            .collect();
        let mut text = String::from("epoch,step,seconds");
        names.iter().for_each(|name| text.extend([",", name]));
        for record in &self.epochs {
            text += &format!("\n{},{},{:.3}", record.epoch, record.step, record.seconds);
            for name in &names {
                let value = record
                    .logs
                    .get(*name)
                    .map(f64::to_string)
                    .unwrap_or_default();
                text.extend([",", &value]);
            }
        }
        text + "\n"
    }
}
