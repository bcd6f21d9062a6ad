//! Max pooling: the largest value of each window.
//!
//! **Shape:** `(N, C, H, W)` → `(N, C, H', W')` with `H' = floor((H + 2p - k) / s) + 1`.
//! The gradient goes to the first maximum in row-major order, as in PyTorch; candle's own pool
//! scales it by `1/k^2` and takes only windows side by side. NaN wins over numbers.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::conv_composed::windows;
use super::window::{Pool2dParams, Span, spans};
use crate::kernel::{Float, dispatch, has_kernel, slice, wide, with_slice};
use crate::tape;

/// The largest value of each window of `(N, C, H, W)`.
///
/// # Errors
/// When `x` has not four dimensions or no window fits.
pub fn max_pool2d(x: &Tensor, params: &Pool2dParams) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let output = params.output_size(h, w)?;
    if !has_kernel(x) {
        return composed(x, params, output);
    }
    let op = MaxPool {
        params: *params,
        track: x.track_op(),
        winners: Mutex::default(),
    };
    tape::apply1(&x.contiguous()?, op)
}

/// The same out of candle ops.
pub(super) fn composed(
    x: &Tensor,
    params: &Pool2dParams,
    (oh, ow): (usize, usize),
) -> Result<Tensor> {
    let (n, c, _, _) = x.dims4()?;
    let windows = windows(x, params, (oh, ow), f64::NEG_INFINITY)?;
    let winner = windows.argmax_keepdim(2)?.to_dtype(DType::U32)?;
    let largest = windows.contiguous()?.gather(&winner.contiguous()?, 2)?;
    largest.squeeze(D::Minus2)?.reshape((n, c, oh, ow))
}

struct MaxPool {
    params: Pool2dParams,
    track: bool,
    /// For each output, where in its plane the maximum stands.
    winners: Mutex<Vec<u32>>,
}

/// How planes of one size are pooled.
pub(super) struct Plane {
    pub(super) input: usize,
    pub(super) output: usize,
    width: usize,
    rows: Vec<Span>,
    cols: Vec<Span>,
    /// Whether the windows are 2 by 2, side by side and all inside.
    simple: bool,
}

impl Plane {
    pub(super) fn new(params: &Pool2dParams, (h, w): (usize, usize)) -> Result<Self> {
        let (oh, ow) = params.output_size(h, w)?;
        let (kernel, stride, padding) = (params.kernel, params.stride, params.padding);
        let simple = Pool2dParams {
            ceil_mode: params.ceil_mode,
            ..Pool2dParams::new(2)
        };
        Ok(Self {
            input: h * w,
            output: oh * ow,
            width: w,
            rows: spans(h, oh, kernel.0, stride.0, padding.0),
            cols: spans(w, ow, kernel.1, stride.1, padding.1),
            simple: *params == simple && 2 * oh <= h && 2 * ow <= w,
        })
    }

    /// The maxima of one plane and where they stand.
    #[inline(always)]
    pub(super) fn forward<T: Float>(&self, x: &[T], y: &mut [T], winners: &mut [u32]) {
        if self.simple {
            self.forward_2x2(x, y, winners);
        } else {
            self.forward_any(x, y, winners);
        }
    }

    fn forward_any<T: Float>(&self, x: &[T], y: &mut [T], winners: &mut [u32]) {
        let mut out = 0;
        for row in &self.rows {
            for col in &self.cols {
                let mut at = row.start * self.width + col.start;
                let mut best = x[at];
                for r in row.start..row.end {
                    let line = r * self.width;
                    for (i, &value) in x[line + col.start..line + col.end].iter().enumerate() {
                        if value > best || value.is_nan() {
                            (best, at) = (value, line + col.start + i);
                        }
                    }
                }
                y[out] = best;
                winners[out] = at as u32;
                out += 1;
            }
        }
    }

    /// The common case of 2 by 2 windows side by side.
    #[inline(always)]
    fn forward_2x2<T: Float>(&self, x: &[T], y: &mut [T], winners: &mut [u32]) {
        let (width, ow) = (self.width, self.cols.len());
        for (r, (y, winners)) in y
            .chunks_exact_mut(ow)
            .zip(winners.chunks_exact_mut(ow))
            .enumerate()
        {
            let start = 2 * r * width;
            let (top, bottom) = (&x[start..][..2 * ow], &x[start + width..][..2 * ow]);
            for (c, (y, winner)) in y.iter_mut().zip(winners).enumerate() {
                let at = (start + 2 * c) as u32;
                let (a, b) = (top[2 * c], top[2 * c + 1]);
                let (d, e) = (bottom[2 * c], bottom[2 * c + 1]);
                // Written as selections so that it compiles to code without branches.
                let (mut best, mut place) = (a, at);
                let mut consider = |value: T, index: u32| {
                    let wins = value > best || value.is_nan();
                    best = if wins { value } else { best };
                    place = if wins { index } else { place };
                };
                consider(b, at + 1);
                consider(d, at + width as u32);
                consider(e, at + width as u32 + 1);
                *y = best;
                *winner = place;
            }
        }
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let (oh, ow) = self.params.output_size(h, w)?;
        let plane = Plane::new(&self.params, (h, w))?;
        dispatch!(x.dtype(), "max_pool2d", T => {
            let x = slice::<T>(x, layout)?;
            let mut y = vec![T::default(); n * c * oh * ow];
            let mut winners = vec![0; y.len()];
            y.par_chunks_mut(oh * ow)
                .zip(winners.par_chunks_mut(oh * ow))
                .zip(x.par_chunks(h * w))
                .with_min_len(planes_a_task(h * w))
                .for_each(|((y, winners), x)| {
                    wide(#[inline(always)] || plane.forward(x, y, winners));
                });
            if self.track {
                *self.winners.lock().unwrap_or_else(PoisonError::into_inner) = winners;
            }
            Ok((<T as candle_core::WithDType>::to_cpu_storage_owned(y), (n, c, oh, ow).into()))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let ((_, _, h, w), (_, _, oh, ow)) = (x.dims4()?, y.dims4()?);
        let winners = self.winners.lock().unwrap_or_else(PoisonError::into_inner);
        dispatch!(x.dtype(), "max_pool2d", T => {
            let mut dx = vec![T::default(); x.elem_count()];
            with_slice::<T, _>(grad, |grad| {
                dx.par_chunks_mut(h * w)
                    .zip(grad.par_chunks(oh * ow).zip(winners.par_chunks(oh * ow)))
                    .with_min_len(planes_a_task(h * w))
                    .for_each(|(dx, (grad, winners))| {
                        for (&winner, &grad) in winners.iter().zip(grad) {
                            dx[winner as usize] += grad;
                        }
                    });
                Ok(())
            })?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}

/// Planes that one task takes, so that a task is worth handing over.
pub(super) fn planes_a_task(plane: usize) -> usize {
    (crate::kernel::CHUNK / plane.max(1)).max(1)
}
