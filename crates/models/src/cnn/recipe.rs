//! [`Recipe`]: trains a network as its settings say, into a run folder, resumable at any step.

use std::path::Path;
use std::sync::Arc;

use mapsto_data::{
    DataLoader, Dataset, ImageCollate, ImageSet, SetInfo, Split, Subset, describe, digits, open,
    stratified_split,
};
use mapsto_nn::{Sequential, Summary, summary};
use mapsto_tensor::{DType, Device, ParamStore, parse_device};
use mapsto_train::{
    Accuracy, ConfusionMatrix, Direction, Environment, Metric, Monitor, RunFolder, Scores, TopK,
    Trainer,
};
use serde_json::{Value, json};

use super::network::{CnnConfig, cnn};
use super::pipeline::{CnnPipeline, Description};
use super::settings::Settings;
use super::task::Classify;
use crate::error::{Error, Result};
use crate::recipe::{Options, Passes, Report, Settings as _, fit, optimizer, watched};

type Loader = DataLoader<Subset<ImageSet>, ImageCollate>;

/// Trains a [`CnnConfig`].
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

impl crate::recipe::Recipe for Recipe {
    type Settings = Settings;

    const NAME: &'static str = "cnn";

    fn new(settings: Settings) -> Result<Self> {
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

    fn summary(&self) -> Result<Summary> {
        let dims = self.description.config.input_dims();
        Ok(summary(&self.model, &self.store, &dims)?)
    }

    fn data(&self) -> Value {
        json!(self.info)
    }

    fn record(&self, run: &RunFolder, program: &str) -> Result<()> {
        run.write_json(
            "env.json",
            &Environment::here(program, &self.settings.train.device),
        )?;
        run.write_json("data.json", &self.data())?;
        Ok(run.write_text("summary.txt", &format!("{}\n", self.summary()?))?)
    }

    fn train(self, run: &RunFolder, resume: bool, options: Options) -> Result<Report> {
        let trainer = self.trainer(run, options)?;
        let passes = Passes {
            train: |epoch| self.train.epoch(epoch),
            validation: self
                .validation
                .as_ref()
                .map(|set| |trainer: &Trainer<_>| trainer.validate(set.epoch(0))),
            test: Some(|trainer: &Trainer<_>| Ok(trainer.evaluate(self.test.epoch(0))?)),
        };
        fit(
            trainer,
            &self.store,
            run,
            resume,
            &self.settings.train,
            passes,
        )
    }
}

impl Recipe {
    fn trainer(&self, run: &RunFolder, options: Options) -> Result<Trainer<Classify<Sequential>>> {
        let train = &self.settings.train;
        let optimizer = optimizer(
            &self.settings.optim,
            &self.store,
            train.epochs,
            train.steps(self.train.len()),
        )?;
        let mut trainer = Trainer::new(&self.store, Classify::new(self.model.clone()), optimizer)?
            .describe(json!(self.description));
        for metric in metrics(self.description.config.classes) {
            trainer = trainer.boxed_metric(metric);
        }
        let monitor = Monitor::new("val.loss", Direction::Lower);
        let monitor = self.validation.is_some().then_some(monitor);
        watched(trainer, run, train, monitor, options)
    }
}

fn metrics(classes: usize) -> Vec<Box<dyn Metric>> {
    vec![
        Box::new(Accuracy::default()),
        Box::new(TopK::new(5.min(classes - 1))),
        Box::new(ConfusionMatrix::new(classes)),
    ]
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
        (Some(train), Some(validation)) if !train.is_empty() && !validation.is_empty() => {
            Ok((train, validation))
        }
        _ => Err(Error::Config(format!(
            "data.val_fraction {fraction} of {} pictures leaves one part empty: give more pictures, \
             or another share",
            labels.len()
        ))),
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
        let (own, others) = (&self.description.class_names, set.class_names());
        let is_number = |(number, name): (usize, &String)| *name == number.to_string();
        let named = |names: &[String]| !names.iter().enumerate().all(is_number);
        if named(own) && named(others) && own[..others.len()] != *others {
            return Err(Error::Config(format!(
                "the classes of {} are {}, but the model knows {}: evaluate it on a set of its own \
                 classes, in their order",
                data.source,
                others.join(", "),
                own.join(", ")
            )));
        }
        let device = parse_device(&settings.train.device)?;
        let loader = loader(whole(set)?, settings, &device, false)?;
        let task = Classify::new(self.model().clone());
        Ok(mapsto_train::evaluate(
            &task,
            metrics(classes),
            loader.epoch(0),
        )?)
    }
}
