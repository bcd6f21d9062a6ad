//! [`Duel`]: two models that play against each other, as in generative adversarial networks.
//!
//! One, the generator, makes samples; the other, the discriminator, tells them from real ones.
//! A step is: the generator makes a batch, the discriminator is updated on real and made samples,
//! then the generator against the discriminator as it is now. Each has an optimizer of its own,
//! over the parameters under its own prefix, and its gradients are audited by themselves.
//!
//! ```
//! use mapsto_optim::{IntoOptimizer, Optim, Sgd};
//! use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, ops};
//! use mapsto_train::{Duel, Game, Output, Trainer};
//!
//! // The generator moves one number towards where the discriminator's line rises.
//! let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(1);
//! struct Numbers { made: Tensor, slope: Tensor, fixed: Tensor }
//! impl Game<Tensor> for Numbers {
//!     fn generate(&self, real: &Tensor) -> Result<Tensor> {
//!         self.made.broadcast_as(real.shape())
//!     }
//!     fn discriminator_loss(&self, real: &Tensor, made: &Tensor) -> Result<Output> {
//!         let slope = (made - real)?.mean_all()?.broadcast_mul(&self.slope)?.sum_all()?;
//!         let loss = (slope + self.slope.sqr()?.sum_all()?)?;
//!         Ok(Output { loss, predictions: made.clone(), targets: real.clone() })
//!     }
//!     fn generator_loss(&self, _: &Tensor, made: &Tensor) -> Result<Tensor> {
//!         made.broadcast_mul(&self.fixed)?.mean_all()?.neg()
//!     }
//! }
//! let vb = store.root();
//! let (made, slope) = (vb.pp("generator").get(1, "x")?, vb.pp("discriminator").get(1, "slope")?);
//! let game = Numbers { made, fixed: slope.detach(), slope };
//! let sgd = || Sgd { lr: 0.1, ..Sgd::default() };
//! let duel = Duel::new(&store, ("discriminator.", sgd()), ("generator.", sgd()))?;
//! let mut trainer = Trainer::with_step(&store, game, duel);
//! let threes = Tensor::full(3f32, 8, &Device::Cpu)?;
//! let real = |_epoch| (0..50).map(|_| Ok::<_, std::io::Error>(threes.clone()));
//! trainer.fit(4, real)?;
//! let x = store.get("generator.x").unwrap().to_vec1::<f32>()?[0];
//! assert!((x - 3.0).abs() < 0.5, "{x}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Reference:** Ian Goodfellow et al., "Generative adversarial nets", 2014.

use mapsto_optim::{Optim, Optimizer, Rule};
use mapsto_tensor::{ParamStore, Result as TensorResult, Tensor, Var};

use super::step::{Optimizers, Step, Turn};
use crate::error::{Error, Result};
use crate::objective::Output;

/// What two players do with a batch of real samples of type `B`.
///
/// The generator's loss goes through a discriminator whose parameters are constants: build it a
/// second time while [`ParamStore::freeze`] holds for its prefix. Both share memory.
pub trait Game<B> {
    /// As many made samples as the batch has real ones, for training.
    ///
    /// # Errors
    /// Whatever the generator's ops return.
    fn generate(&self, batch: &B) -> TensorResult<Tensor>;

    /// The loss of the discriminator on real and made samples, through which no gradient reaches
    /// the generator; its predictions and targets are what metrics look at.
    ///
    /// # Errors
    /// Whatever the discriminator's ops return.
    fn discriminator_loss(&self, batch: &B, made: &Tensor) -> TensorResult<Output>;

    /// The loss of the generator on what it made.
    ///
    /// # Errors
    /// Whatever the discriminator's ops return.
    fn generator_loss(&self, batch: &B, made: &Tensor) -> TensorResult<Tensor>;

    /// After each update of the discriminator: to clip its weights, for instance.
    ///
    /// # Errors
    /// Whatever its ops return.
    fn after_discriminator(&self) -> TensorResult<()> {
        Ok(())
    }
}

