//! Products of matrices: large ones in [`blocks`] of our own where registers are AVX-512's, the others
//! by the gemm crate.
//!
//! The bits of a product do not depend on the number of threads.

mod block_kernel;
mod blocks;

pub(crate) use block_kernel::Blocked;
use rayon::prelude::*;

use crate::kernel::Float;

/// A matrix inside a slice, with any strides.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// `data` as `rows` by `cols`, row by row.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols, "matrix larger than its data");
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// Rows that begin `row_stride` elements after each other.
    pub(crate) fn strided(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        let last = rows.saturating_sub(1) * row_stride;
        assert!(
            rows * cols == 0 || data.len() >= last + cols,
            "matrix larger than its data"
        );
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The rows, each without gaps, and after how many elements the next begins.
    pub(crate) fn in_rows(self) -> (&'a [T], usize) {
        assert_eq!(self.col_stride, 1, "rows have gaps");
        (self.data, self.row_stride)
    }

    /// So many rows and columns from `(row, col)` on.
    fn part(self, (row, col): (usize, usize), (rows, cols): (usize, usize)) -> Self {
        assert!(
            row + rows <= self.rows && col + cols <= self.cols,
            "part beyond the matrix"
        );
        Self {
            data: &self.data[row * self.row_stride + col * self.col_stride..],
            rows,
            cols,
            ..self
        }
    }

    /// The transpose, without moving anything.
    pub(crate) fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// Who works on a [`gemm`]: this thread, or the pool, of however many threads. Large products of a pool
/// are made in blocks, which round otherwise than those of this thread.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Spread {
    Here,
    Pool,
}

/// Below this many multiply-adds, handing work to the pool costs more than it saves.
const SMALL_GEMM: usize = 1 << 16;

/// `c = a b`, or `c += a b` if `accumulate`; `c` is row by row.
pub(crate) fn gemm<T: Float>(
    c: &mut [T],
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
    spread: Spread,
) {
    assert!(
        c.len() >= a.rows * b.cols,
        "product larger than its destination"
    );
    // SAFETY: the assert above, and `c` is borrowed mutably.
    #[allow(unsafe_code)]
    unsafe {
        gemm_into(c.as_mut_ptr(), a, b, accumulate, spread);
    }
}

/// `a b` as a new matrix, row by row. Nothing is written before the product, which matters where
/// that is large and quickly made.
pub(crate) fn product<T: Float>(a: Mat<'_, T>, b: Mat<'_, T>, spread: Spread) -> Vec<T> {
    let count = a.rows * b.cols;
    let mut c = Vec::with_capacity(count);
    // SAFETY: there is room for `count` elements, and without `accumulate` all of them are
    // written and none is read.
    #[allow(unsafe_code)]
    unsafe {
        gemm_into(c.as_mut_ptr(), a, b, false, spread);
        c.set_len(count);
    }
    c
}

/// A turned left factor of this many elements is repacked inside the caches of a core. The
/// product of a far larger one is made in blocks of rows of about that size, a thread each.
const TALL: usize = 1 << 19;

/// Such a block has a multiple of as many rows. Rows too long for that are few, and would be few blocks.
const ROWS: usize = 48;

/// A place that the blocks of a product write to.
#[derive(Clone, Copy)]
struct Address<T>(*mut T);

// SAFETY: an address may go anywhere; writing to it is unsafe.
#[allow(unsafe_code)]
unsafe impl<T: Send> Send for Address<T> {}
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Address<T> {}

impl<T> Address<T> {
    /// # Safety
    /// The element must be inside what the address was taken of.
    #[allow(unsafe_code)]
    unsafe fn row(&self, first: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(first) }
    }
}

