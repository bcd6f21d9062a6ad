//! Two-dimensional convolution (cross-correlation, as everywhere in deep learning).
//!
//! `y[n, o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[n, c, i s + u d - p, j s + v d - p]`
//!
//! **Shape:** `x (N, C, H, W)`, `weight (O, C / groups, kh, kw)`, `bias (O)` → `(N, O, H', W')`
//! with `H' = floor((H + 2p - d (k - 1) - 1) / s) + 1`.
//!
//! The work is done in `conv_kernel`, and what may follow it in one op is in `conv_then`.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail,
};
use serde::{Deserialize, Serialize};

use super::conv_composed;
use super::conv_kernel::{Sizes, backward, forward};
use super::conv_then::{After, Then};
use crate::handover;
use crate::kernel::{dispatch, has_kernel, slice, with_slice};
use crate::macs;
use crate::tape;

/// How the kernel moves; pairs are (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv2dParams {
    /// Step of the kernel.
    pub stride: (usize, usize),
    /// Zeros added on each side.
    pub padding: (usize, usize),
    /// Distance between the cells of the kernel.
    pub dilation: (usize, usize),
    /// Blocks of channels that are convolved apart.
    pub groups: usize,
}

impl Default for Conv2dParams {
    fn default() -> Self {
        Self {
            stride: (1, 1),
            padding: (0, 0),
            dilation: (1, 1),
            groups: 1,
        }
    }
}

impl Conv2dParams {
    /// Height and width of the output.
    ///
    /// # Errors
    /// When a parameter is 0 or the kernel does not fit.
    pub fn output_size(
        &self,
        input: (usize, usize),
        kernel: (usize, usize),
    ) -> Result<(usize, usize)> {
        let dim = |size: usize, k: usize, s: usize, p: usize, d: usize| {
            if k == 0 || s == 0 || d == 0 {
                bail!("conv2d: kernel, stride and dilation must be at least 1, got {k}, {s}, {d}");
            }
            match (size + 2 * p).checked_sub(d * (k - 1) + 1) {
                Some(room) if size > 0 => Ok(room / s + 1),
                _ => bail!(
                    "conv2d: a kernel of {k} with dilation {d} does not fit an input of {size} \
                     padded by {p}"
                ),
            }
        };
        Ok((
            dim(
                input.0,
                kernel.0,
                self.stride.0,
                self.padding.0,
                self.dilation.0,
            )?,
            dim(
                input.1,
                kernel.1,
                self.stride.1,
                self.padding.1,
                self.dilation.1,
            )?,
        ))
    }
}

/// Convolves `x` with `weight` and adds `bias`.
///
/// # Errors
/// When shapes, groups or parameters do not fit, naming them.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &Conv2dParams,
) -> Result<Tensor> {
    conv2d_then(x, weight, bias, params, &Then::default())
}

/// [`conv2d`], and what follows it while its planes are still in the processor's cache: the same
/// values and gradients as of the ops one after another, with less memory and time.
///
/// # Errors
/// When shapes, groups, parameters or windows do not fit, naming them.
pub fn conv2d_then(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &Conv2dParams,
    then: &Then,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), params)?;
    if let Some(bias) = bias.filter(|bias| bias.dims() != [sizes.out]) {
        bail!(
            "conv2d: expected a bias of {} elements, got {:?}",
            sizes.out,
            bias.shape()
        );
    }
    macs::add(sizes.batch * sizes.out * sizes.patches.depth() * sizes.patches.places());
    if !has_kernel(x) {
        return then.composed(conv_composed::conv2d(x, weight, bias, params)?);
    }
    let op = Conv {
        params: *params,
        then: *then,
        winners: Mutex::default(),
    };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => tape::apply3(&x, &weight, &bias.contiguous()?, op),
        None => tape::apply2(&x, &weight, op),
    }
}

struct Conv {
    params: Conv2dParams,
    then: Then,
    /// For each output of a pool, where in its plane the maximum stands.
    winners: Mutex<Vec<u32>>,
}

impl Conv {
    fn forward(
        &self,
        (x, x_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(x_layout.dims(), weight_layout.dims(), &self.params)?;
        let finish = self.then.finish(sizes.patches.output)?;
        let (oh, ow) = self.then.output_size(sizes.patches.output)?;
        let shape = (sizes.batch, sizes.out, oh, ow).into();
        dispatch!(x.dtype(), "conv2d", T => {
            let bias = bias.map(|(bias, layout)| slice::<T>(bias, layout)).transpose()?;
            let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
            let (y, winners) = forward(&sizes, &finish, x, weight, bias);
            *self.winners.lock().unwrap_or_else(PoisonError::into_inner) = winners;
            Ok((T::to_cpu_storage_owned(y), shape))
        })
    }

    fn backward(
        &self,
        (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let sizes = Sizes::new(x.dims(), weight.dims(), &self.params)?;
        let finish = self.then.finish(sizes.patches.output)?;
        let winners = self.winners.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs = [Some(x), Some(weight), bias];
        let want = inputs.map(|input| input.is_some_and(Tensor::track_op));
        dispatch!(x.dtype(), "conv2d", T => {
            let grads = with_slice::<T, _>(x, |x| with_slice::<T, _>(weight, |weight| {
                with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| {
                    let after = After { y, grad, winners: &winners };
                    Ok(backward(&sizes, &finish, x, weight, &after, want))
                }))
            }))?;
            let tensor = |input: Option<&Tensor>, data: Option<Vec<T>>| match (input, data) {
                (Some(input), Some(data)) => handover::made(input, data),
                _ => Ok(None),
            };
            Ok([
                tensor(Some(x), grads.dx)?,
                tensor(Some(weight), grads.dw)?,
                tensor(bias, grads.db)?,
            ])
        })
    }
}

impl CustomOp2 for Conv {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.backward((x, weight, None), y, grad)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "conv2d with bias"
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
        self.forward(
            (x, x_layout),
            (weight, weight_layout),
            Some((bias, bias_layout)),
        )
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.backward((x, weight, Some(bias)), y, grad)?;
        Ok((dx, dw, db))
    }
}
