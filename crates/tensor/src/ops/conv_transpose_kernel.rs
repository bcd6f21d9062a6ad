//! Transposed convolution on the CPU, forward and backward.
//!
//! The products of `patch_product` with their ends exchanged: the output has the patches. The batch
//! is cut as in `conv_kernel`.

use rayon::prelude::*;

use super::conv_kernel::{Gradients, Sizes, add_sums, if_needed, total};
use super::lookup_down::Lookup;
use super::patch_product::{Kernels, Turned};
use crate::kernel::{Float, Room, zeros};

/// The pictures that all inputs lay down.
pub(super) fn forward<T: Float>(s: &Sizes, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (part, image_y) = (s.part(), s.image_in());
    let turned = s.turned(weight);
    let mut y = zeros(s.batch * image_y);
    y.par_chunks_mut((part * image_y).max(1))
        .zip(x.par_chunks((part * s.image_out()).max(1)))
        .for_each(|(y, x)| forward_part(s, (x, &turned, bias), y));
    y
}

fn forward_part<T: Float>(
    s: &Sizes,
    (x, turned, bias): (&[T], &Turned<T>, Option<&[T]>),
    y: &mut [T],
) {
    let together = s.together();
    let plane = s.patches.input.0 * s.patches.input.1;
    if let Some(bias) = bias {
        for y in y.chunks_exact_mut(s.image_in()) {
            let planes = y.chunks_exact_mut(plane);
            planes.zip(bias).for_each(|(plane, &bias)| plane.fill(bias));
        }
    }
    let mut room = Room::take();
    let [room] = room.split([s.room::<T>()]);
    let blocks = x.chunks(together * s.group_planes());
    let blocks = blocks.zip(y.chunks_mut(together * s.group_in()));
    for (block, (x, y)) in blocks.enumerate() {
        let group = block * together % s.groups;
        s.up((turned, group), x, y, room);
    }
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
    let kernels = want_x.then(|| s.kernels(weight));
    let lookup = if want_w { s.lookup() } else { None };
    let prepared = (lookup.as_ref(), kernels.as_ref());
    let mut dx = zeros(if_needed(want_x, x.len()));
    // A part that keeps nothing of dx gets an empty piece of it.
    let mut dx_parts: Vec<&mut [T]> = dx.chunks_mut((part * image_x).max(1)).collect();
    dx_parts.resize_with(parts, Default::default);
    let (dw_parts, db_parts): (Vec<_>, Vec<_>) = dx_parts
        .into_par_iter()
        .zip(x.par_chunks((part * image_x).max(1)))
        .zip(grad.par_chunks((part * s.image_in()).max(1)))
        .map(|((dx, x), grad)| {
            let of_groups = s.groups * s.gradient_panels::<T>().len();
            let mut dw = vec![T::zero(); if_needed(want_w, of_groups)];
            let mut db = vec![T::zero(); if_needed(want_b, s.channels())];
            backward_part(s, prepared, (x, grad), (dx, &mut dw, &mut db));
            (dw, db)
        })
        .unzip();
    Gradients {
        dw: want_w.then(|| s.gradient(&dw_parts)),
        db: want_b.then(|| total(s.channels(), &db_parts)),
        dx: want_x.then_some(dx),
    }
}

/// Gradients of one part of the batch; those not wanted are empty.
fn backward_part<T: Float>(
    s: &Sizes,
    (lookup, kernels): (Option<&Lookup>, Option<&Kernels<T>>),
    (x, grad): (&[T], &[T]),
    (dx, dw, db): (&mut [T], &mut [T], &mut [T]),
) {
    let together = s.together();
    let of_group = s.gradient_panels::<T>().len();
    if !db.is_empty() {
        let plane = s.patches.input.0 * s.patches.input.1;
        for image in grad.chunks_exact(s.image_in()) {
            add_sums(db, image, plane);
        }
    }
    let mut room = Room::take();
    let [room] = room.split([s.room::<T>()]);
    let blocks = x.chunks(together * s.group_planes());
    let blocks = blocks.zip(grad.chunks(together * s.group_in()));
    for (block, (x, grad)) in blocks.enumerate() {
        let item = block * together;
        let group = item % s.groups;
        if !dw.is_empty() {
            let dw = &mut dw[group * of_group..][..of_group];
            s.outer(lookup, (grad, x), dw, room);
        }
        if let Some(kernels) = kernels {
            let dx = &mut dx[item * s.group_planes()..][..x.len()];
            s.down((kernels, group, None), grad, dx, room);
        }
    }
}
