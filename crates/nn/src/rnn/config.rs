//! The options of recurrent layers and cells, the same for every kind.

use mapsto_tensor::{Result, bail};
use serde::{Deserialize, Serialize};

/// The options of an [`Rnn`](crate::Rnn), [`Lstm`](crate::Lstm) or [`Gru`](crate::Gru).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecurrentConfig {
    /// Features of the input at each step.
    pub input_size: usize,
    /// Units of each layer, at least 1.
    pub hidden_size: usize,
    /// Layers, each on the outputs of the one before, at least 1; default 1.
    #[serde(default = "crate::defaults::one")]
    pub num_layers: usize,
    /// Whether biases are added; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
    /// Whether inputs and outputs are `(N, L, ..)`; default false: `(L, N, ..)`. States are
    /// `(layers, N, ..)` either way.
    #[serde(default)]
    pub batch_first: bool,
    /// Probability of dropping an output between layers while training; default 0.
    #[serde(default)]
    pub dropout: f64,
    /// Whether each layer also walks backwards; default false. Outputs are then twice as wide.
    #[serde(default)]
    pub bidirectional: bool,
}

impl RecurrentConfig {
    /// PyTorch's defaults for the rest: one layer forwards, biases, the time first.
    pub const fn new(input_size: usize, hidden_size: usize) -> Self {
        Self {
            input_size,
            hidden_size,
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
        }
    }

    pub(super) fn validate(&self, layer: &str) -> Result<()> {
        if self.hidden_size == 0 || self.num_layers == 0 {
            bail!(
                "{layer}: hidden_size and num_layers must be at least 1, got {} and {}",
                self.hidden_size,
                self.num_layers
            );
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            bail!(
                "{layer}: the dropout probability must lie in [0, 1], got {}",
                self.dropout
            );
        }
        Ok(())
    }

    pub(super) fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }
}

/// The options of an [`RnnCell`](crate::RnnCell), [`LstmCell`](crate::LstmCell) or
/// [`GruCell`](crate::GruCell).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellConfig {
    /// Features of the input.
    pub input_size: usize,
    /// Units, at least 1.
    pub hidden_size: usize,
    /// Whether biases are added; default true.
    #[serde(default = "crate::defaults::yes")]
    pub bias: bool,
}

impl CellConfig {
    /// With biases.
    pub const fn new(input_size: usize, hidden_size: usize) -> Self {
        Self {
            input_size,
            hidden_size,
            bias: true,
        }
    }
}
