//! The walk back of a decoder on slices. Nothing is allocated inside it.

use rayon::prelude::*;

use super::super::cell::{Cell, StepBack};
use super::super::factor::Products;
use super::super::kernel::both;
use super::super::kernel_back::{put_last, take_step_back};
use super::Look;
use super::kernel::{Rest, Sizes};
use super::row::{Back, Memory, add, look_back};
use crate::kernel::{Float, Mat, Spread, add_rows, product, zeros};

/// What the forward pass took, gave and kept.
#[derive(Clone, Copy)]
pub(super) struct Known<'a, T> {
    pub(super) memory: &'a [T],
    pub(super) rest: Rest<'a, T>,
    pub(super) y: &'a [T],
    pub(super) kept: &'a [T],
    pub(super) queries: &'a [T],
}

/// The gradients of the op's inputs.
pub(super) struct Grads<T> {
    pub(super) dgates: Vec<T>,
    pub(super) dmemory: Vec<T>,
    pub(super) drest: Vec<T>,
}

/// Gradients of all steps that the weights' gradients are made of.
struct Steps<T> {
    /// Of the inputs' part of the gates.
    dgates: Vec<T>,
    /// Of the states' part.
    dproduct: Vec<T>,
    dqueries: Vec<T>,
}

pub(super) fn backward<T: Float, C: Cell>(
    cell: C,
    sizes: &Sizes,
    lengths: &[usize],
    known: Known<'_, T>,
    grad: &[T],
) -> Grads<T> {
    let Sizes {
        steps,
        batch,
        hidden,
        width,
        places,
        context,
        attention,
        ..
    } = *sizes;
    let (units, block, asked) = (sizes.units(), batch * C::KEPT * hidden, batch * attention);
    let Rest {
        of_context,
        of_state,
        query,
        ..
    } = known.rest;
    let mut of_context = Products::new(of_context, (width, context), false, batch, steps);
    let mut of_state = Products::new(of_state, (width, hidden), false, batch, steps);
    let mut to_query = Products::new(query, (attention, hidden), false, batch, steps);
    let (doutputs, behind) = grad.split_at(sizes.outputs());
    let (dcontexts, behind) = behind.split_at(sizes.contexts());
    let (dweights, dlast_states) = behind.split_at(sizes.weights());
    let [mut dh, mut dc] = both::<T, C>(dlast_states, units);
    let mut all = Steps {
        dgates: zeros(steps * batch * width),
        dproduct: zeros(steps * batch * width),
        dqueries: zeros(steps * asked),
    };
    let mixed = sizes.mixed();
    let mut dmix = vec![T::zero(); mixed];
    let mut looked = vec![T::zero(); batch * places];
    let mut scratch = vec![T::zero(); asked];
    let [mut denergies, mut dcoverages] = [0, 1].map(|_| vec![T::zero(); asked]);
    let seen = seen_before(sizes, &known);
    let mut dseen = vec![T::zero(); batch * places];
    let mut dlast = vec![T::zero(); units];
    let mut dmemory = vec![T::zero(); batch * sizes.memory()];
    let mut look_back = |step: usize, dmix: &[T], dh: &mut [T]| {
        looked.copy_from_slice(&dweights[step * batch * places..][..batch * places]);
        // What a step looks at, all later ones have seen.
        add(&mut looked, &dseen);
        let dquery = &mut all.dqueries[step * asked..][..asked];
        let grads = Back {
            dweights: &mut looked,
            dmix,
            dquery,
            dmemory: &mut dmemory,
            denergy: &mut denergies,
            dseen: &mut dseen,
            dcoverage: &mut dcoverages,
            scratch: &mut scratch,
        };
        let seen = seen.get(step).map_or(&[][..], Vec::as_slice);
        look_back_all(sizes, lengths, known, (step, seen), grads);
        to_query.product(dh, Mat::new(dquery, batch, attention), true);
    };
    for step in (0..steps).rev() {
        let dcontext = &dcontexts[step * mixed..][..mixed];
        if sizes.look == Look::After {
            add(&mut dmix, dcontext);
            look_back(step, &dmix, &mut dh);
        }
        let dproduct = &mut all.dproduct[step * batch * width..][..batch * width];
        let back = StepBack {
            kept: &known.kept[step * block..][..block],
            dy: &doutputs[step * units..][..units],
            dh: &mut dh,
            dc: &mut dc,
            dproduct,
            dlast: &mut dlast,
        };
        take_step_back(cell, hidden, back, |_| true);
        let dgates = &mut all.dgates[step * batch * width..][..batch * width];
        dgates.copy_from_slice(dproduct);
        if C::PRODUCT_APART {
            put_last(dgates, width, &dlast, hidden);
        }
        of_state.product(&mut dh, Mat::new(dproduct, batch, width), true);
        of_context.product(&mut dmix, Mat::new(dgates, batch, width), false);
        if sizes.look == Look::Before {
            add(&mut dmix, dcontext);
            look_back(step, &dmix, &mut dh);
        }
    }
    let mut dasked = vec![T::zero(); attention];
    add_rows(&mut dasked, &denergies);
    if sizes.coverage {
        let mut dcoverage = vec![T::zero(); attention];
        add_rows(&mut dcoverage, &dcoverages);
        dasked.extend(dcoverage);
        dasked.extend(dseen);
    }
    if sizes.look == Look::After {
        dasked.extend(dmix);
    }
    let drest = rest_gradient::<T, C>(sizes, &all, known, &dasked, (&dh, &dc));
    Grads {
        dgates: all.dgates,
        dmemory,
        drest,
    }
}

