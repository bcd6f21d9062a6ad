//! [`Trainer`]: `fit`, `evaluate`, `predict`.
//!
//! A step is: forward pass, loss, backward pass, update. `fit` repeats it over epochs, measures,
//! calls the callbacks, and can go on from a [`Snapshot`](crate::Snapshot) at any step to the same
//! bits. What a step consists of is a [`Step`]. Nothing here is hidden: a loop written by hand uses
//! the same parts.

mod duel;
mod events;
mod resume;
mod step;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mapsto_optim::IntoOptimizer;
use mapsto_tensor::backward::record;
use mapsto_tensor::{ParamStore, StateDict, Tensor, rng};
use serde_json::Value;

pub use self::duel::{Duel, Game};
use self::events::Event;
pub use self::step::{Descent, Optimizers, Step, Turn};
use crate::callback::{Callback, Logs, StopReason};
use crate::error::{BoxError, Error, Result};
use crate::evaluate::{Measure, Scores, evaluate_into, predict};
use crate::history::{EpochRecord, History};
use crate::metric::Metric;
use crate::objective::Objective;
use crate::snapshot::Position;

/// Trains the parameters of a store on an objective, by steps of one kind.
#[derive(Debug)]
#[doc(alias = "compile")]
#[doc(alias = "Model")]
pub struct Trainer<O, S = Descent> {
    store: ParamStore,
    objective: O,
    step: S,
    measure: Measure,
    callbacks: Vec<Box<dyn Callback>>,
    position: Position,
    samples: usize,
    epoch_seconds: f64,
    history: History,
    stop: Option<StopReason>,
    interrupt: Arc<AtomicBool>,
    description: Value,
}

impl<O> Trainer<O> {
    /// A trainer of all trainable parameters of `store`; `optimizer` is a rule such as
    /// `Adam::default()`, or an `Optim` with groups, schedule and clipping.
    ///
    /// # Errors
    /// When a setting of the optimizer is out of range.
    pub fn new(store: &ParamStore, objective: O, optimizer: impl IntoOptimizer) -> Result<Self> {
        let step = Descent::new(optimizer.into_optimizer(store)?);
        Ok(Self::with_step(store, objective, step))
    }
}

impl<O, S: Optimizers> Trainer<O, S> {
    /// A trainer whose steps are of another kind, such as a [`Duel`].
    pub fn with_step(store: &ParamStore, objective: O, step: S) -> Self {
        Self {
            store: store.clone(),
            objective,
            step,
            measure: Measure::new(vec![]),
            callbacks: vec![],
            position: Position::default(),
            samples: 0,
            epoch_seconds: 0.0,
            history: History::default(),
            stop: None,
            interrupt: Arc::default(),
            description: Value::Null,
        }
    }

    /// Measures this too, in training and evaluation.
    #[must_use]
    pub fn metric(self, metric: impl Metric + 'static) -> Self {
        self.boxed_metric(Box::new(metric))
    }

    /// Measures this too; for a metric that is chosen at run time.
    #[must_use]
    pub fn boxed_metric(mut self, metric: Box<dyn Metric>) -> Self {
        self.measure.metrics.push(metric);
        self
    }

    /// Adds a callback.
    #[must_use]
    pub fn callback(self, callback: impl Callback + 'static) -> Self {
        self.boxed_callback(Box::new(callback))
    }

