//! Products of a matrix with one that is laid out in panels.
//!
//! A panel is as many columns as some registers hold, row by row; the last may be narrower, and is
//! filled up to a whole register. A product reads it from one end to the other: nothing is packed
//! anew, as a general product has to. Every sum runs over the inner dimension in order, so its bits
//! depend neither on threads nor on how rows and columns are divided.

use std::array::from_fn;

use rayon::prelude::*;

#[cfg(doc)]
use crate::kernel::BLOCK;
use crate::kernel::{Float, Spread, copy};
use crate::micro_kernel::{Left, Sizes, TALL};
use crate::turn::turn;

/// Sizes of a matrix in panels.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Columns of a register.
    lanes: usize,
    /// Columns of every panel but the last.
    width: usize,
}

/// Rows of a product that one task makes.
const TASK: usize = 8 * TALL;

/// Below this many multiply-adds, handing work to the pool costs more than it saves.
const SMALL: usize = 1 << 18;

impl Panels {
    /// Those of a matrix of at least a row.
    pub(crate) fn new<T: Float>(rows: usize, cols: usize) -> Self {
        let Sizes { lanes, width, .. } = T::sizes();
        Self {
            rows,
            cols,
            lanes,
            width,
        }
    }

    /// The same where left factors come in rows: narrower panels, and the sums of more rows at a time.
    pub(crate) fn of_rows<T: Float>(rows: usize, cols: usize) -> Self {
        let [_, width] = T::sizes().tile;
        Self {
            width,
            ..Self::new::<T>(rows, cols)
        }
    }

    /// Elements of all panels.
    pub(crate) fn len(self) -> usize {
        self.rows * self.cols.next_multiple_of(self.lanes)
    }

    /// Columns of every panel but the last.
    pub(crate) fn width(self) -> usize {
        self.width
    }

    /// The first column of a panel, and how many it has.
    pub(crate) fn columns(self, index: usize) -> (usize, usize) {
        let first = index * self.width;
        (first, self.width.min(self.cols - first))
    }

    /// The pieces of a row of `data`, the last one filled up.
    #[inline(always)]
    pub(crate) fn row<T>(self, data: &[T], row: usize) -> impl Iterator<Item = &[T]> {
        let panels = data[..self.len()].chunks(self.panel());
        panels.map(move |panel| {
            let width = panel.len() / self.rows;
            &panel[row * width..][..width]
        })
    }

    /// Elements of every panel but the last.
    pub(crate) fn panel(self) -> usize {
        self.rows * self.width
    }

    /// Writes a row. More values than columns are no harm, and if there are at least [`BLOCK`] more,
    /// quicker.
    #[inline(always)]
    pub(crate) fn put<T: Copy>(self, data: &mut [T], row: usize, values: &[T]) {
        let panels = data[..self.len()].chunks_mut(self.panel());
        for (index, panel) in panels.enumerate() {
            let (first, count) = self.columns(index);
            let width = panel.len() / self.rows;
            copy(&mut panel[row * width..], &values[first..], count);
        }
    }

    /// Reads a row, and perhaps more, if there is room for [`BLOCK`] values more than columns.
    #[inline(always)]
    pub(crate) fn take<T: Copy>(self, data: &[T], row: usize, values: &mut [T]) {
        for (index, piece) in self.row(data, row).enumerate() {
            let (first, count) = self.columns(index);
            copy(&mut values[first..], piece, count);
        }
    }

    /// Writes so many rows from `first` on: those of a matrix whose elements begin `(row, col)` after
    /// each other, one of which is 1.
    pub(crate) fn lay<T: Float>(
        self,
        data: &mut [T],
        first: usize,
        matrix: &[T],
        (row, col): (usize, usize),
        rows: usize,
    ) {
        let panels = data[..self.len()].chunks_mut(self.panel());
        for (index, panel) in panels.enumerate() {
            let (begin, cols) = self.columns(index);
            let across = panel.len() / self.rows;
            let (from, to) = (&matrix[begin * col..], &mut panel[first * across..]);
            if col == 1 {
                for (index, to) in to.chunks_mut(across).take(rows).enumerate() {
                    copy(to, &from[index * row..], cols);
                }
            } else {
                turn((from, col), (to, across), (cols, rows));
            }
        }
    }

    /// Writes every so many rows as a matrix of their columns, one after another.
    pub(crate) fn turn_into<T: Float>(self, data: &[T], rows: usize, to: &mut [T]) {
        for (index, panel) in data[..self.len()].chunks(self.panel()).enumerate() {
            let (first, cols) = self.columns(index);
            let across = panel.len() / self.rows;
            let matrices = to.chunks_exact_mut(rows * self.cols);
            for (from, to) in panel.chunks_exact(rows * across).zip(matrices) {
                turn(
                    (from, across),
                    (&mut to[first * rows..], rows),
                    (rows, cols),
                );
            }
        }
    }

