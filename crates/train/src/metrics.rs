//! Metrics of classification: accuracy, top-k accuracy, confusion matrix with macro F1.
//!
//! Predictions are scores `(N, C)`, targets labels `(N)`. Ties go to the smaller class, and NaN
//! ranks above every number, as in PyTorch.

use std::cmp::Ordering;

use mapsto_tensor::{DType, Device, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::metric::Metric;
use crate::objective::Output;

/// Scores row by row and labels, as plain numbers.
fn rows(output: &Output) -> Result<(Vec<Vec<f64>>, Vec<u32>)> {
    let scores = output
        .predictions
        .detach()
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .to_vec2::<f64>()?;
    let labels: Vec<u32> = output.targets.to_dtype(DType::U32)?.to_vec1()?;
    if scores.len() != labels.len() {
        bail!(
            "{} rows of predictions for {} targets",
            scores.len(),
            labels.len()
        );
    }
    for (row, &label) in scores.iter().zip(&labels) {
        if label as usize >= row.len() {
            bail!("target {label} is not one of {} classes", row.len());
        }
    }
    Ok((scores, labels))
}

fn rank(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The first largest score.
fn argmax(row: &[f64]) -> usize {
    let best = |best: usize, i: usize| {
        if rank(row[i], row[best]).is_gt() {
            i
        } else {
            best
        }
    };
    (1..row.len()).fold(0, best)
}

/// The state is the metric itself; `$fits(own, loaded)` tells whether it is one of this metric.
macro_rules! state_by_serde {
    ($fits:expr) => {
        fn state(&self) -> Value {
            json!(self)
        }

        fn load_state(&mut self, state: &Value) -> serde_json::Result<()> {
            let fits: fn(&Self, &Self) -> bool = $fits;
            let loaded = Self::deserialize(state)?;
            if !fits(self, &loaded) {
                return Err(serde::de::Error::custom(
                    "it is the state of another metric",
                ));
            }
            *self = loaded;
            Ok(())
        }

        fn clone_box(&self) -> Box<dyn Metric> {
            Box::new(self.clone())
        }
    };
}

/// Share of samples whose largest score is the target's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[doc(alias = "SparseCategoricalAccuracy")]
pub struct Accuracy {
    correct: u64,
    samples: u64,
}

impl Metric for Accuracy {
    fn name(&self) -> String {
        "accuracy".to_owned()
    }

    fn update(&mut self, output: &Output) -> Result<()> {
        let (scores, labels) = rows(output)?;
        let hits = scores
            .iter()
            .zip(&labels)
            .filter(|(row, label)| argmax(row) == **label as usize);
        self.correct += hits.count() as u64;
        self.samples += labels.len() as u64;
        Ok(())
    }

    fn value(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    state_by_serde!(|_, _| true);
}

/// Share of samples whose target is among the `k` largest scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[doc(alias = "TopKCategoricalAccuracy")]
pub struct TopK {
    k: usize,
    correct: u64,
    samples: u64,
}

impl TopK {
    /// With `k` of at least 1.
    pub fn new(k: usize) -> Self {
        Self {
            k: k.max(1),
            correct: 0,
            samples: 0,
        }
    }
}

impl Metric for TopK {
    fn name(&self) -> String {
        format!("top{}_accuracy", self.k)
    }

    fn update(&mut self, output: &Output) -> Result<()> {
        let (scores, labels) = rows(output)?;
        for (row, &label) in scores.iter().zip(&labels) {
            let label = label as usize;
            let is_ahead = |class: &usize| match rank(row[*class], row[label]) {
                Ordering::Greater => true,
                Ordering::Equal => *class < label,
                Ordering::Less => false,
            };
            let place = (0..row.len()).filter(is_ahead).count();
            self.correct += u64::from(place < self.k);
        }
        self.samples += labels.len() as u64;
        Ok(())
    }

    fn value(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    fn reset(&mut self) {
        *self = Self::new(self.k);
    }

    state_by_serde!(|own, loaded| own.k == loaded.k);
}

/// Counts of (target, prediction) pairs; its figure is macro F1, the mean over classes of
/// `2 TP / (2 TP + FP + FN)`, a class that never occurs counting 0 as in scikit-learn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// How often samples of class `target` were taken for class `prediction`.
    pub fn count(&self, target: usize, prediction: usize) -> u64 {
        self.counts
            .get(target * self.classes + prediction)
            .copied()
            .unwrap_or(0)
    }

    /// Precision, recall and F1 of a class; 0 where undefined.
    pub fn scores(&self, class: usize) -> (f64, f64, f64) {
        let hits = self.count(class, class) as f64;
        let actual: u64 = (0..self.classes).map(|p| self.count(class, p)).sum();
        let predicted: u64 = (0..self.classes).map(|t| self.count(t, class)).sum();
        let share = |whole: f64| if whole > 0.0 { hits / whole } else { 0.0 };
        let f1 = share((actual + predicted) as f64 / 2.0);
        (share(predicted as f64), share(actual as f64), f1)
    }
}

impl Metric for ConfusionMatrix {
    fn name(&self) -> String {
        "macro_f1".to_owned()
    }

    fn update(&mut self, output: &Output) -> Result<()> {
        let (scores, labels) = rows(output)?;
        for (row, label) in scores.iter().zip(labels) {
            let (label, prediction) = (label as usize, argmax(row));
            if label >= self.classes || prediction >= self.classes {
                bail!(
                    "confusion matrix of {} classes got target {label}, prediction {prediction}",
                    self.classes
                );
            }
            self.counts[label * self.classes + prediction] += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        if self.counts.iter().all(|&count| count == 0) {
            return f64::NAN;
        }
        let total: f64 = (0..self.classes).map(|class| self.scores(class).2).sum();
        total / self.classes as f64
    }

    fn details(&self) -> Option<Value> {
        let row =
            |target| -> Vec<u64> { (0..self.classes).map(|p| self.count(target, p)).collect() };
        let class = |class| {
            let (precision, recall, f1) = self.scores(class);
            json!({"precision": precision, "recall": recall, "f1": f1})
        };
        Some(json!({
            "confusion_matrix": (0..self.classes).map(row).collect::<Vec<_>>(),
            "classes": (0..self.classes).map(class).collect::<Vec<_>>(),
        }))
    }

    fn reset(&mut self) {
        *self = Self::new(self.classes);
    }

    state_by_serde!(|own, loaded| {
        own.classes == loaded.classes && own.counts.len() == loaded.counts.len()
    });
}
