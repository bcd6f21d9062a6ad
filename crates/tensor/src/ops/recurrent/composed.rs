//! A sequence step by step out of candle ops.

use candle_core::{Result, Tensor};

use super::cell::Cell;
use super::order::Order;
use crate::ops::constant;

/// The same from the same inputs as the op.
pub(super) fn sequence<C: Cell>(
    cell: C,
    order: &Order,
    x: &Tensor,
    weight: &Tensor,
    rest: &Tensor,
) -> Result<Tensor> {
    let (steps, batch, _) = x.dims3()?;
    let weight = weight.t()?.contiguous()?;
    let state = |i: usize| rest.narrow(0, i * batch, batch);
    let mut states = (0..C::STATES).map(state).collect::<Result<Vec<_>>>()?;
    let count = C::STATES * batch;
    let below = rest.dim(0)? - count;
    let bias = (below > 0)
        .then(|| rest.narrow(0, count, below)?.flatten_all())
        .transpose()?;
    let mut outputs: Vec<Option<Tensor>> = vec![None; steps];
    for step in order.walk(steps) {
        let mut product = states[0].matmul(&weight)?;
        if let Some(bias) = &bias {
            product = product.broadcast_add(bias)?;
        }
        let next = cell.composed(&x.get(step)?, &product, &states)?;
        let (next, output) = stop_at_ends(order, step, &states, next)?;
        states = next;
        outputs[step] = Some(output);
    }
    let all: Vec<Tensor> = outputs.into_iter().flatten().chain(states).collect();
    Tensor::stack(&all, 0)
}

/// The states after a step and its output, for rows that take it and rows that do not.
fn stop_at_ends(
    order: &Order,
    step: usize,
    before: &[Tensor],
    after: Vec<Tensor>,
) -> Result<(Vec<Tensor>, Tensor)> {
    let Some(lengths) = &order.lengths else {
        let output = after[0].clone();
        return Ok((after, output));
    };
    let takes = (0..lengths.len()).map(|row| f64::from(order.takes(row, step)));
    let mask = constant(takes.collect(), (lengths.len(), 1), &after[0])?;
    let mask = mask.broadcast_as(after[0].shape())?.ne(0.0)?;
    let output = mask.where_cond(&after[0], &after[0].zeros_like()?)?;
    let rows = after.iter().zip(before);
    let states = rows.map(|(after, before)| mask.where_cond(after, before));
    Ok((states.collect::<Result<_>>()?, output))
}
