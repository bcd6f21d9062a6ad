//! Transposed two-dimensional convolution: the input gradient of a convolution, as a layer.
//!
//! Each pixel of the input lays a copy of the kernel, times its value, onto the output:
//! `y[n, o, i s + u d - p, j s + v d - p] += w[c, o, u, v] x[n, c, i, j]`, summed over all `c`,
//! `i`, `j`, `u` and `v`, plus `b[o]`. A stride of 2 so doubles a picture.
//!
//! **Shape:** `x (N, C, H, W)`, `weight (C, O / groups, kh, kw)`, `bias (O)` → `(N, O, H', W')`
//! with `H' = (H - 1) s - 2p + d (k - 1) + output_padding + 1`.
//!
//! **Reference:** Matthew Zeiler et al., "Deconvolutional networks", 2010.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail,
};

use super::conv::Conv2dParams;
use super::conv_kernel::Sizes;
use super::conv_transpose_kernel::{backward, forward};
use crate::handover;
use crate::kernel::{dispatch, has_kernel, slice, with_slice};
use crate::macs;
use crate::tape;

/// How the kernel moves over the output: as in the convolution that this is the transpose of,
/// whose input it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConvTranspose2dParams {
    /// Stride, padding, dilation and groups of that convolution.
    pub conv: Conv2dParams,
    /// Rows and columns added to one side of the output, less than the stride or the dilation:
    /// a convolution with a stride gives pictures of several sizes the same output size.
    pub output_padding: (usize, usize),
}

impl ConvTranspose2dParams {
    /// Height and width of the output.
    ///
    /// # Errors
    /// When a parameter is out of range, or nothing of the output is left.
    pub fn output_size(
        &self,
        input: (usize, usize),
        kernel: (usize, usize),
    ) -> Result<(usize, usize)> {
        let dim = |size: usize, k: usize, (s, p, d): (usize, usize, usize), more: usize| {
            if k == 0 || s == 0 || d == 0 || size == 0 {
                bail!(
                    "conv transpose 2d: input, kernel, stride and dilation must be at least 1, \
                     got {size}, {k}, {s}, {d}"
                );
            }
            if more >= s.max(d) {
                bail!(
                    "conv transpose 2d: an output padding of {more} must be less than the stride \
                     {s} or the dilation {d}"
                );
            }
            match ((size - 1) * s + d * (k - 1) + more + 1).checked_sub(2 * p) {
                Some(out) if out > 0 => Ok(out),
                _ => bail!(
                    "conv transpose 2d: a padding of {p} leaves nothing of the output of an input \
                     of {size} and a kernel of {k}"
                ),
            }
        };
        let Conv2dParams {
            stride,
            padding,
            dilation,
            ..
        } = self.conv;
        let rows = (stride.0, padding.0, dilation.0);
        let columns = (stride.1, padding.1, dilation.1);
        Ok((
            dim(input.0, kernel.0, rows, self.output_padding.0)?,
            dim(input.1, kernel.1, columns, self.output_padding.1)?,
        ))
    }
}

/// Lays `weight` times each pixel of `x` onto the output, and adds `bias`.
///
/// # Errors
/// When shapes, groups or parameters do not fit, naming them.
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &ConvTranspose2dParams,
) -> Result<Tensor> {
    let sizes = Sizes::transposed(x.dims(), weight.dims(), params)?;
    if let Some(bias) = bias.filter(|bias| bias.dims() != [sizes.channels()]) {
        bail!(
            "conv transpose 2d: expected a bias of {} elements, got {:?}",
            sizes.channels(),
            bias.shape()
        );
    }
    macs::add(sizes.batch * sizes.out * sizes.patches.depth() * sizes.patches.places());
    if !has_kernel(x) {
        return composed(x, weight, bias, params);
    }
    let op = ConvTranspose { params: *params };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => tape::apply3(&x, &weight, &bias.contiguous()?, op),
        None => tape::apply2(&x, &weight, op),
    }
}

