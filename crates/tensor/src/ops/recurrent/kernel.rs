//! The walk over time on slices. Nothing is allocated inside it.

use rayon::prelude::*;

use super::cell::{Cell, Step};
use super::factor::Products;
use super::order::Order;
use crate::kernel::{Float, Mat, wide, zeros};

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) hidden: usize,
}

impl Sizes {
    /// Numbers of one state.
    pub(super) fn units(&self) -> usize {
        self.batch * self.hidden
    }
}

/// Rows of the batch that one task takes: below a thousand units or so, handing work to the pool
/// costs more than it saves.
pub(super) fn rows_a_task(hidden: usize) -> usize {
    (1024 / hidden).max(1)
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
    let (units, hidden, batch) = (sizes.units(), sizes.hidden, sizes.batch);
    let (width, block) = (C::GATES * hidden, batch * C::KEPT * hidden);
    let mut weight = Products::new(weight, (hidden, width), true, batch, sizes.steps);
    let (states, bias) = rest.split_at(C::STATES * units);
    let [mut h, mut c] = both::<T, C>(states, units);
    let mut product = vec![T::zero(); batch * width];
    let mut kept = zeros(if keep { sizes.steps } else { 1 } * block);
    let mut y = zeros((sizes.steps + C::STATES) * units);
    for step in order.walk(sizes.steps) {
        weight.multiply(Mat::new(&h, batch, hidden));
        let all = Rows {
            x: &x[step * batch * width..][..batch * width],
            product: &mut product,
            weight: &weight,
            bias,
            h: &mut h,
            c: &mut c,
            kept: &mut kept[if keep { step } else { 0 } * block..][..block],
        };
        take_step(cell, hidden, all, &mut y[step * units..][..units], |row| {
            order.takes(row, step)
        });
    }
    let last = &mut y[sizes.steps * units..];
    last[..units].copy_from_slice(&h);
    if C::STATES == 2 {
        last[units..].copy_from_slice(&c);
    }
    (y, kept)
}

/// What a step of all rows takes.
pub(super) struct Rows<'a, T> {
    /// The input's part of the gates.
    pub(super) x: &'a [T],
    /// Room for the state's part of the gates.
    pub(super) product: &'a mut [T],
    /// Its product has been made.
    pub(super) weight: &'a Products<'a, T>,
    /// Of the state's part; may be empty.
    pub(super) bias: &'a [T],
    pub(super) h: &'a mut [T],
    pub(super) c: &'a mut [T],
    pub(super) kept: &'a mut [T],
}

/// A step of the rows that take it; `y` of the others stays 0. A row's part of the product is put
/// together by the task that needs it.
pub(super) fn take_step<T: Float, C: Cell>(
    cell: C,
    hidden: usize,
    all: Rows<'_, T>,
    y: &mut [T],
    takes: impl Fn(usize) -> bool + Sync,
) {
    let (width, kept_width) = (C::GATES * hidden, C::KEPT * hidden);
    let states = all
        .h
        .par_chunks_mut(hidden)
        .zip(all.c.par_chunks_mut(hidden));
    states
        .zip(all.kept.par_chunks_mut(kept_width))
        .zip(
            all.x
                .par_chunks(width)
                .zip(all.product.par_chunks_mut(width)),
        )
        .zip(y.par_chunks_mut(hidden))
        .with_min_len(rows_a_task(hidden))
        .enumerate()
        .filter(|&(row, _)| takes(row))
        .for_each(|(row, ((((h, c), kept), (x, product)), y))| {
            if all.bias.is_empty() {
                product.fill(T::zero());
            } else {
                product.copy_from_slice(all.bias);
            }
            all.weight.add_row(row, product);
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

/// Working copies of both states; the second is unused where the cell has one only.
pub(super) fn both<T: Float, C: Cell>(states: &[T], units: usize) -> [Vec<T>; 2] {
    let second = if C::STATES == 2 {
        states[units..].to_vec()
    } else {
        vec![T::zero(); units]
    };
    [states[..units].to_vec(), second]
}
