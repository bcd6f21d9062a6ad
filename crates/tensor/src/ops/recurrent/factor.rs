//! [`Products`]: products with a matrix that many matrices of few rows are multiplied by, one a step.
//!
//! A product with few rows spends its time reading the matrix and packing it; so it is laid out in
//! panels, which costs one copy for all steps.

use rayon::prelude::*;

use crate::kernel::{Float, Mat, Spread, gemm};

/// Below this many multiply-adds, handing work to the pool costs more than it saves.
const SMALL: usize = 1 << 18;

/// The right factor of the products of a walk, `(K, N)`.
enum Factor<'a, T> {
    /// Of one product only.
    AsIs(Mat<'a, T>),
    /// Panel by panel; and room for the products of the panels.
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
        let factor = if count > 1 && rows > 0 {
            let data = panels(matrix, (rows, cols), turn);
            let products = vec![T::zero(); data.len() / rows * left];
            Factor::Panels(data, products)
        } else if turn {
            Factor::AsIs(Mat::new(matrix, cols, rows).t())
        } else {
            Factor::AsIs(Mat::new(matrix, rows, cols))
        };
        Self { factor, rows, cols }
    }

    /// `c = left · matrix`, or `c += left · matrix` if `accumulate`.
    pub(super) fn product(&mut self, c: &mut [T], left: Mat<'_, T>, accumulate: bool) {
        let (rows, cols, width) = (self.rows, self.cols, T::width());
        let (data, products) = match &mut self.factor {
            Factor::AsIs(matrix) => return gemm(c, left, *matrix, accumulate, Spread::Pool),
            Factor::Panels(data, products) => (data, products),
        };
        let (left, stride) = left.in_rows();
        let height = c.len() / cols;
        let products = &mut products[..data.len() / rows * height];
        let multiply = |(out, panel): (&mut [T], &[T])| T::times_panel(out, (left, stride), panel);
        if height * rows * cols <= SMALL {
            let panels = products.chunks_mut(height * width);
            panels.zip(data.chunks(rows * width)).for_each(multiply);
        } else {
            let panels = products.par_chunks_mut(height * width);
            panels.zip(data.par_chunks(rows * width)).for_each(multiply);
        }
        for (row, c) in c.chunks_exact_mut(cols).enumerate() {
            let pieces = products.chunks_exact(height * width);
            for (c, piece) in c.chunks_mut(width).zip(pieces) {
                let piece = &piece[row * width..][..c.len()];
                if accumulate {
                    c.iter_mut().zip(piece).for_each(|(c, &p)| *c += p);
                } else {
                    c.copy_from_slice(piece);
                }
            }
        }
    }
}

/// The matrix panel by panel.
fn panels<T: Float>(matrix: &[T], (rows, cols): (usize, usize), turn: bool) -> Vec<T> {
    let (row_stride, col_stride) = if turn { (1, rows) } else { (cols, 1) };
    let width = T::width();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, step: f64) -> Vec<f64> {
        (0..count).map(|i| (i as f64 * step).sin()).collect()
    }

    /// As it is and in panels, the last of which is not full; with tiles of all heights, and
    /// more rows of a panel than are multiplied at a time.
    #[test]
    fn every_layout_gives_the_product() {
        let sizes = (1..=8).map(|left| (left, 140 * left, 7 * left));
        for (left, rows, cols) in sizes.chain([(20, 530, 500)]) {
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
