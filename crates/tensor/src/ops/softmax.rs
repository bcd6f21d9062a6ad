//! Softmax and its logarithm over one dimension, shifted by the maximum so that nothing
//! overflows.
//!
//! `softmax(x)_i = exp(x_i - m) / s`, `log_softmax(x)_i = x_i - m - ln s`, with `m = max x` and
//! `s = sum of exp(x_j - m)`. Unlike candle's `softmax_last_dim`, both have gradients.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::kernel::{CHUNK, Float, dispatch, has_kernel, slice, sum, wide, with_slice};
use crate::math::exp;
use crate::tape;

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
        return tape::apply1(&x.contiguous()?, op);
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

/// The largest element, NaN left out; -inf if there is none.
#[inline(always)]
fn largest<T: Float>(row: &[T]) -> T {
    const LANES: usize = 32;
    let larger = |a: T, b: T| if b > a { b } else { a };
    let mut lanes = [T::neg_infinity(); LANES];
    let mut blocks = row.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, x);
        }
    }
    let rest = blocks.remainder();
    let all = lanes.iter().chain(rest).copied();
    all.fold(T::neg_infinity(), larger)
}

/// Maximum and `ln` of the sum of `exp(x - maximum)`.
#[inline(always)]
pub(super) fn max_and_log_sum<T: Float>(row: &[T]) -> (T, T) {
    const BLOCK: usize = 256;
    let max = largest(row);
    let mut exponentials = [T::zero(); BLOCK];
    let mut total = T::zero();
    for block in row.chunks(BLOCK) {
        let exponentials = &mut exponentials[..block.len()];
        for (e, &x) in exponentials.iter_mut().zip(block) {
            *e = exp(x - max);
        }
        total += sum(exponentials);
    }
    // A row of only -inf has no distribution; NaN says so.
    (max, total.ln())
}

#[inline(always)]
fn forward<T: Float>(x: &[T], y: &mut [T], log: bool) {
    if log {
        let (max, log_sum) = max_and_log_sum(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x - max - log_sum;
        }
    } else {
        let max = largest(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = exp(x - max);
        }
        let factor = T::one() / sum(y);
        y.iter_mut().for_each(|y| *y *= factor);
    }
}

#[inline(always)]
fn backward<T: Float>(y: &[T], grad: &[T], dx: &mut [T], log: bool) {
    if log {
        let total = sum(grad);
        for ((dx, &y), &g) in dx.iter_mut().zip(y).zip(grad) {
            *dx = g - exp(y) * total;
        }
    } else {
        for ((dx, &y), &g) in dx.iter_mut().zip(y).zip(grad) {
            *dx = y * g;
        }
        let dot = sum(dx);
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
                .for_each(|(y, x)| wide(#[inline(always)] || forward(x, y, self.log)));
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
                    .for_each(|(dx, (y, grad))| wide(#[inline(always)] || backward(y, grad, dx, self.log)));
                Ok(())
            }))?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}
