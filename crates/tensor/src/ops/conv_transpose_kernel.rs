//! Transposed convolution on the CPU, forward and backward.
//!
//! With the columns of `im2col` taken over the output, forward is a gemm and a scattered addition,
//! the input gradient a gemm with the gathered columns of the output's gradient, and the weight
//! gradient one with the same columns. The batch is cut as in `conv_kernel`.

use rayon::prelude::*;

use super::conv_kernel::{Gradients, Sizes, if_needed};
use super::side_by_side::{gather, put, scatter_add, take};
use crate::kernel::{Float, Mat, Room, add_rows, gemm, sum, wide};

/// The pictures that all inputs lay down.
pub(super) fn forward<T: Float>(s: &Sizes, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (part, image_y) = (s.part(), s.image_in());
    let mut y = vec![T::zero(); s.batch * image_y];
    y.par_chunks_mut((part * image_y).max(1))
        .zip(x.par_chunks((part * s.image_out()).max(1)))
        .for_each(|(y, x)| forward_part(s, (x, weight, bias), y));
    y
}

fn forward_part<T: Float>(s: &Sizes, (x, weight, bias): (&[T], &[T], Option<&[T]>), y: &mut [T]) {
    let (depth, places, channels) = (s.patches.depth(), s.patches.places(), s.group_out());
    let plane = s.patches.input.0 * s.patches.input.1;
    if let Some(bias) = bias {
        for y in y.chunks_exact_mut(s.image_in()) {
            let planes = y.chunks_exact_mut(plane);
            planes.zip(bias).for_each(|(plane, &bias)| plane.fill(bias));
        }
    }
    let (identity, together) = (s.patches.is_identity(), s.together());
    let mut room = Room::take();
    let [columns, joint, spread] = room.split([
        if_needed(!identity, depth * together * places),
        if_needed(together > 1, channels * together * places),
        s.patches.room(together),
    ]);
    let blocks = x.chunks(together * channels * places);
    let blocks = blocks.zip(y.chunks_mut(together * s.group_in()));
    for (block, (x, y)) in blocks.enumerate() {
        let first = block * together % s.groups * channels;
        let kernels = Mat::new(&weight[first * depth..], channels, depth).t();
        let x = side_by_side(s, x, joint);
        if identity {
            gemm(y, kernels, x, true, s.spread());
        } else {
            gemm(columns, kernels, x, false, s.spread());
            scatter_add(s, columns, y, spread);
        }
    }
}

/// The planes of some images as rows, those of one as they are.
fn side_by_side<'a, T: Float>(s: &Sizes, x: &'a [T], joint: &'a mut [T]) -> Mat<'a, T> {
    let (places, channels) = (s.patches.places(), s.group_out());
    let count = x.len() / (channels * places);
    if count == 1 {
        return Mat::new(x, channels, places);
    }
    for (image, x) in x.chunks_exact(channels * places).enumerate() {
        put(x, joint, (count * places, image * places), places);
    }
    Mat::new(joint, channels, count * places)
}

/// The gradients that are wanted.
pub(super) fn backward<T: Float>(
    s: &Sizes,
    x: &[T],
    weight: &[T],
    grad: &[T],
    [want_x, want_w, want_b]: [bool; 3],
) -> Gradients<T> {
    let (part, image_x) = (s.part(), s.image_out());
    let parts = s.batch.div_ceil(part);
    let mut dx = vec![T::zero(); if want_x { x.len() } else { 0 }];
    // A part that keeps nothing of dx gets an empty piece of it.
    let mut dx_parts: Vec<&mut [T]> = dx.chunks_mut((part * image_x).max(1)).collect();
    dx_parts.resize_with(parts, Default::default);
    let (dw_parts, db_parts): (Vec<_>, Vec<_>) = dx_parts
        .into_par_iter()
        .zip(x.par_chunks((part * image_x).max(1)))
        .zip(grad.par_chunks((part * s.image_in()).max(1)))
        .map(|((dx, x), grad)| {
            let mut dw = vec![T::zero(); if want_w { weight.len() } else { 0 }];
            let mut db = vec![T::zero(); if want_b { s.channels() } else { 0 }];
            backward_part(s, (x, weight, grad), (dx, &mut dw, &mut db));
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
        db: want_b.then(|| add(s.channels(), &db_parts)),
        dx: want_x.then_some(dx),
    }
}

/// Gradients of one part of the batch; those not wanted are empty.
fn backward_part<T: Float>(
    s: &Sizes,
    (x, weight, grad): (&[T], &[T], &[T]),
    (dx, dw, db): (&mut [T], &mut [T], &mut [T]),
) {
    let (depth, places, channels) = (s.patches.depth(), s.patches.places(), s.group_out());
    let plane = s.patches.input.0 * s.patches.input.1;
    let (identity, together) = (s.patches.is_identity(), s.together());
    let mut room = Room::take();
    let [columns, joint, spread] = room.split([
        if_needed(!identity, depth * together * places),
        if_needed(together > 1, channels * together * places),
        s.patches.room(together),
    ]);
    if !db.is_empty() {
        for image in grad.chunks_exact(s.image_in()) {
            let planes = image.chunks_exact(plane);
            wide(
                #[inline(always)]
                || {
                    for (b, plane) in db.iter_mut().zip(planes) {
                        *b += sum(plane);
                    }
                },
            );
        }
    }
    if dx.is_empty() && dw.is_empty() {
        return;
    }
    let blocks = x.chunks(together * channels * places);
    let blocks = blocks.zip(grad.chunks(together * s.group_in()));
    for (block, (x, grad)) in blocks.enumerate() {
        let (item, count) = (block * together, x.len() / (channels * places));
        let first = item % s.groups * channels;
        let weights = first * depth..(first + channels) * depth;
        let columns = if identity {
            Mat::new(grad, depth, places)
        } else {
            gather(s, grad, columns, spread)
        };
        if !dw.is_empty() {
            let x = side_by_side(s, x, joint);
            gemm(&mut dw[weights.clone()], x, columns.t(), true, s.spread());
        }
        if dx.is_empty() {
            continue;
        }
        let kernels = Mat::new(&weight[weights], channels, depth);
        let dx = &mut dx[item * channels * places..][..x.len()];
        if count == 1 {
            gemm(dx, kernels, columns, false, s.spread());
            continue;
        }
        gemm(joint, kernels, columns, false, s.spread());
        for (image, dx) in dx.chunks_exact_mut(channels * places).enumerate() {
            take(joint, (count * places, image * places), dx, places);
        }
    }
}
