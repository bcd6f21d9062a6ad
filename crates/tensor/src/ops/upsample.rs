//! Pictures made larger (or smaller): by the nearest pixel, or bilinear between the four around.
//!
//! Output place `i` of an axis lies at `i r` of the input (nearest, rounded down), at
//! `(i + 1/2) r - 1/2` (bilinear, at least 0), or at `i (H - 1) / (H' - 1)` (bilinear, with the
//! corners aligned). Both are a weighted sum of two cells along each axis.
//!
//! **Shape:** `(N, C, H, W)` → `(N, C, H', W')`.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use super::constant;
use crate::handover;
use crate::kernel::{Float, dispatch, has_kernel, slice, wide, with_slice};
use crate::tape;

/// How [`upsample2d`] finds the value of a new pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpsampleMode {
    /// The pixel that it lies in.
    #[default]
    Nearest,
    /// Between the four pixels around it.
    Bilinear {
        /// Whether the centres of the corner pixels stay in the corners.
        align_corners: bool,
    },
}

/// Resizes the pictures of `(N, C, H, W)` to `size` (height, width).
///
/// `ratio` is input pixels an output pixel along each axis; none for input over output size.
///
/// # Errors
/// When `x` has not four dimensions, a size is 0, or a ratio is not above 0.
pub fn upsample2d(
    x: &Tensor,
    size: (usize, usize),
    ratio: Option<(f64, f64)>,
    mode: UpsampleMode,
) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h == 0 || w == 0 || size.0 == 0 || size.1 == 0 {
        bail!(
            "upsample: pictures of {h}x{w} cannot become {}x{}",
            size.0,
            size.1
        );
    }
    let ratio = ratio.unwrap_or((h as f64 / size.0 as f64, w as f64 / size.1 as f64));
    if ![ratio.0, ratio.1].iter().all(|r| *r > 0.0 && r.is_finite()) {
        bail!("upsample: expected ratios above 0, got {ratio:?}");
    }
    let op = Upsample {
        rows: mode.axis(h, size.0, ratio.0),
        columns: mode.axis(w, size.1, ratio.1),
        input: (h, w),
    };
    if !has_kernel(x) {
        return op.composed(x);
    }
    tape::apply1(&x.contiguous()?, op)
}

/// Where an output place reads: two cells, and the share of the second.
#[derive(Debug, Clone, Copy)]
struct Between {
    cells: [usize; 2],
    share: f64,
}

impl UpsampleMode {
    fn axis(self, input: usize, output: usize, ratio: f64) -> Vec<Between> {
        let place = |index: usize| {
            let at = match self {
                Self::Nearest => (index as f64 * ratio).floor(),
                Self::Bilinear {
                    align_corners: false,
                } => ((index as f64 + 0.5) * ratio - 0.5).max(0.0),
                Self::Bilinear { .. } if output == 1 => 0.0,
                Self::Bilinear { .. } => (index * (input - 1)) as f64 / (output - 1) as f64,
            };
            let first = (at as usize).min(input - 1);
            Between {
                cells: [first, (first + 1).min(input - 1)],
                share: (at - first as f64).clamp(0.0, 1.0),
            }
        };
        (0..output).map(place).collect()
    }
}

struct Upsample {
    rows: Vec<Between>,
    columns: Vec<Between>,
    input: (usize, usize),
}

impl Upsample {
    fn output(&self) -> (usize, usize) {
        (self.rows.len(), self.columns.len())
    }

