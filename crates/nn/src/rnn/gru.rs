//! [`Gru`]: layers of gated recurrent units over sequences.
//!
//! `r, z = sigmoid(x W_ih^T + b_ih + h W_hh^T + b_hh)`,
//! `n = tanh(x W_in^T + b_in + r (h W_hn^T + b_hn))`, `h' = (1 - z) n + z h`.
//!
//! **Shape:** `(L, N, in)`, with `batch_first` `(N, L, in)`, or `(L, in)` → the same with
//! `directions * hidden`; states `(layers * directions, N, hidden)`.
//!
//! **Parameters:** as of [`Lstm`](crate::Lstm) with three gates, `r, z, n`.
//!
//! As in PyTorch; lengths as of [`Lstm`](crate::Lstm).
//!
//! ```
//! use mapsto_nn::{Gru, RecurrentConfig};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = RecurrentConfig { bidirectional: true, ..RecurrentConfig::new(3, 8) };
//! let layer = Gru::new(&config, store.root())?;
//! let x = Tensor::zeros((7, 2, 3), DType::F32, &Device::Cpu)?;
//! let (y, h) = layer.forward(&x, None, Some(&[7, 4]), false)?;
//! assert_eq!((y.dims(), h.dims()), (&[7, 2, 16][..], &[2, 2, 8][..]));
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Kyunghyun Cho et al., "Learning phrase representations using RNN
//! encoder-decoder for statistical machine translation", 2014.

use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder, ops::Recurrence};

use super::config::RecurrentConfig;
use super::stack::Stack;

/// Gated recurrent units.
#[derive(Debug, Clone)]
pub struct Gru(Stack);

impl Gru {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When an option is out of range, or the store behind `vb` holds these names with other
    /// shapes.
    pub fn new(config: &RecurrentConfig, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self(Stack::new(Recurrence::Gru, config, &vb)?))
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
impl ModuleT for Gru {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.forward(x, None, None, train)?.0)
    }
}