/// The same out of candle ops: zeros between the pixels, and a convolution with the kernel turned
/// about.
pub(super) fn composed(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &ConvTranspose2dParams,
) -> Result<Tensor> {
    let (_, channels, h, w) = x.dims4()?;
    let (_, out, kh, kw) = weight.dims4()?;
    let Conv2dParams {
        stride,
        padding,
        dilation,
        groups,
    } = params.conv;
    let output = params.output_size((h, w), (kh, kw))?;
    let x = spaced(&spaced(x, 2, stride.0)?, 3, stride.1)?;
    let margin = |x: Tensor, dim: usize, out: usize, p: usize, reach: usize| {
        // Every output reads `reach + 1` cells from `reach - p` before its own place on.
        let last = out + reach - (x.dim(dim)? + reach.saturating_sub(p)).min(out + reach);
        let x = x.pad_with_zeros(dim, reach.saturating_sub(p), last)?;
        x.narrow(dim, p.saturating_sub(reach), out + reach)?
            .contiguous()
    };
    let x = margin(x, 2, output.0, padding.0, dilation.0 * (kh - 1))?;
    let x = margin(x, 3, output.1, padding.1, dilation.1 * (kw - 1))?;
    let turned = weight
        .reshape((groups, channels / groups, out, kh, kw))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((groups * out, channels / groups, kh, kw))?;
    let turned = reversed(&reversed(&turned, 2)?, 3)?;
    let conv = Conv2dParams {
        dilation,
        groups,
        ..Conv2dParams::default()
    };
    super::conv_composed::conv2d(&x, &turned, bias, &conv)
}

/// With `step - 1` zeros after each cell along `dim`, but none after the last.
fn spaced(x: &Tensor, dim: usize, step: usize) -> Result<Tensor> {
    let size = x.dim(dim)?;
    if step == 1 {
        return Ok(x.clone());
    }
    let zeros = x.unsqueeze(dim + 1)?;
    let zeros = zeros.pad_with_zeros(dim + 1, 0, step - 1)?;
    zeros
        .flatten(dim, dim + 1)?
        .narrow(dim, 0, (size - 1) * step + 1)
}

fn reversed(x: &Tensor, dim: usize) -> Result<Tensor> {
    let size = x.dim(dim)? as u32;
    let order: Vec<u32> = (0..size).rev().collect();
    let order = Tensor::from_vec(order, size as usize, x.device())?;
    x.contiguous()?.index_select(&order, dim)
}

struct ConvTranspose {
    params: ConvTranspose2dParams,
}

