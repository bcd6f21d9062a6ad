//! What a step of a [`Trainer`](crate::Trainer) is: [`Step`], and the usual one, [`Descent`].

use std::fmt::Debug;

use mapsto_optim::Optimizer;
use mapsto_tensor::{Gradients, ParamStore, Tensor, Var, backward};

use crate::callback::Callback;
use crate::error::Result;
use crate::evaluate::{Measure, value_of};
use crate::objective::{Objective, Output};
use crate::snapshot::Position;

/// The optimizers of a way to train, by the names under which snapshots keep their states.
pub trait Optimizers: Debug {
    /// All of them; the first is the one whose learning rate is shown.
    fn optimizers(&self) -> Vec<(&'static str, &dyn Optimizer)>;

    /// The same, to change them.
    fn optimizers_mut(&mut self) -> Vec<(&'static str, &mut dyn Optimizer)>;
}

/// A way to change the parameters by a batch: what [`Trainer::fit`](crate::Trainer::fit) repeats.
///
/// [`Descent`] is that of every model with one loss, [`Duel`](crate::Duel) that of two models
/// which play against each other.
pub trait Step<O, B>: Optimizers {
    /// Makes the step, and tells `turn` the losses and what was measured.
    ///
    /// # Errors
    /// When an op fails, a callback refuses a loss, or the audit finds a parameter without a
    /// gradient.
    fn step(&mut self, objective: &O, batch: &B, turn: &mut Turn<'_>) -> Result<()>;
}

/// What a [`Step`] needs of the loop around it.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(super) store: &'a ParamStore,
    pub(super) position: Position,
    pub(super) audit: bool,
    pub(super) callbacks: &'a mut [Box<dyn Callback>],
    pub(super) measure: &'a mut Measure,
    pub(super) samples: &'a mut usize,
}

impl Turn<'_> {
    /// The parameters and buffers.
    pub fn store(&self) -> &ParamStore {
        self.store
    }

    /// Where training stands, before this step.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Shows a loss to the callbacks, and counts it among the figures under `name`, as a mean over
    /// `samples`.
    ///
    /// # Errors
    /// When a callback refuses it, as [`TerminateOnNan`](crate::TerminateOnNan) does.
    pub fn loss(&mut self, name: &str, loss: &Tensor, samples: usize) -> Result<()> {
        let loss = value_of(loss)?;
        for callback in self.callbacks.iter_mut() {
            callback.on_loss(loss, self.position)?;
        }
        self.measure.add(name, loss, samples);
        Ok(())
    }

    /// The gradients of `loss` by `params`, audited in the first step that has some.
    ///
    /// # Errors
    /// When an op has no backward pass, or the audit finds a parameter without a gradient.
    pub fn gradients(&self, loss: &Tensor, params: Vec<(String, Var)>) -> Result<Gradients> {
        let gradients = backward::by(loss, params)?;
        if self.audit {
            gradients.audit()?;
        }
        Ok(gradients)
    }

    /// Counts the samples of a batch, and has the metrics look at what came out.
    ///
    /// # Errors
    /// When predictions and targets have shapes that a metric cannot use.
    pub fn output(&mut self, output: &Output) -> Result<()> {
        *self.samples += output.samples();
        self.measure.update(output)
    }
}

/// Forward pass, loss, backward pass, update: the step of an [`Objective`].
#[derive(Debug)]
pub struct Descent {
    optimizer: Box<dyn Optimizer>,
}

impl Descent {
    pub(super) fn new(optimizer: Box<dyn Optimizer>) -> Self {
        Self { optimizer }
    }
}

impl Optimizers for Descent {
    fn optimizers(&self) -> Vec<(&'static str, &dyn Optimizer)> {
        vec![("optim", &*self.optimizer)]
    }

    fn optimizers_mut(&mut self) -> Vec<(&'static str, &mut dyn Optimizer)> {
        vec![("optim", &mut *self.optimizer)]
    }
}

impl<B, O: Objective<B>> Step<O, B> for Descent {
    fn step(&mut self, objective: &O, batch: &B, turn: &mut Turn<'_>) -> Result<()> {
        let output = objective.compute_loss(batch, true)?;
        turn.loss("loss", &output.loss, output.samples())?;
        let mut gradients = turn.gradients(&output.loss, turn.store().trainable())?;
        self.optimizer.step(&mut gradients)?;
        turn.output(&output)
    }
}
