//! The walk of a decoder on slices. Nothing is allocated inside it.

use rayon::prelude::*;

use super::super::cell::Cell;
use super::super::factor::Products;
use super::super::kernel::{Rows, both, take_step};
use super::Look;
use super::row::{Coverage, Memory, Question, add, look};
use crate::kernel::{Float, Mat, zeros};

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) hidden: usize,
    /// Gates of all units.
    pub(super) width: usize,
    pub(super) places: usize,
    pub(super) context: usize,
    pub(super) attention: usize,
    /// Whether what was seen before adds to the comparison.
    pub(super) coverage: bool,
    pub(super) look: Look,
}

impl Sizes {
    pub(super) fn units(&self) -> usize {
        self.batch * self.hidden
    }

    /// Numbers of the memory that belong to a row.
    pub(super) fn memory(&self) -> usize {
        self.places * (self.attention + self.context)
    }

    /// Numbers of a context of every row.
    pub(super) fn mixed(&self) -> usize {
        self.batch * self.context
    }

    /// Multiply-adds of a walk, without the inputs' part of the gates.
    pub(super) fn macs(&self) -> usize {
        let products = self.width * (self.hidden + self.context) + self.attention * self.hidden;
        let looks = self.places * (self.attention + self.context);
        self.steps * self.batch * (products + looks)
    }

    /// Contexts of all steps, where they begin in the output, behind the outputs.
    pub(super) fn outputs(&self) -> usize {
        self.steps * self.units()
    }

    pub(super) fn contexts(&self) -> usize {
        self.steps * self.mixed()
    }

    pub(super) fn weights(&self) -> usize {
        self.steps * self.batch * self.places
    }
}

/// The parts of the op's third input.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a, T> {
    pub(super) of_context: &'a [T],
    pub(super) of_state: &'a [T],
    pub(super) bias: &'a [T],
    pub(super) query: &'a [T],
    pub(super) energy: &'a [T],
    /// Weight of what was seen, `(A)`, and that before the walk, `(B, S)`; both empty without
    /// coverage.
    pub(super) coverage: &'a [T],
    pub(super) seen: &'a [T],
    /// What was found before the walk, `(B, C)`; empty for a decoder that looks before its steps.
    pub(super) found: &'a [T],
    pub(super) states: &'a [T],
}

impl<'a, T> Rest<'a, T> {
    pub(super) fn new(data: &'a [T], sizes: &Sizes) -> Self {
        let (of_context, data) = data.split_at(sizes.width * sizes.context);
        let (of_state, data) = data.split_at(sizes.width * sizes.hidden);
        let (bias, data) = data.split_at(sizes.width);
        let (query, data) = data.split_at(sizes.attention * sizes.hidden);
        let (energy, data) = data.split_at(sizes.attention);
        let covered = usize::from(sizes.coverage);
        let (coverage, data) = data.split_at(covered * sizes.attention);
        let (seen, data) = data.split_at(covered * sizes.batch * sizes.places);
        let after = usize::from(sizes.look == Look::After);
        let (found, states) = data.split_at(after * sizes.mixed());
        Self {
            of_context,
            of_state,
            bias,
            query,
            energy,
            coverage,
            seen,
            found,
            states,
        }
    }

    /// What row `row` asks with `query`, when the rows had `seen` before.
    pub(super) fn question<'b>(
        &'b self,
        row: usize,
        query: &'b [T],
        seen: &'b [T],
        places: usize,
    ) -> Question<'b, T> {
        let coverage = (!self.coverage.is_empty()).then(|| Coverage {
            seen: &seen[row * places..][..places],
            weight: self.coverage,
        });
        Question {
            query,
            energy: self.energy,
            coverage,
        }
    }
}

