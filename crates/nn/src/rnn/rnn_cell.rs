//! [`RnnCell`]: one step of a simple recurrent layer.
//!
//! `h' = f(x W_ih^T + b_ih + h W_hh^T + b_hh)`
//!
//! **Shape:** `(N, in)` or `(in)`, states with `hidden` in place of `in` → the next states.
//!
//! **Parameters:** `weight_ih (hidden, in)`, `weight_hh (hidden, hidden)`, `bias_ih` and
//! `bias_hh (hidden)`; all start uniform within `1 / sqrt(hidden)`.
//!
//! As in PyTorch. Over whole sequences [`Rnn`](crate::Rnn) is much faster.
//!
//! ```
//! use mapsto_nn::{CellConfig, RnnCell, Nonlinearity};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let cell = RnnCell::new(&CellConfig::new(3, 8), Nonlinearity::Tanh, store.root())?;
//! let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
//! let first = cell.forward(&x, None)?;
//! let second = cell.forward(&x, Some(&first))?;
//! assert_eq!(second.dims(), [5, 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** those of [`Rnn`](crate::Rnn).

use mapsto_tensor::ops::{Nonlinearity, Recurrence};
use mapsto_tensor::{Result, Tensor, VarBuilder};

use super::config::CellConfig;
use super::single::Single;

/// One step of a simple recurrent layer.
#[derive(Debug, Clone)]
pub struct RnnCell(Single);

impl RnnCell {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When there are no units, or the store behind `vb` holds these names with other shapes.
    pub fn new(
        config: &CellConfig,
        nonlinearity: Nonlinearity,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let kind = Recurrence::Rnn(nonlinearity);
        Ok(Self(Single::new(kind, config, &vb)?))
    }

    /// The options.
    pub fn config(&self) -> &CellConfig {
        self.0.config()
    }

    /// The state after a step, from `state` or from zeros.
    ///
    /// # Errors
    /// When shapes do not fit, naming them.
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Result<Tensor> {
        let states = state.as_ref().map(std::slice::from_ref);
        Ok(self.0.forward(x, states)?[0].clone())
    }
}