/// # Safety
/// `c` must be valid for writes of `a.rows * b.cols` elements, and for reads if `accumulate`.
#[allow(unsafe_code)]
unsafe fn gemm_into<T: Float>(
    c: *mut T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
    spread: Spread,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner dimensions differ");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            // SAFETY: the caller's promise; all bits zero is the float 0.
            unsafe { c.write_bytes(0, m * n) };
        }
        return;
    }
    if spread == Spread::Pool && blocks::pays::<T>(m, n, k) {
        // SAFETY: the caller's promise.
        return unsafe { blocks::product_into(c, a, b, accumulate) };
    }
    let parallelism = if spread == Spread::Here || m * n * k <= SMALL_GEMM {
        gemm::Parallelism::None
    } else if a.col_stride != 1 && m * k > 8 * TALL && TALL / k >= ROWS {
        let rows = (TALL / k).next_multiple_of(ROWS);
        let c = Address(c);
        return (0..m.div_ceil(rows)).into_par_iter().for_each(|block| {
            let first = block * rows;
            let a = a.part((first, 0), (rows.min(m - first), k));
            // SAFETY: the blocks are apart from each other, and inside the whole.
            unsafe { gemm_into(c.row(first * n), a, b, accumulate, Spread::Here) };
        });
    } else {
        gemm::Parallelism::Rayon(rayon::current_num_threads())
    };
    let (alpha, beta) = (T::one(), T::one());
    // SAFETY: `Mat::new` and the assert above keep every address of `a` and `b` inside its
    // slice, the caller does so for `c`, and T is f32 or f64, which gemm takes.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            alpha,
            beta,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use candle_core::WithDType;

    use super::*;
    use crate::testing::values;

    fn product(m: usize, n: usize, k: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut c = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                c[i * n + j] = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
            }
        }
        c
    }

    #[test]
    fn gemm_equals_the_definition_with_transposes_and_accumulation() {
        let (m, n, k) = (5, 7, 3);
        let a = values(m * k, 0.7);
        let b = values(k * n, 1.3);
        let expected = product(m, n, k, &a, &b);
        let at: Vec<f64> = (0..m * k).map(|i| a[i % m * k + i / m]).collect();
        let mut c = vec![1.0; m * n];
        gemm(
            &mut c,
            Mat::new(&at, k, m).t(),
            Mat::new(&b, k, n),
            true,
            Spread::Here,
        );
        for (c, e) in c.iter().zip(&expected) {
            assert!((c - 1.0 - e).abs() < 1e-12);
        }
        gemm(
            &mut c,
            Mat::new(&a, m, k),
            Mat::new(&b, k, n),
            false,
            Spread::Pool,
        );
        for (c, e) in c.iter().zip(&expected) {
            assert!((c - e).abs() < 1e-12);
        }
    }

    /// Both factors as they are and turned; with tiles, panels and parts that are not full.
    fn check_blocks<T: Float>(tolerance: f64) {
        let wide = |value: &T| WithDType::to_f64(*value);
        let sizes = [
            (7, 50, 150),
            (40, 130, 5),
            // In f32, a panel of three registers and one of two.
            (40, 48 + 25, 70),
            (401, 97, 299),
            (9, 1, 1),
        ];
        let tiles = (1..=8).map(|m| (m, 30, 70));
        for (m, n, k) in sizes.into_iter().chain(tiles) {
            let [a, b] = [values(m * k, 0.7), values(k * n, 1.3)]
                .map(|values| values.into_iter().map(T::from_f64).collect::<Vec<T>>());
            let turned = |values: &[T], (rows, cols): (usize, usize)| -> Vec<T> {
                let places = 0..rows * cols;
                places.map(|i| values[i % rows * cols + i / rows]).collect()
            };
            let (at, bt) = (turned(&a, (m, k)), turned(&b, (k, n)));
            let expected: Vec<f64> = (0..m * n)
                .map(|i| {
                    let terms = (0..k).map(|l| (&a[i / n * k + l], &b[l * n + i % n]));
                    terms.map(|(a, b)| wide(a) * wide(b)).sum()
                })
                .collect();
            for a in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                for b in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                    let mut c = vec![T::nan(); m * n];
                    for (accumulate, factor) in [(false, 1.0), (true, 2.0)] {
                        // SAFETY: c has as many elements.
                        #[allow(unsafe_code)]
                        unsafe {
                            blocks::product_into(c.as_mut_ptr(), a, b, accumulate);
                        }
                        for (c, e) in c.iter().zip(&expected) {
                            let far = (wide(c) - factor * e).abs();
                            assert!(far < tolerance, "{m} {n} {k}: {e}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_give_the_product_whatever_the_layout() {
        check_blocks::<f64>(1e-11);
        check_blocks::<f32>(1e-3);
    }

    #[test]
    fn tall_turned_products_are_made_of_blocks() {
        let (m, n, k) = (1001, 3, 4300);
        let a = values(m * k, 0.7);
        let b = values(k * n, 1.3);
        let turned: Vec<f64> = (0..m * k).map(|i| a[i % k * m + i / k]).collect();
        let expected = product(m, n, k, &turned, &b);
        let mut c = vec![1.0; m * n];
        let a = Mat::new(&a, k, m).t();
        gemm(&mut c, a, Mat::new(&b, k, n), true, Spread::Pool);
        for (c, e) in c.iter().zip(&expected) {
            assert!((c - 1.0 - e).abs() < 1e-9);
        }
    }

    #[test]
    fn gemm_of_nothing_is_zero() {
        let mut c = vec![3.0_f32; 4];
        gemm(
            &mut c,
            Mat::new(&[], 2, 0),
            Mat::new(&[], 0, 2),
            false,
            Spread::Here,
        );
        assert_eq!(c, [0.0; 4]);
    }

    fn check_threads<T: Float>() {
        for (m, n, k) in [
            (32, 676, 9),
            (128, 5408, 32),
            (32, 128, 5408),
            (10, 33, 129),
            (1000, 20, 4300),
            (800, 700, 300),
        ] {
            let [a, b] = [values(m * k, 0.37), values(k * n, 0.11)]
                .map(|values| values.into_iter().map(T::from_f64).collect::<Vec<T>>());
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let mut c = vec![T::zero(); m * n];
                pool.install(|| {
                    gemm(
                        &mut c,
                        Mat::new(&a, k, m).t(),
                        Mat::new(&b, k, n),
                        false,
                        Spread::Pool,
                    )
                });
                c
            };
            let one = run(1);
            assert!(one == run(2), "{m}x{n}x{k} of {:?}", T::DTYPE);
            assert!(one == run(3), "{m}x{n}x{k} of {:?}", T::DTYPE);
        }
    }

    #[test]
    fn gemm_gives_the_same_bits_at_any_thread_count() {
        check_threads::<f32>();
        check_threads::<f64>();
    }
}
