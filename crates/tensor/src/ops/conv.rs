//! Two-dimensional convolution (cross-correlation, as everywhere in deep learning).
//!
//! `y[n, o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[n, c, i s + u d - p, j s + v d - p]`
//!
//! **Shape:** `x (N, C, H, W)`, `weight (O, C / groups, kh, kw)`, `bias (O)` → `(N, O, H', W')`
//! with `H' = floor((H + 2p - d (k - 1) - 1) / s) + 1`.
//!
//! Forward, each image becomes a column matrix and one gemm a group. Backward, the weight
//! gradient is a gemm with the same columns, the input gradient a gemm and a scattered
//! addition. The batch is cut into parts by shapes alone, so sums over it have a fixed order.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::conv_composed;
use super::im2col::Patches;
use crate::handover;
use crate::kernel::{
    Float, Mat, Spread, add_rows, dispatch, gemm, has_kernel, slice, sum, with_slice,
};
use crate::macs;

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
        return conv_composed::conv2d(x, weight, bias, params);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, Conv(*params)),
        None => x.apply_op2(&weight, Conv(*params)),
    }
}

/// The sizes of one call, checked.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    out: usize,
    groups: usize,
    /// Of one group.
    patches: Patches,
}

impl Sizes {
    fn new(x: &[usize], weight: &[usize], params: &Conv2dParams) -> Result<Self> {
        let (&[batch, channels, h, w], &[out, group_in, kh, kw]) = (x, weight) else {
            bail!(
                "conv2d: expected an input (N, C, H, W) and a weight (O, C, kh, kw), got {x:?} and {weight:?}"
            );
        };
        let groups = params.groups;
        let none = channels == 0 || out == 0 || groups == 0;
        if none || channels != group_in * groups || out % groups != 0 {
            bail!(
                "conv2d: {channels} input and {out} output channels do not fit a weight for \
                 {group_in} channels in {groups} groups"
            );
        }
        let patches = Patches {
            channels: group_in,
            input: (h, w),
            output: params.output_size((h, w), (kh, kw))?,
            kernel: (kh, kw),
            stride: params.stride,
            padding: params.padding,
            dilation: params.dilation,
        };
        Ok(Self {
            batch,
            out,
            groups,
            patches,
        })
    }

    fn image_in(&self) -> usize {
        self.groups * self.patches.channels * self.patches.input.0 * self.patches.input.1
    }

    fn image_out(&self) -> usize {
        self.out * self.patches.places()
    }

    /// Images a part of the batch holds. It depends on shapes only; few parts where the
    /// weight is large, because each keeps a gradient of it.
    fn part(&self) -> usize {
        let weight = self.out * self.patches.depth();
        let parts = ((1 << 22) / weight.max(1)).clamp(8, 32);
        self.batch.div_ceil(parts).max(1)
    }

    /// A single image leaves the threads to gemm, more keep each gemm on one thread.
    fn spread(&self) -> Spread {
        if self.batch == 1 {
            Spread::Pool
        } else {
            Spread::Here
        }
    }
}

struct Conv(Conv2dParams);

fn forward<T: Float>(s: &Sizes, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (depth, places) = (s.patches.depth(), s.patches.places());
    let (in_size, out_channels) = (s.image_in() / s.groups, s.out / s.groups);
    let mut y = vec![T::zero(); s.batch * s.image_out()];
    let part = s.part();
    y.par_chunks_mut(part * s.image_out())
        .zip(x.par_chunks(part * s.image_in()))
        .for_each(|(y, x)| {
            let identity = s.patches.is_identity();
            let mut columns = vec![T::zero(); if identity { 0 } else { depth * places }];
            let groups = y
                .chunks_exact_mut(out_channels * places)
                .zip(x.chunks_exact(in_size));
            for (i, (y, x)) in groups.enumerate() {
                let group = i % s.groups;
                let first = group * out_channels;
                if let Some(bias) = bias {
                    let rows = y.chunks_exact_mut(places);
                    rows.zip(&bias[first..]).for_each(|(row, &b)| row.fill(b));
                }
                let columns: &[T] = if identity {
                    x
                } else {
                    s.patches.gather(x, &mut columns);
                    &columns
                };
                let kernels = Mat::new(&weight[first * depth..], out_channels, depth);
                gemm(
                    y,
                    kernels,
                    Mat::new(columns, depth, places),
                    bias.is_some(),
                    s.spread(),
                );
            }
        });
    y
}

/// Which gradients are wanted, and what they are.
struct Backward<T> {
    dx: Option<Vec<T>>,
    dw: Option<Vec<T>>,
    db: Option<Vec<T>>,
}

