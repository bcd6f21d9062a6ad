//! Batch normalisation on the CPU: sums by channel, the rest by image.
//!
//! Where a channel has but one place, its values are far apart and those of all channels lie side
//! by side, so blocks of channels are summed row by row, and each element has its own constants.

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::activation::{leak, leak_back};
use crate::kernel::{CHUNK, Float, sum, wide, written};

/// `(N, C, places)`.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) places: usize,
}

/// Sums that run side by side: those of channels with one place, or of places of one channel.
const BLOCK: usize = 256;

impl Sizes {
    pub(super) fn new(dims: &[usize]) -> Result<Self> {
        match dims {
            [batch, channels, rest @ ..] if dims.iter().all(|&dim| dim > 0) => Ok(Self {
                batch: *batch,
                channels: *channels,
                places: rest.iter().product(),
            }),
            _ => bail!(
                "batch norm: expected an input (N, C, ...) with no dimension of 0, got {dims:?}"
            ),
        }
    }

    /// Values of a channel.
    pub(super) fn count(&self) -> usize {
        self.batch * self.places
    }

    /// Elements of an image.
    fn image(&self) -> usize {
        self.channels * self.places
    }

    /// Sums over the values of each channel of `K` terms, which are made of `M` constants of the
    /// channel and an element of `N` inputs.
    fn sums<T: Float, const M: usize, const N: usize, const K: usize>(
        &self,
        constants: [&[T]; M],
        inputs: [&[T]; N],
        term: impl Fn([T; M], [T; N]) -> [T; K] + Copy + Sync,
    ) -> Vec<[T; K]> {
        let mut sums = vec![[T::zero(); K]; self.channels];
        if self.places == 1 {
            let blocks = sums.par_chunks_mut(BLOCK).enumerate();
            blocks.for_each(|(index, sums)| {
                let (first, mut totals) = (index * BLOCK, [[T::zero(); BLOCK]; K]);
                let constants = constants.map(|c| &c[first..][..sums.len()]);
                for n in 0..self.batch {
                    let start = n * self.channels + first;
                    let inputs = inputs.map(|input| &input[start..][..sums.len()]);
                    wide(
                        #[inline(always)]
                        || {
                            add_terms(&mut totals, sums.len(), inputs, |i, inputs| {
                                term(constants.map(|c| c[i]), inputs)
                            })
                        },
                    );
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    *sums = totals.each_ref().map(|totals| totals[i]);
                }
            });
        } else {
            let channels = sums.par_iter_mut().enumerate();
            channels.for_each(|(channel, sums)| {
                let constants = constants.map(|c| c[channel]);
                for first in (0..self.places).step_by(BLOCK) {
                    let (len, mut totals) =
                        (BLOCK.min(self.places - first), [[T::zero(); BLOCK]; K]);
                    for n in 0..self.batch {
                        let start = n * self.image() + channel * self.places + first;
                        let inputs = inputs.map(|input| &input[start..][..len]);
                        wide(
                            #[inline(always)]
                            || {
                                add_terms(&mut totals, len, inputs, |_, inputs| {
                                    term(constants, inputs)
                                })
                            },
                        );
                    }
                    let totals = totals.each_ref().map(|totals| sum(&totals[..len]));
                    sums.iter_mut()
                        .zip(totals)
                        .for_each(|(s, total)| *s += total);
                }
            });
        }
        sums
    }

    /// An element for each of `N` inputs and `M` constants of its channel, image by image.
    fn each<T: Float, const M: usize, const N: usize>(
        &self,
        constants: [&[T]; M],
        inputs: [&[T]; N],
        f: impl Fn([T; M], [T; N]) -> T + Copy + Sync,
    ) -> Vec<T> {
        let image = self.image();
        let part = (CHUNK / image).max(1) * image;
        written(self.batch * image, part, |out, range| {
            wide(
                #[inline(always)]
                || {
                    for (n, out) in out.chunks_exact_mut(image).enumerate() {
                        let inputs = inputs.map(|input| &input[range.start + n * image..][..image]);
                        if self.places == 1 {
                            let constants = constants.map(|c| &c[..out.len()]);
                            for (i, out) in out.iter_mut().enumerate() {
                                let constants = constants.map(|c| c[i]);
                                out.write(f(constants, inputs.map(|input| input[i])));
                            }
                            continue;
                        }
                        for (c, out) in out.chunks_exact_mut(self.places).enumerate() {
                            let constants = constants.map(|constant| constant[c]);
                            let first = c * self.places;
                            let inputs = inputs.map(|input| &input[first..][..out.len()]);
                            for (i, out) in out.iter_mut().enumerate() {
                                out.write(f(constants, inputs.map(|input| input[i])));
                            }
                        }
                    }
                },
            );
        })
    }
}

