//! Attention of one row of the batch at one step, forward and back.

use crate::kernel::{Float, sum, wide};
use crate::math::{exp, tanh};

/// The part of the memory that belongs to a row: `places` times a key and a value.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a, T> {
    pub(super) data: &'a [T],
    /// Numbers of a key.
    pub(super) attention: usize,
    /// Numbers of a value.
    pub(super) context: usize,
}

impl<'a, T> Memory<'a, T> {
    /// Key and value of each of the first `length` places.
    fn places(self, length: usize) -> impl Iterator<Item = (&'a [T], &'a [T])> {
        let places = self.data.chunks_exact(self.attention + self.context);
        places
            .take(length)
            .map(move |place| place.split_at(self.attention))
    }
}

/// What a row asks with.
#[derive(Clone, Copy)]
pub(super) struct Question<'a, T> {
    pub(super) query: &'a [T],
    pub(super) energy: &'a [T],
    pub(super) coverage: Option<Coverage<'a, T>>,
}

/// How much each place was looked at before, and what that adds to the comparison.
#[derive(Clone, Copy)]
pub(super) struct Coverage<'a, T> {
    pub(super) seen: &'a [T],
    pub(super) weight: &'a [T],
}

/// Weights of the places (0 beyond `length`) and their mix; `scratch` is as long as a key.
pub(super) fn look<T: Float>(
    question: Question<'_, T>,
    memory: Memory<'_, T>,
    length: usize,
    (weights, mix): (&mut [T], &mut [T]),
    scratch: &mut [T],
) {
    wide(
        #[inline(always)]
        || {
            weights.fill(T::zero());
            let weights = &mut weights[..length];
            for (place, (weight, (key, _))) in
                weights.iter_mut().zip(memory.places(length)).enumerate()
            {
                compare(scratch, question, key, place);
                multiply(scratch, question.energy);
                *weight = sum(scratch);
            }
            softmax(weights);
            mix.fill(T::zero());
            for (&weight, (_, value)) in weights.iter().zip(memory.places(length)) {
                add_scaled(mix, weight, value);
            }
        },
    );
}

/// `to += values`.
pub(super) fn add<T: Float>(to: &mut [T], values: &[T]) {
    for (to, &value) in to.iter_mut().zip(values) {
        *to += value;
    }
}

/// What goes back into a row.
pub(super) struct Back<'a, T> {
    /// Gradient of the weights of the places; is overwritten.
    pub(super) dweights: &'a mut [T],
    /// Gradient of the mix.
    pub(super) dmix: &'a [T],
    /// Gradient of the query, to be written.
    pub(super) dquery: &'a mut [T],
    /// Gradients of the memory and the energies, to be added to.
    pub(super) dmemory: &'a mut [T],
    pub(super) denergy: &'a mut [T],
    /// Gradients of what was seen and of its weight, to be added to with coverage.
    pub(super) dseen: &'a mut [T],
    pub(super) dcoverage: &'a mut [T],
    /// As long as a key.
    pub(super) scratch: &'a mut [T],
}

/// The way back through [`look`].
pub(super) fn look_back<T: Float>(
    question: Question<'_, T>,
    memory: Memory<'_, T>,
    weights: &[T],
    length: usize,
    back: Back<'_, T>,
) {
    let Back {
        dweights,
        dmix,
        dquery,
        dmemory,
        denergy,
        dseen,
        dcoverage,
        scratch,
    } = back;
    wide(
        #[inline(always)]
        || {
            let (weights, dweights) = (&weights[..length], &mut dweights[..length]);
            for (dweight, (_, value)) in dweights.iter_mut().zip(memory.places(length)) {
                *dweight += dot(dmix, value);
            }
            let mean = dot(weights, dweights);
            dquery.fill(T::zero());
            let dplaces = dmemory.chunks_exact_mut(memory.attention + memory.context);
            let places = memory.places(length).zip(dplaces);
            let all = weights.iter().zip(dweights.iter()).zip(places);
            for (at, ((&weight, &dweight), ((key, _), dplace))) in all.enumerate() {
                let (dkey, dvalue) = dplace.split_at_mut(memory.attention);
                add_scaled(dvalue, weight, dmix);
                let dscore = weight * (dweight - mean);
                compare(scratch, question, key, at);
                add_scaled(denergy, dscore, scratch);
                for (u, &v) in scratch.iter_mut().zip(question.energy) {
                    *u = dscore * v * (T::one() - *u * *u);
                }
                add_scaled(dkey, T::one(), scratch);
                add_scaled(dquery, T::one(), scratch);
                if let Some(coverage) = question.coverage {
                    dseen[at] += dot(scratch, coverage.weight);
                    add_scaled(dcoverage, coverage.seen[at], scratch);
                }
            }
        },
    );
}

#[inline(always)]
fn compare<T: Float>(out: &mut [T], question: Question<'_, T>, key: &[T], place: usize) {
    let asked = question.query.iter().zip(key);
    match question.coverage {
        None => {
            for (out, (&q, &k)) in out.iter_mut().zip(asked) {
                *out = tanh(q + k);
            }
        }
        Some(Coverage { seen, weight }) => {
            let seen = seen[place];
            for ((out, (&q, &k)), &w) in out.iter_mut().zip(asked).zip(weight) {
                *out = tanh(q + k + seen * w);
            }
        }
    }
}

#[inline(always)]
fn multiply<T: Float>(out: &mut [T], by: &[T]) {
    for (out, &by) in out.iter_mut().zip(by) {
        *out *= by;
    }
}

#[inline(always)]
fn add_scaled<T: Float>(total: &mut [T], by: T, values: &[T]) {
    for (total, &value) in total.iter_mut().zip(values) {
        *total += by * value;
    }
}

/// In a fixed order that vectorises.
#[inline(always)]
fn dot<T: Float>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut lanes = [T::zero(); LANES];
    let (mut a_blocks, mut b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut a_blocks).zip(&mut b_blocks) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    lanes.iter().copied().sum::<T>() + rest.map(|(&a, &b)| a * b).sum::<T>()
}

#[inline(always)]
fn softmax<T: Float>(scores: &mut [T]) {
    let largest = scores
        .iter()
        .copied()
        .fold(T::neg_infinity(), num_traits::Float::max);
    let mut total = T::zero();
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
        total += *score;
    }
    for score in scores.iter_mut() {
        *score /= total;
    }
}
