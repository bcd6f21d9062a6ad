//! The walk step by step out of candle ops.

use candle_core::{D, Result, Tensor};

use super::super::cell::Cell;
use super::Look;
use super::kernel::Sizes;
use crate::ops::{constant, softmax};

/// The same from the same inputs as the op.
pub(super) fn decode<C: Cell>(
    cell: C,
    sizes: &Sizes,
    [gates, memory, rest]: &[Tensor; 3],
    lengths: Option<&[usize]>,
) -> Result<Tensor> {
    let Sizes {
        batch,
        hidden,
        width,
        places,
        context,
        attention,
        coverage,
        look,
        ..
    } = *sizes;
    let within = lengths
        .map(|lengths| within(lengths, places, gates))
        .transpose()?;
    let memory = match &within {
        // What lies beyond may be no number, and 0 times that is none either.
        Some(within) => {
            let shown = within.unsqueeze(2)?.broadcast_as(memory.shape())?;
            shown.where_cond(memory, &memory.zeros_like()?)?
        }
        None => memory.clone(),
    };
    let keys = memory.narrow(2, 0, attention)?;
    let values = memory.narrow(2, attention, context)?.contiguous()?;
    let mut first = 0;
    let mut part = |rows: usize, cols: usize| -> Result<Tensor> {
        let part = rest.narrow(0, first, rows * cols)?.reshape((rows, cols))?;
        first += rows * cols;
        Ok(part)
    };
    let of_context = part(width, context)?.t()?.contiguous()?;
    let of_state = part(width, hidden)?.t()?.contiguous()?;
    let bias = part(1, width)?;
    let query = part(attention, hidden)?.t()?.contiguous()?;
    let energy = part(1, attention)?;
    let mut seen = None;
    if coverage {
        let weight = part(1, attention)?;
        seen = Some((weight, part(batch, places)?));
    }
    let mut found = None;
    if look == Look::After {
        found = Some(part(batch, context)?);
    }
    let mut states = (0..C::STATES)
        .map(|_| part(batch, hidden))
        .collect::<Result<Vec<_>>>()?;
    let [mut outputs, mut contexts, mut all_weights] = [const { vec![] }; 3];
    let mut look = |h: &Tensor| -> Result<Tensor> {
        let asked = h.matmul(&query)?.unsqueeze(1)?;
        let mut compared = keys.broadcast_add(&asked)?;
        if let Some((weight, seen)) = &seen {
            compared = (compared + seen.unsqueeze(2)?.broadcast_mul(weight)?)?;
        }
        let compared = compared.tanh()?;
        let mut scores = compared.broadcast_mul(&energy)?.sum(D::Minus1)?;
        if let Some(within) = &within {
            let lowest = scores.zeros_like()?.affine(1.0, f64::NEG_INFINITY)?;
            scores = within.where_cond(&scores, &lowest)?;
        }
        let weights = softmax(&scores, D::Minus1)?;
        if let Some((_, seen)) = &mut seen {
            *seen = (&*seen + &weights)?;
        }
        let mixed = weights.unsqueeze(1)?.matmul(&values)?.squeeze(1)?;
        contexts.push(mixed.flatten_all()?);
        all_weights.push(weights.flatten_all()?);
        Ok(mixed)
    };
    for step in 0..sizes.steps {
        let mixed = match &found {
            None => look(&states[0])?,
            Some(found) => found.clone(),
        };
        let x = (gates.get(step)? + mixed.matmul(&of_context)?)?;
        let product = states[0].matmul(&of_state)?.broadcast_add(&bias)?;
        states = cell.composed(&x, &product, &states)?;
        outputs.push(states[0].flatten_all()?);
        if found.is_some() {
            found = Some(look(&states[0])?);
        }
    }
    let states = states.iter().map(Tensor::flatten_all);
    let states = states.collect::<Result<Vec<_>>>()?;
    Tensor::cat(&[outputs, contexts, all_weights, states].concat(), 0)
}

/// Whether each place lies within its sequence, `(B, S)`.
fn within(lengths: &[usize], places: usize, like: &Tensor) -> Result<Tensor> {
    let of_row = |&length: &usize| (0..places).map(move |place| f64::from(place < length));
    let within = lengths.iter().flat_map(of_row).collect();
    constant(within, (lengths.len(), places), like)?.ne(0.0)
}
