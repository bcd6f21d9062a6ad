//! [`Products`]: products with a matrix that many matrices of few rows are multiplied by, one a step.
//!
//! A product with few rows spends its time reading the matrix and packing it; so it is laid out in
//! panels, which costs one copy for all steps.

use rayon::prelude::*;

use crate::kernel::{Float, Mat, Spread, gemm, zeros};
use crate::micro_kernel::Left;
use crate::panels::Panels;
use crate::room::{ALIGNED, aligned};

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
    sizes: Panels,
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
        let factor = if count > 1 && rows > 0 {
            let products = zeros(Panels::of_rows::<T>(left, cols).len() + ALIGNED);
            Factor::Panels(panels(matrix, sizes, turn), products)
        } else if turn {
            Factor::AsIs(Mat::new(matrix, cols, rows).t())
        } else {
            Factor::AsIs(Mat::new(matrix, rows, cols))
        };
        Self { factor, sizes }
    }

    /// `c = left · matrix`, or `c += left · matrix` if `accumulate`.
    pub(super) fn product(&mut self, c: &mut [T], left: Mat<'_, T>, accumulate: bool) {
        let (data, products) = match &mut self.factor {
            Factor::AsIs(matrix) => return gemm(c, left, *matrix, accumulate, Spread::Pool),
            Factor::Panels(data, products) => (data, products),
        };
        let cols = self.sizes.cols;
        let of_product = Panels::of_rows::<T>(c.len() / cols, cols);
        let data = &data[aligned(data, self.sizes.len())];
        let place = aligned(products, of_product.len());
        let products = &mut products[place];
        let out = (&mut *products, of_product.rows);
        let (rows, stride) = left.in_rows();
        self.sizes
            .product(out, Left::Rows(rows, stride), data, false, Spread::Pool);
        for (row, c) in c.chunks_exact_mut(cols).enumerate() {
            let pieces = of_product.row(products, row);
            for (c, piece) in c.chunks_mut(of_product.width()).zip(pieces) {
                if accumulate {
                    c.iter_mut().zip(piece).for_each(|(c, &p)| *c += p);
                } else {
                    c.copy_from_slice(&piece[..c.len()]);
                }
            }
        }
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
