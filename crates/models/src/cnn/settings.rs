//! Everything that decides a run of the recipe, as written in `config.toml`.

use serde::{Deserialize, Serialize};

use super::network::PRESETS;
use crate::error::Result;
use crate::recipe::{self, OptimSettings, TrainSettings, at_least_1, check, one_of, share};

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
    /// `mission`, the default, `lenet5` or `dropout`.
    pub preset: String,
}

/// Which data, and how they are fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `digits` for the embedded digits, or a folder of IDX files.
    pub source: String,
    /// Embedded digits to train on, at least 1; default 20,000.
    pub train_samples: usize,
    /// Embedded digits to test on, at least 1; default 4,000.
    pub test_samples: usize,
    /// Share of the training set held out for validation, in `[0, 1)`; 0, the default, for none.
    pub val_fraction: f64,
    /// Threads that load ahead, at most 64; 0 loads in the training thread; default 1.
    pub workers: usize,
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

impl recipe::Settings for Settings {
    const PRESETS: &'static [&'static str] = &PRESETS;
    const EMBEDDED: &'static [&'static str] = &["digits"];

    fn preset(name: &str) -> Result<Self> {
        one_of("model.preset", name, &PRESETS)?;
        let mut settings = Self::default();
        name.clone_into(&mut settings.model.preset);
        Ok(settings)
    }

    fn validate(&self) -> Result<()> {
        let data = &self.data;
        one_of("model.preset", &self.model.preset, &PRESETS)?;
        at_least_1("data.train_samples", data.train_samples)?;
        at_least_1("data.test_samples", data.test_samples)?;
        share("data.val_fraction", data.val_fraction)?;
        check(
            data.workers <= 64,
            "data.workers",
            &data.workers,
            "at most 64",
        )?;
        self.optim.validate()?;
        let with_validation =
            "0 unless data.val_fraction is set, because it watches the validation loss";
        self.train
            .validate(data.val_fraction > 0.0, with_validation)
    }

    fn train(&self) -> &TrainSettings {
        &self.train
    }

    fn train_mut(&mut self) -> &mut TrainSettings {
        &mut self.train
    }

    fn source(&self) -> &str {
        &self.data.source
    }

    fn source_mut(&mut self) -> &mut String {
        &mut self.data.source
    }
}
