//! Everything that decides a run of the translator, as written in `config.toml`.

use mapsto_data::numbers::{Kind, Language};
use mapsto_data::{Encoding, PairFilter, TokenizerKind};
use serde::{Deserialize, Serialize};

use super::network::AttentionKind;
use crate::cell::Cell;
use crate::error::Result;
use crate::recipe::{
    self, OptimSettings, Schedule, TrainSettings, at_least_0, at_least_1, check, one_of,
    probability,
};

/// Names of the presets, the default first.
pub const PRESETS: [&str; 3] = ["numbers", "multi30k", "multi30k-transformer"];

/// All settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The network.
    pub model: ModelSettings,
    /// The pairs.
    pub data: DataSettings,
    /// Which train pairs are kept, and the form of all texts.
    pub filter: PairFilter,
    /// How translations are searched.
    pub search: SearchSettings,
    /// The optimizer.
    pub optim: OptimSettings,
    /// The loop.
    pub train: TrainSettings,
}

/// Which network. Defaults are those of the preset `numbers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// The preset that the settings began as.
    pub preset: String,
    /// `recurrent`, the default, or `transformer`.
    pub architecture: Architecture,
    /// `gru`, the default, or `lstm`, of a recurrent network.
    pub cell: Cell,
    /// `none`, `additive`, `dot`, `general` or `concat`, of a recurrent network; default `additive`.
    pub attention: AttentionKind,
    /// Whether additive attention knows where it has looked before; default no.
    pub coverage: bool,
    /// Whether additive attention looks back after each step, with the word it has read, and what it
    /// finds enters the next; else, which is the default, it looks before.
    pub input_feeding: bool,
    /// Size of the embeddings, at least 1; of a Transformer, of every place; default 64.
    pub embedding: usize,
    /// Units of a recurrent encoder in each direction, at least 1; default 64.
    pub encoder_hidden: usize,
    /// Units of a recurrent decoder, at least 1; of a Transformer, between the two maps of each layer;
    /// default 128.
    pub hidden: usize,
    /// Units of additive and concat attention, at least 1; default 64.
    pub attention_size: usize,
    /// Layers of a Transformer's encoder, and of its decoder, at least 1; default 3.
    pub layers: usize,
    /// Heads of a Transformer, at least 1; default 4.
    pub heads: usize,
    /// Dropout, in `[0, 1]`: of embeddings and readout, or of every part of a Transformer; default 0.
    pub dropout: f64,
    /// Share of each word that is spread over all while training, in `[0, 1]`; default 0.
    #[doc(alias = "label_smoothing")]
    pub smoothing: f64,
    /// Share of the words in front of each that are the right ones in the last epoch, in `[0, 1]`;
    /// it falls to that in a straight line from 1 in the first. The others are the network's own.
    /// Default 1.
    pub teacher_forcing: f64,
}

/// Which kind of network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// A recurrent encoder and decoder.
    #[default]
    Recurrent,
    /// A Transformer's.
    Transformer,
}

/// Which pairs, and how they are cut into pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `numbers` for the embedded pairs, a table, a folder with files for each language, or the
    /// file to translate from where `target` is that to translate to.
    pub source: String,
    /// The file of translations, a line for each of `source`; empty for a table or folder.
    pub target: String,
    /// What the files to translate end in, such as `de`; or a table's column.
    pub source_language: String,
    /// What the files of translations end in; or a table's column. Of `numbers` `french`, which is
    /// the default, `german` or `chinese`.
    pub target_language: String,
    /// The test set of a folder that has several; empty for the usual one.
    pub test: String,
    /// `utf8`, the default, `latin1` or `windows-1252`.
    pub encoding: Encoding,
    /// `numbers`, the default, `dates` or `both`, of the embedded pairs.
    pub kind: Kind,
    /// Embedded pairs to train on, at least 1; default 30,000.
    pub train_samples: usize,
    /// Embedded pairs to choose the best epoch by, at least 1; default 500.
    pub valid_samples: usize,
    /// Embedded pairs to test on, at least 1; default 2,000.
    pub test_samples: usize,
    /// Share of the training part held out for validation, and again for the test, where the
    /// source has no such part: its last pairs; in `[0, 0.5)`, default 0.02.
    pub held_out: f64,
    /// How the pieces of words are found: `bpe`, `wordpiece`, `unigram`, or `word` for whole words,
    /// of which unknown ones are copied where the network looks back; default `bpe`.
    pub tokenizer: TokenizerKind,
    /// Whether both languages have their pieces together, which is the default, or each its own.
    pub joint: bool,
    /// Pieces that are learned, special ones included; default 320.
    pub vocab_size: usize,
    /// Pieces that are rarer are not learned; default 2.
    pub min_frequency: u64,
}

