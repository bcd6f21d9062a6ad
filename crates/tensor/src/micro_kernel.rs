//! A product with one panel: what [`crate::panels`] is made of.
//!
//! The sums of up to [`TALL`] rows stay in registers while a panel is read from one end to the other,
//! with fused multiply-adds.

use std::array::from_fn;
use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

/// Rows of a tile, whose sums are in registers at a time.
pub(crate) const TALL: usize = 6;

/// Registers of a panel that are multiplied at a time, few enough for the nearest cache.
const DEEP: usize = 512;

/// What products in panels need of a float type; only `f32` and `f64` have it.
pub trait Panelled: Sized + Copy + 'static {
    /// Those of this processor.
    fn sizes() -> Sizes;

    /// `out = left · panel`, or `out += left · panel` if `more`, of a panel with rows of so many
    /// registers; `out` is as wide.
    fn times_panel(
        out: &mut [Self],
        left: Left<'_, Self>,
        panel: &[Self],
        registers: usize,
        more: bool,
    );
}

/// How much is multiplied at a time.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Columns that a register holds.
    pub lanes: usize,
    /// Columns of a panel in general.
    pub width: usize,
    /// Rows of a tile, and columns of a panel, where the left factor comes in rows.
    pub tile: [usize; 2],
}

/// A left factor.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a, T> {
    /// Rows that begin so many elements after each other.
    Rows(&'a [T], usize),
    /// What [`tiles`](crate::panels::tiles) makes, for a matrix that takes part in many products: without jumps from row
    /// to row.
    Tiles(&'a [T]),
    /// Row `r` has `data[rows[r] + cols[k]]` in column `k`: patches of pictures, where they stand.
    Lookup {
        /// All elements.
        data: &'a [T],
        /// What the places of a row have in common.
        rows: &'a [usize],
        /// What those of a column have.
        cols: &'a [usize],
    },
}

/// Operations of whole registers.
pub(crate) trait Lanes<S: Simd>:
    num_traits::One + std::ops::Add<Output = Self> + Copy + Default
{
    /// A register.
    type V: Copy;
    /// As many whole registers as there are.
    fn of(values: &[Self]) -> &[Self::V];
    /// The same, to be written.
    fn of_mut(values: &mut [Self]) -> &mut [Self::V];
    /// A register of one value.
    fn splat(simd: S, value: Self) -> Self::V;
    /// `a b + c`, rounded once.
    fn mul_add(simd: S, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
}

struct Product<'a, T> {
    out: &'a mut [T],
    left: Left<'a, T>,
    panel: &'a [T],
    registers: usize,
    more: bool,
}

struct Registers<T>(PhantomData<T>);

/// Elements of a register. Without registers of many, one of any type.
pub(crate) const fn lanes<T: Lanes<S>, S: Simd>() -> usize {
    size_of::<T::V>() / size_of::<T>()
}

/// Registers that a row of a panel fills: with the sums, no more than the processor has.
const fn registers<S: Simd>() -> usize {
    match size_of::<S::f32s>() {
        16 | 64 => 4,
        _ => 2,
    }
}

/// Rows and registers of the tile of sums that takes the fewest instructions around its multiply-adds.
/// On AVX-512, 8 rows of 3 registers are a tenth quicker than 6 of 4, and a part of a panel stays in
/// the nearest cache for more of the inner dimension.
pub(crate) const fn tallest<S: Simd>() -> (usize, usize) {
    match size_of::<S::f32s>() {
        16 | 64 => (8, 3),
        _ => (TALL, 2),
    }
}

impl<T> Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S)
    where
        T: Lanes<S>,
    {
        // Not more than there are, or they would be compiled in vain.
        match (registers::<S>(), self.registers) {
            (4, 4) => self.by_depth::<S, 4>(simd),
            (4, 3) => self.by_depth::<S, 3>(simd),
            (_, 2) => self.by_depth::<S, 2>(simd),
            _ => self.by_depth::<S, 1>(simd),
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
        let even = |most| out.len().div_ceil(out.len().div_ceil(most).max(1)).max(1);
        let tall = match self.left {
            Left::Rows(..) if taller::<S, N>() => even(tallest::<S>().0),
            Left::Rows(..) | Left::Lookup { .. } => even(TALL),
            Left::Tiles(_) => TALL,
        };
        let deep = DEEP / N;
        for (part, rows) in panel.chunks(deep).enumerate() {
            let place = Place {
                first: part * deep,
                depth: panel.len(),
                fresh: part == 0 && !self.more,
            };
            for (tile, out) in out.chunks_mut(tall).enumerate() {
                let row = tile * tall;
                match out.len() {
                    8 if taller::<S, N>() => {
                        tile_of::<S, T, 8, N>(simd, out, self.left, rows, row, place)
                    }
                    7 if taller::<S, N>() => {
                        tile_of::<S, T, 7, N>(simd, out, self.left, rows, row, place)
                    }
                    1 => tile_of::<S, T, 1, N>(simd, out, self.left, rows, row, place),
                    2 => tile_of::<S, T, 2, N>(simd, out, self.left, rows, row, place),
                    3 => tile_of::<S, T, 3, N>(simd, out, self.left, rows, row, place),
                    4 => tile_of::<S, T, 4, N>(simd, out, self.left, rows, row, place),
                    5 => tile_of::<S, T, 5, N>(simd, out, self.left, rows, row, place),
                    _ => tile_of::<S, T, TALL, N>(simd, out, self.left, rows, row, place),
                }
            }
        }
    }
}

