//! [`GanTask`]: the game of a generator and a discriminator.

use mapsto_nn::Summary;
use mapsto_tensor::init::Initializer;
use mapsto_tensor::ops::{Unary, unary};
use mapsto_tensor::{ParamStore, Result, Tensor, Var, rng};
use mapsto_train::{Game, Output};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::augment::Augment;
use super::config::{GanConfig, Norm};
use super::discriminator::Discriminator;
use super::generator::Generator;
use super::loss::{GanLoss, slope_penalty};

/// Prefix of the generator's parameters.
pub(super) const GENERATOR: &str = "generator.";

/// Prefix of the discriminator's parameters.
pub(super) const DISCRIMINATOR: &str = "discriminator.";

/// How the game is played.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// What both want.
    pub loss: GanLoss,
    /// Share taken from the target of real samples, in `[0, 1)`.
    pub smoothing: f64,
    /// Factor of the penalty on slopes above 1; 0 for none.
    pub slope_penalty: f64,
    /// The discriminator's weights are kept within this of 0; 0 for no bound.
    pub clip_weights: f64,
    /// Changes to all pictures.
    pub augment: Augment,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            loss: GanLoss::NonSaturating,
            smoothing: 0.0,
            slope_penalty: 0.0,
            clip_weights: 0.0,
            augment: Augment::default(),
        }
    }
}

/// Both networks over one store, and the rules; batches are (samples, classes `(N)`).
#[derive(Debug, Clone)]
pub struct GanTask {
    config: GanConfig,
    rules: Rules,
    generator: Generator,
    discriminator: Discriminator,
    /// The same discriminator with constants for parameters, for the generator's loss.
    judge: Discriminator,
    store: ParamStore,
}

impl GanTask {
    /// Makes both networks in `store`, as `generator.` and `discriminator.`; weights of layers
    /// with pictures start normal with deviation 0.02.
    ///
    /// # Errors
    /// When the config does not fit together.
    pub fn new(config: &GanConfig, rules: Rules, store: &ParamStore) -> Result<Self> {
        let is_new = store.names().is_empty();
        let generator = Generator::new(config, store.root().pp("generator"))?;
        let discriminator = Discriminator::new(config, store.root().pp("discriminator"))?;
        if is_new && config.halvings() > 0 && config.norm == Norm::Batch {
            let normal = Initializer::Normal {
                mean: 0.0,
                std: 0.02,
            };
            for (name, var) in store.trainable() {
                if name.ends_with("weight") && var.rank() > 1 {
                    store.init(&name, &normal)?;
                }
            }
        }
        store.freeze(DISCRIMINATOR);
        let judge = Discriminator::new(config, store.root().pp("discriminator"));
        store.unfreeze(DISCRIMINATOR);
        Ok(Self {
            config: config.clone(),
            rules,
            generator,
            discriminator,
            judge: judge?,
            store: store.clone(),
        })
    }

    /// What both networks consist of.
    pub fn config(&self) -> &GanConfig {
        &self.config
    }

    /// The network that makes samples.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The network that judges them.
    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// The table of layers of both networks.
    ///
    /// # Errors
    /// When a layer fails.
    pub fn summary(&self) -> Result<Summary> {
        let generator = self.generator.summary(&self.store)?;
        let discriminator = self.discriminator.summary(&self.store)?;
        Ok(Summary::joined([generator, discriminator]))
    }

    fn changed(&self, samples: &Tensor) -> Result<Tensor> {
        if self.rules.augment == Augment::default() {
            return Ok(samples.clone());
        }
        self.rules.augment.apply(samples)
    }
}

/// Standard normal noise `(n, latent)`.
pub(super) fn noise(
    n: usize,
    latent: usize,
    stream: &mut rng::Stream,
    like: &ParamStore,
) -> Result<Tensor> {
    let normal = Initializer::Normal {
        mean: 0.0,
        std: 1.0,
    };
    Tensor::from_vec(
        normal.sample(&[n, latent], stream)?,
        (n, latent),
        &like.device(),
    )?
    .to_dtype(like.dtype())
}

/// `n` classes, each as likely.
pub(super) fn some_classes(n: usize, classes: usize, stream: &mut rng::Stream) -> Vec<u32> {
    (0..n)
        .map(|_| stream.random_range(0..classes as u32))
        .collect()
}

impl Game<(Tensor, Tensor)> for GanTask {
    fn generate(&self, (real, classes): &(Tensor, Tensor)) -> Result<Tensor> {
        let mut stream = rng::next_stream();
        let noise = noise(real.dim(0)?, self.config.latent, &mut stream, &self.store)?;
        self.generator.forward(&noise, classes, true)
    }

    fn discriminator_loss(
        &self,
        (real, classes): &(Tensor, Tensor),
        made: &Tensor,
    ) -> Result<Output> {
        let (real, made) = (self.changed(real)?, self.changed(made)?);
        let real_scores = self.discriminator.forward(&real, classes, true)?;
        let made_scores = self.discriminator.forward(&made, classes, true)?;
        let rules = &self.rules;
        let mut loss = rules
            .loss
            .discriminator(&real_scores, &made_scores, rules.smoothing)?;
        if rules.slope_penalty > 0.0 {
            let scores = (&real_scores, &made_scores);
            let penalty = slope_penalty((&real, &made), scores)?;
            loss = (loss + (penalty * rules.slope_penalty)?)?;
        }
        let centre = if rules.loss == GanLoss::LeastSquares {
            0.5
        } else {
            0.0
        };
        let scores = Tensor::stack(&[real_scores.detach(), made_scores.detach()], 1)?;
        Ok(Output {
            loss,
            predictions: (scores - centre)?,
            targets: real.detach(),
        })
    }

    fn generator_loss(&self, (_, classes): &(Tensor, Tensor), made: &Tensor) -> Result<Tensor> {
        let scores = self.judge.forward(&self.changed(made)?, classes, true)?;
        self.rules.loss.generator(&scores)
    }

    fn after_discriminator(&self) -> Result<()> {
        let bound = self.rules.clip_weights;
        if bound == 0.0 {
            return Ok(());
        }
        let clip = Unary::Hardtanh(-bound, bound);
        for (name, var) in self.store.trainable() {
            if name.starts_with(DISCRIMINATOR) {
                Var::set(&var, &unary(&var.as_detached_tensor(), clip)?)?;
            }
        }
        Ok(())
    }
}
