//! [`GruCell`]: one step of gated recurrent units.
//!
//! The formula of [`Gru`](crate::Gru).
//!
//! **Shape:** `(N, in)` or `(in)`, states with `hidden` in place of `in` → the next states.
//!
//! **Parameters:** `weight_ih (3 hidden, in)`, `weight_hh (3 hidden, hidden)`, `bias_ih` and
//! `bias_hh (3 hidden)`; all start uniform within `1 / sqrt(hidden)`.
//!
//! As in PyTorch. Over whole sequences [`Gru`](crate::Gru) is much faster.
//!
//! ```
//! use mapsto_nn::{CellConfig, GruCell};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let cell = GruCell::new(&CellConfig::new(3, 8), store.root())?;
//! let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
//! let first = cell.forward(&x, None)?;
//! let second = cell.forward(&x, Some(&first))?;
//! assert_eq!(second.dims(), [5, 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** those of [`Gru`](crate::Gru).

use mapsto_tensor::{Result, Tensor, VarBuilder, ops::Recurrence};

use super::config::CellConfig;
use super::single::Single;

/// One step of gated recurrent units.
#[derive(Debug, Clone)]
pub struct GruCell(Single);

impl GruCell {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When there are no units, or the store behind `vb` holds these names with other shapes.
    pub fn new(config: &CellConfig, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self(Single::new(Recurrence::Gru, config, &vb)?))
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
