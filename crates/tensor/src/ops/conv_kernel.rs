//! Convolution on the CPU, forward and backward.
//!
//! Forward, each image becomes a column matrix and one gemm a group. Backward, the weight
//! gradient is a gemm with the same columns, the input gradient a gemm and a scattered
//! addition. The batch is cut into parts by shapes alone, so sums over it have a fixed order.

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::conv::Conv2dParams;
use super::conv_then::{After, Finish};
use super::conv_transpose::ConvTranspose2dParams;
use super::im2col::Patches;
use super::side_by_side::{gather, put, scatter_add, take};
use crate::kernel::{Float, Mat, Room, Spread, add_rows, gemm, sum, wide};

/// The sizes of one call, checked.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) out: usize,
    pub(super) groups: usize,
    /// Of one group.
    pub(super) patches: Patches,
}

impl Sizes {
    pub(super) fn new(x: &[usize], weight: &[usize], params: &Conv2dParams) -> Result<Self> {
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

    /// Those of the convolution whose transpose this is: it goes from `y` to `x`.
    pub(super) fn transposed(
        x: &[usize],
        weight: &[usize],
        params: &ConvTranspose2dParams,
    ) -> Result<Self> {
        let (&[batch, channels, h, w], &[weight_in, group_out, kh, kw]) = (x, weight) else {
            bail!(
                "conv transpose 2d: expected an input (N, C, H, W) and a weight (C, O, kh, kw), \
                 got {x:?} and {weight:?}"
            );
        };
        let groups = params.conv.groups;
        let none = channels == 0 || group_out == 0 || groups == 0;
        if none || channels != weight_in || channels % groups != 0 {
            bail!(
                "conv transpose 2d: {channels} input channels do not fit a weight for {weight_in} \
                 in {groups} groups"
            );
        }
        let patches = Patches {
            channels: group_out,
            input: params.output_size((h, w), (kh, kw))?,
            output: (h, w),
            kernel: (kh, kw),
            stride: params.conv.stride,
            padding: params.conv.padding,
            dilation: params.conv.dilation,
        };
        Ok(Self {
            batch,
            out: channels,
            groups,
            patches,
        })
    }

    /// Channels of the input.
    pub(super) fn channels(&self) -> usize {
        self.groups * self.patches.channels
    }

    /// Elements of an input image.
    pub(super) fn image_in(&self) -> usize {
        self.groups * self.patches.channels * self.patches.input.0 * self.patches.input.1
    }

    /// Elements of an output image.
    pub(super) fn image_out(&self) -> usize {
        self.out * self.patches.places()
    }

    /// Elements of an image's group.
    pub(super) fn group_in(&self) -> usize {
        self.image_in() / self.groups
    }

    /// Channels of a group's output.
    pub(super) fn group_out(&self) -> usize {
        self.out / self.groups
    }

    /// Images a part of the batch holds. It depends on shapes only; few parts where the
    /// weight is large, because each keeps a gradient of it.
    pub(super) fn part(&self) -> usize {
        let weight = self.out * self.patches.depth();
        let parts = ((1 << 20) / weight.max(1)).clamp(8, 32);
        self.batch.div_ceil(parts).max(1)
    }

    /// Images whose columns share one matrix: a product of few columns wastes registers, and adding
    /// it to a large weight's gradient time. They are those of equal shares of a part.
    pub(super) fn together(&self) -> usize {
        const COLUMNS: usize = 256;
        if self.groups > 1 || self.patches.is_identity() {
            return 1;
        }
        let part = self.part();
        let at_most = (COLUMNS / self.patches.places().max(1)).clamp(1, part);
        part.div_ceil(part.div_ceil(at_most))
    }

    /// A single image leaves the threads to gemm, more keep each gemm on one thread.
    pub(super) fn spread(&self) -> Spread {
        if self.batch == 1 {
            Spread::Pool
        } else {
            Spread::Here
        }
    }
}

/// `size`, or none of it.
pub(super) fn if_needed(needed: bool, size: usize) -> usize {
    if needed { size } else { 0 }
}

/// The planes of all images after `finish`, and the winners of its pool.
pub(super) fn forward<T: Float>(
    s: &Sizes,
    finish: &Finish,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
) -> (Vec<T>, Vec<u32>) {
    let image_out = s.out * finish.output();
    let mut y = vec![T::zero(); s.batch * image_out];
    let mut winners = vec![0; if finish.is_apart() { y.len() } else { 0 }];
    let part = s.part();
    let parts = s.batch.div_ceil(part);
    // Without a pool there are no winners, and each part gets an empty piece of them.
    let mut winner_parts: Vec<&mut [u32]> = winners.chunks_mut((part * image_out).max(1)).collect();
    winner_parts.resize_with(parts, Default::default);
    y.par_chunks_mut((part * image_out).max(1))
        .zip(winner_parts)
        .zip(x.par_chunks((part * s.image_in()).max(1)))
        .for_each(|((y, winners), x)| forward_part(s, finish, (x, weight, bias), y, winners));
    (y, winners)
}

fn forward_part<T: Float>(
    s: &Sizes,
    finish: &Finish,
    (x, weight, bias): (&[T], &[T], Option<&[T]>),
    y: &mut [T],
    winners: &mut [u32],
) {
    let (depth, places, channels) = (s.patches.depth(), s.patches.places(), s.group_out());
    let (group_y, together, apart) = (channels * finish.output(), s.together(), finish.is_apart());
    let identity = s.patches.is_identity();
    let mut room = Room::take();
    let [columns, product, planes, spread] = room.split([
        if_needed(!identity, depth * together * places),
        if_needed(apart || together > 1, channels * together * places),
        if_needed(apart && together > 1, channels * places),
        s.patches.room(together),
    ]);
    for (block, x) in x.chunks(together * s.group_in()).enumerate() {
        let (item, count) = (block * together, x.len() / s.group_in());
        let first = item % s.groups * channels;
        let width = count * places;
        let columns = if identity {
            Mat::new(x, depth, places)
        } else {
            gather(s, x, columns, spread)
        };
        let kernels = Mat::new(&weight[first * depth..], channels, depth);
        let bias = bias.map(|bias| &bias[first..]);
        let outputs = item * group_y..(item + count) * group_y;
        let y = &mut y[outputs.clone()];
        if !apart && count == 1 {
            gemm(y, kernels, columns, false, s.spread());
        } else {
            gemm(product, kernels, columns, false, s.spread());
        }
        for (image, y) in y.chunks_exact_mut(group_y).enumerate() {
            if !apart {
                if count > 1 {
                    take(product, (width, image * places), y, places);
                }
                add_bias(y, places, bias);
                wide(
                    #[inline(always)]
                    || finish.in_place(y),
                );
                continue;
            }
            let planes = if count > 1 {
                take(product, (width, image * places), planes, places);
                &mut *planes
            } else {
                &mut *product
            };
            add_bias(planes, places, bias);
            let winners = &mut winners[outputs.start + image * group_y..][..group_y];
            wide(
                #[inline(always)]
                || finish.apart(planes, y, winners),
            );
        }
    }
}

fn add_bias<T: Float>(planes: &mut [T], places: usize, bias: Option<&[T]>) {
    let Some(bias) = bias else { return };
    wide(
        #[inline(always)]
        || {
            for (plane, &bias) in planes.chunks_exact_mut(places).zip(bias) {
                plane.iter_mut().for_each(|p| *p += bias);
            }
        },
    );
}

/// The gradients that are wanted.
pub(super) struct Gradients<T> {
    pub(super) dx: Option<Vec<T>>,
    pub(super) dw: Option<Vec<T>>,
    pub(super) db: Option<Vec<T>>,
}

pub(super) fn backward<T: Float>(
    s: &Sizes,
    finish: &Finish,
    x: &[T],
    weight: &[T],
    after: &After<'_, T>,
    [want_x, want_w, want_b]: [bool; 3],
) -> Gradients<T> {
    let (part, image_out) = (s.part(), s.out * finish.output());
    let parts = s.batch.div_ceil(part);
    let mut dx = vec![T::zero(); if want_x { s.batch * s.image_in() } else { 0 }];
    // A part that keeps nothing of dx gets an empty piece of it.
    let mut dx_parts: Vec<&mut [T]> = dx.chunks_mut((part * s.image_in()).max(1)).collect();
    dx_parts.resize_with(parts, Default::default);
    let (dw_parts, db_parts): (Vec<_>, Vec<_>) = dx_parts
        .into_par_iter()
        .zip(x.par_chunks((part * s.image_in()).max(1)))
        .enumerate()
        .map(|(index, (dx, x))| {
            let mut dw = vec![T::zero(); if want_w { weight.len() } else { 0 }];
            let mut db = vec![T::zero(); if want_b { s.out } else { 0 }];
            let images = x.len() / s.image_in();
            let after = after.part(index * part * image_out, images * image_out);
            backward_part(s, finish, (x, weight), &after, (dx, &mut dw, &mut db));
            (dw, db)
        })
        .unzip();
    let add = |size: usize, parts: &[Vec<T>]| {
        let mut total = vec![T::zero(); size];
        parts.iter().for_each(|part| add_rows(&mut total, part));
        total
    };
    Gradients {
        dw: want_w.then(|| add(weight.len(), &dw_parts)),
        db: want_b.then(|| add(s.out, &db_parts)),
        dx: want_x.then_some(dx),
    }
}

/// Gradients of one part of the batch; those not wanted are empty.
fn backward_part<T: Float>(
    s: &Sizes,
    finish: &Finish,
    (x, weight): (&[T], &[T]),
    after: &After<'_, T>,
    (dx, dw, db): (&mut [T], &mut [T], &mut [T]),
) {
    let (depth, places, channels) = (s.patches.depth(), s.patches.places(), s.group_out());
    let (group_y, together) = (channels * finish.output(), s.together());
    let identity = s.patches.is_identity();
    let mut room = Room::take();
    let [columns, planes, joint, spread] = room.split([
        depth * together * places,
        if_needed(!finish.is_nothing(), channels * places),
        if_needed(together > 1, channels * together * places),
        s.patches.room(together),
    ]);
    for (block, x) in x.chunks(together * s.group_in()).enumerate() {
        let (item, count) = (block * together, x.len() / s.group_in());
        let first = item % s.groups * channels;
        let weights = first * depth..(first + channels) * depth;
        let width = count * places;
        let mut alone: &[T] = &[];
        for image in 0..count {
            let after = after.part((item + image) * group_y, group_y);
            alone = if finish.is_nothing() {
                after.grad
            } else {
                wide(
                    #[inline(always)]
                    || finish.backward(&after, planes),
                );
                planes
            };
            if count > 1 {
                put(alone, joint, (width, image * places), places);
                alone = &[];
            }
        }
        let grad = if count > 1 {
            &joint[..channels * width]
        } else {
            alone
        };
        if !db.is_empty() {
            let rows = grad.chunks_exact(width);
            let db = db[first..].iter_mut();
            wide(
                #[inline(always)]
                || db.zip(rows).for_each(|(b, row)| *b += sum(row)),
            );
        }
        let grad = Mat::new(grad, channels, width);
        if !dw.is_empty() {
            let columns = if identity {
                Mat::new(x, depth, places)
            } else {
                gather(s, x, columns, spread)
            };
            let dw = &mut dw[weights.clone()];
            gemm(dw, grad, columns.t(), true, s.spread());
        }
        if !dx.is_empty() {
            let kernels = Mat::new(&weight[weights], channels, depth).t();
            let dx = &mut dx[item * s.group_in()..][..x.len()];
            if identity {
                gemm(dx, kernels, grad, false, s.spread());
            } else {
                gemm(columns, kernels, grad, false, s.spread());
                scatter_add(s, columns, dx, spread);
            }
        }
    }
}
