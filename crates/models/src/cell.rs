//! [`Cell`]: the kinds of recurrent cell that networks are made of.

use mapsto_tensor::ops::{Nonlinearity, Recurrence};
use serde::{Deserialize, Serialize};

/// The kind of recurrent cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// Long short-term memory.
    #[default]
    Lstm,
    /// Gated recurrent unit.
    Gru,
    /// Simple cell with tanh.
    Rnn,
}

impl Cell {
    pub(crate) fn recurrence(self) -> Recurrence {
        match self {
            Self::Lstm => Recurrence::Lstm,
            Self::Gru => Recurrence::Gru,
            Self::Rnn => Recurrence::Rnn(Nonlinearity::Tanh),
        }
    }
}
