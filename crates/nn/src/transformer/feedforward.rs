//! The two maps of a layer: `W_2 drop(f(W_1 x + b_1)) + b_2`.

use mapsto_tensor::{Module, Result, Tensor, VarBuilder, ops};

use super::TransformerLayerConfig;
use crate::{Activation, Linear, LinearConfig};

#[derive(Debug, Clone)]
pub(super) struct Feedforward {
    first: Linear,
    second: Linear,
    activation: Activation,
    dropout: f64,
}

impl Feedforward {
    pub(super) fn new(config: &TransformerLayerConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let map = |from: usize, to: usize, name: &str| {
            let config = LinearConfig {
                bias: config.bias,
                ..LinearConfig::new(from, to)
            };
            Linear::new(&config, vb.pp(name))
        };
        Ok(Self {
            first: map(config.d_model, config.dim_feedforward, "linear1")?,
            second: map(config.dim_feedforward, config.d_model, "linear2")?,
            activation: config.activation,
            dropout: config.dropout,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let units = self.activation.forward(&self.first.forward(x)?)?;
        let dropout = if train { self.dropout } else { 0.0 };
        self.second.forward(&ops::dropout(&units, dropout)?)
    }
}
