//! [`Rnn`]: layers of simple recurrent cells over sequences.
//!
//! `h' = f(x W_ih^T + b_ih + h W_hh^T + b_hh)`
//!
//! **Shape:** `(L, N, in)`, with `batch_first` `(N, L, in)`, or `(L, in)` → the same with
//! `directions * hidden`; states `(layers * directions, N, hidden)`.
//!
//! **Parameters:** as of [`Lstm`](crate::Lstm) with one gate.
//!
//! As in PyTorch; lengths as of [`Lstm`](crate::Lstm).
//!
//! ```
//! use mapsto_nn::{Nonlinearity, RecurrentConfig, Rnn};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let layer = Rnn::new(&RecurrentConfig::new(3, 8), Nonlinearity::Tanh, store.root())?;
//! let (y, h) = layer.forward(&Tensor::zeros((7, 3), DType::F32, &Device::Cpu)?, None, None, false)?;
//! assert_eq!((y.dims(), h.dims()), (&[7, 8][..], &[1, 8][..]));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Jeffrey Elman, "Finding structure in time", 1990.

use mapsto_tensor::ops::{Nonlinearity, Recurrence};
use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder};

use super::config::RecurrentConfig;
use super::stack::Stack;

/// Simple recurrent cells.
#[derive(Debug, Clone)]
#[doc(alias = "Elman")]
pub struct Rnn(Stack);

impl Rnn {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When an option is out of range, or the store behind `vb` holds these names with other
    /// shapes.
    pub fn new(
        config: &RecurrentConfig,
        nonlinearity: Nonlinearity,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let kind = Recurrence::Rnn(nonlinearity);
        Ok(Self(Stack::new(kind, config, &vb)?))
    }

    /// The options.
    pub fn config(&self) -> &RecurrentConfig {
        self.0.config()
    }

    /// Outputs at every step and the last state, from `state` or from zeros; `lengths` are the
    /// steps of each sequence of the batch, all if none are given.
    ///
    /// # Errors
    /// When shapes or lengths do not fit, naming them.
    pub fn forward(
        &self,
        x: &Tensor,
        state: Option<&Tensor>,
        lengths: Option<&[usize]>,
        train: bool,
    ) -> Result<(Tensor, Tensor)> {
        let states = state.as_ref().map(std::slice::from_ref);
        let (y, last) = self.0.forward(x, states, lengths, train)?;
        Ok((y, last[0].clone()))
    }
}

/// The outputs, from a state of zeros.
impl ModuleT for Rnn {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.forward(x, None, None, train)?.0)
    }
}