    /// Adds a callback that is chosen at run time.
    #[must_use]
    pub fn boxed_callback(mut self, callback: Box<dyn Callback>) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Seeds what layers draw while training (dropout, noise). Starts this thread's generator
    /// anew.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        rng::manual_seed(seed);
        self
    }

    /// Stores this description of the model in every checkpoint.
    #[must_use]
    pub fn describe(mut self, model: Value) -> Self {
        self.description = model;
        self
    }

    /// Ends `fit` after the step under way, with a snapshot, once the flag is set, and an
    /// evaluation after the batch under way; that of an epoch goes on to its end.
    #[must_use]
    pub fn interrupt(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = flag;
        self
    }

    /// Where training stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Samples that the last `fit` trained on.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Why the last `fit` ended.
    pub fn stop_reason(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// The finished epochs.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The objective.
    pub fn objective(&self) -> &O {
        &self.objective
    }

    /// Trains until `epochs` epochs are done; `batches(epoch)` gives the batches of an epoch.
    ///
    /// # Errors
    /// When a batch cannot be had, an op or a callback fails, or the audit of the first step
    /// finds a parameter without a gradient.
    pub fn fit<B, I, E>(&mut self, epochs: usize, batches: impl Fn(usize) -> I) -> Result<History>
    where
        S: Step<O, B>,
        I: IntoIterator<Item = Result<B, E>>,
        E: Into<BoxError>,
    {
        self.run(epochs, batches, |_| Ok(None))
    }

    /// [`fit`](Self::fit) with an evaluation on `validation()` after each epoch.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit).
    pub fn fit_validated<B, I, J, E, F>(
        &mut self,
        epochs: usize,
        batches: impl Fn(usize) -> I,
        validation: impl Fn() -> J,
    ) -> Result<History>
    where
        O: Objective<B>,
        S: Step<O, B>,
        I: IntoIterator<Item = Result<B, E>>,
        J: IntoIterator<Item = Result<B, F>>,
        E: Into<BoxError>,
        F: Into<BoxError>,
    {
        self.run(epochs, batches, |trainer| {
            trainer.validate(validation()).map(Some)
        })
    }

    /// [`fit`](Self::fit) with figures from `score` after each epoch, for what a pass over batches
    /// cannot measure.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit).
    pub fn fit_scored<B, I, E>(
        &mut self,
        epochs: usize,
        batches: impl Fn(usize) -> I,
        score: impl Fn(&Self) -> Result<Scores>,
    ) -> Result<History>
    where
        S: Step<O, B>,
        I: IntoIterator<Item = Result<B, E>>,
        E: Into<BoxError>,
    {
        self.run(epochs, batches, |trainer| score(trainer).map(Some))
    }

    /// [`evaluate`](Self::evaluate) that goes on to its end when it is interrupted, as that of an
    /// epoch does.
    ///
    /// # Errors
    /// When a batch cannot be had, an op fails, or there is no batch.
    pub fn validate<B, E: Into<BoxError>>(
        &self,
        batches: impl IntoIterator<Item = Result<B, E>>,
    ) -> Result<Scores>
    where
        O: Objective<B>,
    {
        let never = AtomicBool::new(false);
        evaluate_into(&mut self.measure.fresh(), &self.objective, batches, &never)
    }

    /// Measures the model on batches, with dropout and the like off.
    ///
    /// # Errors
    /// When a batch cannot be had, an op fails, there is no batch, or it is
    /// [interrupted](Self::interrupt).
    pub fn evaluate<B, E: Into<BoxError>>(
        &self,
        batches: impl IntoIterator<Item = Result<B, E>>,
    ) -> Result<Scores>
    where
        O: Objective<B>,
    {
        let mut measure = self.measure.fresh();
        evaluate_into(&mut measure, &self.objective, batches, &self.interrupt)
    }

    /// What the model says about batches, one row a sample.
    ///
    /// # Errors
    /// When a batch cannot be had, an op fails, or there is no batch.
    pub fn predict<B, E: Into<BoxError>>(
        &self,
        batches: impl IntoIterator<Item = Result<B, E>>,
    ) -> Result<Tensor>
    where
        O: Objective<B>,
    {
        predict(&self.objective, batches)
    }

    fn run<B, I, E>(
        &mut self,
        epochs: usize,
        batches: impl Fn(usize) -> I,
        validate: impl Fn(&Self) -> Result<Option<Scores>>,
    ) -> Result<History>
    where
        S: Step<O, B>,
        I: IntoIterator<Item = Result<B, E>>,
        E: Into<BoxError>,
    {
        self.check_callbacks()?;
        (self.stop, self.samples) = (None, 0);
        let mut audited = false;
        self.emit(Event::FitStart, epochs, None, &Logs::new())?;
        while self.position.epoch < epochs && self.stop.is_none() {
            let started = Instant::now();
            let batches = batches(self.position.epoch).into_iter();
            let count = batches.size_hint().1;
            for batch in batches.skip(self.position.batch) {
                let Position {
                    epoch,
                    batch: number,
                    ..
                } = self.position;
                let batch = batch.map_err(|e| Error::Batch {
                    epoch: Some(epoch),
                    batch: number,
                    error: e.into(),
                })?;
                self.take_step(&batch, !audited)?;
                audited = true;
                self.emit(
                    Event::Batch,
                    epochs,
                    count,
                    &prefixed("train", self.measure.values()),
                )?;
                if self.stop.is_some() {
                    break;
                }
            }
            if self.stop.is_none() {
                self.epoch_seconds = started.elapsed().as_secs_f64();
                self.end_epoch(epochs, count, &validate)?;
            }
        }
        self.stop.get_or_insert(StopReason::Completed);
        let logs = self.history.epochs.last().map(|record| record.logs.clone());
        self.emit(Event::FitEnd, epochs, None, &logs.unwrap_or_default())?;
        Ok(self.history.clone())
    }

    fn check_callbacks(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for name in self.callbacks.iter().map(|callback| callback.name()) {
            if !names.insert(name) {
                return Err(Error::DuplicateCallback { name });
            }
        }
        Ok(())
    }

    fn take_step<B>(&mut self, batch: &B, audit: bool) -> Result<()>
    where
        S: Step<O, B>,
    {
        let mut turn = Turn {
            store: &self.store,
            position: self.position,
            audit,
            callbacks: &mut self.callbacks,
            measure: &mut self.measure,
            samples: &mut self.samples,
        };
        record(|| self.step.step(&self.objective, batch, &mut turn))?;
        self.position.batch += 1;
        self.position.step += 1;
        Ok(())
    }

    fn end_epoch(
        &mut self,
        epochs: usize,
        batches: Option<usize>,
        validate: &impl Fn(&Self) -> Result<Option<Scores>>,
    ) -> Result<()> {
        if self.position.batch == 0 {
            return Err(Error::NoBatches {
                what: "the training set",
            });
        }
        let mut logs = prefixed("train", self.measure.values());
        if let Some(scores) = self.with_averaged(validate)? {
            logs.extend(prefixed("val", scores.values));
        }
        self.history.epochs.push(EpochRecord {
            epoch: self.position.epoch,
            step: self.position.step,
            seconds: self.epoch_seconds,
            logs: logs.clone(),
        });
        self.measure.reset();
        self.position.epoch += 1;
        self.position.batch = 0;
        self.emit(Event::Epoch, epochs, batches, &logs)
    }

    /// The parameters that a callback has in place of those of the last step.
    fn averaged(&self) -> Option<StateDict> {
        self.callbacks
            .iter()
            .find_map(|callback| callback.averaged())
    }

    /// Measures with the averaged parameters, if there are any, and puts the others back.
    fn with_averaged<T>(&self, measure: &impl Fn(&Self) -> Result<T>) -> Result<T> {
        let Some(averaged) = self.averaged() else {
            return measure(self);
        };
        let mut trained = StateDict::new();
        for (name, tensor) in self.store.state_dict() {
            trained.insert(name, tensor.copy()?);
        }
        let mut mixed = trained.clone();
        mixed.extend(averaged);
        self.store.load_state_dict(&mixed, true)?;
        let measured = measure(self);
        self.store.load_state_dict(&trained, true)?;
        measured
    }
}

fn prefixed(split: &str, values: Logs) -> Logs {
    values
        .into_iter()
        .map(|(name, value)| (format!("{split}.{name}"), value))
        .collect()
}
