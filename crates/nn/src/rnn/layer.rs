//! [`RecurrentLayer`]: one layer of recurrent cells in one direction, what stacks are made of.
//!
//! **Shape:** `x (L, N, in)` and states `(S, N, hidden)` → outputs `(L, N, hidden)` and the last
//! states; `S` is 2 for an LSTM (`h`, then `c`), else 1.
//!
//! **Parameters:** `weight_ih (G hidden, in)`, `weight_hh (G hidden, hidden)`, `bias_ih`, `bias_hh
//! (G hidden)`, each with a suffix such as `_l0`, as in PyTorch's stacks; all start uniform within
//! `1 / sqrt(hidden)`.
//!
//! With `weight_dropout` each call while training drops entries of `weight_hh`, the same at all
//! steps (DropConnect on the recurrent weights).
//!
//! ```
//! use mapsto_nn::{CellConfig, RecurrentLayer};
//! use mapsto_tensor::ops::{Order, Recurrence};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = CellConfig::new(3, 8);
//! let layer = RecurrentLayer::new(Recurrence::Lstm, &config, "_l0", &store.root())?;
//! let x = Tensor::zeros((7, 5, 3), DType::F32, &Device::Cpu)?;
//! let (y, last) = layer.forward(&x, &layer.zeros(&x)?, &Order::default(), false)?;
//! assert_eq!((y.dims(), last.dims()), (&[7, 5, 8][..], &[2, 5, 8][..]));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Stephen Merity, Nitish Shirish Keskar, Richard Socher, "Regularizing and
//! optimizing LSTM language models", 2018.

use mapsto_tensor::ops::{self, Order, Recurrence, RecurrentWeights};
use mapsto_tensor::{Result, Tensor, VarBuilder, bail};

use super::config::CellConfig;
use super::weights::weights;

/// One layer of recurrent cells in one direction.
#[derive(Debug, Clone)]
pub struct RecurrentLayer {
    kind: Recurrence,
    weights: RecurrentWeights,
    weight_dropout: f64,
}

impl RecurrentLayer {
    /// Makes or finds the parameters under `vb`, each name with `suffix`.
    ///
    /// # Errors
    /// When `hidden_size` is 0, or the store behind `vb` holds these names with other shapes.
    pub fn new(
        kind: Recurrence,
        config: &CellConfig,
        suffix: &str,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        if config.hidden_size == 0 {
            bail!("{}: hidden_size must be at least 1, got 0", kind.name());
        }
        Ok(Self {
            kind,
            weights: weights(kind, config, suffix, vb)?,
            weight_dropout: 0.0,
        })
    }

    /// Drops entries of `weight_hh` with probability `p` while training; default 0.
    ///
    /// # Errors
    /// When `p` is not in `[0, 1]`.
    pub fn weight_dropout(mut self, p: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&p) {
            bail!("weight_dropout: the probability must lie in [0, 1], got {p}");
        }
        self.weight_dropout = p;
        Ok(self)
    }

    /// States of zeros for an input `(L, N, in)`.
    ///
    /// # Errors
    /// When `x` has no dimension `N`.
    pub fn zeros(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.weights.weight_hh.dim(1)?;
        let shape = (self.kind.states(), x.dim(1)?, hidden);
        Tensor::zeros(shape, x.dtype(), x.device())
    }

    /// Walks over the sequences from `states`: all outputs, and the last states.
    ///
    /// # Errors
    /// When shapes or lengths do not fit, naming them.
    pub fn forward(
        &self,
        x: &Tensor,
        states: &Tensor,
        order: &Order,
        train: bool,
    ) -> Result<(Tensor, Tensor)> {
        if !train || self.weight_dropout == 0.0 {
            return ops::recurrent(self.kind, x, &self.weights, states, order);
        }
        let dropped = RecurrentWeights {
            weight_hh: ops::dropout(&self.weights.weight_hh, self.weight_dropout)?,
            ..self.weights.clone()
        };
        ops::recurrent(self.kind, x, &dropped, states, order)
    }
}