    /// `out = left · data`, or `out += left · data` if `more`, where `data` has these sizes, and
    /// `out` has as many columns, of `height` rows.
    pub(crate) fn product<T: Float>(
        self,
        (out, height): (&mut [T], usize),
        left: Left<'_, T>,
        data: &[T],
        more: bool,
        spread: Spread,
    ) {
        if height == 0 || self.cols == 0 {
            return;
        }
        let panels = Self {
            rows: height,
            ..self
        };
        let out = &mut out[..panels.len()];
        let data = &data[..self.len()];
        let rows = |(block, out): (usize, &mut [T]), panel: &[T]| {
            let left = match left {
                Left::Rows(left, stride) => Left::Rows(&left[block * TASK * stride..], stride),
                Left::Tiles(left) => Left::Tiles(&left[block * TASK * self.rows..]),
                Left::Lookup { data, rows, cols } => Left::Lookup {
                    data,
                    rows: &rows[block * TASK..],
                    cols,
                },
            };
            let registers = panel.len() / self.rows / self.lanes;
            T::times_panel(out, left, panel, registers, more);
        };
        let (of_out, of_data) = (height * self.width, self.rows * self.width);
        if spread == Spread::Here || out.len() * self.rows <= SMALL {
            let panels = out.chunks_mut(of_out).zip(data.chunks(of_data));
            return panels.for_each(|(out, panel)| rows((0, out), panel));
        }
        let panels = out.par_chunks_mut(of_out).zip(data.par_chunks(of_data));
        panels.for_each(|(out, panel)| {
            let block = TASK * (out.len() / height);
            let blocks = out.par_chunks_mut(block).enumerate();
            blocks.for_each(|block| rows(block, panel));
        });
    }
}

/// Writes a matrix of so many rows and columns, whose elements begin `row` and `col` after each
/// other, as tiles of [`TALL`] rows, each column by column.
pub(crate) fn tiles<T: Float>(
    to: &mut [T],
    matrix: &[T],
    (row, col): (usize, usize),
    (rows, cols): (usize, usize),
) {
    let tiles = to[..rows * cols].par_chunks_mut(TALL * cols).enumerate();
    tiles.for_each(|(index, to)| {
        tile(to, &matrix[index * TALL * row..], (row, col), cols);
    });
}

fn tile<T: Float>(to: &mut [T], matrix: &[T], (row, col): (usize, usize), cols: usize) {
    let tall = to.len() / cols;
    if tall < TALL {
        for (k, values) in to.chunks_exact_mut(tall).enumerate() {
            let from = matrix[k * col..].iter().step_by(row);
            values
                .iter_mut()
                .zip(from)
                .for_each(|(to, &from)| *to = from);
        }
        return;
    }
    let to = to.as_chunks_mut::<TALL>().0;
    if row == 1 {
        for (k, to) in to.iter_mut().enumerate() {
            to.copy_from_slice(&matrix[k * col..][..TALL]);
        }
    } else {
        let rows: [&[T]; TALL] = from_fn(|r| &matrix[r * row..][..(cols - 1) * col + 1]);
        for (k, to) in to.iter_mut().enumerate() {
            to.iter_mut()
                .zip(&rows)
                .for_each(|(to, row)| *to = row[k * col]);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::WithDType;

    use super::*;
    use crate::testing::values;

    /// Last panels of all widths, tiles of all heights, and more rows than are multiplied at a time.
    fn check_products<T: Float>(tolerance: f64) {
        let wide = |value: &T| WithDType::to_f64(*value);
        let sizes = [
            (1, 3, 5),
            (7, 130, 33),
            (50, 140, 64),
            (11, 300, 117),
            (100, 20, 70),
        ];
        let both = [Panels::new::<T>, Panels::of_rows::<T>];
        for ((m, k, n), new) in sizes
            .into_iter()
            .flat_map(|size| both.map(|new| (size, new)))
        {
            let [a, b] = [values(m * k, 0.7), values(k * n, 1.3)]
                .map(|values| values.into_iter().map(T::from_f64).collect::<Vec<T>>());
            let (panels, out) = (new(k, n), new(m, n));
            let mut data = vec![T::nan(); panels.len()];
            b.chunks_exact(n)
                .enumerate()
                .for_each(|(row, values)| panels.put(&mut data, row, values));
            let mut tiled = vec![T::zero(); m * k];
            tiles(&mut tiled, &a, (k, 1), (m, k));
            let turned: Vec<T> = (0..m * k).map(|i| a[i % m * k + i / m]).collect();
            let mut tiled_turned = vec![T::zero(); m * k];
            tiles(&mut tiled_turned, &turned, (1, m), (m, k));
            assert!(tiled == tiled_turned, "{m} {k}");
            // Every second element, from behind.
            let apart: Vec<T> = a.iter().rev().flat_map(|&a| [T::nan(), a]).collect();
            let starts: Vec<usize> = (0..m).map(|row| (m - 1 - row) * 2 * k + 1).collect();
            let columns: Vec<usize> = (0..k).map(|col| 2 * (k - 1 - col)).collect();
            let lookup = Left::Lookup {
                data: &apart,
                rows: &starts,
                cols: &columns,
            };
            let mut results = vec![];
            for left in [Left::Rows(&a, k), Left::Tiles(&tiled), lookup] {
                for spread in [Spread::Here, Spread::Pool] {
                    let mut c = vec![T::zero(); out.len()];
                    panels.product((&mut c, m), left, &data, false, spread);
                    panels.product((&mut c, m), left, &data, true, spread);
                    let mut rows = vec![T::zero(); m * n];
                    rows.chunks_exact_mut(n)
                        .enumerate()
                        .for_each(|(row, values)| out.take(&c, row, values));
                    results.push(rows);
                }
            }
            for (i, value) in results[0].iter().enumerate() {
                let (i, j) = (i / n, i % n);
                let terms = (0..k).map(|l| wide(&a[i * k + l]) * wide(&b[l * n + j]));
                let far = wide(value) - 2.0 * terms.sum::<f64>();
                assert!(far.abs() < tolerance, "{m} {k} {n}: {value} is {far} off");
            }
            assert!(results.iter().all(|result| result == &results[0]));
        }
    }

    #[test]
    fn products_are_those_of_the_definition_whatever_the_layout_and_the_threads() {
        check_products::<f64>(1e-11);
        check_products::<f32>(1e-4);
    }
}
