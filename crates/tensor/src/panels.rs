//! Products of a few rows with a matrix that is laid out in panels.
//!
//! A panel is as many columns as some registers hold, row by row, the last panel filled up with
//! zeros. A product reads it from one end to the other, a row at a time, while the sums of up to
//! [`TALL`] rows of the left factor stay in registers: nothing is packed anew, as a general product
//! has to. Every sum runs over the inner dimension in order, with fused multiply-adds, so its bits
//! depend neither on threads nor on how the rows are divided.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

/// Rows whose sums are in registers at a time.
const TALL: usize = 6;

/// Rows of a panel that are multiplied at a time, few enough for the nearest cache.
const DEEP: usize = 128;

/// What products in panels need of a float type; only `f32` and `f64` have it.
pub trait Panelled: Sized + Copy + 'static {
    /// Columns of a panel on this processor.
    fn width() -> usize;

    /// `out = left · panel`, where `left` are rows of `depth` elements that begin `stride` after
    /// each other, and `out` is as wide as a panel.
    fn times_panel(out: &mut [Self], left: (&[Self], usize), panel: &[Self]);
}

/// Operations of whole registers.
trait Lanes<S: Simd>: Copy + Default {
    type V: Copy;
    fn of(values: &[Self]) -> &[Self::V];
    fn of_mut(values: &mut [Self]) -> &mut [Self::V];
    fn splat(simd: S, value: Self) -> Self::V;
    fn mul_add(simd: S, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
}

struct Product<'a, T> {
    out: &'a mut [T],
    left: &'a [T],
    stride: usize,
    panel: &'a [T],
}

struct Width;

/// Registers that a row of a panel fills: with the sums, no more than the processor has.
const fn registers<S: Simd>() -> usize {
    match size_of::<S::f32s>() {
        16 | 64 => 4,
        _ => 2,
    }
}

impl WithSimd for Width {
    type Output = usize;

    /// In bytes.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        registers::<S>() * size_of::<S::f32s>()
    }
}

impl<T> Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S)
    where
        T: Lanes<S>,
    {
        match registers::<S>() {
            4 => self.by_depth::<S, 4>(simd),
            _ => self.by_depth::<S, 2>(simd),
        }
    }

    #[inline(always)]
    fn by_depth<S: Simd, const N: usize>(self, simd: S)
    where
        T: Lanes<S>,
    {
        let panel = T::of(self.panel).as_chunks::<N>().0;
        let out = T::of_mut(self.out).as_chunks_mut::<N>().0;
        // As many rows in every tile as can be.
        let tall = out.len().div_ceil(out.len().div_ceil(TALL).max(1)).max(1);
        for (part, panel) in panel.chunks(DEEP).enumerate() {
            let start = part * DEEP;
            for (tile, out) in out.chunks_mut(tall).enumerate() {
                let row = |r: usize| {
                    let first = (tile * tall + r) * self.stride + start;
                    &self.left[first..first + panel.len()]
                };
                let fresh = part == 0;
                match out.len() {
                    1 => tile_of::<S, T, 1, N>(simd, out, from_fn(row), panel, fresh),
                    2 => tile_of::<S, T, 2, N>(simd, out, from_fn(row), panel, fresh),
                    3 => tile_of::<S, T, 3, N>(simd, out, from_fn(row), panel, fresh),
                    4 => tile_of::<S, T, 4, N>(simd, out, from_fn(row), panel, fresh),
                    5 => tile_of::<S, T, 5, N>(simd, out, from_fn(row), panel, fresh),
                    _ => tile_of::<S, T, TALL, N>(simd, out, from_fn(row), panel, fresh),
                }
            }
        }
    }
}

/// The sums of `R` rows: from 0 if `fresh`, else from what is there.
#[inline(always)]
fn tile_of<S: Simd, T: Lanes<S>, const R: usize, const N: usize>(
    simd: S,
    out: &mut [[T::V; N]],
    left: [&[T]; R],
    panel: &[[T::V; N]],
    fresh: bool,
) {
    let zero = [T::splat(simd, T::default()); N];
    let mut sums: [[T::V; N]; R] = from_fn(|r| if fresh { zero } else { out[r] });
    for (k, row) in panel.iter().enumerate() {
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = T::splat(simd, left[k]);
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum = T::mul_add(simd, left, value, *sum);
            }
        }
    }
    out[..R].copy_from_slice(&sums);
}

macro_rules! panelled {
    ($T:ty, $V:ident, $of:ident, $of_mut:ident, $splat:ident, $mul_add:ident) => {
        impl<S: Simd> Lanes<S> for $T {
            type V = S::$V;

            #[inline(always)]
            fn of(values: &[Self]) -> &[Self::V] {
                S::$of(values).0
            }

            #[inline(always)]
            fn of_mut(values: &mut [Self]) -> &mut [Self::V] {
                S::$of_mut(values).0
            }

            #[inline(always)]
            fn splat(simd: S, value: Self) -> Self::V {
                simd.$splat(value)
            }

            #[inline(always)]
            fn mul_add(simd: S, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                simd.$mul_add(a, b, c)
            }
        }

        impl WithSimd for Product<'_, $T> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                self.run(simd);
            }
        }

        impl Panelled for $T {
            fn width() -> usize {
                Arch::new().dispatch(Width) / size_of::<Self>()
            }

            fn times_panel(out: &mut [Self], (left, stride): (&[Self], usize), panel: &[Self]) {
                Arch::new().dispatch(Product {
                    out,
                    left,
                    stride,
                    panel,
                });
            }
        }
    };
}

panelled!(
    f32,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_f32s
);
panelled!(
    f64,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_f64s
);
