//! [`ClassifyText`]: softmax cross-entropy of a classifier's logits against class labels.

use mapsto_data::Padded;
use mapsto_nn::cross_entropy;
use mapsto_tensor::{Result, Tensor};
use mapsto_train::{Objective, Output};

use super::network::TextClassifier;

/// The task of saying the class of a text.
#[derive(Debug, Clone)]
pub struct ClassifyText(pub TextClassifier);

impl Objective<(Padded, Tensor)> for ClassifyText {
    fn compute_loss(&self, (texts, labels): &(Padded, Tensor), train: bool) -> Result<Output> {
        let predictions = self.0.forward(texts, train)?;
        let loss = cross_entropy(&predictions, labels)?;
        Ok(Output {
            loss,
            predictions,
            targets: labels.clone(),
        })
    }
}
