//! Softmax and its logarithm over one dimension, shifted by the maximum so that nothing
//! overflows.
//!
//! `softmax(x)_i = exp(x_i - m) / s`, `log_softmax(x)_i = x_i - m - ln s`, with `m = max x` and
//! `s = sum of exp(x_j - m)`. Unlike candle's `softmax_last_dim`, both have gradients.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::kernel::{CHUNK, Float, dispatch, has_kernel, slice, with_slice};

/// Softmax over `dim`; negative dimensions are [`D::Minus1`] and so on.
///
/// # Errors
/// When `x` has no such dimension.
pub fn softmax<I: candle_core::shape::Dim>(x: &Tensor, dim: I) -> Result<Tensor> {
    over_dim(
        x,
        dim.to_index(x.shape(), "softmax")?,
        Softmax { log: false },
    )
}

/// Logarithm of softmax over `dim`.
///
/// # Errors
/// When `x` has no such dimension.
pub fn log_softmax<I: candle_core::shape::Dim>(x: &Tensor, dim: I) -> Result<Tensor> {
    over_dim(
        x,
        dim.to_index(x.shape(), "log_softmax")?,
        Softmax { log: true },
    )
}

fn over_dim(x: &Tensor, dim: usize, op: Softmax) -> Result<Tensor> {
    let last = x.rank() - 1;
    if dim != last {
        return over_dim(&x.transpose(dim, last)?, last, op)?.transpose(dim, last);
    }
    if has_kernel(x) {
        return x.contiguous()?.apply_op1(op);
    }
    composed(x, op.log)
}

/// The same over the last dimension, out of candle ops.
pub(super) fn composed(x: &Tensor, log: bool) -> Result<Tensor> {
    // The shift cancels in value and gradient, so it is a constant.
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?;
    if log {
        shifted.broadcast_sub(&total.log()?)
    } else {
        shifted.exp()?.broadcast_div(&total)
    }
}

struct Softmax {
    log: bool,
}

/// Maximum and `ln` of the sum of `exp(x - maximum)`.
pub(super) fn max_and_log_sum<T: Float>(row: &[T]) -> (T, T) {
    let max = row
        .iter()
        .copied()
        .fold(T::neg_infinity(), num_traits::Float::max);
    // A row of only -inf has no distribution; NaN says so.
    let total: T = row.iter().map(|&x| (x - max).exp()).sum();
    (max, total.ln())
}

fn forward<T: Float>(x: &[T], y: &mut [T], log: bool) {
    let (max, log_sum) = max_and_log_sum(x);
    for (y, &x) in y.iter_mut().zip(x) {
        let logarithm = x - max - log_sum;
        *y = if log { logarithm } else { logarithm.exp() };
    }
}

fn backward<T: Float>(y: &[T], grad: &[T], dx: &mut [T], log: bool) {
    if log {
        let total: T = grad.iter().copied().sum();
        for ((dx, &y), &g) in dx.iter_mut().zip(y).zip(grad) {
            *dx = g - y.exp() * total;
        }
    } else {
        let dot: T = y.iter().zip(grad).map(|(&y, &g)| y * g).sum();
        for ((dx, &y), &g) in dx.iter_mut().zip(y).zip(grad) {
            *dx = y * (g - dot);
        }
    }
}

/// Rows that one task takes.
pub(super) fn rows_a_task(width: usize) -> usize {
    (CHUNK / 8 / width.max(1)).max(1)
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.dims().last().copied().unwrap_or(1).max(1);
        dispatch!(x.dtype(), "softmax", T => {
            let x = slice::<T>(x, layout)?;
            let mut y = vec![T::default(); x.len()];
            y.par_chunks_mut(width)
                .zip(x.par_chunks(width))
                .with_min_len(rows_a_task(width))
                .for_each(|(y, x)| forward(x, y, self.log));
            Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let width = x.dims().last().copied().unwrap_or(1).max(1);
        dispatch!(x.dtype(), "softmax", T => {
            let mut dx = vec![T::default(); x.elem_count()];
            with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| {
                dx.par_chunks_mut(width)
                    .zip(y.par_chunks(width).zip(grad.par_chunks(width)))
                    .with_min_len(rows_a_task(width))
                    .for_each(|(dx, (y, grad))| backward(y, grad, dx, self.log));
                Ok(())
            }))?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}
