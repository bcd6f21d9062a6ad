//! The shorter way of gradients from our ops to [`crate::backward`].
//!
//! candle adds every gradient to a new tensor of zeros. For a weight that is two more tensors of
//! its size and three passes over them, a good part of a step. While [`collect`] runs, our ops
//! hand the gradients of variables over here and return none to candle. Everywhere else, for
//! instance in candle's own `Tensor::backward`, they return them as any op does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use candle_core::{Result, Tensor, TensorId, WithDType};

/// Gradients of variables by the variable's id.
pub(crate) type Handed = HashMap<TensorId, Tensor>;

thread_local! {
    static HANDED: RefCell<Option<Handed>> = const { RefCell::new(None) };
}

/// Runs a backward pass and returns what was handed over, beside its own result.
pub(crate) fn collect<R>(pass: impl FnOnce() -> Result<R>) -> Result<(R, Handed)> {
    let outer = HANDED.replace(Some(Handed::new()));
    let result = pass();
    let handed = HANDED.replace(outer).unwrap_or_default();
    Ok((result?, handed))
}

/// The same of a gradient that a kernel made; none if the input needs none.
pub(crate) fn made<T: WithDType>(input: &Tensor, grad: Vec<T>) -> Result<Option<Tensor>> {
    if !input.track_op() {
        return Ok(None);
    }
    gradient(
        input,
        Tensor::from_vec(grad, input.shape(), input.device())?,
    )
}

/// The gradient of `input`, to be returned to candle; none if it was handed over.
pub(crate) fn gradient(input: &Tensor, grad: Tensor) -> Result<Option<Tensor>> {
    HANDED.with_borrow_mut(|handed| {
        let Some(handed) = handed.as_mut().filter(|_| input.is_variable()) else {
            return Ok(Some(grad));
        };
        match handed.entry(input.id()) {
            // A weight used twice.
            Entry::Occupied(mut entry) => {
                let sum = (entry.get() + grad)?;
                entry.insert(sum);
            }
            Entry::Vacant(entry) => {
                entry.insert(grad);
            }
        }
        Ok(None)
    })
}