fn backward<T: Float>(
    s: &Sizes,
    x: &[T],
    weight: &[T],
    grad: &[T],
    [want_x, want_w, want_b]: [bool; 3],
) -> Backward<T> {
    let part = s.part();
    let parts = s.batch.div_ceil(part);
    let mut dx = vec![T::zero(); if want_x { s.batch * s.image_in() } else { 0 }];
    // A part that keeps nothing of dx gets an empty piece of it.
    let mut dx_parts: Vec<&mut [T]> = dx.chunks_mut((part * s.image_in()).max(1)).collect();
    dx_parts.resize_with(parts, Default::default);
    let (dw_parts, db_parts): (Vec<_>, Vec<_>) = dx_parts
        .into_par_iter()
        .zip(x.par_chunks((part * s.image_in()).max(1)))
        .zip(grad.par_chunks((part * s.image_out()).max(1)))
        .map(|((dx, x), grad)| {
            let mut dw = vec![T::zero(); if want_w { weight.len() } else { 0 }];
            let mut db = vec![T::zero(); if want_b { s.out } else { 0 }];
            backward_part(s, x, weight, grad, dx, &mut dw, &mut db);
            (dw, db)
        })
        .unzip();
    let add = |size: usize, parts: &[Vec<T>]| {
        let mut total = vec![T::zero(); size];
        parts.iter().for_each(|part| add_rows(&mut total, part));
        total
    };
    Backward {
        dw: want_w.then(|| add(weight.len(), &dw_parts)),
        db: want_b.then(|| add(s.out, &db_parts)),
        dx: want_x.then_some(dx),
    }
}

/// Gradients of one part of the batch; those not wanted are empty.
fn backward_part<T: Float>(
    s: &Sizes,
    x: &[T],
    weight: &[T],
    grad: &[T],
    dx: &mut [T],
    dw: &mut [T],
    db: &mut [T],
) {
    let (depth, places) = (s.patches.depth(), s.patches.places());
    let (in_size, out_channels) = (s.image_in() / s.groups, s.out / s.groups);
    let identity = s.patches.is_identity();
    let mut columns = vec![T::zero(); depth * places];
    for (i, grad) in grad.chunks_exact(out_channels * places).enumerate() {
        let first = i % s.groups * out_channels;
        let weights = first * depth..(first + out_channels) * depth;
        if !db.is_empty() {
            let rows = grad.chunks_exact(places);
            db[first..]
                .iter_mut()
                .zip(rows)
                .for_each(|(b, row)| *b += sum(row));
        }
        let grad = Mat::new(grad, out_channels, places);
        if !dw.is_empty() {
            let x = &x[i * in_size..][..in_size];
            let columns: &[T] = if identity {
                x
            } else {
                s.patches.gather(x, &mut columns);
                &columns
            };
            let columns = Mat::new(columns, depth, places);
            gemm(
                &mut dw[weights.clone()],
                grad,
                columns.t(),
                true,
                s.spread(),
            );
        }
        if !dx.is_empty() {
            let kernels = Mat::new(&weight[weights], out_channels, depth);
            let dx = &mut dx[i * in_size..][..in_size];
            if identity {
                gemm(dx, kernels.t(), grad, false, s.spread());
            } else {
                gemm(&mut columns, kernels.t(), grad, false, s.spread());
                s.patches.scatter_add(&columns, dx);
            }
        }
    }
}

impl Conv {
    fn forward(
        &self,
        (x, x_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(x_layout.dims(), weight_layout.dims(), &self.0)?;
        let (oh, ow) = sizes.patches.output;
        let shape = (sizes.batch, sizes.out, oh, ow).into();
        dispatch!(x.dtype(), "conv2d", T => {
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
        let sizes = Sizes::new(x.dims(), weight.dims(), &self.0)?;
        let inputs = [Some(x), Some(weight), bias];
        let want = inputs.map(|input| input.is_some_and(Tensor::track_op));
        dispatch!(x.dtype(), "conv2d", T => {
            let grads = with_slice::<T, _>(x, |x| with_slice::<T, _>(weight, |weight| {
                with_slice::<T, _>(grad, |grad| Ok(backward(&sizes, x, weight, grad, want)))
            }))?;
            let tensor = |input: Option<&Tensor>, data: Option<Vec<T>>| match (input, data) {
                (Some(input), Some(data)) => {
                    let grad = Tensor::from_vec(data, input.shape(), input.device())?;
                    handover::gradient(input, grad)
                }
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
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.backward((x, weight, None), grad)?;
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
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.backward((x, weight, Some(bias)), grad)?;
        Ok((dx, dw, db))
    }
}