/// The parameters of one model, and what updates them.
#[derive(Debug)]
struct Player {
    prefix: &'static str,
    optimizer: Box<dyn Optimizer>,
}

impl Player {
    fn update(&mut self, loss: &Tensor, turn: &Turn<'_>) -> Result<()> {
        let params = of(turn.store(), self.prefix);
        Ok(self.optimizer.step(&mut turn.gradients(loss, params)?)?)
    }
}

/// The trainable parameters under a prefix.
fn of(store: &ParamStore, prefix: &str) -> Vec<(String, Var)> {
    let mut params = store.trainable();
    params.retain(|(name, _)| name.starts_with(prefix));
    params
}

/// The step of two players: the discriminator's update, then the generator's.
#[derive(Debug)]
#[doc(alias = "GAN")]
pub struct Duel {
    discriminator: Player,
    generator: Player,
    critic_steps: u64,
    /// Whether the generator's next update is its first of this `fit`.
    audit_generator: bool,
}

impl Duel {
    /// The players: a prefix of parameter names (`discriminator.`) and the rule that updates what
    /// is under it.
    ///
    /// # Errors
    /// When a hyperparameter is out of range, or there is no parameter under a prefix.
    pub fn new<R: Rule>(
        store: &ParamStore,
        discriminator: (&'static str, R),
        generator: (&'static str, R),
    ) -> Result<Self> {
        let player = |(prefix, rule): (&'static str, R)| {
            let optimizer = Box::new(Optim::new(rule, of(store, prefix))?);
            Ok::<_, Error>((prefix, optimizer as Box<dyn Optimizer>))
        };
        Ok(Self::of_optimizers(
            player(discriminator)?,
            player(generator)?,
        ))
    }

    /// The same with optimizers that were built before, over the parameters under each prefix.
    pub fn of_optimizers(
        discriminator: (&'static str, Box<dyn Optimizer>),
        generator: (&'static str, Box<dyn Optimizer>),
    ) -> Self {
        let player = |(prefix, optimizer)| Player { prefix, optimizer };
        Self {
            discriminator: player(discriminator),
            generator: player(generator),
            critic_steps: 1,
            audit_generator: false,
        }
    }

    /// Updates the generator in every `steps`-th step only; default 1.
    #[must_use]
    #[doc(alias = "n_critic")]
    pub fn critic_steps(mut self, steps: usize) -> Self {
        self.critic_steps = steps.max(1) as u64;
        self
    }
}

impl Optimizers for Duel {
    fn optimizers(&self) -> Vec<(&'static str, &dyn Optimizer)> {
        vec![
            ("optim_generator", &*self.generator.optimizer),
            ("optim_discriminator", &*self.discriminator.optimizer),
        ]
    }

    fn optimizers_mut(&mut self) -> Vec<(&'static str, &mut dyn Optimizer)> {
        vec![
            ("optim_generator", &mut *self.generator.optimizer),
            ("optim_discriminator", &mut *self.discriminator.optimizer),
        ]
    }
}

impl<B, G: Game<B>> Step<G, B> for Duel {
    fn step(&mut self, game: &G, batch: &B, turn: &mut Turn<'_>) -> Result<()> {
        let made = game.generate(batch)?;
        let output = game.discriminator_loss(batch, &made.detach())?;
        let samples = made.dim(0)?;
        turn.loss("discriminator_loss", &output.loss, samples)?;
        self.discriminator.update(&output.loss, turn)?;
        game.after_discriminator()?;
        self.audit_generator |= turn.audit;
        if (turn.position().step + 1).is_multiple_of(self.critic_steps) {
            let loss = game.generator_loss(batch, &made)?;
            turn.loss("generator_loss", &loss, samples)?;
            turn.audit = std::mem::take(&mut self.audit_generator);
            self.generator.update(&loss, turn)?;
        }
        turn.output(&output)
    }
}