/// How translations are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchSettings {
    /// Beginnings that are kept, at least 1; 1, the default, for the greedy search.
    pub beam: usize,
    /// Strength of the preference for long translations, 0 or more; default 1.
    pub length_penalty: f64,
    /// Strength of the preference for translations that look at all of their source, 0 or more;
    /// default 0.
    pub coverage_penalty: f64,
    /// Most pieces of a translation, at least 1; default 100.
    pub max_len: usize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            preset: PRESETS[0].to_owned(),
            architecture: Architecture::Recurrent,
            cell: Cell::Gru,
            attention: AttentionKind::Additive,
            coverage: false,
            input_feeding: false,
            embedding: 64,
            encoder_hidden: 64,
            hidden: 128,
            attention_size: 64,
            layers: 3,
            heads: 4,
            dropout: 0.0,
            smoothing: 0.0,
            teacher_forcing: 1.0,
        }
    }
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            source: "numbers".to_owned(),
            target: String::new(),
            source_language: String::new(),
            target_language: String::new(),
            test: String::new(),
            encoding: Encoding::Utf8,
            kind: Kind::Numbers,
            train_samples: 30_000,
            valid_samples: 500,
            test_samples: 2_000,
            held_out: 0.02,
            tokenizer: TokenizerKind::Bpe,
            joint: true,
            vocab_size: 320,
            min_frequency: 2,
        }
    }
}

impl DataSettings {
    /// What numbers are translated to.
    pub(super) fn language(&self) -> Result<Language> {
        Ok(match self.target_language.as_str() {
            "" => Language::French,
            name => name.parse()?,
        })
    }
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            beam: 1,
            length_penalty: 1.0,
            coverage_penalty: 0.0,
            max_len: 100,
        }
    }
}

impl recipe::Settings for Settings {
    const PRESETS: &'static [&'static str] = &PRESETS;
    const EMBEDDED: &'static [&'static str] = &["numbers"];

    fn preset(name: &str) -> Result<Self> {
        one_of("model.preset", name, &PRESETS)?;
        let mut settings = Self::default();
        name.clone_into(&mut settings.model.preset);
        settings.optim = OptimSettings {
            lr: 2e-3,
            clip_norm: 1.0,
            schedule: Schedule::Cosine,
            ..OptimSettings::default()
        };
        settings.train = TrainSettings {
            epochs: 8,
            batch_size: 64,
            ..TrainSettings::default()
        };
        // Small numbers come again and again, or they would be as rare as any other.
        settings.filter.drop_duplicates = name != "numbers";
        if name != "numbers" {
            multi30k(&mut settings);
        }
        if name == "multi30k-transformer" {
            settings.model.architecture = Architecture::Transformer;
            settings.model.hidden = 1024;
            settings.optim.warmup = 2.0;
            settings.optim.decay_after = 2;
            settings.train.epochs = 20;
        }
        Ok(settings)
    }

    fn validate(&self) -> Result<()> {
        let (model, data, search) = (&self.model, &self.data, &self.search);
        one_of("model.preset", &model.preset, &PRESETS)?;
        at_least_1("model.embedding", model.embedding)?;
        at_least_1("model.encoder_hidden", model.encoder_hidden)?;
        at_least_1("model.hidden", model.hidden)?;
        at_least_1("model.attention_size", model.attention_size)?;
        at_least_1("model.layers", model.layers)?;
        at_least_1("model.heads", model.heads)?;
        probability("model.teacher_forcing", model.teacher_forcing)?;
        probability("model.dropout", model.dropout)?;
        probability("model.smoothing", model.smoothing)?;
        at_least_1("data.train_samples", data.train_samples)?;
        at_least_1("data.valid_samples", data.valid_samples)?;
        at_least_1("data.test_samples", data.test_samples)?;
        let half = (0.0..0.5).contains(&data.held_out);
        check(half, "data.held_out", &data.held_out, "in [0, 0.5)")?;
        at_least_1("search.beam", search.beam)?;
        at_least_1("search.max_len", search.max_len)?;
        at_least_0("search.length_penalty", search.length_penalty)?;
        at_least_0("search.coverage_penalty", search.coverage_penalty)?;
        if data.source == "numbers" {
            data.language()?;
        }
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

    fn paths_mut(&mut self) -> Vec<&mut String> {
        vec![&mut self.data.source, &mut self.data.target]
    }
}

/// The network of the published size for thirty thousand pairs.
fn multi30k(settings: &mut Settings) {
    settings.model = ModelSettings {
        embedding: 256,
        encoder_hidden: 256,
        hidden: 512,
        input_feeding: true,
        attention_size: 512,
        dropout: 0.3,
        smoothing: 0.1,
        ..settings.model.clone()
    };
    settings.data = DataSettings {
        source: "multi30k".to_owned(),
        source_language: "de".to_owned(),
        target_language: "en".to_owned(),
        vocab_size: 8_000,
        ..settings.data.clone()
    };
    settings.search.beam = 5;
    settings.optim.lr = 1e-3;
    settings.optim.decay_after = 6;
    settings.train.epochs = 14;
}
