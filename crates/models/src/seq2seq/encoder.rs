//! [`Encoder`]: reads the source in both directions, for the decoder to begin with and look back at.
//!
//! `m_s = [forward_s; backward_s]`, and the decoder begins at `tanh(W [forward_last; backward_last]
//! + b)`.
//!
//! **Shape:** tokens `(N, S)` in u32 and their lengths → memory `(N, S, 2 h)`, 0 beyond the ends, and
//! states `(Z, N, H)`; `Z` is 2 for an LSTM, whose second state begins at 0, else 1.
//!
//! **Parameters:** `embedding.weight`, `rnn.*` as of PyTorch's bidirectional layer, `fc.weight (H, 2
//! h)`, `fc.bias`.

use mapsto_nn::{Embedding, Gru, Linear, Lstm, RecurrentConfig, linear};
use mapsto_tensor::ops::{self, Unary};
use mapsto_tensor::{Module, Result, Tensor, VarBuilder};

use super::network::Seq2SeqConfig;
use crate::cell::Cell;

/// The reader of the source.
#[derive(Debug, Clone)]
pub struct Encoder {
    embedding: Embedding,
    layer: Layer,
    fc: Linear,
    dropout: f64,
}

#[derive(Debug, Clone)]
enum Layer {
    Gru(Gru),
    Lstm(Lstm),
}

/// A source as the decoder sees it.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// What each place says, `(N, S, 2 h)`.
    pub memory: Tensor,
    /// What the decoder begins with, `(Z, N, H)`.
    pub states: Tensor,
    /// Places of each sequence.
    pub lengths: Vec<usize>,
}

impl Encoder {
    /// Makes or finds the parameters under `vb`; the embedding may be shared.
    pub(super) fn new(
        config: &Seq2SeqConfig,
        embedding: Embedding,
        vb: &VarBuilder<'static>,
    ) -> Result<Self> {
        let recurrent = RecurrentConfig {
            bidirectional: true,
            batch_first: true,
            ..RecurrentConfig::new(config.embedding, config.encoder_hidden)
        };
        let layer = match config.cell {
            Cell::Lstm => Layer::Lstm(Lstm::new(&recurrent, vb.pp("rnn"))?),
            _ => Layer::Gru(Gru::new(&recurrent, vb.pp("rnn"))?),
        };
        Ok(Self {
            embedding,
            layer,
            fc: linear(2 * config.encoder_hidden, config.hidden, vb.pp("fc"))?,
            dropout: config.dropout,
        })
    }

    /// Reads sources.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or a length does not fit.
    pub fn forward(&self, tokens: &Tensor, lengths: &[usize], train: bool) -> Result<Encoded> {
        let mut x = self.embedding.forward(tokens)?;
        if train {
            x = ops::dropout(&x, self.dropout)?;
        }
        let (memory, last) = match &self.layer {
            Layer::Gru(gru) => gru.forward(&x, None, Some(lengths), train)?,
            Layer::Lstm(lstm) => {
                let (y, last) = lstm.forward(&x, None, Some(lengths), train)?;
                (y, last.h)
            }
        };
        let last = Tensor::cat(&[&last.get(0)?, &last.get(1)?], 1)?;
        let h = ops::unary(&self.fc.forward(&last)?, Unary::Tanh)?;
        let states = match self.layer {
            Layer::Gru(_) => h.unsqueeze(0)?,
            Layer::Lstm(_) => Tensor::stack(&[&h, &h.zeros_like()?], 0)?,
        };
        Ok(Encoded {
            memory,
            states,
            lengths: lengths.to_vec(),
        })
    }
}
