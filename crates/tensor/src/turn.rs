//! [`turn`]: the transpose of a matrix, written out.

use std::array::from_fn;

use crate::kernel::{Float, wide};

/// As many elements as share a line of the cache are written together.
const TOGETHER: usize = 16;

/// Writes the columns of a matrix of so many rows and columns as rows. The rows of both begin as
/// many elements after each other as stand beside them.
pub(crate) fn turn<T: Float>(
    (from, from_stride): (&[T], usize),
    (to, to_stride): (&mut [T], usize),
    (rows, cols): (usize, usize),
) {
    for first in (0..rows).step_by(TOGETHER) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows_between_what_stands_beside_them() {
        let (rows, cols) = (37, 5);
        let from: Vec<f64> = (0..rows * 7).map(|i| i as f64).collect();
        let mut to = vec![-1.0; cols * 40];
        turn((&from, 7), (&mut to, 40), (rows, cols));
        for (place, &value) in to.iter().enumerate() {
            let (col, row) = (place / 40, place % 40);
            let expected = if row < rows {
                from[row * 7 + col]
            } else {
                -1.0
            };
            assert_eq!(value, expected, "{row} {col}");
        }
    }
}
