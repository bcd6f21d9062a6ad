//! Gradient clipping, by the norm of all gradients together or value by value.
//!
//! ```text
//! norm:  g = g * min(1, max_norm / (norm + 1e-6)),   norm = sqrt(sum of all g^2)
//! value: g = min(max(g, -max), max)
//! ```
//!
//! Same as PyTorch's `clip_grad_norm_` (2-norm) and `clip_grad_value_`, except that a norm that
//! is not finite is an error (`error_if_nonfinite=True`), and that the norm is summed in `f64`.
//! Parts of fixed size are summed and added up in order, so its bits do not depend on the
//! number of threads.
//!
//! ```
//! use mapsto_optim::clip_grad_norm;
//! use mapsto_tensor::{Device, Gradients, Tensor};
//! let grad = Tensor::new(&[30f64, 40.0], &Device::Cpu)?;
//! let mut grads = Gradients::from_iter([("w".into(), grad)]);
//! assert_eq!(clip_grad_norm(&mut grads, 5.0)?, 50.0);
//! let clipped = grads.get("w").unwrap().to_vec1::<f64>()?;
//! assert!((clipped[0] - 3.0).abs() < 1e-6 && (clipped[1] - 4.0).abs() < 1e-6);
//! # Ok::<(), mapsto_tensor::Error>(())
//! ```
//!
//! **Reference:** Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural
//! networks", ICML 2013.

use std::sync::{Mutex, PoisonError};

use mapsto_tensor::{DType, Float, Gradients, Result, Tensor, bail, update};

use crate::hyper;

/// Scales all gradients by one factor so that their total 2-norm is at most `max_norm`, and
/// returns the norm before.
///
/// # Errors
/// When `max_norm` is not above 0, or the norm is not finite: the message names the parameters
/// and no gradient has changed.
#[doc(alias = "clip_grad_norm_")]
pub fn clip_grad_norm(grads: &mut Gradients, max_norm: f64) -> Result<f64> {
    let (norm, coefficient) = norm_and_coefficient(grads, max_norm)?;
    if coefficient < 1.0 {
        grads.scale(coefficient)?;
    }
    Ok(norm)
}

/// The total 2-norm, and the factor, at most 1, that brings it to `max_norm`.
pub(crate) fn norm_and_coefficient(grads: &Gradients, max_norm: f64) -> Result<(f64, f64)> {
    hyper::positive("clip_grad_norm: max_norm", max_norm)?;
    let mut total = 0.0;
    let mut bad = vec![];
    for (name, grad) in grads.iter() {
        let squares = sum_of_squares(grad)?;
        if !squares.is_finite() {
            bad.push(name);
        }
        total += squares;
    }
    let norm = total.sqrt();
    if !norm.is_finite() {
        bail!(
            "clip_grad_norm: the gradient norm is {norm}, because of {}; lower the learning \
             rate or check the inputs",
            bad.join(", ")
        );
    }
    Ok((norm, (max_norm / (norm + 1e-6)).min(1.0)))
}

/// Limits every element of every gradient to `[-max, max]`.
///
/// # Errors
/// When `max` is not above 0.
#[doc(alias = "clip_grad_value_")]
pub fn clip_grad_value(grads: &mut Gradients, max: f64) -> Result<()> {
    hyper::positive("clip_grad_value: max", max)?;
    grads.map(|grad| grad.clamp(-max, max))
}

fn sum_of_squares(grad: &Tensor) -> Result<f64> {
    match grad.dtype() {
        DType::F32 if update::is_supported(grad) => sum_of_squares_in_parts::<f32>(grad),
        DType::F64 if update::is_supported(grad) => sum_of_squares_in_parts::<f64>(grad),
        DType::F64 => grad.sqr()?.sum_all()?.to_scalar(),
        // Half precision would overflow in the square.
        _ => {
            let sum = grad.to_dtype(DType::F32)?.sqr()?.sum_all()?;
            Ok(f64::from(sum.to_scalar::<f32>()?))
        }
    }
}

fn sum_of_squares_in_parts<T: Float + Into<f64>>(grad: &Tensor) -> Result<f64> {
    let parts = Mutex::new(vec![]);
    update::in_place::<T>(&[], grad, |_, chunk| {
        // Chunks finish in any order; their addresses bring them back into the tensor's.
        let part = (chunk.as_ptr() as usize, sum_of_squares_of(chunk));
        parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(part);
    })?;
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable_by_key(|(address, _)| *address);
    Ok(parts.iter().map(|(_, sum)| sum).sum())
}

/// In several running sums, so that the loop vectorises.
#[inline(always)]
fn sum_of_squares_of<T: Float + Into<f64>>(values: &[T]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let mut blocks = values.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            let value: f64 = value.into();
            *lane += value * value;
        }
    }
    let rest = blocks.remainder().iter().map(|&value| {
        let value: f64 = value.into();
        value * value
    });
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}
