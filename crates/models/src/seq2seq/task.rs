//! [`Translate`]: softmax cross-entropy of each word of a translation, given those before it.
//!
//! The words in front of each are the right ones (teacher forcing), or with some probability the
//! network's own likeliest, chosen one after the other as in a greedy search (scheduled sampling).
//! No gradient goes through the choice.
//!
//! **Reference:** Samy Bengio, Oriol Vinyals, Navdeep Jaitly, Noam Shazeer, "Scheduled sampling for
//! sequence prediction with recurrent neural networks", 2015.

use std::sync::Arc;

use mapsto_data::PaddedPair;
use mapsto_tensor::{Device, Result, Tensor, rng};
use mapsto_train::{Objective, Output};
use rand::Rng;

use super::encoder_decoder::EncoderDecoder;
use super::search::largest;

/// The task of translating.
#[derive(Debug, Clone)]
pub struct Translate {
    model: Arc<dyn EncoderDecoder>,
    smoothing: f64,
}

/// A batch, with the share of the words in front that are to be the network's own.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The batch.
    pub pair: PaddedPair,
    /// Probability of each, in `[0, 1]`; the first word of a target stays as it is.
    pub own_words: f64,
}

impl Translate {
    /// Trains `model`; `smoothing` is the share of each word that is spread over all, in `[0, 1]`.
    pub fn new(model: Arc<dyn EncoderDecoder>, smoothing: f64) -> Self {
        Self { model, smoothing }
    }

    /// The network.
    pub fn model(&self) -> &dyn EncoderDecoder {
        &*self.model
    }

    fn output(&self, pair: &PaddedPair, own_words: f64, train: bool) -> Result<Output> {
        let source = (&pair.source, pair.source_lengths.as_slice());
        let (smoothing, own_words) = if train {
            (self.smoothing, own_words)
        } else {
            (0.0, 0.0)
        };
        let loss = if own_words > 0.0 {
            let given = mixed(&*self.model, source, &pair.target, own_words)?;
            let target = &pair.target;
            self.model
                .loss_given(source, &given, target, smoothing, train)?
        } else {
            self.model.loss(source, &pair.target, smoothing, train)?
        };
        let words: usize = pair.target_lengths.iter().map(|length| length - 1).sum();
        let all = pair.target.flatten_all()?.narrow(0, 0, words)?;
        Ok(Output {
            loss,
            predictions: all.clone(),
            targets: all,
        })
    }
}

/// Predictions and targets are the words after the first, `(words)`: as many samples as there are
/// words, without padding. Smoothing is of training alone.
impl Objective<PaddedPair> for Translate {
    fn compute_loss(&self, pair: &PaddedPair, train: bool) -> Result<Output> {
        self.output(pair, 0.0, train)
    }
}

/// As for a pair alone; outside training all words are the right ones.
impl Objective<Lesson> for Translate {
    fn compute_loss(&self, lesson: &Lesson, train: bool) -> Result<Output> {
        self.output(&lesson.pair, lesson.own_words, train)
    }
}

/// Targets `(N, T)` without their last word, `(N, T - 1)`, in which each word after the first is
/// the network's own with probability `own_words`.
fn mixed(
    model: &dyn EncoderDecoder,
    source: (&Tensor, &[usize]),
    target: &Tensor,
    own_words: f64,
) -> Result<Tensor> {
    let mut rows = target.to_vec2::<u32>()?;
    rows.iter_mut().for_each(|row| {
        row.pop();
    });
    let steps = rows.first().map_or(0, Vec::len);
    let mut coins = rng::next_stream();
    let mut state = model.read(source.0, source.1)?;
    for step in 1..steps {
        let words: Vec<u32> = rows.iter().map(|row| row[step - 1]).collect();
        let next = model.write(&words, &state)?;
        state = next.state;
        for (row, log_p) in rows.iter_mut().zip(&next.log_probabilities) {
            // Behind the end of a target it does not matter, since no loss is taken there.
            if coins.random::<f64>() < own_words
                && let Some(&word) = largest(log_p, 1).first()
            {
                row[step] = word as u32;
            }
        }
    }
    Tensor::new(rows, &Device::Cpu)?.to_device(target.device())
}
