//! Batch normalisation on the CPU: moments and their gradient by channel, the rest by image.
//!
//! Where a channel has but one place, its values are far apart and those of all channels lie side
//! by side, so blocks of channels are summed row by row.

use candle_core::{Result, bail};
use rayon::prelude::*;

use crate::kernel::{CHUNK, Float, sum, wide};

/// `(N, C, places)`.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) places: usize,
}

/// Channels that one task sums where each has one place.
const BLOCK: usize = 64;

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

    /// Images that one task takes in loops without sums.
    fn images_a_task(&self) -> usize {
        (CHUNK / self.image()).max(1)
    }

    /// For each channel a sum over its values, image by image.
    ///
    /// `fill(channel, start, terms)` writes the terms of one image, of a channel or a block of
    /// them, whose values begin at `start`.
    fn sums<T: Float>(&self, fill: impl Fn(usize, usize, &mut [T]) + Sync) -> Vec<T> {
        let (places, image) = (self.places, self.image());
        let mut sums = vec![T::zero(); self.channels];
        let block = if places == 1 { BLOCK } else { 1 };
        sums.par_chunks_mut(block)
            .enumerate()
            .for_each(|(index, sums)| {
                let channel = index * block;
                let mut terms = vec![T::zero(); sums.len() * places];
                for n in 0..self.batch {
                    let start = n * image + channel * places;
                    wide(
                        #[inline(always)]
                        || {
                            fill(channel, start, &mut terms);
                            if places == 1 {
                                for (total, &term) in sums.iter_mut().zip(&terms) {
                                    *total += term;
                                }
                            } else {
                                sums[0] += sum(&terms);
                            }
                        },
                    );
                }
            });
        sums
    }
}

/// Mean and biased variance of each channel.
pub(super) fn moments<T: Float>(s: &Sizes, x: &[T]) -> (Vec<T>, Vec<T>) {
    let count = T::from_f64(s.count() as f64);
    let mut mean = s.sums(
        #[inline(always)]
        |_, start, terms: &mut [T]| terms.copy_from_slice(&x[start..][..terms.len()]),
    );
    mean.iter_mut().for_each(|mean| *mean /= count);
    let mut variance = s.sums(
        #[inline(always)]
        |channel, start, terms: &mut [T]| {
            let x = &x[start..][..terms.len()];
            if s.places == 1 {
                let mean = &mean[channel..][..terms.len()];
                for ((term, &x), &mean) in terms.iter_mut().zip(x).zip(mean) {
                    *term = (x - mean) * (x - mean);
                }
            } else {
                let mean = mean[channel];
                for (term, &x) in terms.iter_mut().zip(x) {
                    *term = (x - mean) * (x - mean);
                }
            }
        },
    );
    variance.iter_mut().for_each(|v| *v /= count);
    (mean, variance)
}

/// The mean of each channel, and 1 over its deviation.
pub(super) struct Scaled<T> {
    mean: Vec<T>,
    scale: Vec<T>,
}

impl<T: Float> Scaled<T> {
    pub(super) fn new(mean: &[T], variance: &[T], eps: f64) -> Self {
        let eps = T::from_f64(eps);
        let scale = |&variance: &T| T::one() / (variance + eps).sqrt();
        Self {
            mean: mean.to_vec(),
            scale: variance.iter().map(scale).collect(),
        }
    }
}

/// Calls `image(planes of out, planes of each input)` for each image, in parallel.
fn by_image<T: Float, const N: usize>(
    s: &Sizes,
    inputs: [&[T]; N],
    image: impl Fn(&mut [T], [&[T]; N]) + Sync,
) -> Vec<T> {
    let mut out = vec![T::zero(); s.batch * s.image()];
    let part = s.images_a_task() * s.image();
    out.par_chunks_mut(part)
        .enumerate()
        .for_each(|(index, out)| {
            wide(
                #[inline(always)]
                || {
                    for (n, out) in out.chunks_exact_mut(s.image()).enumerate() {
                        let start = index * part + n * s.image();
                        image(out, inputs.map(|input| &input[start..][..s.image()]));
                    }
                },
            );
        });
    out
}

pub(super) fn forward<T: Float>(
    s: &Sizes,
    scaled: &Scaled<T>,
    x: &[T],
    weight: &[T],
    bias: &[T],
) -> Vec<T> {
    let factor: Vec<T> = scaled
        .scale
        .iter()
        .zip(weight)
        .map(|(&s, &w)| s * w)
        .collect();
    by_image(
        s,
        [x],
        #[inline(always)]
        |y: &mut [T], [x]: [&[T]; 1]| {
            let channels = scaled.mean.iter().zip(&factor).zip(bias);
            if s.places == 1 {
                for ((y, &x), ((&mean, &factor), &bias)) in y.iter_mut().zip(x).zip(channels) {
                    *y = (x - mean) * factor + bias;
                }
                return;
            }
            let planes = y.chunks_exact_mut(s.places).zip(x.chunks_exact(s.places));
            for ((y, x), ((&mean, &factor), &bias)) in planes.zip(channels) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = (x - mean) * factor + bias;
                }
            }
        },
    )
}

/// Gradients of input, weight and bias. With `h = (x - m) s` and `g` the output's gradient,
/// `dw = sum g h`, `db = sum g`, and `dx = w s (g - (db + h dw) / count)`, of which the second
/// part is missing where the moments were given.
pub(super) fn backward<T: Float>(
    s: &Sizes,
    scaled: &Scaled<T>,
    x: &[T],
    weight: &[T],
    grad: &[T],
    through: bool,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let db = s.sums(
        #[inline(always)]
        |_, start, terms: &mut [T]| terms.copy_from_slice(&grad[start..][..terms.len()]),
    );
    let mut dw = s.sums(
        #[inline(always)]
        |channel, start, terms: &mut [T]| {
            let (x, grad) = (&x[start..][..terms.len()], &grad[start..][..terms.len()]);
            if s.places == 1 {
                let mean = &scaled.mean[channel..][..terms.len()];
                for ((term, &mean), (&x, &g)) in terms.iter_mut().zip(mean).zip(x.iter().zip(grad))
                {
                    *term = (x - mean) * g;
                }
            } else {
                let mean = scaled.mean[channel];
                for (term, (&x, &g)) in terms.iter_mut().zip(x.iter().zip(grad)) {
                    *term = (x - mean) * g;
                }
            }
        },
    );
    dw.iter_mut()
        .zip(&scaled.scale)
        .for_each(|(dw, &scale)| *dw *= scale);
    // dx = a g + b (x - m) + c
    let count = T::from_f64(s.count() as f64);
    let of_channel = |c: usize| {
        let a = weight[c] * scaled.scale[c];
        if through {
            (a, -a * scaled.scale[c] * dw[c] / count, -a * db[c] / count)
        } else {
            (a, T::zero(), T::zero())
        }
    };
    let factors: Vec<(T, T, T)> = (0..s.channels).map(of_channel).collect();
    let dx = by_image(
        s,
        [x, grad],
        #[inline(always)]
        |dx: &mut [T], [x, grad]: [&[T]; 2]| {
            let planes = dx.chunks_exact_mut(s.places);
            let inputs = x.chunks_exact(s.places).zip(grad.chunks_exact(s.places));
            let channels = factors.iter().zip(&scaled.mean);
            for ((dx, (x, grad)), (&(a, b, c), &mean)) in planes.zip(inputs).zip(channels) {
                for ((dx, &x), &g) in dx.iter_mut().zip(x).zip(grad) {
                    *dx = a * g + b * (x - mean) + c;
                }
            }
        },
    );
    (dx, dw, db)
}