/// The output: outputs, contexts, weights of the places, last states; and what the backward pass
/// needs, of the cell and the queries of all steps (of the last step only unless `keep`).
pub(super) fn forward<T: Float, C: Cell>(
    cell: C,
    sizes: &Sizes,
    lengths: &[usize],
    (gates, memory, rest): (&[T], &[T], Rest<'_, T>),
    keep: bool,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let Sizes {
        steps,
        batch,
        hidden,
        width,
        ..
    } = *sizes;
    let (units, block) = (sizes.units(), batch * C::KEPT * hidden);
    let (asked, mixed) = (batch * sizes.attention, sizes.mixed());
    let mut to_query = Products::new(rest.query, (hidden, sizes.attention), true, batch, steps);
    let mut of_state = Products::new(rest.of_state, (hidden, width), true, batch, steps);
    let mut of_context = Products::new(rest.of_context, (sizes.context, width), true, batch, steps);
    let [mut h, mut c] = both::<T, C>(rest.states, units);
    let [mut x, mut product] = [0, 1].map(|_| vec![T::zero(); batch * width]);
    let mut scratch = vec![T::zero(); asked];
    let kept_steps = if keep { steps } else { 1 };
    let mut kept = zeros(kept_steps * block);
    let mut queries = zeros(kept_steps * asked);
    let mut outputs = vec![T::zero(); sizes.outputs()];
    let mut contexts = vec![T::zero(); sizes.contexts()];
    let mut weights = vec![T::zero(); sizes.weights()];
    let mut seen = rest.seen.to_vec();
    let mut look = |step: usize, h: &[T], contexts: &mut [T]| {
        let query = &mut queries[if keep { step * asked } else { 0 }..][..asked];
        to_query.product(query, Mat::new(h, batch, hidden), false);
        let context = &mut contexts[step * mixed..][..mixed];
        let looked = &mut weights[step * batch * sizes.places..][..batch * sizes.places];
        look_all(
            sizes,
            lengths,
            (query, &seen, memory, rest),
            (looked, context),
            &mut scratch,
        );
        add(&mut seen, looked);
    };
    for step in 0..steps {
        if sizes.look == Look::Before {
            look(step, &h, &mut contexts);
        }
        let context = match (sizes.look, step) {
            (Look::After, 0) => rest.found,
            (Look::After, _) => &contexts[(step - 1) * mixed..][..mixed],
            (Look::Before, _) => &contexts[step * mixed..][..mixed],
        };
        x.copy_from_slice(&gates[step * batch * width..][..batch * width]);
        of_context.product(&mut x, Mat::new(context, batch, sizes.context), true);
        of_state.multiply(Mat::new(&h, batch, hidden));
        let all = Rows {
            x: &x,
            product: &mut product,
            weight: &of_state,
            bias: rest.bias,
            h: &mut h,
            c: &mut c,
            kept: &mut kept[if keep { step * block } else { 0 }..][..block],
        };
        let y = &mut outputs[step * units..][..units];
        take_step(cell, hidden, all, y, |_| true);
        if sizes.look == Look::After {
            look(step, &h, &mut contexts);
        }
    }
    outputs.extend_from_slice(&contexts);
    outputs.extend_from_slice(&weights);
    outputs.extend_from_slice(&h);
    if C::STATES == 2 {
        outputs.extend_from_slice(&c);
    }
    (outputs, kept, queries)
}

fn look_all<T: Float>(
    sizes: &Sizes,
    lengths: &[usize],
    (query, seen, memory, rest): (&[T], &[T], &[T], Rest<'_, T>),
    (weights, context): (&mut [T], &mut [T]),
    scratch: &mut [T],
) {
    let Sizes {
        places,
        attention,
        context: mixed,
        ..
    } = *sizes;
    query
        .par_chunks(attention)
        .zip(memory.par_chunks(sizes.memory()).zip(lengths))
        .zip(
            weights
                .par_chunks_mut(places)
                .zip(context.par_chunks_mut(mixed.max(1))),
        )
        .zip(scratch.par_chunks_mut(attention))
        .enumerate()
        .for_each(|(row, (((query, (data, &length)), out), scratch))| {
            let memory = Memory {
                data,
                attention,
                context: mixed,
            };
            let question = rest.question(row, query, seen, places);
            look(question, memory, length, out, scratch);
        });
}
