//! A recurrent decoder that looks back at a memory before or after each step: additive attention.
//!
//! At step `t`, with the state `h` before it: `e_s = v . tanh(W_q h + k_s)` for each place `s` of
//! the memory, `a = softmax(e)` over the places of the sequence, `c_t = sum over s of a_s m_s`, and
//! the cell steps on the input `[x_t; c_t]`. One op for all steps and one back, because each step
//! waits for the one before: what depends on the inputs alone is one product before, the weights'
//! gradients are one product each after the walk back.
//!
//! A decoder that looks after its steps feeds what it found to the next: the cell steps on `[x_t;
//! c_{t-1}]`, and the state behind it asks for `c_t`.
//!
//! With coverage the comparison also sees how much each place has been looked at before, `p_s = sum
//! over the steps before of a_s`: `e_s = v . tanh(W_q h + k_s + w p_s)`.
//!
//! **Shape:** `x (T, B, E)`, memory `m (B, S, C)`, keys `k (B, S, A)`, `weight_ih (G H, E + C)`,
//! `weight_hh (G H, H)`, biases `(G H)`, `query W_q (A, H)`, `energy v (1, A)`, coverage `w (1, A)` and `p (B, S)`, what was found before `(B, C)`, states `(N, B, H)` →
//! outputs `(T, B, H)`, contexts `(T, B, C)`, attention `(T, B, S)`, last states `(N, B, H)`.
//!
//! **Reference:** Dzmitry Bahdanau, Kyunghyun Cho, Yoshua Bengio, "Neural machine translation by
//! jointly learning to align and translate", 2015; Minh-Thang Luong, Hieu Pham, Christopher Manning,
//! "Effective approaches to attention-based neural machine translation", 2015 (input feeding); Zhaopeng Tu, Zhengdong Lu, Yang Liu, Xiaohua Liu,
//! Hang Li, "Modeling coverage for neural machine translation", 2016 (in its simplest form).

mod composed;
mod kernel;
mod kernel_back;
mod op;
mod row;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use candle_core::{D, Result, Tensor, bail};

use self::kernel::Sizes;
use self::op::Decoder;
use super::cell::Cell;
use super::gru::Gru;
use super::lstm::Lstm;
use super::order::check_lengths;
use super::rnn::Rnn;
use super::{Recurrence, RecurrentWeights, of_kind};
use crate::kernel::has_kernel;
use crate::macs;
use crate::ops::linear;
use crate::tape;

/// When a decoder looks back at its memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Look {
    /// Before each step, with the state that the step begins in.
    #[default]
    Before,
    /// After each step, with the state that it ends in; what is found enters the next step.
    #[doc(alias = "input_feeding")]
    After,
}

/// What a decoder looks back at.
#[derive(Debug, Clone)]
pub struct AttentionMemory {
    /// The vectors that are mixed, `(B, S, C)`.
    pub values: Tensor,
    /// What the state is compared with, `(B, S, A)`.
    pub keys: Tensor,
    /// Places of each sequence; none if all have `S`.
    pub lengths: Option<Vec<usize>>,
    /// How much each place has been looked at before the walk, `(B, S)`; none for not at all. For a
    /// decoder with coverage.
    pub seen: Option<Tensor>,
    /// What was found before the walk, `(B, C)`; none for zeros. For a decoder that looks after its
    /// steps.
    pub found: Option<Tensor>,
}

/// The parameters of a decoder with additive attention.
#[derive(Debug, Clone)]
pub struct AttentionDecoderWeights {
    /// Of the cell, whose input is `[x; context]`.
    pub cell: RecurrentWeights,
    /// Of the state in the comparison, `(A, H)`.
    pub query: Tensor,
    /// Of the comparison's result, `(1, A)`.
    pub energy: Tensor,
    /// Of how much a place has been looked at, `(1, A)`; none for a decoder without coverage.
    pub coverage: Option<Tensor>,
    /// When the decoder looks.
    pub look: Look,
}

/// What a walk of a decoder gave.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The states after each step, `(T, B, H)`.
    pub outputs: Tensor,
    /// What each step found in the memory, `(T, B, C)`.
    pub contexts: Tensor,
    /// Where it looked, `(T, B, S)`, each row a distribution.
    pub attention: Tensor,
    /// The last states, `(N, B, H)`.
    pub states: Tensor,
}

/// Walks a decoder with additive attention over the inputs `x (T, B, E)`.
///
/// # Errors
/// When shapes or lengths do not fit, naming them.
pub fn attention_decoder(
    kind: Recurrence,
    x: &Tensor,
    memory: &AttentionMemory,
    weights: &AttentionDecoderWeights,
    states: &Tensor,
) -> Result<Decoded> {
    let sizes = check(kind, x, memory, weights, states)?;
    let y = of_kind!(kind, cell => {
        let inputs = pack(&sizes, x, memory, weights, states)?;
        run(cell, &sizes, &inputs, memory.lengths.as_deref())?
    });
    let shapes = [
        (sizes.steps, sizes.batch, sizes.hidden),
        (sizes.steps, sizes.batch, sizes.context),
        (sizes.steps, sizes.batch, sizes.places),
        (kind.states(), sizes.batch, sizes.hidden),
    ];
    let parts = tape::split(
        &y,
        0,
        &shapes.map(|(rows, batch, width)| rows * batch * width),
    )?;
    let part = |index: usize| tape::reshape(&parts[index], shapes[index]);
    Ok(Decoded {
        outputs: part(0)?,
        contexts: part(1)?,
        attention: part(2)?,
        states: part(3)?,
    })
}

