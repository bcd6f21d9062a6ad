//! Layers and directions of a recurrent layer, the same for every kind of cell.

use mapsto_tensor::ops::{self, Order, Recurrence};
use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder, bail};

use super::config::{CellConfig, RecurrentConfig};
use super::layer::RecurrentLayer;
use crate::Dropout;

#[derive(Debug, Clone)]
pub(super) struct Stack {
    kind: Recurrence,
    config: RecurrentConfig,
    /// Layer by layer, in each forwards before backwards.
    walks: Vec<RecurrentLayer>,
    dropout: Dropout,
}

impl Stack {
    pub(super) fn new(
        kind: Recurrence,
        config: &RecurrentConfig,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        config.validate(kind.name())?;
        let mut walks = vec![];
        for layer in 0..config.num_layers {
            let input_size = match layer {
                0 => config.input_size,
                _ => config.directions() * config.hidden_size,
            };
            let cell = CellConfig {
                input_size,
                hidden_size: config.hidden_size,
                bias: config.bias,
            };
            for direction in ["", "_reverse"].iter().take(config.directions()) {
                let suffix = format!("_l{layer}{direction}");
                walks.push(RecurrentLayer::new(kind, &cell, &suffix, vb)?);
            }
        }
        Ok(Self {
            kind,
            config: *config,
            walks,
            dropout: Dropout::new(config.dropout)?,
        })
    }

    pub(super) fn config(&self) -> &RecurrentConfig {
        &self.config
    }

    /// Outputs and last states from an input and states as the layer's user has them.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        states: Option<&[&Tensor]>,
        lengths: Option<&[usize]>,
        train: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let batched = self.is_batched(x)?;
        let swap = self.config.batch_first && batched;
        let x = match batched {
            true if swap => x.transpose(0, 1)?,
            true => x.clone(),
            false => x.unsqueeze(1)?,
        };
        let states = states
            .map(|states| self.batched_states(states, batched, x.dim(1)?))
            .transpose()?;
        let (y, last) = self.walk(x, states.as_deref(), lengths, train)?;
        if batched {
            return Ok((if swap { y.transpose(0, 1)? } else { y }, last));
        }
        let single = last.iter().map(|state| state.squeeze(1));
        Ok((y.squeeze(1)?, single.collect::<Result<_>>()?))
    }

    /// Whether the input has a batch; also checks its size.
    fn is_batched(&self, x: &Tensor) -> Result<bool> {
        let (name, size) = (self.kind.name(), self.config.input_size);
        let layout = if self.config.batch_first {
            "(N, L, input_size)"
        } else {
            "(L, N, input_size)"
        };
        if !(2..=3).contains(&x.rank()) {
            bail!(
                "{name}: expected an input {layout} or (L, input_size), got {:?}",
                x.shape()
            );
        }
        if x.dims().last() != Some(&size) {
            bail!(
                "{name}: input_size is {size}, but the input's last dimension is not (shape {:?})",
                x.shape()
            );
        }
        Ok(x.rank() == 3)
    }

    /// The states as `(layers * directions, N, H)`.
    fn batched_states(
        &self,
        states: &[&Tensor],
        batched: bool,
        batch: usize,
    ) -> Result<Vec<Tensor>> {
        let (walks, hidden) = (self.walks.len(), self.config.hidden_size);
        let expected = if batched {
            vec![walks, batch, hidden]
        } else {
            vec![walks, hidden]
        };
        let check = |&state: &&Tensor| {
            if state.dims() != expected {
                bail!(
                    "{}: expected a state {expected:?}, got {:?}",
                    self.kind.name(),
                    state.shape()
                );
            }
            state.reshape((walks, batch, hidden))
        };
        states.iter().map(check).collect()
    }

    fn walk(
        &self,
        mut x: Tensor,
        states: Option<&[Tensor]>,
        lengths: Option<&[usize]>,
        train: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let directions = self.config.directions();
        let mut last = vec![];
        for (layer, walks) in self.walks.chunks(directions).enumerate() {
            if layer > 0 && self.config.dropout > 0.0 {
                x = self.dropout.forward_t(&x, train)?;
            }
            let mut outputs = vec![];
            for (direction, walk) in walks.iter().enumerate() {
                let start = match states {
                    Some(states) => start(states, layer * directions + direction)?,
                    None => walk.zeros(&x)?,
                };
                let order = Order {
                    reverse: direction == 1,
                    lengths: lengths.map(<[usize]>::to_vec),
                };
                let (y, end) = walk.forward(&x, &start, &order, train)?;
                outputs.push(y);
                last.push(end);
            }
            x = match &outputs[..] {
                [one] => one.clone(),
                both => ops::cat(&both.iter().collect::<Vec<_>>(), 2)?,
            };
        }
        let of_all = |state: usize| {
            let ends = last.iter().map(|end| end.get(state));
            Tensor::stack(&ends.collect::<Result<Vec<_>>>()?, 0)
        };
        let states = (0..self.kind.states()).map(of_all);
        Ok((x, states.collect::<Result<_>>()?))
    }
}

/// The states that a walk starts from, `(S, N, H)`.
fn start(states: &[Tensor], walk: usize) -> Result<Tensor> {
    let of_walk = states.iter().map(|state| state.get(walk));
    Tensor::stack(&of_walk.collect::<Result<Vec<_>>>()?, 0)
}