impl ConvTranspose {
    fn forward(
        &self,
        (x, x_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::transposed(x_layout.dims(), weight_layout.dims(), &self.params)?;
        let (height, width) = sizes.patches.input;
        let shape = (sizes.batch, sizes.channels(), height, width).into();
        dispatch!(x.dtype(), "conv transpose 2d", T => {
            let bias = bias.map(|(bias, layout)| slice::<T>(bias, layout)).transpose()?;
            let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
            Ok((T::to_cpu_storage_owned(forward(&sizes, x, weight, bias)), shape))
        })
    }

    fn backward(
        &self,
        (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let sizes = Sizes::transposed(x.dims(), weight.dims(), &self.params)?;
        let inputs = [Some(x), Some(weight), bias];
        let want = inputs.map(|input| input.is_some_and(Tensor::track_op));
        dispatch!(x.dtype(), "conv transpose 2d", T => {
            let grads = with_slice::<T, _>(x, |x| with_slice::<T, _>(weight, |weight| {
                with_slice::<T, _>(grad, |grad| Ok(backward(&sizes, x, weight, grad, want)))
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

impl CustomOp2 for ConvTranspose {
    fn name(&self) -> &'static str {
        "conv transpose 2d"
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
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.backward((x, weight, None), grad)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for ConvTranspose {
    fn name(&self) -> &'static str {
        "conv transpose 2d with bias"
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
        let bias = Some((bias, bias_layout));
        self.forward((x, x_layout), (weight, weight_layout), bias)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.backward((x, weight, Some(bias)), grad)?;
        Ok((dx, dw, db))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::composed_tests::assert_same;
    use crate::testing::{check_gradients, wave};

    fn params(
        stride: (usize, usize),
        padding: (usize, usize),
        output_padding: (usize, usize),
        dilation: (usize, usize),
        groups: usize,
    ) -> ConvTranspose2dParams {
        ConvTranspose2dParams {
            conv: Conv2dParams {
                stride,
                padding,
                dilation,
                groups,
            },
            output_padding,
        }
    }

    /// Input, kernel and parameters: plain, doubling, overlapping, apart, with output padding
    /// beyond the stride, groups, padding beyond the kernel, one pixel, several parts, many channels.
    fn cases() -> Vec<([usize; 4], [usize; 4], ConvTranspose2dParams)> {
        let one = (1, 1);
        let doubling = params((2, 2), one, (0, 0), one, 1);
        vec![
            ([2, 3, 3, 4], [3, 2, 3, 2], ConvTranspose2dParams::default()),
            ([2, 2, 3, 4], [2, 3, 4, 4], doubling),
            (
                [2, 2, 3, 2],
                [2, 3, 3, 3],
                params((2, 3), one, (1, 2), one, 1),
            ),
            (
                [1, 2, 2, 3],
                [2, 1, 2, 2],
                params((3, 4), (0, 0), (2, 0), one, 1),
            ),
            (
                [2, 4, 3, 3],
                [4, 3, 2, 3],
                params((2, 1), (1, 2), (0, 1), (1, 2), 2),
            ),
            (
                [1, 1, 4, 4],
                [1, 2, 2, 2],
                params((2, 2), (2, 1), one, (3, 1), 1),
            ),
            ([2, 3, 2, 2], [3, 4, 1, 1], ConvTranspose2dParams::default()),
            (
                [35, 1, 2, 2],
                [1, 2, 2, 2],
                params((2, 2), (0, 0), (0, 0), one, 1),
            ),
            ([2, 2, 3, 4], [2, 33, 4, 4], doubling),
        ]
    }

    fn inputs(x: [usize; 4], weight: [usize; 4], groups: usize) -> [Tensor; 3] {
        [
            wave(x.to_vec(), 0.1),
            wave(weight.to_vec(), 0.2),
            wave(weight[1] * groups, 0.3),
        ]
    }

    #[test]
    fn kernel_and_composition_agree() {
        for (x, weight, params) in cases() {
            let inputs = inputs(x, weight, params.conv.groups);
            for count in [2, 3] {
                assert_same(
                    &format!("conv transpose of {x:?} by {weight:?}, {params:?}"),
                    &inputs[..count],
                    |t| conv_transpose2d(&t[0], &t[1], t.get(2), &params),
                    |t| composed(&t[0], &t[1], t.get(2), &params),
                );
            }
        }
    }

    #[test]
    fn gradients_are_right() {
        for (x, weight, params) in cases() {
            let inputs = inputs(x, weight, params.conv.groups);
            check_gradients(&inputs, |t| {
                conv_transpose2d(&t[0], &t[1], Some(&t[2]), &params)
            });
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let one = (1, 1);
        let [x, weight, bias] = inputs([1, 2, 3, 3], [2, 4, 2, 2], 1);
        let refused = |params: &ConvTranspose2dParams, bias: &Tensor, what: &str| {
            let error = conv_transpose2d(&x, &weight, Some(bias), params).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        };
        let plain = ConvTranspose2dParams::default();
        refused(&plain, &wave(3, 0.1), "a bias of 4 elements");
        refused(
            &params(one, (0, 0), (0, 1), one, 1),
            &bias,
            "output padding of 1",
        );
        refused(
            &params(one, (2, 0), (0, 0), one, 1),
            &bias,
            "leaves nothing",
        );
        refused(&params((0, 1), (0, 0), (0, 0), one, 1), &bias, "at least 1");
        refused(&params(one, (0, 0), (0, 0), one, 3), &bias, "3 groups");
    }
}