fn check(
    kind: Recurrence,
    x: &Tensor,
    memory: &AttentionMemory,
    weights: &AttentionDecoderWeights,
    states: &Tensor,
) -> Result<Sizes> {
    let &[steps, batch, input] = x.dims() else {
        bail!(
            "attention decoder: expected an input (T, B, E), got {:?}",
            x.shape()
        );
    };
    let &[_, places, context] = memory.values.dims() else {
        bail!(
            "attention decoder: expected a memory (B, S, C), got {:?}",
            memory.values.shape()
        );
    };
    let hidden = weights.cell.weight_hh.dims2()?.1;
    let width = kind.gates() * hidden;
    let (attention, _) = weights.query.dims2()?;
    if [steps, places, context, hidden, attention].contains(&0) {
        bail!(
            "attention decoder: expected at least one step, place, value in each, unit and unit of \
             attention, got {steps}, {places}, {context}, {hidden} and {attention}"
        );
    }
    let mut shapes = vec![
        ("a memory", &memory.values, vec![batch, places, context]),
        ("keys", &memory.keys, vec![batch, places, attention]),
        (
            "weight_ih",
            &weights.cell.weight_ih,
            vec![width, input + context],
        ),
        ("weight_hh", &weights.cell.weight_hh, vec![width, hidden]),
        ("query", &weights.query, vec![attention, hidden]),
        ("energy", &weights.energy, vec![1, attention]),
        ("states", states, vec![kind.states(), batch, hidden]),
    ];
    if let Some(coverage) = &weights.coverage {
        shapes.push(("coverage", coverage, vec![1, attention]));
    }
    if let Some(seen) = &memory.seen {
        shapes.push(("what was seen", seen, vec![batch, places]));
    }
    if let Some(found) = &memory.found {
        shapes.push(("what was found", found, vec![batch, context]));
    }
    if let Some((ih, hh)) = &weights.cell.biases {
        shapes.extend([("bias_ih", ih, vec![width]), ("bias_hh", hh, vec![width])]);
    }
    for (what, tensor, expected) in shapes {
        if tensor.dims() != expected {
            bail!(
                "attention decoder: expected {what} of shape {expected:?} for an input {:?}, got \
                 {:?}",
                x.shape(),
                tensor.shape()
            );
        }
    }
    let lengths = memory.lengths.as_deref();
    check_lengths("attention decoder", lengths, places, batch)?;
    Ok(Sizes {
        steps,
        batch,
        hidden,
        width,
        places,
        context,
        attention,
        coverage: weights.coverage.is_some(),
        look: weights.look,
    })
}

/// The op's three inputs: the inputs' part of the gates `(T, B, G H)`; keys and values side by
/// side `(B, S, A + C)`; and, one after the other, the weights `(G H, C)` of the context,
/// `weight_hh`, its bias, query, energy, with coverage its weight and what was seen, for
/// a decoder that looks after its steps what was found, and the states.
fn pack(
    sizes: &Sizes,
    x: &Tensor,
    memory: &AttentionMemory,
    weights: &AttentionDecoderWeights,
    states: &Tensor,
) -> Result<[Tensor; 3]> {
    let input = x.dim(D::Minus1)?;
    let cell = &weights.cell;
    let weights_ih = tape::split(&cell.weight_ih, 1, &[input, sizes.context])?;
    let (bias, of_state) = match &cell.biases {
        Some((ih, hh)) => (Some(ih), hh.clone()),
        None => (None, Tensor::zeros(sizes.width, x.dtype(), x.device())?),
    };
    let or_zeros = |given: &Option<Tensor>, width: usize| match given {
        Some(given) => Ok(given.clone()),
        None => Tensor::zeros((sizes.batch, width), x.dtype(), x.device()),
    };
    let gates = linear(x, &weights_ih[0], bias)?;
    let places = tape::cat(&[&memory.keys, &memory.values], 2)?;
    let mut rest = vec![
        weights_ih[1].clone(),
        cell.weight_hh.clone(),
        of_state,
        weights.query.clone(),
        weights.energy.clone(),
    ];
    if let Some(coverage) = &weights.coverage {
        rest.push(coverage.clone());
        rest.push(or_zeros(&memory.seen, sizes.places)?);
    }
    if sizes.look == Look::After {
        rest.push(or_zeros(&memory.found, sizes.context)?);
    }
    rest.push(states.clone());
    let rest = rest
        .iter()
        .map(|part| tape::reshape(&part.contiguous()?, part.elem_count()));
    let rest = rest.collect::<Result<Vec<_>>>()?;
    let rest: Vec<_> = rest.iter().collect();
    Ok([gates, places, tape::cat(&rest, 0)?])
}

fn run<C: Cell>(
    cell: C,
    sizes: &Sizes,
    inputs: &[Tensor; 3],
    lengths: Option<&[usize]>,
) -> Result<Tensor> {
    macs::add(sizes.macs());
    let [gates, memory, rest] = inputs;
    if !has_kernel(gates) {
        return composed::decode(cell, sizes, inputs, lengths);
    }
    let op = Decoder {
        cell,
        sizes: *sizes,
        lengths: match lengths {
            Some(lengths) => lengths.to_vec(),
            None => vec![sizes.places; sizes.batch],
        },
        keep: inputs.iter().any(Tensor::track_op),
        kept: Mutex::default(),
    };
    tape::apply3(
        &gates.contiguous()?,
        &memory.contiguous()?,
        &rest.contiguous()?,
        op,
    )
}
