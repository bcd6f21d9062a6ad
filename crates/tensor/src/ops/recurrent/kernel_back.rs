//! The walk back over time on slices. Nothing is allocated inside it.

use rayon::prelude::*;

use super::cell::{Cell, StepBack};
use super::factor::Products;
use super::kernel::{Sizes, both, rows_a_task};
use super::order::Order;
use crate::kernel::{Float, Mat, Spread, add_rows, gemm, product, wide, zeros};

/// The gradients of the op's inputs.
pub(super) struct Grads<T> {
    pub(super) dx: Vec<T>,
    /// Empty if it is not asked for.
    pub(super) dweight: Vec<T>,
    pub(super) drest: Vec<T>,
}

/// With the weight's gradient if it is `learned`.
pub(super) fn backward<T: Float, C: Cell>(
    cell: C,
    sizes: &Sizes,
    order: &Order,
    (weight, rest, y, kept): (&[T], &[T], &[T], &[T]),
    grad: &[T],
    learned: bool,
) -> Grads<T> {
    let (units, hidden, batch) = (sizes.units(), sizes.hidden, sizes.batch);
    let (width, block) = (C::GATES * hidden, batch * C::KEPT * hidden);
    let (dy, dlast_states) = grad.split_at(sizes.steps * units);
    let [mut dh, mut dc] = both::<T, C>(dlast_states, units);
    let mut dproduct = zeros(sizes.steps * batch * width);
    let mut dlast = vec![T::zero(); if C::PRODUCT_APART { sizes.steps } else { 1 } * units];
    let mut weight = Products::new(weight, (width, hidden), false, batch, sizes.steps);
    for step in order.walk(sizes.steps).rev() {
        let gates = &mut dproduct[step * batch * width..][..batch * width];
        let all = StepBack {
            kept: &kept[step * block..][..block],
            dy: &dy[step * units..][..units],
            dh: &mut dh,
            dc: &mut dc,
            dproduct: gates,
            dlast: &mut dlast[if C::PRODUCT_APART { step } else { 0 } * units..][..units],
        };
        take_step_back(cell, hidden, all, |row| order.takes(row, step));
        let gates = Mat::new(gates, batch, width);
        weight.product(&mut dh, gates, true);
    }
    let dweight = if learned {
        weight_gradient(sizes, order, (&dproduct, width), y, &rest[..units])
    } else {
        vec![]
    };
    let mut drest = dh;
    if C::STATES == 2 {
        drest.extend_from_slice(&dc);
    }
    if rest.len() > drest.len() {
        let mut dbias = vec![T::zero(); width];
        add_rows(&mut dbias, &dproduct);
        drest.extend_from_slice(&dbias);
    }
    let mut dx = dproduct;
    if C::PRODUCT_APART {
        put_last(&mut dx, width, &dlast, hidden);
    }
    Grads { dx, dweight, drest }
}

/// Puts the input's part of the last gate into the gates of each row.
pub(super) fn put_last<T: Copy>(gates: &mut [T], width: usize, last: &[T], hidden: usize) {
    let rows = gates.chunks_exact_mut(width).zip(last.chunks_exact(hidden));
    rows.for_each(|(gates, last)| gates[width - hidden..].copy_from_slice(last));
}

/// A step back of the rows that took it; the others' gates get no gradient.
pub(super) fn take_step_back<T: Float, C: Cell>(
    cell: C,
    hidden: usize,
    all: StepBack<'_, T>,
    took: impl Fn(usize) -> bool + Sync,
) {
    let (width, kept_width) = (C::GATES * hidden, C::KEPT * hidden);
    let states = all
        .dh
        .par_chunks_mut(hidden)
        .zip(all.dc.par_chunks_mut(hidden));
    let known = all
        .kept
        .par_chunks(kept_width)
        .zip(all.dy.par_chunks(hidden));
    states
        .zip(
            all.dproduct
                .par_chunks_mut(width)
                .zip(all.dlast.par_chunks_mut(hidden)),
        )
        .zip(known)
        .with_min_len(rows_a_task(hidden))
        .enumerate()
        .filter(|&(row, _)| took(row))
        .for_each(|(_, (((dh, dc), (dproduct, dlast)), (kept, dy)))| {
            wide(
                #[inline(always)]
                || {
                    cell.step_back(StepBack {
                        kept,
                        dy,
                        dh,
                        dc,
                        dproduct,
                        dlast,
                    })
                },
            );
        });
}

/// Gradients of the gates times the states before: one product for all steps but each row's
/// first, and a small one for those. Beyond a sequence's end gates or states are 0.
fn weight_gradient<T: Float>(
    sizes: &Sizes,
    order: &Order,
    (gates, width): (&[T], usize),
    y: &[T],
    start: &[T],
) -> Vec<T> {
    let (units, hidden) = (sizes.units(), sizes.hidden);
    let rows = (sizes.steps - 1) * sizes.batch;
    let (later, earlier) = if order.reverse {
        (gates, &y[units..])
    } else {
        (&gates[sizes.batch * width..], y)
    };
    let (later, earlier) = (
        Mat::new(later, rows, width),
        Mat::new(earlier, rows, hidden),
    );
    let mut dweight = product(later.t(), earlier, Spread::Pool);
    let mut first = vec![T::zero(); sizes.batch * width];
    for (row, first) in first.chunks_exact_mut(width).enumerate() {
        let place = order.first(row, sizes.steps) * sizes.batch + row;
        first.copy_from_slice(&gates[place * width..][..width]);
    }
    gemm(
        &mut dweight,
        Mat::new(&first, sizes.batch, width).t(),
        Mat::new(start, sizes.batch, hidden),
        true,
        Spread::Pool,
    );
    dweight
}
