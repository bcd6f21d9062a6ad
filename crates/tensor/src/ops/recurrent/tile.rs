//! Products of few rows with a panel of columns, five or six rows at a time.
//!
//! The gemm crate takes six rows at a time on processors with 16 registers of 256 bits, so that the
//! 20 rows of a usual batch cost as much as 24. Here the rows are shared out evenly: 20 are four
//! times five. Each sum runs over the depth in order, in fused multiply-adds.

use crate::gemm::{Mat, Spread, gemm};
use crate::kernel::Float;

/// Columns of a panel: four registers of `f32`.
pub(super) const PANEL: usize = 32;

/// Rows of a tile at most: with two registers a row, all sums stay in registers.
const ROWS: usize = 6;

/// `out = left · panel`, rows of [`PANEL`] columns each.
pub(super) fn product<T: Float>(out: &mut [T], left: Mat<'_, T>, panel: &[T]) {
    let rows = out.len() / PANEL;
    let tiles = rows.div_ceil(ROWS);
    let mut first = 0;
    for tile in 0..tiles {
        let count = (rows - first).div_ceil(tiles - tile);
        let out = &mut out[first * PANEL..][..count * PANEL];
        let left = left.below(first, count);
        let made = match count {
            1 => T::tile([left.row(0)], panel, out),
            2 => T::tile([0, 1].map(|row| left.row(row)), panel, out),
            3 => T::tile([0, 1, 2].map(|row| left.row(row)), panel, out),
            4 => T::tile([0, 1, 2, 3].map(|row| left.row(row)), panel, out),
            5 => T::tile([0, 1, 2, 3, 4].map(|row| left.row(row)), panel, out),
            _ => T::tile([0, 1, 2, 3, 4, 5].map(|row| left.row(row)), panel, out),
        };
        if !made {
            break;
        }
        first += count;
    }
    if first < rows {
        let panel = Mat::new(panel, panel.len() / PANEL, PANEL);
        let left = left.below(first, rows - first);
        gemm(&mut out[first * PANEL..], left, panel, false, Spread::Here);
    }
}

/// Float types for which this processor may have tiles.
pub trait Tiles: Sized {
    /// The products of `N` rows with a panel of 32 columns; whether they were made.
    fn tile<const N: usize>(_rows: [&[Self]; N], _panel: &[Self], _out: &mut [Self]) -> bool {
        false
    }
}

impl Tiles for f64 {}

impl Tiles for f32 {
    fn tile<const N: usize>(rows: [&[Self]; N], panel: &[Self], out: &mut [Self]) -> bool {
        let depth = panel.len() / PANEL;
        assert!(
            rows.iter().all(|row| row.len() == depth) && out.len() == N * PANEL,
            "a tile that does not fit its panel"
        );
        #[cfg(target_arch = "x86_64")]
        if let (Some(simd), None) = (pulp::x86::V3::try_new(), pulp::x86::V4::try_new()) {
            simd.vectorize(
                #[inline(always)]
                || x86::tile(simd, rows, panel, out),
            );
            return true;
        }
        false
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use pulp::x86::V3;
    use pulp::{as_arrays, as_arrays_mut, cast, f32x8};

    use super::PANEL;

    /// All rows are as long as the panel is deep.
    #[inline(always)]
    pub(super) fn tile<const N: usize>(
        simd: V3,
        rows: [&[f32]; N],
        panel: &[f32],
        out: &mut [f32],
    ) {
        for pair in [0, 2] {
            let mut sums = [[simd.splat_f32x8(0.0); 2]; N];
            for (at, columns) in as_arrays::<PANEL, _>(panel).0.iter().enumerate() {
                let columns = as_arrays::<8, _>(columns).0;
                let (low, high): (f32x8, f32x8) = (cast(columns[pair]), cast(columns[pair + 1]));
                for (row, sums) in rows.iter().zip(&mut sums) {
                    // SAFETY: the caller's rows are as long as the panel has lines, and `at` is
                    // the number of one.
                    #[allow(unsafe_code)]
                    let factor = simd.splat_f32x8(unsafe { *row.get_unchecked(at) });
                    sums[0] = simd.mul_add_f32x8(factor, low, sums[0]);
                    sums[1] = simd.mul_add_f32x8(factor, high, sums[1]);
                }
            }
            for (line, sums) in out.chunks_exact_mut(PANEL).zip(sums) {
                let line = as_arrays_mut::<8, _>(line).0;
                line[pair] = cast(sums[0]);
                line[pair + 1] = cast(sums[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_gives_the_product() {
        const DEPTH: usize = 37;
        let panel: Vec<f32> = (0..DEPTH * PANEL).map(|i| (i as f32 * 0.7).sin()).collect();
        for count in 1..=20 {
            let stride = DEPTH + 3;
            let left: Vec<f32> = (0..count * stride)
                .map(|i| (i as f32 * 1.3).cos())
                .collect();
            let mut out = vec![9.0; count * PANEL];
            let rows = Mat::strided(&left, count, DEPTH, stride);
            product(&mut out, rows, &panel);
            for (row, out) in out.chunks_exact(PANEL).enumerate() {
                for (column, &out) in out.iter().enumerate() {
                    let terms = (0..DEPTH).map(|k| {
                        f64::from(left[row * stride + k]) * f64::from(panel[k * PANEL + column])
                    });
                    let expected: f64 = terms.sum();
                    let off = (f64::from(out) - expected).abs();
                    assert!(off < 1e-5, "{count} rows: {out} {expected}");
                }
            }
        }
    }
}
