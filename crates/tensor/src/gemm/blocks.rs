//! A large product, block by block.
//!
//! A task makes a block of the result, small enough that its sums stay in the cache of a core. It walks
//! along the inner dimension in parts: it lays a part of its rows of the left factor in tiles, and one
//! panel after the other of the right one into the nearest cache, and multiplies them there. Every sum
//! runs over the inner dimension in order, so its bits depend neither on threads nor on the division.
//!
//! **Reference:** Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.

use rayon::prelude::*;

use super::block_kernel::{Ahead, Block, End};
use super::{Address, Mat};
use crate::kernel::{Float, Room, wide};
use crate::micro_kernel::Sizes;
use crate::panels::Panels;
use crate::turn::turn;

/// Bytes of the sums of a block: half of what a core's own cache commonly holds.
const SUMS: usize = 1 << 20;

/// Bytes of a part of a panel, more or less: more than half of the nearest cache.
const PANEL: usize = 27 << 10;

/// Rows of a block at most. Fewer make the panels, which each block lays anew, dearer.
const ROWS: usize = 384;

/// Bytes of the registers for which blocks were measured, AVX-512's; with others, the gemm crate makes
/// all products.
const REGISTER: usize = 64;

/// Whether a product of these sizes is large enough, on this processor.
pub(super) fn pays<T: Float>(m: usize, n: usize, k: usize) -> bool {
    let Sizes {
        lanes,
        tile: [_, width],
        ..
    } = T::sizes();
    let large = m >= 96 && n >= 2 * width && k >= 64 && m * n * k >= 1 << 22;
    large && lanes * size_of::<T>() == REGISTER
}

/// How a product is divided.
struct Plan {
    /// Rows of a block.
    rows: usize,
    /// Columns of a block.
    cols: usize,
    /// Of the inner dimension, at a time.
    depth: usize,
}

impl Plan {
    fn new<T: Float>((m, n, k): (usize, usize, usize), threads: usize) -> Self {
        let [tall, width] = T::sizes().tile;
        let even = |whole: usize, most: usize| whole.div_ceil(whole.div_ceil(most));
        let mut rows = even(m, ROWS).next_multiple_of(tall);
        let panels = n.div_ceil(width);
        let mut groups = panels.div_ceil((SUMS / size_of::<T>() / (rows * width)).max(1));
        while m.div_ceil(rows) * groups < threads && rows > ROWS / 2 {
            rows = (rows / 2).next_multiple_of(tall);
        }
        // Few tasks are as many for every thread.
        let blocks = m.div_ceil(rows);
        if blocks * groups < 4 * threads {
            let tasks = (blocks * groups).next_multiple_of(threads);
            groups = tasks.div_ceil(blocks).min(panels);
        }
        // Parts as many as come nearest to the size: one more costs a pass over all sums.
        let most = PANEL / size_of::<T>() / width;
        let parts = ((k + most / 2) / most).max(1);
        let depth = k.div_ceil(parts).next_multiple_of(4);
        Self {
            rows,
            cols: panels.div_ceil(groups) * width,
            depth,
        }
    }
}

/// `c = a b`, or `c += a b` if `accumulate`; `c` is row by row.
///
/// # Safety
/// `c` must be valid for writes of `a.rows * b.cols` elements, and for reads if `accumulate`.
#[allow(unsafe_code)]
pub(super) unsafe fn product_into<T: Float>(
    c: *mut T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
) {
    let (m, n) = (a.rows, b.cols);
    let plan = Plan::new::<T>((m, n, a.cols), rayon::current_num_threads());
    let (blocks, groups) = (m.div_ceil(plan.rows), n.div_ceil(plan.cols));
    let c = Address(c);
    (0..blocks * groups).into_par_iter().for_each(|task| {
        let (row, col) = (task % blocks * plan.rows, task / blocks * plan.cols);
        let piece = Piece {
            a: a.part((row, 0), (plan.rows.min(m - row), a.cols)),
            b: b.part((0, col), (b.rows, plan.cols.min(n - col))),
            depth: plan.depth,
        };
        piece.multiply(|first, cols| {
            // SAFETY: the pieces are apart from each other and inside the whole, and so are the
            // columns of a piece.
            unsafe { End::new(c.row(row * n + col + first), n, cols, accumulate) }
        });
    });
}

/// What a task multiplies.
struct Piece<'a, T> {
    a: Mat<'a, T>,
    b: Mat<'a, T>,
    depth: usize,
}