    /// The same out of candle ops: a matrix from the left, and one from the right.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let matrix = |axis: &[Between], input: usize| {
            let mut weights = vec![0.0; axis.len() * input];
            for (row, place) in weights.chunks_exact_mut(input).zip(axis) {
                row[place.cells[0]] += 1.0 - place.share;
                row[place.cells[1]] += place.share;
            }
            constant(weights, (axis.len(), input), x)
        };
        let rows = matrix(&self.rows, self.input.0)?;
        let columns = matrix(&self.columns, self.input.1)?.t()?;
        rows.broadcast_matmul(&x.broadcast_matmul(&columns)?)
    }

    /// Both directions of one plane: `visit(output, input cell, weight)`.
    #[inline(always)]
    fn walk<T: Float>(&self, mut visit: impl FnMut(usize, usize, T)) {
        let width = self.columns.len();
        for (y, row) in self.rows.iter().enumerate() {
            for (x, column) in self.columns.iter().enumerate() {
                for (i, &line) in row.cells.iter().enumerate() {
                    let of_row = if i == 0 { 1.0 - row.share } else { row.share };
                    for (j, &cell) in column.cells.iter().enumerate() {
                        let of_column = if j == 0 {
                            1.0 - column.share
                        } else {
                            column.share
                        };
                        let weight = of_row * of_column;
                        if weight != 0.0 {
                            visit(
                                y * width + x,
                                line * self.input.1 + cell,
                                T::from_f64(weight),
                            );
                        }
                    }
                }
            }
        }
    }

    fn planes<T: Float>(
        &self,
        from: &[T],
        (size_from, size_to): (usize, usize),
        plane: impl Fn(&[T], &mut [T]) + Sync,
    ) -> Vec<T> {
        let mut to = vec![T::zero(); from.len() / size_from * size_to];
        to.par_chunks_mut(size_to)
            .zip(from.par_chunks(size_from))
            .for_each(|(to, from)| {
                wide(
                    #[inline(always)]
                    || plane(from, to),
                );
            });
        to
    }
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let (oh, ow) = self.output();
        dispatch!(x.dtype(), "upsample", T => {
            let y = self.planes(slice::<T>(x, layout)?, (h * w, oh * ow), #[inline(always)] |x, y| {
                self.walk(|to, from, weight: T| y[to] += weight * x[from]);
            });
            Ok((T::to_cpu_storage_owned(y), (n, c, oh, ow).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (input, (oh, ow)) = (self.input.0 * self.input.1, self.output());
        dispatch!(x.dtype(), "upsample", T => {
            let dx = with_slice::<T, _>(grad, |grad| {
                Ok(self.planes(grad, (oh * ow, input), #[inline(always)] |grad, dx| {
                    self.walk(|from, to, weight: T| dx[to] += weight * grad[from]);
                }))
            })?;
            handover::made(x, dx)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::composed_tests::assert_same;
    use crate::testing::{check_gradients, wave};

    const MODES: [UpsampleMode; 3] = [
        UpsampleMode::Nearest,
        UpsampleMode::Bilinear {
            align_corners: false,
        },
        UpsampleMode::Bilinear {
            align_corners: true,
        },
    ];

    #[test]
    fn kernel_and_composition_agree_and_gradients_are_right() {
        let inputs = [wave((2, 2, 3, 4), 0.1)];
        for mode in MODES {
            for size in [(6, 8), (3, 4), (5, 9), (2, 1), (1, 7)] {
                let run = |t: &[Tensor]| upsample2d(&t[0], size, None, mode);
                check_gradients(&inputs, run);
                assert_same(
                    &format!("upsample {mode:?} to {size:?}"),
                    &inputs,
                    run,
                    |t| {
                        let op = Upsample {
                            rows: mode.axis(3, size.0, 3.0 / size.0 as f64),
                            columns: mode.axis(4, size.1, 4.0 / size.1 as f64),
                            input: (3, 4),
                        };
                        op.composed(&t[0])
                    },
                );
            }
        }
    }

    #[test]
    fn values_are_those_of_the_definition() {
        let x = Tensor::new(&[[[[1.0, 3.0]]]], &candle_core::Device::Cpu).unwrap();
        for (mode, expected) in MODES.into_iter().zip([
            [1.0, 1.0, 3.0, 3.0],
            [1.0, 1.5, 2.5, 3.0],
            [1.0, 5.0 / 3.0, 7.0 / 3.0, 3.0],
        ]) {
            let y = upsample2d(&x, (1, 4), None, mode).unwrap();
            let y: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
            let near = y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-12);
            assert!(near, "{mode:?}: {y:?}");
        }
        // A ratio that is given counts, not that of the sizes.
        let y = upsample2d(&x, (1, 7), Some((1.0, 0.25)), UpsampleMode::Nearest).unwrap();
        let y: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(y, [1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let x = wave((1, 1, 2, 2), 0.1);
        for (x, size, ratio) in [
            (&x, (0, 2), None),
            (&x, (2, 2), Some((1.0, 0.0))),
            (&x, (2, 2), Some((f64::NAN, 1.0))),
            (&wave((2, 2), 0.1), (2, 2), None),
        ] {
            assert!(upsample2d(x, size, ratio, UpsampleMode::Nearest).is_err());
        }
    }
}
