//! Several images in one matrix: their columns, and their planes, side by side.
//!
//! A product with few columns wastes registers, and one with few places adds to a large weight's
//! gradient too often; `Sizes::together` says how many images share one.

use super::conv_kernel::Sizes;
use crate::kernel::{Float, Mat, wide};

/// The columns of all images of `x` side by side; `room` is for [`Patches::room`] elements.
///
/// [`Patches::room`]: super::im2col::Patches::room
pub(super) fn gather<'a, T: Float>(
    s: &Sizes,
    x: &[T],
    columns: &'a mut [T],
    room: &mut [T],
) -> Mat<'a, T> {
    let width = x.len() / s.group_in() * s.patches.places();
    let columns = &mut columns[..s.patches.depth() * width];
    wide(
        #[inline(always)]
        || s.patches.gather(x, columns, room),
    );
    Mat::new(columns, s.patches.depth(), width)
}

/// Adds columns side by side back to the images that they came from.
pub(super) fn scatter_add<T: Float>(s: &Sizes, columns: &[T], x: &mut [T], room: &mut [T]) {
    wide(
        #[inline(always)]
        || s.patches.scatter_add(columns, x, room),
    );
}

/// The planes of one image out of rows that hold those of several, from `first` on.
pub(super) fn take<T: Float>(
    rows: &[T],
    (width, first): (usize, usize),
    planes: &mut [T],
    places: usize,
) {
    for (row, plane) in rows
        .chunks_exact(width)
        .zip(planes.chunks_exact_mut(places))
    {
        plane.copy_from_slice(&row[first..][..places]);
    }
}

/// The other way round.
pub(super) fn put<T: Float>(
    planes: &[T],
    rows: &mut [T],
    (width, first): (usize, usize),
    places: usize,
) {
    for (row, plane) in rows
        .chunks_exact_mut(width)
        .zip(planes.chunks_exact(places))
    {
        row[first..][..places].copy_from_slice(plane);
    }
}
