//! [`Products`]: products with a matrix that many matrices of few rows are multiplied by, one a step.
//!
//! A product with few rows spends its time reading the matrix and packing it; so it is laid out in
//! panels, which costs one copy for all steps.

use rayon::prelude::*;

use crate::kernel::{Float, Mat, Spread, add_rows, gemm, zeros};
use crate::micro_kernel::Left;
use crate::panels::Panels;
use crate::room::{ALIGNED, aligned};

/// The right factor of the products of a walk, `(K, N)`.
enum Factor<'a, T> {
    /// As it came: of one product only, or without a row.
    AsIs(Mat<'a, T>),
    /// Panel by panel.
    Panels(Vec<T>),
}

/// [`Factor`], its sizes, and the last product: row by row, or panel by panel as the factor is.
pub(super) struct Products<'a, T> {
    factor: Factor<'a, T>,
    sizes: Panels,
    last: Vec<T>,
    of_last: Panels,
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
        let sizes = Panels::of_rows::<T>(rows, cols);
        let of_last = Panels::of_rows::<T>(left, cols);
        let factor = if count > 1 && rows > 0 {
            Factor::Panels(panels(matrix, sizes, turn))
        } else if turn {
            Factor::AsIs(Mat::new(matrix, cols, rows).t())
        } else {
            Factor::AsIs(Mat::new(matrix, rows, cols))
        };
        Self {
            factor,
            sizes,
            last: zeros(of_last.len() + ALIGNED),
            of_last,
        }
    }

    /// Makes `left · matrix`, for [`Products::add_row`].
    pub(super) fn multiply(&mut self, left: Mat<'_, T>) {
        match &self.factor {
            Factor::AsIs(matrix) => gemm(&mut self.last, left, *matrix, false, Spread::Pool),
            Factor::Panels(data) => {
                let data = &data[aligned(data, self.sizes.len())];
                let place = aligned(&self.last, self.of_last.len());
                let out = (&mut self.last[place], self.of_last.rows);
                let (rows, stride) = left.in_rows();
                let left = Left::Rows(rows, stride);
                self.sizes.product(out, left, data, false, Spread::Pool);
            }
        }
    }

    /// Adds a row of the last product.
    pub(super) fn add_row(&self, row: usize, to: &mut [T]) {
        let cols = self.sizes.cols;
        if matches!(self.factor, Factor::AsIs(_)) {
            return add_rows(to, &self.last[row * cols..][..cols]);
        }
        let last = &self.last[aligned(&self.last, self.of_last.len())];
        let pieces = self.of_last.row(last, row);
        for (to, piece) in to.chunks_mut(self.of_last.width()).zip(pieces) {
            to.iter_mut()
                .zip(piece)
                .for_each(|(to, &value)| *to += value);
        }
    }

    /// `c = left · matrix`, or `c += left · matrix` if `accumulate`.
    pub(super) fn product(&mut self, c: &mut [T], left: Mat<'_, T>, accumulate: bool) {
        self.multiply(left);
        if !accumulate {
            c.fill(T::zero());
        }
        let rows = c.chunks_exact_mut(self.sizes.cols.max(1));
        rows.enumerate().for_each(|(row, c)| self.add_row(row, c));
    }
}

/// The matrix panel by panel, where it is [`aligned`].
fn panels<T: Float>(matrix: &[T], sizes: Panels, turn: bool) -> Vec<T> {
    let Panels { rows, cols, .. } = sizes;
    let strides = if turn { (1, rows) } else { (cols, 1) };
    let mut data = zeros(sizes.len() + ALIGNED);
    let place = aligned(&data, sizes.len());
    let panels = data[place].par_chunks_mut(sizes.panel()).enumerate();
    panels.for_each(|(index, panel)| {
        let (first, count) = sizes.columns(index);
        let sizes = Panels::of_rows::<T>(rows, count);
        sizes.lay(panel, 0, &matrix[first * strides.1..], strides, rows);
    });
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

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
