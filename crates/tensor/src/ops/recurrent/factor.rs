//! [`Products`]: products with a matrix that many matrices of few rows are multiplied by, one a step.
//!
//! A product with few rows spends its time reading the matrix. Where that is larger than the
//! caches next to a core, reading down its columns misses them at every row; so its columns are
//! laid out in panels, each contiguous, which costs one copy for all steps.

use rayon::prelude::*;

use crate::kernel::{Float, Mat, Spread, gemm};

/// Columns of a panel: two registers' worth of `f32`, twice that of `f64`.
const PANEL: usize = 32;

/// Matrices of fewer elements stay in the caches as they are.
const LARGE: usize = 1 << 18;

/// The right factor of the products of a walk, `(K, N)`.
enum Factor<'a, T> {
    AsIs(Mat<'a, T>),
    Whole(Vec<T>),
    /// Panel by panel, in each row by row, the last filled up with zeros; and room for the
    /// products of the panels.
    Panels(Vec<T>, Vec<T>),
}

/// [`Factor`] and its sizes.
pub(super) struct Products<'a, T> {
    factor: Factor<'a, T>,
    rows: usize,
    cols: usize,
}

impl<'a, T: Float> Products<'a, T> {
    /// `matrix` is `(rows, cols)` row by row, or its transpose is if `turn`; `left` are the rows
    /// of the left factors, and `count` how many there will be.
    pub(super) fn new(
        matrix: &'a [T],
        (rows, cols): (usize, usize),
        turn: bool,
        left: usize,
        count: usize,
    ) -> Self {
        let as_is = if turn {
            Mat::new(matrix, cols, rows).t()
        } else {
            Mat::new(matrix, rows, cols)
        };
        let (row_stride, col_stride) = if turn { (1, rows) } else { (cols, 1) };
        let panels = |width: usize| {
            let mut data = vec![T::zero(); cols.div_ceil(width) * width * rows];
            let panels = data.par_chunks_mut(rows * width).enumerate();
            panels.for_each(|(panel, data)| {
                let first = panel * width;
                let from = &matrix[first * col_stride..];
                let width_here = width.min(cols - first);
                for (row, data) in data.chunks_exact_mut(width).enumerate() {
                    for (col, value) in data[..width_here].iter_mut().enumerate() {
                        *value = from[row * row_stride + col * col_stride];
                    }
                }
            });
            data
        };
        let factor = if count > 1 && rows * cols >= LARGE {
            let products = vec![T::zero(); cols.div_ceil(PANEL) * PANEL * left];
            Factor::Panels(panels(PANEL), products)
        } else if count > 1 && turn {
            Factor::Whole(panels(cols))
        } else {
            Factor::AsIs(as_is)
        };
        Self { factor, rows, cols }
    }

    /// `c = left · matrix`, or `c += left · matrix` if `accumulate`.
    pub(super) fn product(&mut self, c: &mut [T], left: Mat<'_, T>, accumulate: bool) {
        let (rows, cols) = (self.rows, self.cols);
        match &mut self.factor {
            Factor::AsIs(matrix) => gemm(c, left, *matrix, accumulate, Spread::Pool),
            Factor::Whole(data) => {
                let matrix = Mat::new(data, rows, cols);
                gemm(c, left, matrix, accumulate, Spread::Pool);
            }
            Factor::Panels(data, products) => {
                let height = products.len() / (data.len() / rows);
                products
                    .par_chunks_mut(height * PANEL)
                    .zip(data.par_chunks(rows * PANEL))
                    .for_each(|(out, panel)| {
                        gemm(out, left, Mat::new(panel, rows, PANEL), false, Spread::Here);
                    });
                c.par_chunks_mut(cols).enumerate().for_each(|(row, c)| {
                    let pieces = products.chunks_exact(height * PANEL);
                    for (c, piece) in c.chunks_mut(PANEL).zip(pieces) {
                        let piece = &piece[row * PANEL..][..c.len()];
                        if accumulate {
                            c.iter_mut().zip(piece).for_each(|(c, &p)| *c += p);
                        } else {
                            c.copy_from_slice(piece);
                        }
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, step: f64) -> Vec<f64> {
        (0..count).map(|i| (i as f64 * step).sin()).collect()
    }

    /// Whole, as it is, and in panels of which the last is not full.
    #[test]
    fn every_layout_gives_the_product() {
        for (left, rows, cols) in [(3, 5, 7), (20, 530, 500)] {
            let (a, b) = (values(left * rows, 0.7), values(rows * cols, 1.3));
            let mut expected = vec![0.0; left * cols];
            for (i, c) in expected.chunks_exact_mut(cols).enumerate() {
                for (j, c) in c.iter_mut().enumerate() {
                    *c = (0..rows).map(|k| a[i * rows + k] * b[k * cols + j]).sum();
                }
            }
            let turned: Vec<f64> = (0..rows * cols)
                .map(|i| b[i % rows * cols + i / rows])
                .collect();
            for count in [1, 2] {
                for (matrix, turn) in [(&b, false), (&turned, true)] {
                    let mut products = Products::new(matrix, (rows, cols), turn, left, count);
                    let mut c = vec![1.0; left * cols];
                    products.product(&mut c, Mat::new(&a, left, rows), true);
                    let near = |c: &[f64], more: f64| {
                        let mut pairs = c.iter().zip(&expected);
                        pairs.all(|(c, e)| (c - e - more).abs() < 1e-10)
                    };
                    assert!(near(&c, 1.0), "{left} {rows} {cols} {turn} {count}");
                    products.product(&mut c, Mat::new(&a, left, rows), false);
                    assert!(near(&c, 0.0), "{left} {rows} {cols} {turn} {count}");
                }
            }
        }
    }
}
