//! What may follow a convolution in the same op: ReLU, max pooling, or both; or leaky ReLU.
//!
//! `y = max_pool(relu(conv(x)))`. A picture's planes are rectified and pooled while they are in
//! the cache, so the convolution's own output, the largest tensor of a small network, is never
//! stored. ReLU is monotone, so it runs after the pool, on fewer numbers: the values are the
//! same, and so are the gradients, because where the largest value of a window is not above 0
//! no gradient passes either way. Rounding after another slope could make ties of what was none.

use candle_core::{Result, Tensor, bail};

use super::activation::{leak, leak_back, leaky};
use super::max_pool::{Plane, max_pool2d};
use super::window::Pool2dParams;
use crate::kernel::Float;

/// Ops after a convolution, in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Then {
    /// What negative values are multiplied by, 0 or more: 0 for ReLU, default 1.
    pub slope: f64,
    /// Max pooling; with a slope of 0 or 1.
    pub max_pool: Option<Pool2dParams>,
}

impl Default for Then {
    fn default() -> Self {
        Self {
            slope: 1.0,
            max_pool: None,
        }
    }
}

impl Then {
    /// Height and width of the output for planes of this size.
    pub(super) fn output_size(&self, planes: (usize, usize)) -> Result<(usize, usize)> {
        match &self.max_pool {
            Some(pool) => pool.output_size(planes.0, planes.1),
            None => Ok(planes),
        }
    }

    /// The same, ready for planes of this size.
    pub(super) fn finish(&self, planes: (usize, usize)) -> Result<Finish> {
        let pools = self.slope == 0.0 || self.slope == 1.0;
        // The sign of the output has to tell that of what came before.
        let known = self.slope >= 0.0 && self.slope.is_finite();
        if !known || self.max_pool.is_some() && !pools {
            bail!(
                "conv2d: expected a slope of 0 or more, and of 0 or 1 before a pool, got {self:?}"
            );
        }
        let pool = self.max_pool.as_ref();
        Ok(Finish {
            slope: self.slope,
            pool: pool.map(|pool| Plane::new(pool, planes)).transpose()?,
            plane: planes.0 * planes.1,
        })
    }

    /// The same out of ops one after another.
    pub(super) fn composed(&self, planes: Tensor) -> Result<Tensor> {
        let planes = leaky(&planes, self.slope)?;
        match &self.max_pool {
            Some(pool) => max_pool2d(&planes, pool),
            None => Ok(planes),
        }
    }
}

/// [`Then`] for planes of one size.
pub(super) struct Finish {
    slope: f64,
    pool: Option<Plane>,
    plane: usize,
}

/// What is known after the forward pass, for the planes of one image or of many.
#[derive(Clone, Copy)]
pub(super) struct After<'a, T> {
    pub(super) y: &'a [T],
    pub(super) grad: &'a [T],
    /// Empty without a pool.
    pub(super) winners: &'a [u32],
}

impl<'a, T> After<'a, T> {
    /// Those of `count` outputs from `start` on.
    pub(super) fn part(&self, start: usize, count: usize) -> Self {
        let winners = if self.winners.is_empty() {
            self.winners
        } else {
            &self.winners[start..][..count]
        };
        Self {
            y: &self.y[start..][..count],
            grad: &self.grad[start..][..count],
            winners,
        }
    }
}

impl Finish {
    /// Elements of a plane afterwards.
    pub(super) fn output(&self) -> usize {
        self.pool.as_ref().map_or(self.plane, |pool| pool.output)
    }

    /// Whether the planes go elsewhere, because a pool makes them smaller.
    pub(super) fn is_apart(&self) -> bool {
        self.pool.is_some()
    }

    /// Whether the gradient of the planes is that of the output.
    pub(super) fn is_nothing(&self) -> bool {
        self.slope == 1.0 && self.pool.is_none()
    }

    /// Rectifies planes in place.
    #[inline(always)]
    pub(super) fn in_place<T: Float>(&self, planes: &mut [T]) {
        if self.slope != 1.0 {
            let slope = T::from_f64(self.slope);
            planes.iter_mut().for_each(|p| *p = leak(*p, slope));
        }
    }

    /// Pools planes, then rectifies the maxima.
    #[inline(always)]
    pub(super) fn apart<T: Float>(&self, planes: &[T], y: &mut [T], winners: &mut [u32]) {
        let Some(pool) = &self.pool else { return };
        let outputs = y
            .chunks_exact_mut(pool.output)
            .zip(winners.chunks_exact_mut(pool.output));
        for ((y, winners), plane) in outputs.zip(planes.chunks_exact(pool.input)) {
            pool.forward(plane, y, winners);
        }
        self.in_place(y);
    }

    /// The gradient of the planes of one image.
    #[inline(always)]
    pub(super) fn backward<T: Float>(&self, after: &After<'_, T>, planes: &mut [T]) {
        let slope = T::from_f64(self.slope);
        let Some(pool) = &self.pool else {
            for ((plane, &y), &grad) in planes.iter_mut().zip(after.y).zip(after.grad) {
                *plane = leak_back(y, grad, slope);
            }
            return;
        };
        planes.fill(T::zero());
        let outputs = after
            .y
            .chunks_exact(pool.output)
            .zip(after.grad.chunks_exact(pool.output))
            .zip(after.winners.chunks_exact(pool.output));
        for (plane, ((y, grad), winners)) in planes.chunks_exact_mut(pool.input).zip(outputs) {
            for ((&y, &grad), &winner) in y.iter().zip(grad).zip(winners) {
                plane[winner as usize] += leak_back(y, grad, slope);
            }
        }
    }
}
