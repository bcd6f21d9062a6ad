//! Attention of one row of the batch, forward and back, on slices. Nothing is allocated in it.

use crate::kernel::{Float, Mat, Spread, gemm, sum, wide};
use crate::math::exp;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) queries: usize,
    pub(super) places: usize,
    /// Of a query and a key, in each head.
    pub(super) key: usize,
    /// Of a value, in each head.
    pub(super) value: usize,
}

impl Sizes {
    pub(super) fn outputs(&self) -> usize {
        self.batch * self.queries * self.heads * self.value
    }

    /// Weights of a row of the batch.
    pub(super) fn weights(&self) -> usize {
        self.heads * self.queries * self.places
    }

    pub(super) fn macs(&self) -> usize {
        self.batch * self.weights() * (self.key + self.value)
    }

    /// How many places a query may look at.
    pub(super) fn limit(&self, query: usize, length: usize, causal: bool) -> usize {
        if causal {
            length.min(self.places - self.queries + query + 1)
        } else {
            length
        }
    }

    /// Numbers of the scratch that a row needs.
    pub(super) fn scratch(&self) -> usize {
        let head = self.key.max(self.value) * self.queries.max(self.places);
        2 * self.queries * self.places + head
    }
}

/// One of queries, keys and values of a row of the batch: where its first head begins, and how far
/// its rows are apart.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    pub(super) data: &'a [T],
    pub(super) stride: usize,
}

impl<'a, T: Float> Part<'a, T> {
    fn head(self, head: usize, rows: usize, width: usize) -> Mat<'a, T> {
        if rows == 0 {
            return Mat::new(&[], 0, width);
        }
        Mat::strided(&self.data[head * width..], rows, width, self.stride)
    }
}

/// What masks a row of the batch.
#[derive(Clone, Copy)]
pub(super) struct Mask<'a, T> {
    pub(super) length: usize,
    pub(super) causal: bool,
    /// Added to the scores, as many as weights.
    pub(super) added: Option<&'a [T]>,
    /// Which weights stay, and what those are multiplied by.
    pub(super) drop: Option<(&'a [bool], T)>,
}

/// Writes the weights of all heads and what they mix.
pub(super) fn look<T: Float>(
    sizes: &Sizes,
    [q, k, v]: [Part<'_, T>; 3],
    scale: T,
    mask: Mask<'_, T>,
    (weights, out): (&mut [T], &mut [T]),
    scratch: &mut [T],
) {
    let Sizes {
        heads,
        queries,
        places,
        key,
        value,
        ..
    } = *sizes;
    let count = queries * places;
    let (mixed, rest) = scratch.split_at_mut(count);
    let seen = &mut rest[..queries * value];
    for head in 0..heads {
        let p = &mut weights[head * count..][..count];
        let (q, k) = (q.head(head, queries, key), k.head(head, places, key));
        gemm(p, q, k.t(), false, Spread::Here);
        let added = mask.added.map(|added| &added[head * count..][..count]);
        for (query, p) in p.chunks_exact_mut(places.max(1)).enumerate() {
            let limit = sizes.limit(query, mask.length, mask.causal);
            let added = added.map(|added| &added[query * places..][..limit]);
            normalise(p, limit, scale, added);
        }
        let p = match dropped(mask.drop, head, p) {
            None => &*p,
            Some(factors) => {
                mixed.iter_mut().zip(factors).for_each(|(m, f)| *m = f);
                &*mixed
            }
        };
        let v = v.head(head, places, value);
        gemm(seen, Mat::new(p, queries, places), v, false, Spread::Here);
        put(out, seen, head, (heads, value));
    }
}

/// The weights of a head after dropout.
fn dropped<'a, T: Float>(
    drop: Option<(&'a [bool], T)>,
    head: usize,
    p: &'a [T],
) -> Option<impl Iterator<Item = T> + 'a> {
    drop.map(|(keep, grown)| {
        let keep = &keep[head * p.len()..][..p.len()];
        let factor = move |(&p, &keep): (&T, &bool)| if keep { p * grown } else { T::zero() };
        p.iter().zip(keep).map(factor)
    })
}

