//! The shorter way of gradients from our ops to [`crate::backward`].
//!
//! candle adds every gradient to a new tensor of zeros. For a weight that is two more tensors of
//! its size and three passes over them, a good part of a step; for what lies between ops, see
//! [`crate::tape`]. While [`collect`] runs, our ops
//! hand the gradients of variables over here and return none to candle. Everywhere else, for
//! instance in candle's own `Tensor::backward`, they return them as any op does.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId, WithDType};

use crate::kernel::{dispatch, has_kernel, with_slice, zip};

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
    if input.is_variable() && HANDED.with_borrow(Option::is_some) {
        add(input.id(), grad)?;
        return Ok(None);
    }
    Ok(Some(grad))
}

/// Hands over a gradient; it is added to one that was before.
pub(crate) fn add(id: TensorId, grad: Tensor) -> Result<()> {
    let sum = match take(id) {
        Some(before) => sum(&before, &grad)?,
        None => grad,
    };
    HANDED.with_borrow_mut(|handed| {
        if let Some(handed) = handed {
            handed.insert(id, sum);
        }
    });
    Ok(())
}

/// The sum of two gradients of a tensor; candle's runs in one thread.
fn sum(before: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if !has_kernel(before) || before.shape() != grad.shape() || before.dtype() != grad.dtype() {
        return before + grad;
    }
    dispatch!(before.dtype(), "sum of gradients", T => {
        let sum = with_slice::<T, _>(before, |before| {
            with_slice::<T, _>(grad, |grad| Ok(zip(before, grad, |a, b| a + b)))
        })?;
        Tensor::from_vec(sum, before.shape(), before.device())
    })
}

/// Takes what was handed over for a tensor.
pub(crate) fn take(id: TensorId) -> Option<Tensor> {
    HANDED.with_borrow_mut(|handed| handed.as_mut().and_then(|handed| handed.remove(&id)))
}
