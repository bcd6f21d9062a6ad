//! What all recipes share: settings of the optimizer and the loop, one way to train, one report.
//!
//! An entry of the zoo brings [`Settings`] of its own and a [`Recipe`], which reads the data,
//! builds the network, and hands its [`Trainer`](mapsto_train::Trainer) to [`fit`].

mod fit;
mod optimizer;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mapsto_nn::Summary;
use mapsto_train::{Callback, Logs, RunFolder, StopReason};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

pub(crate) use fit::{Passes, fit, watched};
pub(crate) use optimizer::optimizer;
pub use settings::{OptimSettings, Schedule, TrainSettings};
pub(crate) use settings::{at_least_0, at_least_1, check, one_of, probability, share};

/// Everything that decides a run of a recipe, as written in `config.toml`.
pub trait Settings: Serialize + DeserializeOwned + Clone {
    /// Names of the presets, the default first.
    const PRESETS: &'static [&'static str];

    /// Names of data that need no files.
    const EMBEDDED: &'static [&'static str];

    /// The settings of a preset.
    ///
    /// # Errors
    /// When there is none of this name.
    fn preset(name: &str) -> Result<Self>;

    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), naming the key, its value and its range.
    fn validate(&self) -> Result<()>;

    /// How long, and with what.
    fn train(&self) -> &TrainSettings;

    /// The same, to change it.
    fn train_mut(&mut self) -> &mut TrainSettings;

    /// Where the data come from: one of [`EMBEDDED`](Self::EMBEDDED), or a path.
    fn source(&self) -> &str;

    /// The same, to change it.
    fn source_mut(&mut self) -> &mut String;

    /// All settings that may be paths.
    fn paths_mut(&mut self) -> Vec<&mut String> {
        vec![self.source_mut()]
    }
}

/// Settings, data and network, all checked before a run folder is made.
pub trait Recipe: Sized {
    /// What decides a run.
    type Settings: Settings;

    /// Name of its entry in the zoo.
    const NAME: &'static str;

    /// Checks the settings, reads the data and builds the network.
    ///
    /// # Errors
    /// When a setting is out of range, the data cannot be used, or the device is missing.
    fn new(settings: Self::Settings) -> Result<Self>;

    /// The table of layers.
    ///
    /// # Errors
    /// When the network cannot run.
    fn summary(&self) -> Result<Summary>;

    /// What the data are, as `data.json` has it.
    fn data(&self) -> Value;

    /// Refuses to go on with a run that learned from other data.
    ///
    /// # Errors
    /// When `data.json` of the run is missing or says otherwise.
    fn check_data(&self, run: &RunFolder) -> Result<()> {
        let path = run.file("data.json");
        let refused = |reason: String| {
            let path = path.display().to_string();
            Err(Error::Train(mapsto_train::Error::NotResumable {
                path,
                reason,
            }))
        };
        let stored = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let stored = stored.and_then(|text| content(&text).map_err(|error| error.to_string()));
        match stored {
            Err(error) => refused(format!(
                "{error}: without it nobody knows the data of the run"
            )),
            // Written and read likewise.
            Ok(stored) if content(&self.data().to_string()).is_ok_and(|now| now == stored) => {
                Ok(())
            }
            Ok(_) => refused(
                "the data are not those that the run began with: put them back as they were, or \
                 start a new run"
                    .to_owned(),
            ),
        }
    }

    /// Writes what the run consists of: data, environment, layers.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn record(&self, run: &RunFolder, program: &str) -> Result<()>;

    /// Trains in `run`, going on from its last checkpoint if `resume`, and tests the result.
    ///
    /// # Errors
    /// When a file cannot be written, the loss becomes undefined, or the checkpoint does not fit.
    fn train(self, run: &RunFolder, resume: bool, options: Options) -> Result<Report>;
}

/// What a `data.json` says about the data themselves: where it has a digest of all of them, not how
/// their files are packed.
fn content(text: &str) -> serde_json::Result<Value> {
    let mut data: Value = serde_json::from_str(text)?;
    if let Some(fields) = data.as_object_mut()
        && fields.contains_key("sha256")
    {
        fields.remove("files");
    }
    Ok(data)
}

/// What a caller adds to a run.
#[derive(Debug, Default)]
pub struct Options {
    /// Callbacks beside those of the recipe, such as progress.
    pub callbacks: Vec<Box<dyn Callback>>,
    /// Ends the run after the step under way once set.
    pub interrupt: Arc<AtomicBool>,
}

/// What was measured on one split.
pub type Measured = Logs;

/// The result of a run, stored as `result.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run folder.
    pub run: String,
    /// Figures by split: `train` and `val` of the last epoch, `test` of the finished model,
    /// where the data have a test part.
    pub metrics: BTreeMap<String, Measured>,
    /// Tables behind the test figures.
    pub details: BTreeMap<String, Value>,
    /// Epochs and steps that were trained.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds of this process.
    pub seconds: f64,
    /// Training samples a second in this process, validation and checkpoints included; of a text,
    /// tokens.
    pub samples_per_second: f64,
    /// Why training ended.
    pub stopped: StopReason,
    /// Fingerprint of the weights.
    pub weights_sha256: String,
}
