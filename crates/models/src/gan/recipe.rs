//! [`Recipe`]: trains a generator against a discriminator, as its settings say.
//!
//! After each epoch the averaged generator makes a sheet of pictures, of the same noise every time,
//! and is measured; the epoch of the least Fréchet distance is kept, where there are classes to
//! judge by. At the end there are `samples.png`, `real.png`, `interpolation.png` and the
//! animation `samples.gif` in the run folder.

use mapsto_nn::Summary;
use mapsto_optim::{Adam, Optim, Optimizer};
use mapsto_tensor::{DType, ParamStore, parse_device};
use mapsto_train::{
    Duel, Ema, Environment, Error as TrainError, Monitor, RunFolder, Scores, Trainer,
};
use serde_json::{Value, json};

use super::config::{Architecture, Condition, GanConfig, Shape};
use super::figures::{CollapseWatch, Told};
use super::material::{Material, animate};
use super::pictures::Pictures;
use super::pipeline::{Description, GanPipeline, Source};
use super::points::Points;
use super::settings::Settings;
use super::task::{DISCRIMINATOR, GENERATOR, GanTask};
use crate::error::{Error, Result};
use crate::recipe::{Options, Passes, Report, Settings as _, fit, watched};

/// Trains a [`GanConfig`].
#[derive(Debug)]
pub struct Recipe {
    settings: Settings,
    material: Kind,
    description: Description,
    store: ParamStore,
    task: GanTask,
}

/// What is learned from.
#[derive(Debug)]
enum Kind {
    Points(Points),
    Pictures(Box<Pictures>),
}

impl Kind {
    fn material(&self) -> &dyn Material {
        match self {
            Self::Points(points) => points,
            Self::Pictures(pictures) => &**pictures,
        }
    }
}

impl crate::recipe::Recipe for Recipe {
    type Settings = Settings;

    const NAME: &'static str = "gan";

    fn new(settings: Settings) -> Result<Self> {
        settings.validate()?;
        let device = parse_device(&settings.train.device)?;
        let (material, shape, class_names) = match settings.data.source.as_str() {
            "ring" | "grid" => {
                let points = Points::new(&settings, &device)?;
                let name = settings.data.source.clone();
                (Kind::Points(points), Shape::Points(2), vec![name])
            }
            _ => {
                let pictures = Pictures::new(&settings, &device)?;
                let (shape, names) = (pictures.shape(), pictures.class_names().to_vec());
                (Kind::Pictures(Box::new(pictures)), shape, names)
            }
        };
        let config = config(&settings, shape, class_names.len())?;
        if settings.train.patience > 0 && class_names.len() < 2 {
            return Err(Error::Config(
                "train.patience: without classes there is no figure to wait for; set it to 0"
                    .to_owned(),
            ));
        }
        let description = Description {
            kind: Self::NAME.to_owned(),
            config,
            class_names,
            data: material.material().name().to_owned(),
        };
        let store = ParamStore::new(DType::F32, &device).with_seed(settings.train.seed);
        let task = GanTask::new(&description.config, settings.model.rules()?, &store)?;
        Ok(Self {
            settings,
            material,
            description,
            store,
            task,
        })
    }

    fn summary(&self) -> Result<Summary> {
        Ok(self.task.summary()?)
    }

    fn data(&self) -> Value {
        json!(self.material.material().info())
    }

    fn record(&self, run: &RunFolder, program: &str) -> Result<()> {
        let environment = Environment::here(program, &self.settings.train.device);
        run.write_json("env.json", &environment)?;
        run.write_json("data.json", &self.data())?;
        Ok(run.write_text("summary.txt", &format!("{}\n", self.summary()?))?)
    }

    fn train(self, run: &RunFolder, resume: bool, options: Options) -> Result<Report> {
        let material = self.material.material();
        if let Kind::Pictures(pictures) = &self.material {
            pictures.prepare(&run.file("judge.safetensors"))?;
        }
        let trainer = self.trainer(run, options)?;
        let measured = self.settings.measure.epoch_samples > 0;
        let passes = Passes {
            train: |epoch| material.batches(epoch),
            validation: measured.then_some(|trainer: &Trainer<GanTask, Duel>| {
                let epoch = trainer.position().epoch;
                let scores = material.score(&self.source(), run, epoch);
                scores.map_err(into_train)
            }),
            test: Some(|_: &Trainer<GanTask, Duel>| {
                let scores = material.test(&self.source(), run)?;
                if measured {
                    animate(run, self.channels())?;
                }
                Ok(scores)
            }),
        };
        let settings = &self.settings.train;
        fit(trainer, &self.store, run, resume, settings, passes)
    }
}

