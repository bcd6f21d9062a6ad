//! Recurrent cells over whole sequences.
//!
//! **Shape:** `x (T, B, in)`, `weight_ih (G H, in)`, `weight_hh (G H, H)`, biases `(G H)`,
//! states `(S, B, H)` → outputs `(T, B, H)` and the last states `(S, B, H)`, with as many gates
//! `G` and states `S` as the kind of cell has.

mod attention;
mod cell;
mod composed;
#[cfg(test)]
mod composed_tests;
mod factor;
mod gru;
mod kernel;
mod kernel_back;
mod lstm;
mod order;
mod rnn;
mod sequence;

pub use attention::{AttentionDecoderWeights, AttentionMemory, Decoded, Look, attention_decoder};
pub use order::Order;
pub use rnn::Nonlinearity;

use std::sync::Mutex;

use candle_core::{Result, Tensor, bail};

use self::cell::Cell;
use self::gru::Gru;
use self::lstm::Lstm;
use self::order::check_lengths;
use self::rnn::Rnn;
use self::sequence::Sequence;
use super::linear;
use crate::kernel::has_kernel;
use crate::macs;

/// A kind of recurrent cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recurrence {
    /// The simple cell; one gate; state `h`.
    Rnn(Nonlinearity),
    /// Long short-term memory; gates `i, f, g, o`; states `h, c`.
    Lstm,
    /// The gated recurrent unit; gates `r, z, n`; state `h`.
    Gru,
}

/// Calls `$body` with the cell of a kind.
macro_rules! of_kind {
    ($kind:expr, $cell:ident => $body:expr) => {
        match $kind {
            Recurrence::Rnn(function) => {
                let $cell = Rnn(function);
                $body
            }
            Recurrence::Gru => {
                let $cell = Gru;
                $body
            }
            Recurrence::Lstm => {
                let $cell = Lstm;
                $body
            }
        }
    };
}

use crate::tape;
use of_kind;

impl Recurrence {
    /// Blocks of rows in the weights.
    pub fn gates(self) -> usize {
        of_kind!(self, cell => gates(cell))
    }

    /// Tensors that make up the state.
    pub fn states(self) -> usize {
        of_kind!(self, cell => states(cell))
    }

    /// `lstm` and so on.
    pub fn name(self) -> &'static str {
        of_kind!(self, cell => name(cell))
    }
}

fn gates<C: Cell>(_: C) -> usize {
    C::GATES
}

fn states<C: Cell>(_: C) -> usize {
    C::STATES
}

fn name<C: Cell>(_: C) -> &'static str {
    C::NAME
}

/// The parameters of a cell.
#[derive(Debug, Clone)]
pub struct RecurrentWeights {
    /// Of the input, `(G H, in)`.
    pub weight_ih: Tensor,
    /// Of the state, `(G H, H)`.
    pub weight_hh: Tensor,
    /// Those of input and state, both `(G H)`.
    pub biases: Option<(Tensor, Tensor)>,
}

/// Walks over the sequences `x` from the given states: all outputs, and the last states.
///
/// # Errors
/// When shapes or lengths do not fit, naming them.
pub fn recurrent(
    kind: Recurrence,
    x: &Tensor,
    weights: &RecurrentWeights,
    states: &Tensor,
    order: &Order,
) -> Result<(Tensor, Tensor)> {
    check(kind, x, weights, states, order)?;
    let steps = x.dim(0)?;
    let y = of_kind!(kind, cell => {
        let (x, rest) = prepare(cell, x, weights, states)?;
        run(cell, &x, &weights.weight_hh, &rest, order)?
    });
    let parts = tape::split(&y, 0, &[steps, kind.states()])?;
    Ok((parts[0].clone(), parts[1].clone()))
}

fn check(
    kind: Recurrence,
    x: &Tensor,
    weights: &RecurrentWeights,
    states: &Tensor,
    order: &Order,
) -> Result<()> {
    let name = kind.name();
    let &[steps, batch, input] = x.dims() else {
        bail!("{name}: expected an input (T, B, in), got {:?}", x.shape());
    };
    let (width, hidden) = weights.weight_hh.dims2()?;
    if steps == 0 || hidden == 0 {
        bail!("{name}: expected at least one step and one unit, got {steps} and {hidden}");
    }
    let mut shapes = vec![
        ("weight_ih", &weights.weight_ih, vec![width, input]),
        (
            "weight_hh",
            &weights.weight_hh,
            vec![kind.gates() * hidden, hidden],
        ),
        ("the states", states, vec![kind.states(), batch, hidden]),
    ];
    if let Some((ih, hh)) = &weights.biases {
        shapes.extend([("bias_ih", ih, vec![width]), ("bias_hh", hh, vec![width])]);
    }
    for (what, tensor, expected) in shapes {
        if tensor.dims() != expected {
            bail!(
                "{name}: expected {what} of shape {expected:?} for an input {:?} and {hidden} \
                 units, got {:?}",
                x.shape(),
                tensor.shape()
            );
        }
    }
    check_lengths(name, order.lengths.as_deref(), steps, batch)
}

/// The input's part of the gates, for all steps in one product, and the op's third input.
fn prepare<C: Cell>(
    _: C,
    x: &Tensor,
    weights: &RecurrentWeights,
    states: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let hidden = weights.weight_hh.dim(1)?;
    let states = tape::reshape(states, (states.elem_count() / hidden, hidden))?;
    let (bias, rest) = match &weights.biases {
        None => (None, states),
        Some((ih, hh)) if C::PRODUCT_APART => {
            let hh = tape::reshape(hh, (C::GATES, hidden))?;
            (Some(ih.clone()), tape::cat(&[&states, &hh], 0)?)
        }
        Some((ih, hh)) => (Some((ih + hh)?), states),
    };
    Ok((linear(x, &weights.weight_ih, bias.as_ref())?, rest))
}

fn run<C: Cell>(
    cell: C,
    x: &Tensor,
    weight: &Tensor,
    rest: &Tensor,
    order: &Order,
) -> Result<Tensor> {
    macs::add(x.elem_count() * weight.dim(1)?);
    if !has_kernel(x) {
        return composed::sequence(cell, order, x, weight, rest);
    }
    let op = Sequence {
        cell,
        order: order.clone(),
        keep: x.track_op() || weight.track_op() || rest.track_op(),
        kept: Mutex::default(),
    };
    tape::apply3(
        &x.contiguous()?,
        &weight.contiguous()?,
        &rest.contiguous()?,
        op,
    )
}
