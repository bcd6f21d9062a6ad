//! Everything that decides a run of the recipe, as written in `config.toml`.

use serde::{Deserialize, Serialize};

use super::network::PRESETS;
use crate::error::{Error, Result};

/// All settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The network.
    pub model: ModelSettings,
    /// The data.
    pub data: DataSettings,
    /// The optimizer.
    pub optim: OptimSettings,
    /// The loop.
    pub train: TrainSettings,
}

/// Which network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// `mission`, `lenet5` or `dropout`.
    pub preset: String,
}

/// Which data, and how they are fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `digits` for the embedded digits, or a folder of IDX files.
    pub source: String,
    /// Embedded digits to train on.
    pub train_samples: usize,
    /// Embedded digits to test on.
    pub test_samples: usize,
    /// Share of the training set held out for validation, in `[0, 1)`; 0 for none.
    pub val_fraction: f64,
    /// Threads that load ahead; 0 loads in the training thread.
    pub workers: usize,
}

/// How parameters are updated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimSettings {
    /// `adam`, `adamw` or `sgd`.
    pub name: String,
    /// Learning rate.
    pub lr: f64,
    /// Momentum of `sgd`, in `[0, 1)`.
    pub momentum: f64,
    /// Weight decay: coupled for `adam` and `sgd`, decoupled for `adamw`.
    pub weight_decay: f64,
    /// Largest total norm of the gradients; 0 for no limit.
    pub clip_norm: f64,
}

/// How long, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Passes over the training set.
    pub epochs: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// Fixes initialisation, order, dropout, and the embedded data.
    pub seed: u64,
    /// Epochs without improvement of the validation loss before the end; 0 for never.
    pub patience: usize,
    /// Steps between checkpoints, besides one an epoch; 0 for none.
    pub save_every: u64,
    /// Batches of an epoch to train on; 0 for all.
    pub limit_batches: usize,
    /// `cpu`, `cuda`, `cuda:N`, `metal` or `auto`.
    pub device: String,
    /// Threads for kernels; 0 for one a processor.
    pub threads: usize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            preset: PRESETS[0].to_owned(),
        }
    }
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            source: "digits".to_owned(),
            train_samples: 20_000,
            test_samples: 4_000,
            val_fraction: 0.0,
            workers: 1,
        }
    }
}

impl Default for OptimSettings {
    fn default() -> Self {
        Self {
            name: "adam".to_owned(),
            lr: 1e-3,
            momentum: 0.0,
            weight_decay: 0.0,
            clip_norm: 0.0,
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

impl Settings {
    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// [`Error::Config`], naming the key, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let (data, optim, train) = (&self.data, &self.optim, &self.train);
        let check = |ok: bool, key: &str, value: &dyn std::fmt::Display, range: &str| {
            if ok {
                return Ok(());
            }
            Err(Error::Config(format!("{key} must be {range}, got {value}")))
        };
        let preset = self.model.preset.as_str();
        check(
            PRESETS.contains(&preset),
            "model.preset",
            &preset,
            "mission, lenet5 or dropout",
        )?;
        check(
            data.train_samples > 0,
            "data.train_samples",
            &data.train_samples,
            "at least 1",
        )?;
        check(
            data.test_samples > 0,
            "data.test_samples",
            &data.test_samples,
            "at least 1",
        )?;
        let fraction = data.val_fraction;
        check(
            (0.0..1.0).contains(&fraction),
            "data.val_fraction",
            &fraction,
            "in [0, 1)",
        )?;
        check(
            data.workers <= 64,
            "data.workers",
            &data.workers,
            "at most 64",
        )?;
        let name = optim.name.as_str();
        check(
            ["adam", "adamw", "sgd"].contains(&name),
            "optim.name",
            &name,
            "adam, adamw or sgd",
        )?;
        let positive = optim.lr > 0.0 && optim.lr.is_finite();
        check(positive, "optim.lr", &optim.lr, "a positive number")?;
        check(
            (0.0..1.0).contains(&optim.momentum),
            "optim.momentum",
            &optim.momentum,
            "in [0, 1)",
        )?;
        let at_least_0 = |value: f64| value >= 0.0 && value.is_finite();
        check(
            at_least_0(optim.weight_decay),
            "optim.weight_decay",
            &optim.weight_decay,
            "0 or more",
        )?;
        check(
            at_least_0(optim.clip_norm),
            "optim.clip_norm",
            &optim.clip_norm,
            "0 or more",
        )?;
        check(
            train.epochs > 0,
            "train.epochs",
            &train.epochs,
            "at least 1",
        )?;
        check(
            train.batch_size > 0,
            "train.batch_size",
            &train.batch_size,
            "at least 1",
        )?;
        let can_stop = train.patience == 0 || fraction > 0.0;
        let with_validation =
            "0 unless data.val_fraction is set, because it watches the validation loss";
        check(can_stop, "train.patience", &train.patience, with_validation)
    }
}