impl Recipe {
    fn source(&self) -> Source<'_> {
        Source {
            generator: self.task.generator(),
            config: &self.description.config,
            store: &self.store,
        }
    }

    fn channels(&self) -> usize {
        match self.description.config.shape {
            Shape::Points(_) => 1,
            Shape::Pictures { channels, .. } => channels,
        }
    }

    fn trainer(&self, run: &RunFolder, options: Options) -> Result<Trainer<GanTask, Duel>> {
        let settings = &self.settings;
        let material = self.material.material();
        let duel = Duel::of_optimizers(
            (
                DISCRIMINATOR,
                self.optimizer(DISCRIMINATOR, settings.optim.discriminator_lr)?,
            ),
            (GENERATOR, self.optimizer(GENERATOR, settings.optim.lr)?),
        )
        .critic_steps(settings.optim.critic_steps);
        let mut trainer = Trainer::with_step(&self.store, self.task.clone(), duel)
            .metric(Told::default())
            .describe(json!(self.description))
            .callback(CollapseWatch::new(run.log()?));
        if settings.model.ema > 0.0 {
            trainer = trainer.callback(Ema::new(settings.model.ema).of(GENERATOR));
        }
        let measured = settings.measure.epoch_samples > 0;
        let monitor = material.monitored().filter(|_| measured);
        let monitor = monitor.map(|(name, direction)| Monitor::new(name, direction));
        watched(trainer, run, &settings.train, monitor, options)
    }

    /// Adam over the parameters of one player; the generator's schedule counts its own steps.
    fn optimizer(&self, prefix: &str, lr: f64) -> Result<Box<dyn Optimizer>> {
        let optim = &self.settings.optim;
        let train = &self.settings.train;
        let rule = Adam {
            lr,
            betas: (optim.beta1, optim.beta2),
            ..Adam::default()
        };
        let mut params = self.store.trainable();
        params.retain(|(name, _)| name.starts_with(prefix));
        let steps = train.steps(self.material.material().steps());
        let steps = if prefix == GENERATOR {
            steps.div_ceil(optim.critic_steps)
        } else {
            steps
        };
        let (scheduled, epochs) = (optim.scheduled(), train.epochs);
        let factor = move |step: u64| scheduled.factor(step, epochs, steps);
        Ok(Box::new(Optim::new(rule, params)?.schedule(factor)))
    }
}

impl GanPipeline {
    /// Measures samples as the recipe does at its end; `run` is the folder whose judge is used, and
    /// into which pictures are written.
    ///
    /// # Errors
    /// When the data cannot be read, or their pictures or classes do not fit the model.
    pub fn evaluate(&self, settings: &Settings, run: &RunFolder) -> Result<Scores> {
        let device = parse_device(&settings.train.device)?;
        let source = Source {
            generator: self.generator(),
            config: &self.description.config,
            store: &self.store,
        };
        if !self.description.config.makes_pictures() {
            return Points::new(settings, &device)?.test(&source, run);
        }
        let pictures = Pictures::new(settings, &device)?;
        let classes = pictures.class_names().len();
        if pictures.shape() != self.description.config.shape
            || classes != self.description.config.classes
        {
            return Err(Error::Config(format!(
                "the model makes {:?} of {} classes, but {} has {:?} of {classes}; evaluate it on a \
                 set of its own kind",
                self.description.config.shape,
                self.description.config.classes,
                settings.data.source,
                pictures.shape(),
            )));
        }
        pictures.prepare(&run.file("judge.safetensors"))?;
        pictures.test(&source, run)
    }
}

fn config(settings: &Settings, shape: Shape, classes: usize) -> Result<GanConfig> {
    let model = &settings.model;
    let is_mlp = model.architecture == Architecture::Mlp;
    if is_mlp != matches!(shape, Shape::Points(_)) {
        return Err(Error::Config(format!(
            "model.architecture is {:?}, but {} holds {}: take --preset {} for it",
            model.architecture,
            settings.data.source,
            if is_mlp { "pictures" } else { "points" },
            if is_mlp { "dcgan" } else { "ring or grid" },
        )));
    }
    if is_mlp && !model.augment.is_empty() {
        return Err(Error::Config(
            "model.augment: points cannot be changed like pictures; leave it empty".to_owned(),
        ));
    }
    if model.condition != Condition::None && classes < 2 {
        return Err(Error::Config(format!(
            "model.condition is {:?}, but {} has no classes: set it to none, or give a folder with \
             a sub-folder for each class",
            model.condition, settings.data.source
        )));
    }
    let config = GanConfig {
        shape,
        architecture: model.architecture,
        latent: model.latent,
        width: model.width,
        classes,
        condition: model.condition,
        norm: model.norm,
        pack: model.pack,
    };
    config
        .validate()
        .map_err(|error| Error::Config(error.to_string()))?;
    Ok(config)
}

fn into_train(error: Error) -> TrainError {
    match error {
        Error::Train(error) => error,
        other => TrainError::Batch {
            epoch: None,
            batch: 0,
            error: other.into(),
        },
    }
}
