//! Average pooling: the mean of each window.
//!
//! **Shape:** `(N, C, H, W)` → `(N, C, H', W')` with `H' = floor((H + 2p - k) / s) + 1`.
//! The divisor counts padding unless `count_include_pad` is off, but never cells that
//! `ceil_mode` hangs over beyond the padding; `divisor_override` replaces it. As in PyTorch.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::constant;
use super::conv_composed::windows;
use super::max_pool::planes_a_task;
use super::window::{Pool2dParams, Span, spans};
use crate::kernel::{Float, dispatch, has_kernel, slice, with_slice};
use crate::tape;

/// Windows and divisor of average pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvgPool2dParams {
    /// The windows.
    pub window: Pool2dParams,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
    /// Divides by this instead of by the window's size.
    pub divisor_override: Option<usize>,
}

impl AvgPool2dParams {
    /// Square windows side by side, without padding.
    pub const fn new(kernel: usize) -> Self {
        Self {
            window: Pool2dParams::new(kernel),
            count_include_pad: true,
            divisor_override: None,
        }
    }

    fn divisor(&self, row: Span, col: Span) -> usize {
        match self.divisor_override {
            Some(divisor) => divisor,
            None if self.count_include_pad => row.padded * col.padded,
            None => (row.end - row.start) * (col.end - col.start),
        }
    }

    fn spans(&self, h: usize, w: usize) -> Result<(Vec<Span>, Vec<Span>)> {
        let p = &self.window;
        let (oh, ow) = p.output_size(h, w)?;
        Ok((
            spans(h, oh, p.kernel.0, p.stride.0, p.padding.0),
            spans(w, ow, p.kernel.1, p.stride.1, p.padding.1),
        ))
    }

    /// One factor for each output place.
    fn factors(&self, rows: &[Span], cols: &[Span]) -> Vec<f64> {
        rows.iter()
            .flat_map(|&row| {
                cols.iter()
                    .map(move |&col| 1.0 / self.divisor(row, col) as f64)
            })
            .collect()
    }
}

/// The mean of each window of `(N, C, H, W)`.
///
/// # Errors
/// When `x` has not four dimensions, no window fits, or `divisor_override` is 0.
pub fn avg_pool2d(x: &Tensor, params: &AvgPool2dParams) -> Result<Tensor> {
    if params.divisor_override == Some(0) {
        bail!("avg_pool2d: divisor_override must be at least 1, got 0");
    }
    if has_kernel(x) {
        tape::apply1(&x.contiguous()?, AvgPool(*params))
    } else {
        composed(x, params)
    }
}

/// The same out of candle ops.
pub(super) fn composed(x: &Tensor, params: &AvgPool2dParams) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (rows, cols) = params.spans(h, w)?;
    let (oh, ow) = (rows.len(), cols.len());
    let sums = windows(x, &params.window, (oh, ow), 0.0)?.sum(2)?;
    let factors = constant(params.factors(&rows, &cols), (1, 1, oh * ow), x)?;
    sums.broadcast_mul(&factors)?.reshape((n, c, oh, ow))
}

struct AvgPool(AvgPool2dParams);

fn forward<T: Float>(x: &[T], w: usize, rows: &[Span], cols: &[Span], factors: &[T], y: &mut [T]) {
    for (row, (y, factors)) in rows.iter().zip(
        y.chunks_exact_mut(cols.len())
            .zip(factors.chunks_exact(cols.len())),
    ) {
        for ((col, y), &factor) in cols.iter().zip(y).zip(factors) {
            let lines = row.start..row.end;
            let total: T = lines
                .map(|r| {
                    x[r * w + col.start..r * w + col.end]
                        .iter()
                        .copied()
                        .sum::<T>()
                })
                .sum();
            *y = total * factor;
        }
    }
}

fn backward<T: Float>(
    grad: &[T],
    w: usize,
    rows: &[Span],
    cols: &[Span],
    factors: &[T],
    dx: &mut [T],
) {
    let mut out = 0;
    for row in rows {
        for col in cols {
            let share = grad[out] * factors[out];
            for r in row.start..row.end {
                for dx in &mut dx[r * w + col.start..r * w + col.end] {
                    *dx += share;
                }
            }
            out += 1;
        }
    }
}

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let (rows, cols) = self.0.spans(h, w)?;
        let (oh, ow) = (rows.len(), cols.len());
        dispatch!(x.dtype(), "avg_pool2d", T => {
            let factors: Vec<T> = self.0.factors(&rows, &cols).into_iter().map(T::from_f64).collect();
            let x = slice::<T>(x, layout)?;
            let mut y = vec![T::default(); n * c * oh * ow];
            y.par_chunks_mut(oh * ow)
                .zip(x.par_chunks(h * w))
                .with_min_len(planes_a_task(h * w))
                .for_each(|(y, x)| forward(x, w, &rows, &cols, &factors, y));
            Ok((T::to_cpu_storage_owned(y), (n, c, oh, ow).into()))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let ((_, _, h, w), (_, _, oh, ow)) = (x.dims4()?, y.dims4()?);
        let (rows, cols) = self.0.spans(h, w)?;
        dispatch!(x.dtype(), "avg_pool2d", T => {
            let factors: Vec<T> = self.0.factors(&rows, &cols).into_iter().map(T::from_f64).collect();
            let mut dx = vec![T::default(); x.elem_count()];
            with_slice::<T, _>(grad, |grad| {
                dx.par_chunks_mut(h * w)
                    .zip(grad.par_chunks(oh * ow))
                    .with_min_len(planes_a_task(h * w))
                    .for_each(|(dx, grad)| backward(grad, w, &rows, &cols, &factors, dx));
                Ok(())
            })?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}
