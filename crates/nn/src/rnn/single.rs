//! One step of a cell, the same for every kind.

use mapsto_tensor::ops::{self, Order, Recurrence, RecurrentWeights};
use mapsto_tensor::{Result, Tensor, VarBuilder, bail};

use super::config::CellConfig;
use super::weights::weights;

#[derive(Debug, Clone)]
pub(super) struct Single {
    kind: Recurrence,
    config: CellConfig,
    weights: RecurrentWeights,
}

impl Single {
    pub(super) fn new(kind: Recurrence, config: &CellConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        if config.hidden_size == 0 {
            bail!(
                "{} cell: hidden_size must be at least 1, got 0",
                kind.name()
            );
        }
        Ok(Self {
            kind,
            config: *config,
            weights: weights(kind, config, "", vb)?,
        })
    }

    pub(super) fn config(&self) -> &CellConfig {
        &self.config
    }

    /// The states after a step, from the given ones or from zeros.
    pub(super) fn forward(&self, x: &Tensor, states: Option<&[&Tensor]>) -> Result<Vec<Tensor>> {
        let (name, input) = (self.kind.name(), self.config.input_size);
        let (rank, dims) = (x.rank(), x.dims());
        if !(1..=2).contains(&rank) || dims[rank - 1] != input {
            bail!(
                "{name} cell: expected an input (N, {input}) or ({input}), got {:?}",
                x.shape()
            );
        }
        let batch = if rank == 2 { dims[0] } else { 1 };
        let shape = [&dims[..rank - 1], &[self.config.hidden_size]].concat();
        let start = match states {
            Some(states) => {
                if let Some(wrong) = states.iter().find(|state| state.dims() != shape) {
                    bail!(
                        "{name} cell: expected a state {shape:?}, got {:?}",
                        wrong.shape()
                    );
                }
                Tensor::stack(states, 0)?
            }
            None => Tensor::zeros(
                [&[self.kind.states()], &shape[..]].concat(),
                x.dtype(),
                x.device(),
            )?,
        };
        let start = start.reshape((self.kind.states(), batch, self.config.hidden_size))?;
        let x = x.reshape((1, batch, input))?;
        let order = Order::default();
        let (_, after) = ops::recurrent(self.kind, &x, &self.weights, &start, &order)?;
        let states = (0..self.kind.states()).map(|i| after.get(i)?.reshape(&shape[..]));
        states.collect()
    }
}
