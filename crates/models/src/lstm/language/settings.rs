//! Everything that decides a run of the language model, as written in `config.toml`.

use mapsto_data::{Encoding, Unit};
use serde::{Deserialize, Serialize};

use super::network::LanguageDropout;
use super::presets::{PRESETS, preset};
use crate::cell::Cell;
use crate::error::Result;
use crate::recipe::{
    self, OptimSettings, TrainSettings, at_least_0, at_least_1, check, one_of, probability,
};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The network.
    pub model: ModelSettings,
    /// Its dropout.
    pub dropout: LanguageDropout,
    /// The text.
    pub data: DataSettings,
    /// The optimizer.
    pub optim: OptimSettings,
    /// The loop.
    pub train: TrainSettings,
}

/// Which network. Defaults are those of the preset `grammar`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Where the other settings started.
    pub preset: String,
    /// `lstm`, the default, `gru` or `rnn`.
    pub cell: Cell,
    /// Size of the embedding, at least 1; default 64.
    pub embedding: usize,
    /// Units of each layer, at least 1; default 64. With tied weights and no mixture the last layer has as
    /// many as the embedding.
    pub hidden: usize,
    /// Number of layers, at least 1; default 1.
    pub layers: usize,
    /// Whether the softmax uses the embedding's weights; default no.
    pub tied: bool,
    /// Softmaxes in the mixture, at least 1; 1, the default, for the plain softmax.
    pub mixture: usize,
    /// All parameters start uniform within this bound; 0, the default, for PyTorch's rules.
    pub init: f64,
    /// The embedding starts uniform within this bound, and the biases of the softmax at 0; 0, the
    /// default, for the rule of the others.
    pub init_embedding: f64,
    /// Weight of the activation regularisation, 0 or more; default 0.
    pub alpha: f64,
    /// Weight of the temporal activation regularisation, 0 or more; default 0.
    pub beta: f64,
    /// Epochs without a lower validation loss after which the parameters are averaged over the
    /// steps, and the average is what is kept (NT-ASGD); 0, the default, for no average.
    pub average: usize,
}

/// Which text, and how it is fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `grammar` for the embedded language, or a text file or folder.
    pub source: String,
    /// `word`, the default, or `char`.
    pub unit: Unit,
    /// `utf8`, the default, `latin1` or `windows-1252`.
    pub encoding: Encoding,
    /// Sentences of the embedded language to train on, at least 1; default 20,000. A tenth as many
    /// are written for each of the other parts.
    pub train_sentences: usize,
    /// Tokens that are rarer are unknown; default 1, but 2 where the other parts have tokens that the train
    /// part lacks, and it has no unknown ones of its own.
    pub min_count: usize,
    /// Largest vocabulary; 0, the default, for no limit.
    pub max_vocab: usize,
    /// Steps of a window, at least 1; default 35.
    pub seq_len: usize,
}

impl Default for Settings {
    fn default() -> Self {
        preset(PRESETS[0])
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            preset: PRESETS[0].to_owned(),
            cell: Cell::Lstm,
            embedding: 64,
            hidden: 64,
            layers: 1,
            tied: false,
            mixture: 1,
            init: 0.0,
            init_embedding: 0.0,
            alpha: 0.0,
            beta: 0.0,
            average: 0,
        }
    }
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            source: "grammar".to_owned(),
            unit: Unit::Word,
            encoding: Encoding::Utf8,
            train_sentences: 20_000,
            min_count: 1,
            max_vocab: 0,
            seq_len: 35,
        }
    }
}

impl recipe::Settings for Settings {
    const PRESETS: &'static [&'static str] = &PRESETS;
    const EMBEDDED: &'static [&'static str] = &["grammar"];

    fn preset(name: &str) -> Result<Self> {
        one_of("model.preset", name, &PRESETS)?;
        Ok(preset(name))
    }

    fn validate(&self) -> Result<()> {
        let (model, data) = (&self.model, &self.data);
        one_of("model.preset", &model.preset, &PRESETS)?;
        at_least_1("model.embedding", model.embedding)?;
        at_least_1("model.hidden", model.hidden)?;
        at_least_1("model.layers", model.layers)?;
        at_least_1("model.mixture", model.mixture)?;
        at_least_0("model.init", model.init)?;
        at_least_0("model.init_embedding", model.init_embedding)?;
        at_least_0("model.alpha", model.alpha)?;
        at_least_0("model.beta", model.beta)?;
        at_least_1("data.train_sentences", data.train_sentences)?;
        at_least_1("data.seq_len", data.seq_len)?;
        let room = data.max_vocab != 1;
        check(room, "data.max_vocab", &1, "0, or at least 2")?;
        let bound = model.tied && model.mixture == 1 && model.layers == 1;
        let fits = !bound || model.hidden == model.embedding;
        let range = format!(
            "model.embedding, {}, of a single tied layer",
            model.embedding
        );
        check(fits, "model.hidden", &model.hidden, &range)?;
        probability("dropout.words", self.dropout.words)?;
        probability("dropout.input", self.dropout.input)?;
        probability("dropout.hidden", self.dropout.hidden)?;
        probability("dropout.output", self.dropout.output)?;
        probability("dropout.weight", self.dropout.weight)?;
        self.optim.validate()?;
        self.train.validate(true, "0 or more")
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
