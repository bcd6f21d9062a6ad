//! What all CPU kernels share: the float types, contiguous views, gemm, and fixed-order sums.
//!
//! Bits must not depend on the number of threads. Loops whose elements are independent may be
//! cut anywhere; sums are cut into parts that depend on shapes only and added up in order.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};
use rayon::prelude::*;

use crate::math::Parts;

/// The element types with CPU kernels of our own: `f32` and `f64`.
pub trait Float: WithDType + num_traits::Float + Default + std::iter::Sum + Parts {}

impl Float for f32 {}
impl Float for f64 {}

/// Elements that one task of an elementwise loop takes.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Whether our own kernels take this tensor; otherwise the op composes candle's.
pub(crate) fn has_kernel(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::F64)
}

/// Calls `$body` with the float type of a dtype for which [`has_kernel`] holds.
macro_rules! dispatch {
    ($dtype:expr, $name:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("{}: no CPU kernel for dtype {other:?}", $name),
        }
    };
}
pub(crate) use dispatch;

/// Runs loops compiled for the widest instructions that this processor has.
///
/// They are plain loops that the compiler vectorises; it neither fuses nor reorders their float
/// operations, so the bits are those of any other processor. What `loops` calls must be inlined.
#[inline(always)]
pub(crate) fn wide<R>(loops: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(loops)
}

/// The elements of a contiguous CPU storage.
pub(crate) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let data = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&data[start..end]),
        None => bail!(
            "kernel called with a strided tensor of shape {:?}",
            layout.shape()
        ),
    }
}

/// Runs `read` on the elements of a CPU tensor, row by row.
pub(crate) fn with_slice<T: WithDType, R>(
    tensor: &Tensor,
    read: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(slice(storage, layout)?),
        _ => bail!(
            "kernel called with a tensor on {:?}",
            tensor.device().location()
        ),
    }
}

/// Where a tensor's storage lies in memory: the same for tensors that share it.
pub(crate) fn storage_address(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}

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

    /// `rows` rows from `first` on.
    fn below(self, first: usize, rows: usize) -> Self {
        assert!(first + rows <= self.rows, "rows beyond the matrix");
        Self {
            data: &self.data[first * self.row_stride..],
            rows,
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

/// Who works on a [`gemm`]: this thread, or the pool. The bits are the same.
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
/// product of a far larger one is made in blocks of rows of that size, a thread each.
const TALL: usize = 1 << 19;

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
    let parallelism = if spread == Spread::Here || m * n * k <= SMALL_GEMM {
        gemm::Parallelism::None
    } else if a.col_stride != 1 && m * k > 8 * TALL {
        let rows = (TALL / k).max(1).next_multiple_of(48);
        let c = Address(c);
        return (0..m.div_ceil(rows)).into_par_iter().for_each(|block| {
            let first = block * rows;
            let a = a.below(first, rows.min(m - first));
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

/// Sum of a slice in a fixed order that vectorises.
#[inline(always)]
pub(crate) fn sum<T: Float>(values: &[T]) -> T {
    const LANES: usize = 16;
    let mut lanes = [T::zero(); LANES];
    let mut blocks = values.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    let rest: T = blocks.remainder().iter().copied().sum();
    lanes.iter().copied().sum::<T>() + rest
}

/// `total[j] += rows[i][j]` over all rows, each column in row order.
pub(crate) fn add_rows<T: Float>(total: &mut [T], rows: &[T]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(total.len()) {
                for (sum, &value) in total.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}

/// `f` of every element, in parallel.
pub(crate) fn map<T: Float>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); x.len()];
    let apply = |out: &mut [T], x: &[T]| {
        wide(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = f(x);
                }
            },
        );
    };
    if x.len() <= CHUNK {
        apply(&mut out, x);
    } else {
        out.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .for_each(|(out, x)| apply(out, x));
    }
    out
}

/// `f` of every pair of elements, in parallel.
pub(crate) fn zip<T: Float>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); a.len()];
    let apply = |out: &mut [T], a: &[T], b: &[T]| {
        wide(
            #[inline(always)]
            || {
                for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    *out = f(a, b);
                }
            },
        );
    };
    if a.len() <= CHUNK {
        apply(&mut out, a, b);
    } else {
        out.par_chunks_mut(CHUNK)
            .zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)))
            .for_each(|(out, (a, b))| apply(out, a, b));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
        let b: Vec<f64> = (0..k * n).map(|i| (i as f64 * 1.3).cos()).collect();
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

    #[test]
    fn tall_turned_products_are_made_of_blocks() {
        let (m, n, k) = (1001, 3, 4300);
        let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
        let b: Vec<f64> = (0..k * n).map(|i| (i as f64 * 1.3).cos()).collect();
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

    #[test]
    fn gemm_gives_the_same_bits_at_any_thread_count() {
        for (m, n, k) in [
            (32, 676, 9),
            (128, 5408, 32),
            (32, 128, 5408),
            (10, 33, 129),
            (1000, 20, 4300),
        ] {
            let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.11).cos()).collect();
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let mut c = vec![0.0; m * n];
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
            assert_eq!(one, run(2), "{m}x{n}x{k}");
            assert_eq!(one, run(3), "{m}x{n}x{k}");
        }
    }

    #[test]
    fn sums_take_every_element_once() {
        let values: Vec<f64> = (1..=103).map(f64::from).collect();
        assert_eq!(sum(&values), 103.0 * 104.0 / 2.0);
        let mut total = [1.0, 2.0];
        add_rows(&mut total, &[10.0, 20.0, 100.0, 200.0]);
        assert_eq!(total, [111.0, 222.0]);
    }
}
