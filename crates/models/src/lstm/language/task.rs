//! [`NextToken`]: the surprise of a language model at each next token.
//!
//! Windows of one text follow each other, and the network goes on from the state in which the
//! window before left it, without a gradient through it: truncated back-propagation through time.
//! What is carried is part of the state of training, so [`Carried`] is also a callback that puts
//! it into snapshots.
//!
//! Activation regularisation adds `alpha mean(h^2)` of the dropped outputs of the last layer and
//! `beta mean((h_t - h_{t-1})^2)` of the outputs before dropout (Merity, 2018).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mapsto_tensor::{Result, StateDict, Tensor};
use mapsto_train::{Callback, Objective, Output};
use serde_json::{Value, json};

use super::network::{Hidden, LanguageModel};

/// A window of a text.
#[derive(Debug, Clone)]
pub struct Window {
    /// Tokens `(T, N)`.
    pub inputs: Tensor,
    /// The tokens one step later.
    pub targets: Tensor,
    /// Whether a pass over the text begins: the network forgets what came before.
    pub first: bool,
}

/// The states that go from one window to the next, shared between task and snapshots.
#[derive(Debug, Clone, Default)]
pub struct Carried(Arc<Mutex<States>>);

/// One for each layer, from the first window on. Those of an evaluation are apart, since training goes
/// on from its own.
#[derive(Debug, Default)]
struct States {
    training: Option<Vec<Tensor>>,
    evaluation: Option<Vec<Tensor>>,
}

impl Carried {
    fn lock(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl States {
    fn of(&mut self, train: bool) -> &mut Option<Vec<Tensor>> {
        if train {
            &mut self.training
        } else {
            &mut self.evaluation
        }
    }
}

impl Callback for Carried {
    fn name(&self) -> &'static str {
        "carried_state"
    }

    fn state(&self) -> Value {
        json!({"layers": self.lock().training.as_ref().map(Vec::len)})
    }

    fn tensors(&self) -> StateDict {
        let states = self.lock();
        let named = states.training.iter().flatten().enumerate();
        named
            .map(|(i, state)| (i.to_string(), state.clone()))
            .collect()
    }

    fn load_state(&mut self, state: &Value, tensors: StateDict) -> serde_json::Result<()> {
        let layers: Option<usize> = serde_json::from_value(state["layers"].clone())?;
        let states = (0..layers.unwrap_or(0)).map(|i| tensors.get(&i.to_string()).cloned());
        let states: Option<Vec<Tensor>> = states.collect();
        if states.is_none() {
            return Err(serde::de::Error::custom("a state of a layer is missing"));
        }
        self.lock().training = layers.and(states);
        Ok(())
    }
}

/// The task of saying the next token.
#[derive(Debug, Clone)]
pub struct NextToken {
    model: LanguageModel,
    carried: Carried,
    alpha: f64,
    beta: f64,
}

impl NextToken {
    /// Trains `model`; clone [`carried`](Self::carried) into the trainer's callbacks.
    pub fn new(model: LanguageModel) -> Self {
        Self {
            model,
            carried: Carried::default(),
            alpha: 0.0,
            beta: 0.0,
        }
    }

    /// Adds activation regularisation with these weights; default 0 for both.
    #[must_use]
    pub fn activation_regularisation(mut self, alpha: f64, beta: f64) -> Self {
        (self.alpha, self.beta) = (alpha, beta);
        self
    }

    /// The states that go from window to window.
    pub fn carried(&self) -> Carried {
        self.carried.clone()
    }

    fn regularised(&self, loss: Tensor, hidden: &Hidden) -> Result<Tensor> {
        let mut loss = loss;
        if self.alpha > 0.0 {
            loss = (loss + (hidden.dropped.sqr()?.mean_all()? * self.alpha)?)?;
        }
        let steps = hidden.raw.dim(0)?;
        if self.beta > 0.0 && steps > 1 {
            let (before, after) = (
                hidden.raw.narrow(0, 0, steps - 1)?,
                hidden.raw.narrow(0, 1, steps - 1)?,
            );
            loss = (loss + ((after - before)?.sqr()?.mean_all()? * self.beta)?)?;
        }
        Ok(loss)
    }
}

/// Predictions are the surprises in nats `(T N)`, targets the tokens `(T N)`.
impl Objective<Window> for NextToken {
    fn compute_loss(&self, window: &Window, train: bool) -> Result<Output> {
        let before = if window.first {
            None
        } else {
            self.carried.lock().of(train).clone()
        };
        let hidden = self
            .model
            .hidden(&window.inputs, before.as_deref(), train)?;
        // Copies of just them, so that a state does not keep the outputs of its whole window.
        let states = hidden.states.iter();
        let states = states.map(|state| state.detach().force_contiguous());
        *self.carried.lock().of(train) = Some(states.collect::<Result<_>>()?);
        let surprise = self.model.surprise(&hidden.dropped, &window.targets)?;
        let mut loss = surprise.mean_all()?;
        if train {
            loss = self.regularised(loss, &hidden)?;
        }
        Ok(Output {
            loss,
            predictions: surprise.detach(),
            targets: window.targets.flatten_all()?,
        })
    }
}
