//! Transposed convolution on the CPU, forward and backward.
//!
//! With the columns of `im2col` taken over the output, forward is a gemm and a scattered addition,
//! the input gradient a gemm with the gathered columns of the output's gradient, and the weight
//! gradient one with the same columns. The batch is cut as in `conv_kernel`.

use rayon::prelude::*;

use super::conv_kernel::{Gradients, Sizes};
use crate::kernel::{Float, Mat, add_rows, gemm, sum, wide};

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
    let identity = s.patches.is_identity();
    let mut columns = vec![T::zero(); if identity { 0 } else { depth * places }];
    let images = x.chunks_exact(channels * places);
    for (i, (x, y)) in images.zip(y.chunks_exact_mut(s.group_in())).enumerate() {
        let first = i % s.groups * channels;
        let kernels = Mat::new(&weight[first * depth..], channels, depth).t();
        let x = Mat::new(x, channels, places);
        if identity {
            gemm(y, kernels, x, true, s.spread());
        } else {
            gemm(&mut columns, kernels, x, false, s.spread());
            s.patches.scatter_add(&columns, y);
        }
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
    let identity = s.patches.is_identity();
    let mut columns = vec![T::zero(); if identity { 0 } else { depth * places }];
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
    let images = x.chunks_exact(channels * places);
    for (i, (x, grad)) in images.zip(grad.chunks_exact(s.group_in())).enumerate() {
        let first = i % s.groups * channels;
        let weights = first * depth..(first + channels) * depth;
        let columns: &[T] = if identity {
            grad
        } else {
            s.patches.gather(grad, &mut columns);
            &columns
        };
        let columns = Mat::new(columns, depth, places);
        if !dw.is_empty() {
            let x = Mat::new(x, channels, places);
            gemm(&mut dw[weights.clone()], x, columns.t(), true, s.spread());
        }
        if !dx.is_empty() {
            let kernels = Mat::new(&weight[weights], channels, depth);
            let dx = &mut dx[i * channels * places..][..channels * places];
            gemm(dx, kernels, columns, false, s.spread());
        }
    }
}
