//! [`Recipe`]: trains a network as its settings say, into a run folder, resumable at any step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mapsto_data::{
    DataLoader, ImageCollate, ImageSet, SetInfo, Split, Subset, describe, digits, open,
    stratified_split,
};
use mapsto_nn::{Sequential, Summary, summary};
use mapsto_optim::{Adam, AdamW, IntoOptimizer, Optim, Optimizer, Rule, Sgd};
use mapsto_tensor::{DType, Device, ParamStore, parse_device};
use mapsto_train::{
    Accuracy, BestCheckpoint, Callback, ConfusionMatrix, Direction, EarlyStopping, Environment,
    Error as TrainError, JsonlLog, LastCheckpoint, Logs, Monitor, RunFolder, Scores, Snapshot,
    StopReason, TerminateOnNan, TopK, Trainer, weights_sha256,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::network::{CnnConfig, cnn};
use super::pipeline::{CnnPipeline, Description};
use super::settings::{OptimSettings, Settings};
use super::task::Classify;
use crate::error::{Error, Result};

type Loader = DataLoader<Subset<ImageSet>, ImageCollate>;

/// Settings, data and network, all checked before a run folder is made.
#[derive(Debug)]
pub struct Recipe {
    settings: Settings,
    info: SetInfo,
    train: Loader,
    validation: Option<Loader>,
    test: Loader,
    description: Description,
    store: ParamStore,
    model: Sequential,
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
    /// Figures by split: `train` and `val` of the last epoch, `test` of the finished model.
    pub metrics: BTreeMap<String, Measured>,
    /// Tables behind the test figures.
    pub details: BTreeMap<String, Value>,
    /// Epochs and steps that were trained.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds of this process.
    pub seconds: f64,
    /// Training samples a second in this process.
    pub samples_per_second: f64,
    /// Why training ended.
    pub stopped: StopReason,
    /// Fingerprint of the weights.
    pub weights_sha256: String,
}

impl Recipe {
    /// Checks the settings, reads the data and builds the network.
    ///
    /// # Errors
    /// When a setting is out of range, the data cannot be used, or the device is missing.
    pub fn new(settings: Settings) -> Result<Self> {
        settings.validate()?;
        let device = parse_device(&settings.train.device)?;
        let (train, test, info) = read(&settings)?;
        let description = Description {
            kind: "cnn".to_owned(),
            config: CnnConfig::preset(
                &settings.model.preset,
                train.height(),
                train.width(),
                train.class_names().len(),
            )
            .ok_or_else(|| Error::Config(format!("unknown preset {}", settings.model.preset)))?,
            class_names: train.class_names().to_vec(),
            data: info.name.clone(),
        };
        let store = ParamStore::new(DType::F32, &device).with_seed(settings.train.seed);
        let model = cnn(&description.config, store.root())?;
        let (train, validation) = split(train, &settings)?;
        let fraction = settings.data.val_fraction;
        let loader =
            |set: Subset<ImageSet>, shuffle: bool| loader(set, &settings, &device, shuffle);
        Ok(Self {
            train: loader(train, true)?,
            validation: if fraction > 0.0 {
                Some(loader(validation, false)?)
            } else {
                None
            },
            test: loader(whole(test)?, false)?,
            info,
            description,
            store,
            model,
            settings,
        })
    }

    /// The table of layers.
    ///
    /// # Errors
    /// When the network cannot run.
    pub fn summary(&self) -> Result<Summary> {
        let dims = self.description.config.input_dims();
        Ok(summary(&self.model, &self.store, &dims)?)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes what the run consists of: data, environment, layers.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn record(&self, run: &RunFolder, program: &str) -> Result<()> {
        run.write_json(
            "env.json",
            &Environment::here(program, &self.settings.train.device),
        )?;
        run.write_json("data.json", &self.info)?;
        Ok(run.write_text("summary.txt", &format!("{}\n", self.summary()?))?)
    }

    /// Trains in `run`, going on from its last checkpoint if `resume`, and tests the result.
    ///
    /// # Errors
    /// When a file cannot be written, the loss becomes undefined, or the checkpoint does not fit.
    pub fn train(self, run: &RunFolder, resume: bool, options: Options) -> Result<Report> {
        let started = Instant::now();
        let mut trainer = self.trainer(run, options)?;
        // A run that was killed before its first checkpoint starts again.
        if resume && run.last().exists() {
            let snapshot = Snapshot::load(&run.last())?;
            trainer
                .resume(&snapshot)
                .map_err(|error| naming(error, &run.last()))?;
        }
        let first = trainer.position().step;
        let limit = match self.settings.train.limit_batches {
            0 => usize::MAX,
            limit => limit,
        };
        let batches = |epoch| self.train.epoch(epoch).take(limit);
        let epochs = self.settings.train.epochs;
        let history = match &self.validation {
            Some(validation) => trainer.fit_validated(epochs, batches, || validation.epoch(0))?,
            None => trainer.fit(epochs, batches)?,
        };
        let training_seconds = started.elapsed().as_secs_f64();
        run.write_text("metrics.csv", &history.to_csv())?;
        let stopped = trainer
            .stop_reason()
            .cloned()
            .unwrap_or(StopReason::Completed);
        let mut metrics: BTreeMap<String, Measured> = BTreeMap::new();
        if let Some(record) = history.epochs.last() {
            for (name, &value) in &record.logs {
                let (split, name) = name.split_once('.').unwrap_or(("train", name));
                metrics
                    .entry(split.to_owned())
                    .or_default()
                    .insert(name.to_owned(), value);
            }
        }
        let mut details = BTreeMap::new();
        if stopped != StopReason::Interrupted {
            if self.validation.is_some() && run.best().exists() {
                let best = Snapshot::load(&run.best())?;
                self.store.load_state_dict(&best.weights(), true)?;
            }
            let scores = trainer.evaluate(self.test.epoch(0))?;
            metrics.insert("test".to_owned(), scores.values);
            details = scores.details;
        }
        let position = trainer.position();
        let samples = (position.step - first) * self.settings.train.batch_size as u64;
        let report = Report {
            run: run.path().display().to_string(),
            metrics,
            details,
            epochs: position.epoch,
            steps: position.step,
            seconds: started.elapsed().as_secs_f64(),
            samples_per_second: samples as f64 / training_seconds,
            stopped,
            weights_sha256: weights_sha256(&self.store.state_dict())?,
        };
        if report.stopped != StopReason::Interrupted {
            run.write_json("result.json", &report)?;
        }
        Ok(report)
    }

    fn trainer(&self, run: &RunFolder, options: Options) -> Result<Trainer<Classify<Sequential>>> {
        let train = &self.settings.train;
        let classes = self.description.config.classes;
        let optimizer = optimizer(&self.settings.optim, &self.store)?;
        let monitor = Monitor::new("val.loss", Direction::Lower);
        let mut trainer = Trainer::new(&self.store, Classify::new(self.model.clone()), optimizer)?
            .metric(Accuracy::default())
            .metric(TopK::new(5.min(classes - 1)))
            .metric(ConfusionMatrix::new(classes))
            .seed(train.seed)
            .describe(json!(self.description))
            .interrupt(options.interrupt)
            .callback(TerminateOnNan)
            .callback(JsonlLog::new(run.file("metrics.jsonl")))
            .callback(LastCheckpoint::new(run.last()).every_steps(train.save_every))
            .callback(match self.validation {
                Some(_) => BestCheckpoint::new(run.best(), monitor.clone()),
                None => BestCheckpoint::newest(run.best()),
            });
        if train.patience > 0 {
            trainer = trainer.callback(EarlyStopping::new(monitor, train.patience));
        }
        for callback in options.callbacks {
            trainer = trainer.boxed_callback(callback);
        }
        Ok(trainer)
    }
}

/// Training set, test set and what is known about them.
fn read(settings: &Settings) -> Result<(ImageSet, ImageSet, SetInfo)> {
    let (data, seed) = (&settings.data, settings.train.seed);
    if data.source == "digits" {
        let train = digits(Split::Train, data.train_samples, seed)?;
        let test = digits(Split::Test, data.test_samples, seed)?;
        return Ok((
            train,
            test,
            SetInfo::digits(data.train_samples, data.test_samples, seed),
        ));
    }
    let source = Path::new(&data.source);
    Ok((
        open(source, Split::Train)?,
        open(source, Split::Test)?,
        describe(source)?,
    ))
}

fn whole(set: ImageSet) -> Result<Subset<ImageSet>> {
    let indices = (0..set.labels().len()).collect();
    Ok(Subset::new(Arc::new(set), indices)?)
}

/// Training and validation parts, the latter empty without a validation share.
fn split(set: ImageSet, settings: &Settings) -> Result<(Subset<ImageSet>, Subset<ImageSet>)> {
    let (fraction, seed) = (settings.data.val_fraction, settings.train.seed);
    let labels = set.labels().to_vec();
    let set = Arc::new(set);
    if fraction == 0.0 {
        let all = Subset::new(Arc::clone(&set), (0..labels.len()).collect())?;
        return Ok((all, Subset::new(set, vec![])?));
    }
    let mut parts = stratified_split(set, &labels, &[1.0 - fraction, fraction], seed)?.into_iter();
    match (parts.next(), parts.next()) {
        (Some(train), Some(validation)) => Ok((train, validation)),
        _ => Err(Error::Config("the split gave no validation set".to_owned())),
    }
}

fn loader(
    set: Subset<ImageSet>,
    settings: &Settings,
    device: &Device,
    shuffle: bool,
) -> Result<Loader> {
    let collate = set.dataset().collate().device(device);
    // Evaluation needs no small batches.
    let size = settings.train.batch_size;
    let size = if shuffle { size } else { size.max(250) };
    Ok(DataLoader::new(set, collate)
        .batch_size(size)?
        .shuffle(shuffle)
        .seed(settings.train.seed)
        .workers(settings.data.workers))
}

fn optimizer(settings: &OptimSettings, store: &ParamStore) -> Result<Box<dyn Optimizer>> {
    let OptimSettings {
        lr,
        momentum,
        weight_decay,
        ..
    } = *settings;
    match settings.name.as_str() {
        "sgd" => build(
            Sgd {
                lr,
                momentum,
                weight_decay,
                ..Sgd::default()
            },
            settings,
            store,
        ),
        "adamw" => build(
            AdamW {
                lr,
                weight_decay,
                ..AdamW::default()
            },
            settings,
            store,
        ),
        _ => build(
            Adam {
                lr,
                weight_decay,
                ..Adam::default()
            },
            settings,
            store,
        ),
    }
}

fn build(
    rule: impl Rule,
    settings: &OptimSettings,
    store: &ParamStore,
) -> Result<Box<dyn Optimizer>> {
    let mut optim = Optim::new(rule, store.trainable())?;
    if settings.clip_norm > 0.0 {
        optim = optim.clip_grad_norm(settings.clip_norm)?;
    }
    Ok(optim.into_optimizer(store)?)
}

fn naming(error: TrainError, path: &Path) -> TrainError {
    match error {
        TrainError::NotResumable { reason, .. } => TrainError::NotResumable {
            path: path.display().to_string(),
            reason,
        },
        other => other,
    }
}

impl CnnPipeline {
    /// Measures the model on a split of a set of the same kind: `digits` or a folder.
    ///
    /// # Errors
    /// When the set cannot be read, or its pictures or classes do not fit the model.
    pub fn evaluate(&self, settings: &Settings, split: Split) -> Result<Scores> {
        let data = &settings.data;
        let set = match (data.source.as_str(), split) {
            ("digits", Split::Train) => digits(split, data.train_samples, settings.train.seed)?,
            ("digits", Split::Test) => digits(split, data.test_samples, settings.train.seed)?,
            (folder, _) => open(folder, split)?,
        };
        let CnnConfig {
            height,
            width,
            classes,
            ..
        } = self.description.config;
        if (set.height(), set.width()) != (height, width) || set.class_names().len() > classes {
            return Err(Error::Config(format!(
                "the model reads pictures of {height}x{width} in {classes} classes, but {} has \
                 {}x{} in {}; evaluate it on a set of its own kind",
                data.source,
                set.height(),
                set.width(),
                set.class_names().len()
            )));
        }
        let device = parse_device(&settings.train.device)?;
        let loader = loader(whole(set)?, settings, &device, false)?;
        let metrics: Vec<Box<dyn mapsto_train::Metric>> = vec![
            Box::new(Accuracy::default()),
            Box::new(TopK::new(5.min(classes - 1))),
            Box::new(ConfusionMatrix::new(classes)),
        ];
        let task = Classify::new(self.model().clone());
        Ok(mapsto_train::evaluate(&task, metrics, loader.epoch(0))?)
    }
}
