//! Affine map of the last dimension: `y = x W^T + b`.
//!
//! One gemm forward, two backward, and the bias gradient as a sum over rows (candle's strided
//! sum takes longer than the rest of the layer).
//!
//! **Shape:** `x (*, in)`, `weight (out, in)`, `bias (out)` → `(*, out)`.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::handover;
use crate::kernel::{
    CHUNK, Float, Mat, Spread, add_rows, dispatch, has_kernel, product, slice, wide, with_slice,
};
use crate::macs;
use crate::tape;

/// `x W^T + b` over the last dimension of `x`.
///
/// # Errors
/// When the shapes do not fit, naming them.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, out, input) = check("linear", x, weight, bias)?;
    let batch = &x.dims()[..x.rank() - 1];
    let flat = tape::reshape(x, (rows, input))?;
    let y = if has_kernel(x) {
        let (flat, weight) = (flat.contiguous()?, weight.contiguous()?);
        match bias {
            Some(bias) => tape::apply3(&flat, &weight, &bias.contiguous()?, Linear)?,
            None => tape::apply2(&flat, &weight, Linear)?,
        }
    } else {
        composed(&flat, weight, bias)?
    };
    tape::reshape(&y, [batch, &[out]].concat())
}

/// Rows, outputs and inputs, once shapes fit and the multiply-adds are counted.
pub(super) fn check(
    name: &str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<(usize, usize, usize)> {
    let (out, input) = weight.dims2()?;
    let Some((&last, batch)) = x.dims().split_last() else {
        bail!("{name}: expected an input with at least one dimension, got a single number");
    };
    if last != input {
        bail!(
            "{name}: the input's last dimension is {last} (shape {:?}), but the weight {:?} takes \
             {input}",
            x.shape(),
            weight.shape()
        );
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [out]) {
        bail!(
            "{name}: expected a bias of {out} elements, got {:?}",
            bias.shape()
        );
    }
    let rows = batch.iter().product();
    macs::add(rows * out * input);
    Ok((rows, out, input))
}

/// The same on rows, out of candle ops.
pub(super) fn composed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

struct Linear;

/// The map of rows.
pub(super) fn forward<T: Float>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    (rows, out, input): (usize, usize, usize),
) -> Vec<T> {
    let (x, weight) = (Mat::new(x, rows, input), Mat::new(weight, out, input));
    let mut y = product(x, weight.t(), Spread::Pool);
    if let Some(bias) = bias {
        let rows_a_task = (CHUNK / out.max(1)).max(1);
        let tasks = y.par_chunks_mut((rows_a_task * out).max(1));
        tasks.for_each(|rows| add_bias(rows, bias));
    }
    y
}

/// Adds `bias` to each row.
pub(super) fn add_bias<T: Float>(rows: &mut [T], bias: &[T]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(bias.len().max(1)) {
                row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
            }
        },
    );
}

/// Gradients of input and weight, where they are needed and not handed over.
pub(super) fn backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let ((rows, input), out) = (x.dims2()?, weight.dim(0)?);
    dispatch!(x.dtype(), "linear", T => {
        with_slice::<T, _>(grad, |grad| {
            let grad = Mat::new(grad, rows, out);
            let dx = if x.track_op() {
                let dx = with_slice::<T, _>(weight, |weight| {
                    Ok(product(grad, Mat::new(weight, out, input), Spread::Pool))
                })?;
                handover::gradient(x, Tensor::from_vec(dx, (rows, input), x.device())?)?
            } else {
                None
            };
            let dw = if weight.track_op() {
                let dw = with_slice::<T, _>(x, |x| {
                    Ok(product(grad.t(), Mat::new(x, rows, input), Spread::Pool))
                })?;
                handover::gradient(weight, Tensor::from_vec(dw, (out, input), x.device())?)?
            } else {
                None
            };
            Ok((dx, dw))
        })
    })
}

/// Gradient of the bias, likewise: the sum over the rows of a `(rows, columns)` gradient, in a
/// fixed order.
pub(super) fn bias_gradient(bias: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
    if !bias.track_op() {
        return Ok(None);
    }
    let (rows, columns) = grad.dims2()?;
    dispatch!(grad.dtype(), "linear", T => {
        let sum = with_slice::<T, _>(grad, |grad| {
            // 16 parts whatever the thread count, so that the order of additions is fixed.
            let part = rows.div_ceil(16).max(1) * columns;
            let parts: Vec<Vec<T>> = grad
                .par_chunks(part.max(1))
                .with_min_len(if grad.len() > 1 << 16 { 1 } else { 16 })
                .map(|rows| {
                    let mut sum = vec![T::default(); columns];
                    add_rows(&mut sum, rows);
                    sum
                })
                .collect();
            let mut sum = vec![T::default(); columns];
            parts.iter().for_each(|part| add_rows(&mut sum, part));
            Ok(sum)
        })?;
        handover::gradient(bias, Tensor::from_vec(sum, columns, grad.device())?)
    })
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, input), out) = (x_layout.shape().dims2()?, weight_layout.dims()[0]);
        dispatch!(x.dtype(), "linear", T => {
            let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
            let y = forward(x, weight, None, (rows, out, input));
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(y), (rows, out).into()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(x, weight, grad)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, input), out) = (x_layout.shape().dims2()?, weight_layout.dims()[0]);
        dispatch!(x.dtype(), "linear", T => {
            let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
            let y = forward(x, weight, Some(slice::<T>(bias, bias_layout)?), (rows, out, input));
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(y), (rows, out).into()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = backward(x, weight, grad)?;
        Ok((dx, dw, bias_gradient(bias, grad)?))
    }
}
