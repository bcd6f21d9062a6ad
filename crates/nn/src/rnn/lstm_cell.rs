//! [`LstmCell`]: one step of long short-term memory.
//!
//! The formula of [`Lstm`](crate::Lstm).
//!
//! **Shape:** `(N, in)` or `(in)`, states with `hidden` in place of `in` → the next states.
//!
//! **Parameters:** `weight_ih (4 hidden, in)`, `weight_hh (4 hidden, hidden)`, `bias_ih` and
//! `bias_hh (4 hidden)`; all start uniform within `1 / sqrt(hidden)`.
//!
//! As in PyTorch. Over whole sequences [`Lstm`](crate::Lstm) is much faster.
//!
//! ```
//! use mapsto_nn::{CellConfig, LstmCell};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let cell = LstmCell::new(&CellConfig::new(3, 8), store.root())?;
//! let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
//! let first = cell.forward(&x, None)?;
//! let second = cell.forward(&x, Some(&first))?;
//! assert_eq!(second.h.dims(), [5, 8]);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** those of [`Lstm`](crate::Lstm).

use mapsto_tensor::{Result, Tensor, VarBuilder, ops::Recurrence};

use super::config::CellConfig;
use super::lstm::LstmState;
use super::single::Single;

/// One step of long short-term memory.
#[derive(Debug, Clone)]
pub struct LstmCell(Single);

impl LstmCell {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When there are no units, or the store behind `vb` holds these names with other shapes.
    pub fn new(config: &CellConfig, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self(Single::new(Recurrence::Lstm, config, &vb)?))
    }

    /// The options.
    pub fn config(&self) -> &CellConfig {
        self.0.config()
    }

    /// The state after a step, from `state` or from zeros; its `h` is the output.
    ///
    /// # Errors
    /// When shapes do not fit, naming them.
    pub fn forward(&self, x: &Tensor, state: Option<&LstmState>) -> Result<LstmState> {
        let states = state.map(|state| [&state.h, &state.c]);
        let after = self.0.forward(x, states.as_ref().map(<[_; 2]>::as_slice))?;
        let [h, c] = [0, 1].map(|i| after[i].clone());
        Ok(LstmState { h, c })
    }
}
