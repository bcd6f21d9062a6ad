//! [`Lstm`]: layers of long short-term memory over sequences.
//!
//! `i, f, o = sigmoid(..)`, `g = tanh(..)`, `c' = f c + i g`, `h' = o tanh(c')`, each gate of
//! `x W_ih^T + b_ih + h W_hh^T + b_hh`.
//!
//! **Shape:** `(L, N, in)`, with `batch_first` `(N, L, in)`, or `(L, in)` → the same with
//! `directions * hidden`; states `(layers * directions, N, hidden)`.
//!
//! **Parameters:** `weight_ih_l0 (4 hidden, in)`, `weight_hh_l0 (4 hidden, hidden)`, `bias_ih_l0`
//! and `bias_hh_l0 (4 hidden)`, so too for `l1` and on, whose input is that of all directions
//! before, and with `_reverse`; the gates are `i, f, g, o`; all start uniform within
//! `1 / sqrt(hidden)`.
//!
//! As in PyTorch, without `proj_size`. Lengths take the place of packed sequences: beyond its own
//! end a sequence has outputs 0, its last state is that of its own last step, and the way
//! backwards starts there. What the input holds beyond an end must be finite.
//!
//! ```
//! use mapsto_nn::{Lstm, RecurrentConfig};
//! use mapsto_tensor::{DType, Device, ParamStore, Tensor};
//! let store = ParamStore::new(DType::F32, &Device::Cpu);
//! let config = RecurrentConfig { num_layers: 2, batch_first: true, ..RecurrentConfig::new(3, 8) };
//! let layer = Lstm::new(&config, store.root())?;
//! let x = Tensor::zeros((5, 7, 3), DType::F32, &Device::Cpu)?;
//! let (y, state) = layer.forward(&x, None, None, true)?;
//! assert_eq!((y.dims(), state.c.dims()), (&[5, 7, 8][..], &[2, 5, 8][..]));
//! // Truncated back-propagation through time: go on from the state, but not back beyond it.
//! let (_, _) = layer.forward(&x, Some(&state.detach()), None, true)?;
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **References:** Sepp Hochreiter, Jürgen Schmidhuber, "Long short-term memory", 1997; Felix
//! Gers, Jürgen Schmidhuber, Fred Cummins, "Learning to forget", 2000.

use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder, ops::Recurrence};

use super::config::RecurrentConfig;
use super::stack::Stack;

/// What an LSTM remembers.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// The last outputs, `(layers * directions, N, H)`.
    pub h: Tensor,
    /// The memory, of the same shape.
    pub c: Tensor,
}

impl LstmState {
    /// The same numbers, through which no gradient flows back.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            h: self.h.detach(),
            c: self.c.detach(),
        }
    }
}

/// Long short-term memory.
#[derive(Debug, Clone)]
pub struct Lstm(Stack);

impl Lstm {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When an option is out of range, or the store behind `vb` holds these names with other
    /// shapes.
    pub fn new(config: &RecurrentConfig, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self(Stack::new(Recurrence::Lstm, config, &vb)?))
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
        state: Option<&LstmState>,
        lengths: Option<&[usize]>,
        train: bool,
    ) -> Result<(Tensor, LstmState)> {
        let states = state.map(|state| [&state.h, &state.c]);
        let states = states.as_ref().map(<[_; 2]>::as_slice);
        let (y, last) = self.0.forward(x, states, lengths, train)?;
        let [h, c] = [0, 1].map(|i| last[i].clone());
        Ok((y, LstmState { h, c }))
    }
}

/// The outputs, from a state of zeros.
impl ModuleT for Lstm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.forward(x, None, None, train)?.0)
    }
}
