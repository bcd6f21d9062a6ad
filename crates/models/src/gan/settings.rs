//! Everything that decides a run of the recipe, as written in `config.toml`.

use serde::{Deserialize, Serialize};

use super::augment::Augment;
use super::config::{Architecture, Condition, Norm};
use super::loss::GanLoss;
use super::task::Rules;
use crate::error::{Error, Result};
use crate::recipe::{
    self, OptimSettings, Schedule, TrainSettings, at_least_0, at_least_1, check, one_of, share,
};

/// Names of the presets, the default first.
pub const PRESETS: [&str; 5] = ["dcgan", "conditional", "residual", "ring", "grid"];

/// All settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Both networks, and what they want.
    pub model: ModelSettings,
    /// The data.
    pub data: DataSettings,
    /// The optimizers.
    pub optim: DuelSettings,
    /// The loop.
    pub train: TrainSettings,
    /// What is measured.
    pub measure: MeasureSettings,
}

/// Both networks, and what they want.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Where the settings come from.
    pub preset: String,
    /// `dcgan` or `residual` for pictures, `mlp` for points.
    pub architecture: Architecture,
    /// Numbers of noise that a sample is made of.
    pub latent: usize,
    /// Channels of the largest pictures inside; units of dense layers.
    pub width: usize,
    /// How both networks are told the class: `none`, `concat` or `projection`.
    pub condition: Condition,
    /// What keeps the discriminator in bounds: `none`, `batch` or `spectral`.
    pub norm: Norm,
    /// Points that the discriminator judges together.
    pub pack: usize,
    /// What both want: `non_saturating`, `least_squares`, `hinge` or `wasserstein`.
    pub loss: GanLoss,
    /// Share taken from the target of real samples, in `[0, 1)`.
    pub smoothing: f64,
    /// Factor of the penalty on a discriminator's slope above 1; 0 for none.
    pub slope_penalty: f64,
    /// The discriminator's weights are kept within this of 0; 0 for no bound.
    pub clip_weights: f64,
    /// Changes to all pictures: some of `translation`, `colour` and `cutout`, with commas.
    pub augment: String,
    /// Decay of the generator's moving average, in `[0, 1)`; 0 for none.
    pub ema: f64,
}

/// Which data, and how they are fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `digits`, `ring` or `grid` for embedded data; or a folder of IDX files, or of pictures.
    pub source: String,
    /// Embedded digits, or points an epoch, to train on.
    pub train_samples: usize,
    /// Embedded digits to measure by.
    pub test_samples: usize,
    /// Sides of pictures from a folder of files, in pixels.
    pub size: usize,
    /// Channels of pictures from a folder of files: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Whether a file that is no picture ends the run.
    pub strict: bool,
    /// Share of a folder's pictures to measure by, in `[0, 1)`.
    pub test_fraction: f64,
    /// Threads that load ahead; 0 loads in the training thread.
    pub workers: usize,
}

/// How both networks are updated: Adam for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DuelSettings {
    /// Learning rate of the generator.
    pub lr: f64,
    /// Learning rate of the discriminator.
    pub discriminator_lr: f64,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Steps of the discriminator for one of the generator.
    pub critic_steps: usize,
    /// How the learning rates change.
    pub schedule: Schedule,
    /// Epochs before they do.
    pub decay_after: usize,
    /// Their factor: of each further epoch in `step`, at the end in `linear` and `cosine`.
    pub decay: f64,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeasureSettings {
    /// Samples that the finished generator is measured by.
    pub samples: usize,
    /// Samples that it is measured by after each epoch; 0 for none.
    pub epoch_samples: usize,
    /// Epochs that the classifier learns for, whose features are compared.
    pub judge_epochs: usize,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            preset: PRESETS[0].to_owned(),
            architecture: Architecture::Dcgan,
            latent: 100,
            width: 64,
            condition: Condition::None,
            norm: Norm::Batch,
            pack: 1,
            loss: GanLoss::NonSaturating,
            smoothing: 0.0,
            slope_penalty: 0.0,
            clip_weights: 0.0,
            augment: String::new(),
            ema: 0.999,
        }
    }
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            source: "digits".to_owned(),
            train_samples: 20_000,
            test_samples: 4_000,
            size: 32,
            channels: 3,
            strict: false,
            test_fraction: 0.1,
            workers: 1,
        }
    }
}

impl Default for DuelSettings {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            discriminator_lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            critic_steps: 1,
            schedule: Schedule::Constant,
            decay_after: 0,
            decay: 0.0,
        }
    }
}

impl Default for MeasureSettings {
    fn default() -> Self {
        Self {
            samples: 10_000,
            epoch_samples: 2_000,
            judge_epochs: 3,
        }
    }
}

