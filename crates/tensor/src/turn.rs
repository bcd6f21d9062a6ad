//! [`turn`]: the transpose of a matrix, written out.

use std::array::from_fn;

use crate::kernel::{Float, wide};

/// As many elements as share a line of the cache are written together.
const TOGETHER: usize = 16;

/// What [`turn`] needs of a float type; only `f32` and `f64` have it.
pub trait Turned: Sized + Copy {
    /// Writes the columns of `rows` rows, up to a multiple of 8, and returns that multiple; 0 where
    /// there is no quick way.
    fn turn_eights(
        from: (&[Self], usize),
        to: (&mut [Self], usize),
        shape: (usize, usize),
    ) -> usize;
}

/// Writes the columns of a matrix of so many rows and columns as rows. The rows of both begin as
/// many elements after each other as stand beside them.
pub(crate) fn turn<T: Float>(
    (from, from_stride): (&[T], usize),
    (to, to_stride): (&mut [T], usize),
    (rows, cols): (usize, usize),
) {
    let turned = T::turn_eights((from, from_stride), (&mut *to, to_stride), (rows, cols));
    for first in (turned..rows).step_by(TOGETHER) {
        let from = &from[first * from_stride..];
        if first + TOGETHER > rows {
            for row in 0..rows - first {
                for col in 0..cols {
                    to[col * to_stride + first + row] = from[row * from_stride + col];
                }
            }
            continue;
        }
        wide(
            #[inline(always)]
            || {
                let rows: [&[T]; TOGETHER] = from_fn(|row| &from[row * from_stride..][..cols]);
                for col in 0..cols {
                    let to = &mut to[col * to_stride + first..][..TOGETHER];
                    for (to, row) in to.iter_mut().zip(&rows) {
                        *to = row[col];
                    }
                }
            },
        );
    }
}

impl Turned for f64 {
    fn turn_eights(_: (&[f64], usize), _: (&mut [f64], usize), _: (usize, usize)) -> usize {
        0
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Turned for f32 {
    fn turn_eights(_: (&[f32], usize), _: (&mut [f32], usize), _: (usize, usize)) -> usize {
        0
    }
}

/// With shuffles of registers, which the compiler does not find in a loop.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::array::from_fn;

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    struct Eights<'a> {
        simd: V3,
        from: (&'a [f32], usize),
        to: (&'a mut [f32], usize),
        shape: (usize, usize),
    }

    impl super::Turned for f32 {
        fn turn_eights(
            from: (&[f32], usize),
            to: (&mut [f32], usize),
            shape: (usize, usize),
        ) -> usize {
            let Some(simd) = V3::try_new() else { return 0 };
            simd.vectorize(Eights {
                simd,
                from,
                to,
                shape,
            })
        }
    }

    impl NullaryFnOnce for Eights<'_> {
        type Output = usize;

        #[inline(always)]
        fn call(self) -> usize {
            let ((from, from_stride), (to, to_stride)) = (self.from, self.to);
            let (rows, cols) = self.shape;
            let turned = rows / 8 * 8;
            for first in (0..turned).step_by(8) {
                let lines: [&[f32]; 8] = from_fn(|r| &from[(first + r) * from_stride..][..cols]);
                let eights: [&[[f32; 8]]; 8] = from_fn(|r| lines[r].as_chunks::<8>().0);
                for index in 0..cols / 8 {
                    let columns = square(self.simd, from_fn(|r| eights[r][index]));
                    let to = &mut to[index * 8 * to_stride + first..][..7 * to_stride + 8];
                    for (col, values) in columns.iter().enumerate() {
                        to[col * to_stride..][..8].copy_from_slice(values);
                    }
                }
                for col in cols / 8 * 8..cols {
                    for (row, line) in lines.iter().enumerate() {
                        to[col * to_stride + first + row] = line[col];
                    }
                }
            }
            turned
        }
    }

    /// The transpose of 8 rows of 8: pairs, fours and halves change places, one after the other.
    #[inline(always)]
    fn square(simd: V3, rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        let avx = simd.avx;
        let [a, b, c, d, e, f, g, h] = rows.map(cast);
        let pairs = |a, b| (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b));
        let fours = |a, b| {
            let low = avx._mm256_shuffle_ps::<0x44>(a, b);
            (low, avx._mm256_shuffle_ps::<0xee>(a, b))
        };
        let ((ab, ab_), (cd, cd_)) = (pairs(a, b), pairs(c, d));
        let ((ef, ef_), (gh, gh_)) = (pairs(e, f), pairs(g, h));
        let ((q, r), (s, t)) = (fours(ab, cd), fours(ab_, cd_));
        let ((u, v), (w, x)) = (fours(ef, gh), fours(ef_, gh_));
        let low = |a, b| avx._mm256_permute2f128_ps::<0x20>(a, b);
        let high = |a, b| avx._mm256_permute2f128_ps::<0x31>(a, b);
        [
            low(q, u),
            low(r, v),
            low(s, w),
            low(t, x),
            high(q, u),
            high(r, v),
            high(s, w),
            high(t, x),
        ]
        .map(cast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Float;

    /// With whole squares of 8, and rows and columns beyond them.
    fn check<T: Float>() {
        for (rows, cols) in [(37, 5), (19, 21), (8, 16), (3, 9)] {
            let from: Vec<T> = (0..rows * (cols + 2))
                .map(|i| T::from_f64(i as f64))
                .collect();
            let mut to = vec![T::from_f64(-1.0); cols * (rows + 3)];
            turn((&from, cols + 2), (&mut to, rows + 3), (rows, cols));
            for (place, &value) in to.iter().enumerate() {
                let (col, row) = (place / (rows + 3), place % (rows + 3));
                let expected = if row < rows {
                    from[row * (cols + 2) + col]
                } else {
                    T::from_f64(-1.0)
                };
                assert!(value == expected, "{rows} {cols}: {row} {col}");
            }
        }
    }

    #[test]
    fn columns_become_rows_between_what_stands_beside_them() {
        check::<f32>();
        check::<f64>();
    }
}
