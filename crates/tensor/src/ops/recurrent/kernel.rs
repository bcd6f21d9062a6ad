//! The walk over time and back on slices. Nothing is allocated inside it.

use rayon::prelude::*;

use super::cell::{Cell, Step, StepBack};
use super::order::Order;
use crate::kernel::{Float, Mat, Spread, add_rows, gemm, wide};

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) hidden: usize,
}

impl Sizes {
    /// Numbers of one state.
    fn units(&self) -> usize {
        self.batch * self.hidden
    }

    /// Rows of the batch that one task takes: below a thousand units or so, handing work to the
    /// pool costs more than it saves.
    fn rows_a_task(&self) -> usize {
        (1024 / self.hidden).max(1)
    }
}

/// Output and last states, and what the backward pass needs (of the last step only unless
/// `keep`). The inputs are those of the op.
pub(super) fn forward<T: Float, C: Cell>(
    cell: C,
    sizes: &Sizes,
    order: &Order,
    (x, weight, rest): (&[T], &[T], &[T]),
    keep: bool,
) -> (Vec<T>, Vec<T>) {
    let (units, hidden) = (sizes.units(), sizes.hidden);
    let (width, kept_width) = (C::GATES * hidden, C::KEPT * hidden);
    // Turned once, or every product would rearrange it anew; for a single step that is no gain.
    let turned = (sizes.steps > 1).then(|| transposed(weight, width, hidden));
    let weight = match &turned {
        Some(turned) => Mat::new(turned, hidden, width),
        None => Mat::new(weight, width, hidden).t(),
    };
    let (states, bias) = rest.split_at(C::STATES * units);
    let [mut h, mut c] = both::<T, C>(states, units);
    let mut product = vec![T::zero(); sizes.batch * width];
    let kept_steps = if keep { sizes.steps } else { 1 };
    let mut kept = vec![T::zero(); kept_steps * sizes.batch * kept_width];
    let mut y = vec![T::zero(); (sizes.steps + C::STATES) * units];
    for step in order.walk(sizes.steps) {
        let has_bias = !bias.is_empty();
        if has_bias {
            let rows = product.chunks_exact_mut(width);
            rows.for_each(|row| row.copy_from_slice(bias));
        }
        let before = Mat::new(&h, sizes.batch, hidden);
        gemm(&mut product, before, weight, has_bias, Spread::Pool);
        let kept_step = if keep { step } else { 0 };
        let kept = &mut kept[kept_step * sizes.batch * kept_width..][..sizes.batch * kept_width];
        let states = h.par_chunks_mut(hidden).zip(c.par_chunks_mut(hidden));
        states
            .zip(y[step * units..][..units].par_chunks_mut(hidden))
            .zip(kept.par_chunks_mut(kept_width))
            .zip(x[step * sizes.batch * width..][..sizes.batch * width].par_chunks(width))
            .zip(product.par_chunks(width))
            .with_min_len(sizes.rows_a_task())
            .enumerate()
            .filter(|&(row, _)| order.takes(row, step))
            .for_each(|(_, (((((h, c), y), kept), x), product))| {
                wide(
                    #[inline(always)]
                    || {
                        let (h, c) = (&mut *h, &mut *c);
                        cell.step(Step {
                            x,
                            product,
                            h,
                            c,
                            kept,
                        });
                    },
                );
                y.copy_from_slice(h);
            });
    }
    let last = &mut y[sizes.steps * units..];
    last[..units].copy_from_slice(&h);
    if C::STATES == 2 {
        last[units..].copy_from_slice(&c);
    }
    (y, kept)
}

/// Working copies of both states; the second is unused where the cell has one only.
fn both<T: Float, C: Cell>(states: &[T], units: usize) -> [Vec<T>; 2] {
    let second = if C::STATES == 2 {
        states[units..].to_vec()
    } else {
        vec![T::zero(); units]
    };
    [states[..units].to_vec(), second]
}

/// The gradients of the op's inputs.
pub(super) struct Grads<T> {
    pub(super) dx: Vec<T>,
    pub(super) dweight: Vec<T>,
    pub(super) drest: Vec<T>,
}

pub(super) fn backward<T: Float, C: Cell>(
    cell: C,
    sizes: &Sizes,
    order: &Order,
    (weight, rest, y, kept): (&[T], &[T], &[T], &[T]),
    grad: &[T],
) -> Grads<T> {
    let (units, hidden) = (sizes.units(), sizes.hidden);
    let (width, kept_width) = (C::GATES * hidden, C::KEPT * hidden);
    let (dy, dlast_states) = grad.split_at(sizes.steps * units);
    let [mut dh, mut dc] = both::<T, C>(dlast_states, units);
    let mut dproduct = vec![T::zero(); sizes.steps * sizes.batch * width];
    let mut dlast = vec![T::zero(); if C::PRODUCT_APART { sizes.steps } else { 1 } * units];
    let weight = Mat::new(weight, width, hidden);
    for step in order.walk(sizes.steps).rev() {
        let gates = &mut dproduct[step * sizes.batch * width..][..sizes.batch * width];
        let last_step = if C::PRODUCT_APART { step } else { 0 };
        let states = dh.par_chunks_mut(hidden).zip(dc.par_chunks_mut(hidden));
        states
            .zip(gates.par_chunks_mut(width))
            .zip(dlast[last_step * units..][..units].par_chunks_mut(hidden))
            .zip(kept[step * sizes.batch * kept_width..].par_chunks(kept_width))
            .zip(dy[step * units..].par_chunks(hidden))
            .with_min_len(sizes.rows_a_task())
            .enumerate()
            .filter(|&(row, _)| order.takes(row, step))
            .for_each(|(_, (((((dh, dc), dproduct), dlast), kept), dy))| {
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
        let gates = Mat::new(gates, sizes.batch, width);
        gemm(&mut dh, gates, weight, true, Spread::Pool);
    }
    let dweight = weight_gradient(sizes, order, (&dproduct, width), y, &rest[..units]);
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
        for (dx, dlast) in dx.chunks_exact_mut(width).zip(dlast.chunks_exact(hidden)) {
            dx[width - hidden..].copy_from_slice(dlast);
        }
    }
    Grads { dx, dweight, drest }
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
    let mut dweight = vec![T::zero(); width * hidden];
    gemm(
        &mut dweight,
        Mat::new(later, rows, width).t(),
        Mat::new(earlier, rows, hidden),
        false,
        Spread::Pool,
    );
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

/// A `rows` by `columns` matrix turned.
fn transposed<T: Float>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut turned = vec![T::zero(); rows * columns];
    for (row, values) in matrix.chunks_exact(columns).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            turned[column * rows + row] = value;
        }
    }
    turned
}