/// Scores to weights: softmax of the first `limit`, 0 behind them.
fn normalise<T: Float>(row: &mut [T], limit: usize, scale: T, added: Option<&[T]>) {
    wide(
        #[inline(always)]
        || {
            let (open, closed) = row.split_at_mut(limit);
            closed.fill(T::zero());
            open.iter_mut().for_each(|score| *score *= scale);
            if let Some(added) = added {
                open.iter_mut().zip(added).for_each(|(s, &a)| *s += a);
            }
            let largest = open.iter().copied().fold(T::neg_infinity(), larger);
            if largest == T::neg_infinity() {
                open.fill(T::zero());
                return;
            }
            open.iter_mut()
                .for_each(|score| *score = exp(*score - largest));
            let factor = T::one() / sum(open);
            open.iter_mut().for_each(|weight| *weight *= factor);
        },
    );
}

#[inline(always)]
fn larger<T: Float>(a: T, b: T) -> T {
    if b > a || b.is_nan() { b } else { a }
}

/// Writes a head's rows into the columns of that head.
fn put<T: Float>(all: &mut [T], rows: &[T], head: usize, (heads, width): (usize, usize)) {
    if width == 0 {
        return;
    }
    for (to, from) in all
        .chunks_exact_mut(heads * width)
        .zip(rows.chunks_exact(width))
    {
        to[head * width..][..width].copy_from_slice(from);
    }
}

/// The gradients that go in: of what was seen, with its stride, and of the weights.
#[derive(Clone, Copy)]
pub(super) struct Grads<'a, T> {
    pub(super) seen: Part<'a, T>,
    pub(super) weights: Option<&'a [T]>,
}

/// The way back through [`look`]: writes the gradients of queries, keys and values, each by itself.
pub(super) fn look_back<T: Float>(
    sizes: &Sizes,
    [q, k, v]: [Part<'_, T>; 3],
    (weights, scale, mask): (&[T], T, Mask<'_, T>),
    grads: Grads<'_, T>,
    [dq, dk, dv]: [&mut [T]; 3],
    scratch: &mut [T],
) {
    let Sizes {
        heads,
        queries,
        places,
        key,
        value,
        ..
    } = *sizes;
    let count = queries * places;
    let (mixed, rest) = scratch.split_at_mut(count);
    let (scores, part) = rest.split_at_mut(count);
    for head in 0..heads {
        let p = &weights[head * count..][..count];
        let (qs, ks) = (q.head(head, queries, key), k.head(head, places, key));
        let vs = v.head(head, places, value);
        let seen = grads.seen.head(head, queries, value);
        let kept = match dropped(mask.drop, head, p) {
            None => p,
            Some(factors) => {
                mixed.iter_mut().zip(factors).for_each(|(m, f)| *m = f);
                &*mixed
            }
        };
        let kept = Mat::new(kept, queries, places);
        gemm(
            &mut part[..places * value],
            kept.t(),
            seen,
            false,
            Spread::Here,
        );
        put(dv, &part[..places * value], head, (heads, value));
        gemm(scores, seen, vs.t(), false, Spread::Here);
        if let Some((keep, grown)) = mask.drop {
            let keep = &keep[head * count..][..count];
            for (ds, &keep) in scores.iter_mut().zip(keep) {
                *ds = if keep { *ds * grown } else { T::zero() };
            }
        }
        if let Some(more) = grads.weights {
            let more = &more[head * count..][..count];
            scores
                .iter_mut()
                .zip(more)
                .for_each(|(ds, &more)| *ds += more);
        }
        let rows = scores.chunks_exact_mut(places.max(1));
        rows.zip(p.chunks_exact(places.max(1)))
            .for_each(|(ds, p)| of_scores(ds, p, scale));
        let ds = Mat::new(scores, queries, places);
        gemm(&mut part[..queries * key], ds, ks, false, Spread::Here);
        put(dq, &part[..queries * key], head, (heads, key));
        gemm(&mut part[..places * key], ds.t(), qs, false, Spread::Here);
        put(dk, &part[..places * key], head, (heads, key));
    }
}

/// The gradient of weights becomes that of the scores before their scale.
fn of_scores<T: Float>(ds: &mut [T], p: &[T], scale: T) {
    wide(
        #[inline(always)]
        || {
            let mean: T = ds.iter().zip(p).map(|(&ds, &p)| ds * p).sum();
            for (ds, &p) in ds.iter_mut().zip(p) {
                // What is masked has weight 0, whatever its gradient.
                *ds = if p == T::zero() {
                    T::zero()
                } else {
                    scale * p * (*ds - mean)
                };
            }
        },
    );
}
