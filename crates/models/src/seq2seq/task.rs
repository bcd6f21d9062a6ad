//! [`Translate`]: softmax cross-entropy of each word of a translation, given those before it.

use mapsto_data::PaddedPair;
use mapsto_tensor::Result;
use mapsto_train::{Objective, Output};

use super::network::Seq2Seq;

/// The task of translating, with the right words as input to the decoder.
#[derive(Debug, Clone)]
pub struct Translate {
    model: Seq2Seq,
    smoothing: f64,
}

impl Translate {
    /// Trains `model`; `smoothing` is the share of each word that is spread over all, in `[0, 1]`.
    pub fn new(model: Seq2Seq, smoothing: f64) -> Self {
        Self { model, smoothing }
    }

    /// The network.
    pub fn model(&self) -> &Seq2Seq {
        &self.model
    }
}

/// Predictions and targets are the words after the first, `(words)`: as many samples as there are
/// words, without padding. Smoothing is of training alone.
impl Objective<PaddedPair> for Translate {
    fn compute_loss(&self, pair: &PaddedPair, train: bool) -> Result<Output> {
        let source = (&pair.source, pair.source_lengths.as_slice());
        let smoothing = if train { self.smoothing } else { 0.0 };
        let loss = self.model.loss(source, &pair.target, smoothing, train)?;
        let words: usize = pair.target_lengths.iter().map(|length| length - 1).sum();
        let all = pair.target.flatten_all()?.narrow(0, 0, words)?;
        Ok(Output {
            loss,
            predictions: all.clone(),
            targets: all,
        })
    }
}
