//! Everything that decides a run of the text classifier, as written in `config.toml`.

use mapsto_data::Encoding;
use serde::{Deserialize, Serialize};

use super::network::Encoder;
use crate::error::Result;
use crate::recipe::{
    self, OptimSettings, TrainSettings, at_least_0, at_least_1, check, one_of, probability, share,
};

/// Names of the presets, the default first.
pub const PRESETS: [&str; 2] = ["lstm", "cnn"];

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The network.
    pub model: ModelSettings,
    /// The texts.
    pub data: DataSettings,
    /// The optimizer.
    pub optim: OptimSettings,
    /// The loop.
    pub train: TrainSettings,
}

/// Which network. Defaults are those of the preset `lstm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// `lstm` or `cnn`.
    pub preset: String,
    /// Size of a word's vector, at least 1; default 128.
    pub embedding: usize,
    /// Units of the LSTM, in each direction; filters of each kernel of the CNN; at least 1, default 96.
    pub hidden: usize,
    /// Layers of the LSTM, at least 1; default 1.
    pub layers: usize,
    /// Word vectors start uniform within this bound, 0 or more; default 0.25.
    pub init: f64,
    /// Dropout of the embedded words, in `[0, 1]`; default 0.25.
    pub input_dropout: f64,
    /// Dropout before the softmax, in `[0, 1]`; default 0.5.
    pub dropout: f64,
}

/// Which texts, and how they are fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `sentiment` for the embedded opinions, or a table or folder of labelled texts.
    pub source: String,
    /// The column of texts; empty for the first that has one of the usual names.
    pub text_column: String,
    /// The column of classes; empty for the first that has one of the usual names.
    pub label_column: String,
    /// `utf8`, the default, `latin1` or `windows-1252`.
    pub encoding: Encoding,
    /// Embedded opinions to train on, at least 2; default 8,000.
    pub train_samples: usize,
    /// Embedded opinions to test on, at least 1; default 2,000.
    pub test_samples: usize,
    /// Parts that texts without a test part of their own are dealt into, for cross-validation; at
    /// least 2, default 10.
    pub folds: usize,
    /// Which of them is the test part, from 0, the default; 0 for texts that have one.
    pub fold: usize,
    /// Share of the training part held out to choose the best epoch, in `[0, 1)`; default 0.1.
    pub val_fraction: f64,
    /// Words that are rarer are unknown; default 2.
    pub min_count: usize,
    /// Words of a text that are read, at least 1; default 400.
    pub max_len: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: ModelSettings::default(),
            data: DataSettings::default(),
            optim: OptimSettings {
                lr: 2e-3,
                ..OptimSettings::default()
            },
            train: TrainSettings {
                epochs: 8,
                batch_size: 50,
                ..TrainSettings::default()
            },
        }
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            preset: PRESETS[0].to_owned(),
            embedding: 128,
            hidden: 96,
            layers: 1,
            init: 0.25,
            input_dropout: 0.25,
            dropout: 0.5,
        }
    }
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            source: "sentiment".to_owned(),
            text_column: String::new(),
            label_column: String::new(),
            encoding: Encoding::Utf8,
            train_samples: 8_000,
            test_samples: 2_000,
            folds: 10,
            fold: 0,
            val_fraction: 0.1,
            min_count: 2,
            max_len: 400,
        }
    }
}

impl ModelSettings {
    /// The part between embedding and softmax.
    pub(super) fn encoder(&self) -> Encoder {
        if self.preset == "cnn" {
            return Encoder::Cnn {
                kernels: vec![3, 4, 5],
                filters: self.hidden,
            };
        }
        Encoder::Lstm {
            hidden: self.hidden,
            layers: self.layers,
        }
    }
}

impl recipe::Settings for Settings {
    const PRESETS: &'static [&'static str] = &PRESETS;
    const EMBEDDED: &'static [&'static str] = &["sentiment"];

    fn preset(name: &str) -> Result<Self> {
        one_of("model.preset", name, &PRESETS)?;
        let mut settings = Self::default();
        if name == "cnn" {
            settings.model = ModelSettings {
                preset: name.to_owned(),
                embedding: 300,
                hidden: 100,
                input_dropout: 0.2,
                ..settings.model
            };
            settings.optim.lr = 5e-4;
        }
        Ok(settings)
    }

    fn validate(&self) -> Result<()> {
        let (model, data) = (&self.model, &self.data);
        one_of("model.preset", &model.preset, &PRESETS)?;
        at_least_1("model.embedding", model.embedding)?;
        at_least_1("model.hidden", model.hidden)?;
        at_least_1("model.layers", model.layers)?;
        at_least_0("model.init", model.init)?;
        probability("model.input_dropout", model.input_dropout)?;
        probability("model.dropout", model.dropout)?;
        let samples = data.train_samples;
        check(samples >= 2, "data.train_samples", &samples, "at least 2")?;
        at_least_1("data.test_samples", data.test_samples)?;
        at_least_1("data.max_len", data.max_len)?;
        let folds = data.folds;
        check(folds >= 2, "data.folds", &folds, "at least 2")?;
        let below = format!("below data.folds, {folds}");
        check(data.fold < folds, "data.fold", &data.fold, &below)?;
        share("data.val_fraction", data.val_fraction)?;
        self.optim.validate()?;
        let with_validation =
            "0 unless data.val_fraction is set, because it watches the validation accuracy";
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
