//! Settings that every recipe has, and the checks they share.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes from epoch to epoch, `e` of `E`, counted with fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// Times `decay` at each epoch's start, beginning after `decay_after` epochs.
    Step,
    /// Constant for `decay_after` epochs, then in a straight line to `decay` at the end.
    Linear,
    /// Constant for `decay_after` epochs, then along half a cosine to `decay` at the end.
    Cosine,
}

impl Schedule {
    /// The factor on the learning rate at `epoch` of `epochs`.
    fn factor(self, epoch: f64, epochs: f64, after: f64, decay: f64) -> f64 {
        let done = ((epoch - after) / (epochs - after).max(1e-9)).clamp(0.0, 1.0);
        match self {
            Self::Constant => 1.0,
            Self::Step => decay.powf((epoch.floor() + 1.0 - after).max(0.0)),
            Self::Linear => 1.0 + (decay - 1.0) * done,
            Self::Cosine => {
                decay + (1.0 - decay) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}

/// How parameters are updated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimSettings {
    /// `adam`, the default, `adamw` or `sgd`.
    pub name: String,
    /// Learning rate, above 0; default 1e-3.
    pub lr: f64,
    /// Momentum of `sgd`, in `[0, 1)`; default 0.
    pub momentum: f64,
    /// Weight decay, 0 or more: coupled for `adam` and `sgd`, decoupled for `adamw`; default 0.
    pub weight_decay: f64,
    /// Largest total norm of the gradients; 0, the default, for no limit.
    pub clip_norm: f64,
    /// Epochs in which the learning rate grows in a straight line from nearly 0, counted with
    /// fractions, whatever the schedule; default 0.
    pub warmup: f64,
    /// How the learning rate changes; default not at all.
    pub schedule: Schedule,
    /// Epochs before it does; default 0.
    pub decay_after: usize,
    /// Its factor, in `[0, 1]`: of each further epoch in `step`, at the end in `linear` and `cosine`;
    /// default 0.
    pub decay: f64,
}

/// How long, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Passes over the training set, at least 1; default 5.
    pub epochs: usize,
    /// Samples a step, at least 1; of one long text, streams; default 32.
    pub batch_size: usize,
    /// Fixes initialisation, order, dropout, and the embedded data; default 42.
    pub seed: u64,
    /// Epochs without improvement on the validation set before the end; 0, the default, for never.
    pub patience: usize,
    /// Steps between checkpoints, besides one an epoch; 0, the default, for none.
    pub save_every: u64,
    /// Batches of an epoch to train on; 0, the default, for all.
    pub limit_batches: usize,
    /// `cpu`, the default, `cuda`, `cuda:N`, `metal`, `metal:N` or `auto`.
    pub device: String,
    /// Threads for kernels; 0, the default, for one a processor.
    pub threads: usize,
}

impl Default for OptimSettings {
    fn default() -> Self {
        Self {
            name: "adam".to_owned(),
            lr: 1e-3,
            momentum: 0.0,
            weight_decay: 0.0,
            clip_norm: 0.0,
            warmup: 0.0,
            schedule: Schedule::Constant,
            decay_after: 0,
            decay: 0.0,
        }
    }
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch_size: 32,
            seed: 42,
            patience: 0,
            save_every: 0,
            limit_batches: 0,
            device: "cpu".to_owned(),
            threads: 0,
        }
    }
}

impl OptimSettings {
    /// The factor on the learning rate at a step, of `epochs` of `steps` steps each.
    pub(crate) fn factor(&self, step: u64, epochs: usize, steps: usize) -> f64 {
        let (steps, after) = (steps.max(1) as f64, self.decay_after as f64);
        let warmup = (self.warmup * steps).max(1.0);
        let grown = ((step as f64 + 1.0) / warmup).min(1.0);
        let epoch = step as f64 / steps;
        grown
            * self
                .schedule
                .factor(epoch, epochs as f64, after, self.decay)
    }

    /// Checks names and ranges.
    pub(crate) fn validate(&self) -> Result<()> {
        one_of("optim.name", &self.name, &["adam", "adamw", "sgd"])?;
        let positive = self.lr > 0.0 && self.lr.is_finite();
        check(positive, "optim.lr", &self.lr, "a positive number")?;
        share("optim.momentum", self.momentum)?;
        at_least_0("optim.weight_decay", self.weight_decay)?;
        at_least_0("optim.clip_norm", self.clip_norm)?;
        at_least_0("optim.warmup", self.warmup)?;
        probability("optim.decay", self.decay)?;
        let moved = self.momentum == 0.0 || self.name == "sgd";
        let range = format!("0 for {}, which has its own", self.name);
        check(moved, "optim.momentum", &self.momentum, &range)?;
        let goes_on = self.decay > 0.0 || self.schedule != Schedule::Step;
        check(
            goes_on,
            "optim.decay",
            &self.decay,
            "above 0 for the schedule step",
        )
    }
}

