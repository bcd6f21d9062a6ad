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

/// Weights of the places (0 beyond `length`) and their mix; `scratch` is as long as a key.
pub(super) fn look<T: Float>(
    (query, energy): (&[T], &[T]),
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
            for (weight, (key, _)) in weights.iter_mut().zip(memory.places(length)) {
                compare(scratch, query, key);
                multiply(scratch, energy);
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
    /// As long as a key.
    pub(super) scratch: &'a mut [T],
}

/// The way back through [`look`].
pub(super) fn look_back<T: Float>(
    (query, energy): (&[T], &[T]),
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
            for ((&weight, &dweight), ((key, _), dplace)) in
                weights.iter().zip(dweights.iter()).zip(places)
            {
                let (dkey, dvalue) = dplace.split_at_mut(memory.attention);
                add_scaled(dvalue, weight, dmix);
                let dscore = weight * (dweight - mean);
                compare(scratch, query, key);
                add_scaled(denergy, dscore, scratch);
                for (u, &v) in scratch.iter_mut().zip(energy) {
                    *u = dscore * v * (T::one() - *u * *u);
                }
                add_scaled(dkey, T::one(), scratch);
                add_scaled(dquery, T::one(), scratch);
            }
        },
    );
}

#[inline(always)]
fn compare<T: Float>(out: &mut [T], query: &[T], key: &[T]) {
    for ((out, &q), &k) in out.iter_mut().zip(query).zip(key) {
        *out = tanh(q + k);
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