impl<T: Float> Piece<'_, T> {
    /// Writes the product to where `end` says for a panel's first column and number of columns.
    fn multiply(&self, end: impl Fn(usize, usize) -> End<T>) {
        let Sizes {
            lanes,
            tile: [_, width],
            ..
        } = T::sizes();
        let (rows, cols, inner) = (self.a.rows, self.b.cols, self.a.cols);
        let mut room = Room::<T>::take();
        let [left, panel, sums] = room.split([
            rows * self.depth,
            width * self.depth,
            rows * cols.next_multiple_of(lanes),
        ]);
        for first in (0..inner).step_by(self.depth) {
            let depth = self.depth.min(inner - first);
            let left = &mut left[..rows * depth];
            lay_tiles(left, self.a.part((0, first), (rows, depth)));
            for (index, sums) in sums.chunks_mut(rows * width).enumerate() {
                let col = index * width;
                let columns = width.min(cols - col);
                let panel = &mut panel[..sums.len() / rows * depth];
                let of_panel = self.b.part((first, col), (depth, columns));
                let strides = (of_panel.row_stride, of_panel.col_stride);
                let sizes = Panels::of_rows::<T>(depth, columns);
                sizes.lay(panel, 0, of_panel.data, strides, depth);
                T::times_block(Block {
                    sums,
                    fresh: first == 0,
                    left,
                    panel,
                    depth,
                    end: (first + depth == inner).then(|| end(col, columns)),
                    ahead: self.ahead(first, col),
                });
            }
        }
    }

    /// What comes after the panel that begins at this row and column of `b`: the next panel, and its
    /// share of the next part of `a`.
    fn ahead(&self, first: usize, col: usize) -> [Ahead; 2] {
        let [_, width] = T::sizes().tile;
        let (rows, cols, inner) = (self.a.rows, self.b.cols, self.a.cols);
        let after = first + self.depth;
        let next = self.depth.min(inner.saturating_sub(after));
        let panel = if col + width < cols {
            let depth = self.depth.min(inner - first);
            lines(
                self.b,
                (first, col + width),
                (depth, width.min(cols - col - width)),
            )
        } else {
            lines(self.b, (after, 0), (next, width.min(cols)))
        };
        let (index, panels) = (col / width, cols.div_ceil(width));
        let share = |whole: usize| (whole * index / panels, whole * (index + 1) / panels);
        let left = if self.a.col_stride == 1 {
            let (from, to) = share(rows);
            lines(self.a, (from, after), (to - from, next))
        } else {
            let (from, to) = share(next);
            lines(self.a, (0, after + from), (rows, to - from))
        };
        [panel, left]
    }
}

/// The memory of a part of a matrix, which may be empty and lie beyond the end.
fn lines<T>(matrix: Mat<'_, T>, first: (usize, usize), (rows, cols): (usize, usize)) -> Ahead {
    if rows == 0 || cols == 0 {
        return Ahead::NONE;
    }
    let part = matrix.part(first, (rows, cols));
    if part.col_stride == 1 {
        Ahead::new(part.data, part.row_stride, rows, cols)
    } else {
        Ahead::new(part.data, part.col_stride, cols, rows)
    }
}

/// Writes a matrix as tiles of [`Sizes::tile`]'s rows, each column by column.
fn lay_tiles<T: Float>(to: &mut [T], matrix: Mat<'_, T>) {
    let [tall, _] = T::sizes().tile;
    let depth = matrix.cols;
    let laid = match (matrix.col_stride, tall) {
        (1, _) => 0,
        (_, 8) => lay_pairs::<T, 8>(to, matrix),
        _ => lay_pairs::<T, 6>(to, matrix),
    };
    let tiles = to[laid * depth..].chunks_mut(tall * depth);
    for (index, to) in tiles.enumerate() {
        let rows = to.len() / depth;
        let from = &matrix.data[(laid + index * tall) * matrix.row_stride..];
        if matrix.col_stride == 1 {
            turn((from, matrix.row_stride), (to, rows), (rows, depth));
        } else {
            for (col, to) in to.chunks_exact_mut(rows).enumerate() {
                to.copy_from_slice(&from[col * matrix.col_stride..][..rows]);
            }
        }
    }
}

/// Writes as many pairs of tiles of `R` rows as there are of a matrix whose columns have no gaps, and
/// returns how many rows these are. A pair takes whole lines of the cache.
fn lay_pairs<T: Float, const R: usize>(to: &mut [T], matrix: Mat<'_, T>) -> usize {
    let depth = matrix.cols;
    let pairs = to.chunks_exact_mut(2 * R * depth);
    let laid = 2 * R * pairs.len();
    wide(
        #[inline(always)]
        || {
            for (index, pair) in pairs.enumerate() {
                let from = &matrix.data[index * 2 * R..];
                let (one, two) = pair.split_at_mut(R * depth);
                let (one, two) = (one.as_chunks_mut::<R>().0, two.as_chunks_mut::<R>().0);
                for (col, (one, two)) in one.iter_mut().zip(two).enumerate() {
                    let from = &from[col * matrix.col_stride..][..2 * R];
                    one.copy_from_slice(&from[..R]);
                    two.copy_from_slice(&from[R..]);
                }
            }
        },
    );
    laid
}