impl TrainSettings {
    /// Steps of an epoch that has this many batches.
    pub(crate) fn steps(&self, batches: usize) -> usize {
        match self.limit_batches {
            0 => batches,
            limit => batches.min(limit),
        }
    }

    /// Checks ranges; `validated` tells whether there is a validation set to watch, and
    /// `else_range` what patience must be if there is none.
    pub(crate) fn validate(&self, validated: bool, else_range: &str) -> Result<()> {
        at_least_1("train.epochs", self.epochs)?;
        at_least_1("train.batch_size", self.batch_size)?;
        let can_stop = self.patience == 0 || validated;
        check(can_stop, "train.patience", &self.patience, else_range)
    }
}

/// [`Error::Config`] naming key, range and value, unless `ok`.
pub(crate) fn check(ok: bool, key: &str, value: &dyn Display, range: &str) -> Result<()> {
    if ok {
        return Ok(());
    }
    Err(Error::Config(format!("{key} must be {range}, got {value}")))
}

pub(crate) fn one_of(key: &str, value: &str, known: &[&str]) -> Result<()> {
    let (last, others) = known.split_last().unwrap_or((&"", &[]));
    let range = format!("{} or {last}", others.join(", "));
    check(known.contains(&value), key, &value, &range)
}

pub(crate) fn at_least_1(key: &str, value: usize) -> Result<()> {
    check(value > 0, key, &value, "at least 1")
}

pub(crate) fn at_least_0(key: &str, value: f64) -> Result<()> {
    check(value >= 0.0 && value.is_finite(), key, &value, "0 or more")
}

/// In `[0, 1)`.
pub(crate) fn share(key: &str, value: f64) -> Result<()> {
    check((0.0..1.0).contains(&value), key, &value, "in [0, 1)")
}

/// In `[0, 1]`.
pub(crate) fn probability(key: &str, value: f64) -> Result<()> {
    check((0.0..=1.0).contains(&value), key, &value, "in [0, 1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: Schedule, epochs: f64, after: f64, decay: f64, at: &[f64]) -> Vec<f64> {
        let factor = |&epoch: &f64| schedule.factor(epoch, epochs, after, decay);
        at.iter().map(factor).collect()
    }

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let pairs = found.iter().zip(expected);
        let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-12, "{found:?} {expected:?}");
    }

    /// Zaremba's small network: rate 1 for 4 epochs, then halved at the start of each.
    #[test]
    fn steps_begin_after_the_first_epochs_and_hold_for_an_epoch() {
        let epochs: Vec<f64> = (0..13).map(f64::from).collect();
        let expected: Vec<f64> = (0..13).map(|e| 0.5f64.powi((e - 3).max(0))).collect();
        near(&factors(Schedule::Step, 13.0, 4.0, 0.5, &epochs), &expected);
        near(&expected[3..6], &[1.0, 0.5, 0.25]);
        let within = factors(
            Schedule::Step,
            13.0,
            4.0,
            0.5,
            &[3.999, 4.0, 4.5, 4.999, 5.0],
        );
        near(&within, &[1.0, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn lines_and_cosines_run_from_the_first_epochs_to_the_end() {
        let at = [0.0, 2.0, 4.0, 5.0, 6.0, 7.0];
        let linear = factors(Schedule::Linear, 6.0, 2.0, 0.2, &at);
        near(&linear, &[1.0, 1.0, 0.6, 0.4, 0.2, 0.2]);
        let cosine = factors(Schedule::Cosine, 6.0, 2.0, 0.2, &at);
        let eighth = 0.2 + 0.4 * (1.0 - std::f64::consts::FRAC_1_SQRT_2);
        near(&cosine, &[1.0, 1.0, 0.6, eighth, 0.2, 0.2]);
        near(&factors(Schedule::Constant, 6.0, 2.0, 0.2, &at), &[1.0; 6]);
        // A constant start as long as the run is no division by 0.
        let all = factors(Schedule::Linear, 3.0, 3.0, 0.0, &[0.0, 2.9, 3.0]);
        near(&all, &[1.0, 1.0, 1.0]);
    }

    #[test]
    fn rates_grow_in_the_first_epochs_whatever_follows() {
        let settings = OptimSettings {
            warmup: 0.5,
            schedule: Schedule::Linear,
            decay_after: 1,
            ..OptimSettings::default()
        };
        let factors = |settings: &OptimSettings, steps: &[u64]| -> Vec<f64> {
            let all = steps.iter();
            all.map(|&step| settings.factor(step, 3, 8)).collect()
        };
        // Half an epoch of 8 steps; then from epoch 1 to 3 in a line to 0.
        let expected = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.0];
        near(&factors(&settings, &[0, 1, 2, 3, 4, 8, 16, 24]), &expected);
        near(&factors(&OptimSettings::default(), &[0, 5]), &[1.0, 1.0]);
    }
}