/// How much each place had been looked at before each step; nothing without coverage.
fn seen_before<T: Float>(sizes: &Sizes, known: &Known<'_, T>) -> Vec<Vec<T>> {
    if !sizes.coverage {
        return vec![];
    }
    let weights = &known.y[sizes.outputs() + sizes.contexts()..][..sizes.weights()];
    let steps = weights.chunks_exact(sizes.batch * sizes.places);
    let mut seen = known.rest.seen.to_vec();
    let before = steps.map(|looked| {
        let before = seen.clone();
        add(&mut seen, looked);
        before
    });
    before.collect()
}

/// [`look_back`] of all rows; `all` are theirs one after another.
fn look_back_all<T: Float>(
    sizes: &Sizes,
    lengths: &[usize],
    known: Known<'_, T>,
    (step, seen): (usize, &[T]),
    all: Back<'_, T>,
) {
    let Sizes {
        batch,
        places,
        attention,
        context,
        ..
    } = *sizes;
    let weights = &known.y[sizes.outputs() + sizes.contexts()..][..sizes.weights()];
    let weights = &weights[step * batch * places..][..batch * places];
    let queries = &known.queries[step * batch * attention..][..batch * attention];
    let asked = queries
        .par_chunks(attention)
        .zip(known.memory.par_chunks(sizes.memory()))
        .zip(weights.par_chunks(places).zip(lengths));
    let grads = all
        .dweights
        .par_chunks_mut(places)
        .zip(all.dmix.par_chunks(context.max(1)))
        .zip(all.dquery.par_chunks_mut(attention))
        .zip(all.dmemory.par_chunks_mut(sizes.memory()))
        .zip(
            all.denergy
                .par_chunks_mut(attention)
                .zip(all.scratch.par_chunks_mut(attention))
                .zip(all.dseen.par_chunks_mut(places))
                .zip(all.dcoverage.par_chunks_mut(attention)),
        );
    asked.zip(grads).enumerate().for_each(
        |(row, (((query, data), (weights, &length)), (grads, more)))| {
            let memory = Memory {
                data,
                attention,
                context,
            };
            let (((dweights, dmix), dquery), dmemory) = grads;
            let (((denergy, scratch), dseen), dcoverage) = more;
            let back = Back {
                dweights,
                dmix,
                dquery,
                dmemory,
                denergy,
                dseen,
                dcoverage,
                scratch,
            };
            let question = known.rest.question(row, query, seen, places);
            look_back(question, memory, weights, length, back);
        },
    );
}

/// The parts of the third input's gradient in their order.
fn rest_gradient<T: Float, C: Cell>(
    sizes: &Sizes,
    all: &Steps<T>,
    known: Known<'_, T>,
    dasked: &[T],
    (dh, dc): (&[T], &[T]),
) -> Vec<T> {
    let Sizes {
        steps,
        batch,
        hidden,
        width,
        context,
        attention,
        ..
    } = *sizes;
    let rows = steps * batch;
    let (outputs, behind) = known.y.split_at(sizes.outputs());
    let contexts = &behind[..sizes.contexts()];
    let before = one_later(known.rest.states, outputs, sizes.units());
    let before = Mat::new(&before, rows, hidden);
    let fed;
    let (asking, contexts) = match sizes.look {
        Look::Before => (before, contexts),
        Look::After => {
            fed = one_later(known.rest.found, contexts, sizes.mixed());
            (Mat::new(outputs, rows, hidden), &fed[..])
        }
    };
    let contexts = Mat::new(contexts, rows, context);
    let dgates = Mat::new(&all.dgates, rows, width);
    let dproduct = Mat::new(&all.dproduct, rows, width);
    let dqueries = Mat::new(&all.dqueries, rows, attention);
    let mut drest = product(dgates.t(), contexts, Spread::Pool);
    let further = (width + attention) * hidden + width;
    drest.reserve_exact(further + dasked.len() + dh.len() + dc.len());
    drest.extend(product(dproduct.t(), before, Spread::Pool));
    let mut dbias = vec![T::zero(); width];
    add_rows(&mut dbias, &all.dproduct);
    drest.extend(dbias);
    drest.extend(product(dqueries.t(), asking, Spread::Pool));
    drest.extend_from_slice(dasked);
    drest.extend_from_slice(dh);
    if C::STATES == 2 {
        drest.extend_from_slice(dc);
    }
    drest
}

/// What each step began with, of `size` numbers: the first of `first`, then what each step but the
/// last left in `all`.
fn one_later<T: Float>(first: &[T], all: &[T], size: usize) -> Vec<T> {
    let mut later = first[..size].to_vec();
    later.extend_from_slice(&all[..all.len() - size]);
    later
}
