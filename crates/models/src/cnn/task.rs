//! [`Classify`]: softmax cross-entropy of a model's logits against class labels.

use mapsto_nn::cross_entropy;
use mapsto_tensor::{ModuleT, Result, Tensor};
use mapsto_train::{Objective, Output};

/// The task of saying a class: batches are (inputs, labels `(N)`), predictions logits `(N, C)`.
#[derive(Debug, Clone)]
pub struct Classify<M> {
    model: M,
}

impl<M: ModuleT> Classify<M> {
    /// Trains `model` to give the largest logit to the right class.
    pub fn new(model: M) -> Self {
        Self { model }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }
}

impl<M: ModuleT> Objective<(Tensor, Tensor)> for Classify<M> {
    fn compute_loss(&self, (inputs, labels): &(Tensor, Tensor), train: bool) -> Result<Output> {
        let predictions = self.model.forward_t(inputs, train)?;
        let loss = cross_entropy(&predictions, labels)?;
        Ok(Output {
            loss,
            predictions,
            targets: labels.clone(),
        })
    }
}