/// Adds `len` terms to as many totals, side by side.
#[inline(always)]
fn add_terms<T: Float, const N: usize, const K: usize>(
    totals: &mut [[T; BLOCK]; K],
    len: usize,
    inputs: [&[T]; N],
    term: impl Fn(usize, [T; N]) -> [T; K],
) {
    let mut totals = totals.each_mut().map(|totals| &mut totals[..len]);
    for i in 0..len {
        let terms = term(i, inputs.map(|input| input[i]));
        for (totals, term) in totals.iter_mut().zip(terms) {
            totals[i] += term;
        }
    }
}

/// Mean and biased variance of each channel.
pub(super) fn moments<T: Float>(s: &Sizes, x: &[T]) -> (Vec<T>, Vec<T>) {
    let count = T::from_f64(s.count() as f64);
    let over_count = |sums: Vec<[T; 1]>| sums.into_iter().map(|[sum]| sum / count).collect();
    let mean = s.sums(
        [],
        [x],
        #[inline(always)]
        |[], [x]| [x],
    );
    let mean: Vec<T> = over_count(mean);
    let variance = s.sums(
        [&mean],
        [x],
        #[inline(always)]
        |[mean], [x]| [(x - mean) * (x - mean)],
    );
    let variance = over_count(variance);
    (mean, variance)
}

/// What becomes of each channel: `(x - mean) factor + bias`, and what follows.
pub(super) struct Affine<T> {
    mean: Vec<T>,
    /// 1 over the deviation.
    scale: Vec<T>,
    factor: Vec<T>,
    bias: Vec<T>,
    /// Of what is below 0.
    slope: T,
}

impl<T: Float> Affine<T> {
    pub(super) fn new(
        (mean, variance): (&[T], &[T]),
        (weight, bias): (&[T], &[T]),
        eps: f64,
        slope: f64,
    ) -> Self {
        let eps = T::from_f64(eps);
        let scale: Vec<T> = variance
            .iter()
            .map(|&variance| T::one() / (variance + eps).sqrt())
            .collect();
        Self {
            mean: mean.to_vec(),
            factor: scale.iter().zip(weight).map(|(&s, &w)| s * w).collect(),
            scale,
            bias: bias.to_vec(),
            slope: T::from_f64(slope),
        }
    }
}

pub(super) fn forward<T: Float>(s: &Sizes, affine: &Affine<T>, x: &[T]) -> Vec<T> {
    let slope = affine.slope;
    s.each(
        [&affine.mean, &affine.factor, &affine.bias],
        [x],
        #[inline(always)]
        move |[mean, factor, bias], [x]| leak((x - mean) * factor + bias, slope),
    )
}

/// Gradients of input, weight and bias. With `h = (x - m) s`, and `g` the gradient in front of what
/// follows, `dw = sum g h`, `db = sum g`, and `dx = w s (g - (db + h dw) / count)`, of which the
/// second part is missing where the moments were given.
pub(super) fn backward<T: Float>(
    s: &Sizes,
    affine: &Affine<T>,
    x: &[T],
    grad: &[T],
    through: bool,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let Affine {
        mean,
        scale,
        factor,
        bias,
        slope,
    } = affine;
    let slope = *slope;
    let sums = s.sums(
        [mean, factor, bias],
        [x, grad],
        #[inline(always)]
        move |[mean, factor, bias], [x, grad]| {
            let g = leak_back((x - mean) * factor + bias, grad, slope);
            [g, (x - mean) * g]
        },
    );
    let db: Vec<T> = sums.iter().map(|sums| sums[0]).collect();
    let dw: Vec<T> = sums
        .iter()
        .zip(scale)
        .map(|(sums, &s)| sums[1] * s)
        .collect();
    // dx = factor g + b (x - m) + c
    let count = T::from_f64(s.count() as f64);
    let share = |sum: T, factor: T| {
        if through {
            -factor * sum / count
        } else {
            T::zero()
        }
    };
    let (b, c): (Vec<T>, Vec<T>) = (0..s.channels)
        .map(|i| (share(dw[i] * scale[i], factor[i]), share(db[i], factor[i])))
        .unzip();
    let dx = s.each(
        [mean, factor, bias, &b, &c],
        [x, grad],
        #[inline(always)]
        move |[mean, factor, bias, b, c], [x, grad]| {
            let g = leak_back((x - mean) * factor + bias, grad, slope);
            factor * g + b * (x - mean) + c
        },
    );
    (dx, dw, db)
}