/// Whether the sums of more than [`TALL`] rows of so many registers find room.
const fn taller<S: Simd, const N: usize>() -> bool {
    tallest::<S>().0 > TALL && N <= tallest::<S>().1
}

/// Which part of the inner dimension a tile is multiplied by.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    /// All of the inner dimension.
    depth: usize,
    /// Whether the sums begin here, from 0.
    fresh: bool,
}

/// The sums of `R` rows from `row` on.
#[inline(always)]
fn tile_of<S: Simd, T: Lanes<S>, const R: usize, const N: usize>(
    simd: S,
    out: &mut [[T::V; N]],
    left: Left<'_, T>,
    panel: &[[T::V; N]],
    row: usize,
    place: Place,
) {
    match left {
        Left::Rows(left, stride) => {
            let rows: [&[T]; R] = from_fn(|r| {
                let first = (row + r) * stride + place.first;
                &left[first..first + panel.len()]
            });
            sums_of_rows::<S, T, R, N>(simd, out, rows, panel, place.fresh);
        }
        Left::Tiles(left) => {
            let left = &left[row * place.depth + place.first * R..][..panel.len() * R];
            let left = left.as_chunks::<R>().0;
            sums::<S, T, R, N>(
                simd,
                out,
                #[inline(always)]
                |r, k| left[k][r],
                panel,
                place.fresh,
            );
        }
        Left::Lookup { data, rows, cols } => {
            let rows: [usize; R] = from_fn(|r| rows[row + r]);
            // All as long, so that one comparison is enough for a column.
            let reach = data.len() - rows.iter().fold(0, |most, &row| row.max(most));
            let rows: [&[T]; R] = from_fn(|r| &data[rows[r]..][..reach]);
            let cols = &cols[place.first..][..panel.len()];
            sums::<S, T, R, N>(
                simd,
                out,
                #[inline(always)]
                |r, k| rows[r][cols[k]],
                panel,
                place.fresh,
            );
        }
    }
}

/// As [`sums`] of the columns of these rows; with four columns at a time there is less to count
/// between the multiply-adds.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "with iterators the sums do not stay in registers"
)]
fn sums_of_rows<S: Simd, T: Lanes<S>, const R: usize, const N: usize>(
    simd: S,
    out: &mut [[T::V; N]],
    rows: [&[T]; R],
    panel: &[[T::V; N]],
    fresh: bool,
) {
    let zero = [T::splat(simd, T::default()); N];
    let mut sums: [[T::V; N]; R] = from_fn(|r| if fresh { zero } else { out[r] });
    let (fours, rest) = panel.as_chunks::<4>();
    let lefts: [&[[T; 4]]; R] = from_fn(|r| &rows[r].as_chunks::<4>().0[..fours.len()]);
    for (i, four) in fours.iter().enumerate() {
        for k in 0..4 {
            for r in 0..R {
                let left = T::splat(simd, lefts[r][i][k]);
                for j in 0..N {
                    sums[r][j] = T::mul_add(simd, left, four[k][j], sums[r][j]);
                }
            }
        }
    }
    for (i, row) in rest.iter().enumerate() {
        for r in 0..R {
            let left = T::splat(simd, rows[r][4 * fours.len() + i]);
            for j in 0..N {
                sums[r][j] = T::mul_add(simd, left, row[j], sums[r][j]);
            }
        }
    }
    out[..R].copy_from_slice(&sums);
}

/// Adds the products of the columns of `left`, which gives an element by row and column, with the rows
/// of a panel: to 0 if `fresh`, else to what is there.
#[inline(always)]
fn sums<S: Simd, T: Lanes<S>, const R: usize, const N: usize>(
    simd: S,
    out: &mut [[T::V; N]],
    left: impl Fn(usize, usize) -> T,
    panel: &[[T::V; N]],
    fresh: bool,
) {
    let zero = [T::splat(simd, T::default()); N];
    let mut sums: [[T::V; N]; R] = from_fn(|r| if fresh { zero } else { out[r] });
    for (k, row) in panel.iter().enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let left = T::splat(simd, left(r, k));
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

        impl WithSimd for Registers<$T> {
            type Output = Sizes;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Sizes {
                let lanes = lanes::<$T, S>();
                let (rows, of_tile) = tallest::<S>();
                Sizes {
                    lanes,
                    width: registers::<S>() * lanes,
                    tile: [rows, of_tile * lanes],
                }
            }
        }

        impl Panelled for $T {
            fn sizes() -> Sizes {
                Arch::new().dispatch(Registers(PhantomData::<Self>))
            }

            fn times_panel(
                out: &mut [Self],
                left: Left<'_, Self>,
                panel: &[Self],
                registers: usize,
                more: bool,
            ) {
                Arch::new().dispatch(Product {
                    out,
                    left,
                    panel,
                    registers,
                    more,
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

#[cfg(test)]
pub(crate) mod tests;