impl DuelSettings {
    /// The same as the settings of one optimizer, for its schedule.
    pub(super) fn scheduled(&self) -> OptimSettings {
        OptimSettings {
            lr: self.lr,
            schedule: self.schedule,
            decay_after: self.decay_after,
            decay: self.decay,
            ..OptimSettings::default()
        }
    }
}

impl ModelSettings {
    /// How the game is played.
    pub(super) fn rules(&self) -> Result<Rules> {
        let augment = Augment::parse(&self.augment).ok_or_else(|| {
            Error::Config(format!(
                "model.augment must be some of translation, colour and cutout, got \"{}\"",
                self.augment
            ))
        })?;
        Ok(Rules {
            loss: self.loss,
            smoothing: self.smoothing,
            slope_penalty: self.slope_penalty,
            clip_weights: self.clip_weights,
            augment,
        })
    }
}

impl recipe::Settings for Settings {
    const PRESETS: &'static [&'static str] = &PRESETS;
    const EMBEDDED: &'static [&'static str] = &["digits", "ring", "grid"];

    fn preset(name: &str) -> Result<Self> {
        one_of("model.preset", name, &PRESETS)?;
        let mut settings = Self::default();
        let Self {
            model,
            data,
            optim,
            train,
            ..
        } = &mut settings;
        name.clone_into(&mut model.preset);
        (train.batch_size, train.epochs) = (64, 10);
        match name {
            "conditional" => {
                model.condition = Condition::Projection;
                (optim.lr, optim.discriminator_lr) = (5e-4, 5e-4);
                optim.schedule = Schedule::Linear;
            }
            "residual" => {
                model.architecture = Architecture::Residual;
                model.width = 32;
                model.condition = Condition::Projection;
                model.norm = Norm::Spectral;
                model.loss = GanLoss::Hinge;
                optim.discriminator_lr = 4e-4;
                (optim.beta1, optim.beta2) = (0.0, 0.99);
            }
            "ring" | "grid" => {
                name.clone_into(&mut data.source);
                model.architecture = Architecture::Mlp;
                (model.latent, model.width) = (16, 128);
                model.norm = Norm::None;
                model.loss = GanLoss::Hinge;
                model.slope_penalty = 1.0;
                data.train_samples = 256 * 500;
                train.batch_size = 256;
                train.epochs = 20;
                optim.lr = 1e-3;
                optim.discriminator_lr = 1e-3;
                optim.schedule = Schedule::Linear;
                optim.decay_after = 10;
            }
            _ => {}
        }
        Ok(settings)
    }

    fn validate(&self) -> Result<()> {
        let Self {
            model,
            data,
            optim,
            train,
            measure,
        } = self;
        one_of("model.preset", &model.preset, &PRESETS)?;
        for (key, value) in [
            ("model.latent", model.latent),
            ("model.width", model.width),
            ("model.pack", model.pack),
            ("data.train_samples", data.train_samples),
            ("data.test_samples", data.test_samples),
            ("optim.critic_steps", optim.critic_steps),
            ("measure.judge_epochs", measure.judge_epochs),
        ] {
            at_least_1(key, value)?;
        }
        share("model.smoothing", model.smoothing)?;
        share("model.ema", model.ema)?;
        at_least_0("model.slope_penalty", model.slope_penalty)?;
        at_least_0("model.clip_weights", model.clip_weights)?;
        model.rules()?;
        share("data.test_fraction", data.test_fraction)?;
        let channels = [1, 3].contains(&data.channels);
        check(channels, "data.channels", &data.channels, "1 or 3")?;
        check(
            data.workers <= 64,
            "data.workers",
            &data.workers,
            "at most 64",
        )?;
        let rate = optim.discriminator_lr;
        let positive = rate > 0.0 && rate.is_finite();
        check(
            positive,
            "optim.discriminator_lr",
            &rate,
            "a positive number",
        )?;
        share("optim.beta1", optim.beta1)?;
        share("optim.beta2", optim.beta2)?;
        optim.scheduled().validate()?;
        let least = 2 * self.model.pack;
        let batch = train.batch_size >= least;
        check(
            batch,
            "train.batch_size",
            &train.batch_size,
            "at least twice model.pack",
        )?;
        let range = "at least 4, of which each has neighbours";
        check(
            measure.samples >= 4,
            "measure.samples",
            &measure.samples,
            range,
        )?;
        let samples = measure.epoch_samples;
        check(
            samples == 0 || samples >= 4,
            "measure.epoch_samples",
            &samples,
            "0 or at least 4",
        )?;
        let fits = (8..=128).contains(&data.size) && data.size.is_multiple_of(4);
        check(
            fits,
            "data.size",
            &data.size,
            "one of the multiples of 4 from 8 to 128",
        )?;
        let measured = measure.epoch_samples > 0;
        train.validate(measured, "0 unless measure.epoch_samples is set")
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
