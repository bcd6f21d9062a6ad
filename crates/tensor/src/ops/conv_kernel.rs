//! Convolution on the CPU, forward and backward.
//!
//! The products are in `patch_product`. The batch is cut into parts by shapes alone, so sums over it
//! have a fixed order.

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::conv::Conv2dParams;
use super::conv_then::{After, Finish};
use super::conv_transpose::ConvTranspose2dParams;
use super::im2col::Patches;
use super::lookup_down::Lookup;
use super::patch_product::{Kernels, Turned};
use crate::kernel::{Float, Room, Spread, add_rows, sum, wide, zeros};

/// The sizes of one call, checked.
#[derive(Debug, Clone, Copy)]
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

    /// Elements of a group's output.
    pub(super) fn group_planes(&self) -> usize {
        self.image_out() / self.groups
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
    /// it to a large weight's gradient time. The matrix fits the cache of a core.
    pub(super) fn together(&self) -> usize {
        const ELEMENTS: usize = 1 << 18;
        if self.groups > 1 {
            return 1;
        }
        let tall = self.patches.depth().max(self.out);
        let image = tall * self.patches.places();
        (ELEMENTS / image.max(1)).clamp(1, self.part())
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
    let mut y = zeros(s.batch * image_out);
    let mut winners = vec![0; if finish.is_apart() { y.len() } else { 0 }];
    let kernels = s.kernels(weight);
    let part = s.part();
    let parts = s.batch.div_ceil(part);
    // Without a pool there are no winners, and each part gets an empty piece of them.
    let mut winner_parts: Vec<&mut [u32]> = winners.chunks_mut((part * image_out).max(1)).collect();
    winner_parts.resize_with(parts, Default::default);
    y.par_chunks_mut((part * image_out).max(1))
        .zip(winner_parts)
        .zip(x.par_chunks((part * s.image_in()).max(1)))
        .for_each(|((y, winners), x)| forward_part(s, finish, (x, &kernels, bias), y, winners));
    (y, winners)
}

fn forward_part<T: Float>(
    s: &Sizes,
    finish: &Finish,
    (x, kernels, bias): (&[T], &Kernels<T>, Option<&[T]>),
    y: &mut [T],
    winners: &mut [u32],
) {
    let (places, channels) = (s.patches.places(), s.group_out());
    let (group_y, together, apart) = (channels * finish.output(), s.together(), finish.is_apart());
    let mut room = Room::take();
    let sizes = [
        if_needed(apart, together * channels * places),
        s.room::<T>(),
    ];
    let [before, room] = room.split(sizes);
    for (block, x) in x.chunks(together * s.group_in()).enumerate() {
        let (item, count) = (block * together, x.len() / s.group_in());
        let group = item % s.groups;
        let bias = bias.map(|bias| &bias[group * channels..]);
        let kernels = (kernels, group, bias);
        let y = &mut y[item * group_y..][..count * group_y];
        if apart {
            let planes = &mut before[..count * channels * places];
            s.down(kernels, x, planes, room);
            let winners = &mut winners[item * group_y..][..count * group_y];
            wide(
                #[inline(always)]
                || finish.apart(planes, y, winners),
            );
        } else {
            s.down(kernels, x, y, room);
            wide(
                #[inline(always)]
                || finish.in_place(y),
            );
        }
    }
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
    let mut dx = zeros(if_needed(want_x, s.batch * s.image_in()));
    let turned = want_x.then(|| s.turned(weight));
    let lookup = if want_w { s.lookup() } else { None };
    // A part that keeps nothing of dx gets an empty piece of it.
    let mut dx_parts: Vec<&mut [T]> = dx.chunks_mut((part * s.image_in()).max(1)).collect();
    dx_parts.resize_with(parts, Default::default);
    let (dw_parts, db_parts): (Vec<_>, Vec<_>) = dx_parts
        .into_par_iter()
        .zip(x.par_chunks((part * s.image_in()).max(1)))
        .enumerate()
        .map(|(index, (dx, x))| {
            let of_groups = s.groups * s.gradient_panels::<T>().len();
            let mut dw = vec![T::zero(); if_needed(want_w, of_groups)];
            let mut db = vec![T::zero(); if_needed(want_b, s.out)];
            let images = x.len() / s.image_in();
            let after = after.part(index * part * image_out, images * image_out);
            let x = (x, lookup.as_ref(), turned.as_ref());
            backward_part(s, finish, x, &after, (dx, &mut dw, &mut db));
            (dw, db)
        })
        .unzip();
    Gradients {
        dw: want_w.then(|| s.gradient(&dw_parts)),
        db: want_b.then(|| total(s.out, &db_parts)),
        dx: want_x.then_some(dx),
    }
}

/// The sum of all parts, in order.
pub(super) fn total<T: Float>(size: usize, parts: &[Vec<T>]) -> Vec<T> {
    let mut total = vec![T::zero(); size];
    parts.iter().for_each(|part| add_rows(&mut total, part));
    total
}

/// Gradients of one part of the batch; those not wanted are empty.
fn backward_part<T: Float>(
    s: &Sizes,
    finish: &Finish,
    (x, lookup, turned): (&[T], Option<&Lookup>, Option<&Turned<T>>),
    after: &After<'_, T>,
    (dx, dw, db): (&mut [T], &mut [T], &mut [T]),
) {
    let (places, channels) = (s.patches.places(), s.group_out());
    let (group_y, together) = (channels * finish.output(), s.together());
    let of_group = s.gradient_panels::<T>().len();
    let mut room = Room::take();
    let before = if_needed(!finish.is_nothing(), together * channels * places);
    let [before, room] = room.split([before, s.room::<T>()]);
    for (block, x) in x.chunks(together * s.group_in()).enumerate() {
        let (item, count) = (block * together, x.len() / s.group_in());
        let group = item % s.groups;
        let after = after.part(item * group_y, count * group_y);
        let planes = if finish.is_nothing() {
            after.grad
        } else {
            let planes = &mut before[..count * channels * places];
            wide(
                #[inline(always)]
                || finish.backward(&after, planes),
            );
            planes
        };
        if !db.is_empty() {
            let db = &mut db[group * channels..][..channels];
            for planes in planes.chunks_exact(channels * places) {
                add_sums(db, planes, places);
            }
        }
        if !dw.is_empty() {
            let dw = &mut dw[group * of_group..][..of_group];
            s.outer(lookup, (x, planes), dw, room);
        }
        if let Some(turned) = turned {
            let dx = &mut dx[item * s.group_in()..][..x.len()];
            s.up((turned, group), planes, dx, room);
        }
    }
}

/// Adds the sum of every plane.
pub(super) fn add_sums<T: Float>(sums: &mut [T], planes: &[T], places: usize) {
    let planes = planes.chunks_exact(places);
    wide(
        #[inline(always)]
        || {
            let pairs = sums.iter_mut().zip(planes);
            pairs.for_each(|(total, plane)| *total += sum(plane));
        },
    );
}
