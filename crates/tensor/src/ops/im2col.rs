//! Patches of a picture as the columns of a matrix, and back: what turns convolution into gemm.
//!
//! For one image `(C, H, W)` and a `kh x kw` kernel, `columns` is `(C kh kw, H' W')`.
//!
//! **Reference:** Kumar Chellapilla, Sidd Puri, Patrice Simard, "High performance convolutional
//! neural networks for document processing", 2006.

use std::ops::Range;

use crate::kernel::Float;

/// Sizes of a convolution over one group of one image.
#[derive(Clone, Copy)]
pub(super) struct Patches {
    pub(super) channels: usize,
    pub(super) input: (usize, usize),
    pub(super) output: (usize, usize),
    pub(super) kernel: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) padding: (usize, usize),
    pub(super) dilation: (usize, usize),
}

impl Patches {
    /// Rows of the column matrix.
    pub(super) fn depth(&self) -> usize {
        self.channels * self.kernel.0 * self.kernel.1
    }

    /// Columns of the column matrix.
    pub(super) fn places(&self) -> usize {
        self.output.0 * self.output.1
    }

    /// Whether the image is its own column matrix.
    pub(super) fn is_identity(&self) -> bool {
        self.kernel == (1, 1) && self.stride == (1, 1) && self.padding == (0, 0)
    }

    /// Elements that [`Patches::gather`] and [`Patches::scatter_add`] need to work on so many images.
    pub(super) fn room(&self, images: usize) -> usize {
        if self.is_plain() {
            0
        } else {
            self.pitch() + images * self.spread_plane()
        }
    }

    /// Writes the columns of images into a matrix, side by side, zeros where a patch hangs over the
    /// edge.
    #[inline(always)]
    pub(super) fn gather<T: Float>(&self, images: &[T], columns: &mut [T], room: &mut [T]) {
        let (places, width, plane) = (self.places(), self.output.1, self.plane());
        let count = images.len() / (self.channels * plane);
        let mut rows = columns.chunks_exact_mut(count * places);
        for channel in 0..self.channels {
            let (planes, size, apart) = if self.is_plain() {
                (&images[channel * plane..], plane, self.channels * plane)
            } else {
                let (padded, spread) = room.split_at_mut(self.pitch());
                let planes = images
                    .chunks_exact(plane)
                    .skip(channel)
                    .step_by(self.channels);
                for (plane, spread) in planes.zip(spread.chunks_exact_mut(self.spread_plane())) {
                    self.spread(plane, padded, spread);
                }
                (&*spread, self.spread_plane(), self.spread_plane())
            };
            self.cells(
                #[inline(always)]
                |first, pitch| {
                    let Some(row) = rows.next() else { return };
                    for image in 0..count {
                        let plane = &planes[image * apart..][..size];
                        let row = &mut row[image * places..];
                        for oy in 0..self.output.0 {
                            copy_line(&mut row[oy * width..], &plane[first + oy * pitch..], width);
                        }
                    }
                },
            );
        }
    }

    /// Adds columns back to the places in the images that they came from.
    #[inline(always)]
    pub(super) fn scatter_add<T: Float>(&self, columns: &[T], images: &mut [T], room: &mut [T]) {
        let (places, width, plane) = (self.places(), self.output.1, self.plane());
        let count = images.len() / (self.channels * plane);
        let mut rows = columns.chunks_exact(count * places);
        for channel in 0..self.channels {
            let (sums, size, apart) = if self.is_plain() {
                (&mut images[channel * plane..], plane, self.channels * plane)
            } else {
                let spread = &mut room[self.pitch()..];
                spread.fill(T::zero());
                (spread, self.spread_plane(), self.spread_plane())
            };
            self.cells(
                #[inline(always)]
                |first, pitch| {
                    let Some(row) = rows.next() else { return };
                    for image in 0..count {
                        let sums = &mut sums[image * apart..][..size];
                        let row = &row[image * places..];
                        for oy in 0..self.output.0 {
                            add_line(&mut sums[first + oy * pitch..], &row[oy * width..], width);
                        }
                    }
                },
            );
            if self.is_plain() {
                continue;
            }
            let (padded, spread) = room.split_at_mut(self.pitch());
            let planes = images
                .chunks_exact_mut(plane)
                .skip(channel)
                .step_by(self.channels);
            for (plane, spread) in planes.zip(spread.chunks_exact_mut(self.spread_plane())) {
                self.collect(spread, padded, plane);
            }
        }
    }

    /// Elements of a channel of an image.
    fn plane(&self) -> usize {
        self.input.0 * self.input.1
    }

    /// Elements of a plane with its padding, as far as patches read it.
    fn spread_plane(&self) -> usize {
        let rows = (self.output.0 - 1) * self.stride.0 + (self.kernel.0 - 1) * self.dilation.0 + 1;
        rows * self.pitch()
    }

    /// Whether lines of outputs can read a plane as it is.
    fn is_plain(&self) -> bool {
        self.stride.1 == 1 && self.padding == (0, 0)
    }

    /// Columns of a phase: those of a plane that leave the same rest when divided by the stride.
    fn phase(&self) -> usize {
        if self.is_plain() {
            self.input.1
        } else {
            (self.kernel.1 - 1) * self.dilation.1 / self.stride.1 + self.output.1
        }
    }

    /// Elements of a row, phase by phase.
    fn pitch(&self) -> usize {
        self.stride.1 * self.phase()
    }

    /// Visits the cells of the kernel: where the first line of outputs reads, and how far from each
    /// other the lines do.
    #[inline(always)]
    fn cells(&self, mut visit: impl FnMut(usize, usize)) {
        let (phase, pitch, stride) = (self.phase(), self.pitch(), self.stride);
        for ky in 0..self.kernel.0 {
            for kx in 0..self.kernel.1 {
                let x = kx * self.dilation.1;
                let y = ky * self.dilation.0;
                let first = y * pitch + x % stride.1 * phase + x / stride.1;
                visit(first, stride.0 * pitch);
            }
        }
    }

    /// Lays out a plane with its padding, phase by phase, so that the outputs of a line read
    /// neighbours.
    #[inline(always)]
    fn spread<T: Float>(&self, plane: &[T], padded: &mut [T], spread: &mut [T]) {
        let inside = self.inside();
        padded.fill(T::zero());
        for (y, row) in spread.chunks_exact_mut(padded.len()).enumerate() {
            let Some(from) = self.line_of(y) else {
                row.fill(T::zero());
                continue;
            };
            padded[inside.clone()].copy_from_slice(&plane[from..][..inside.len()]);
            match self.stride.1 {
                1 => row.copy_from_slice(padded),
                2 => in_pairs(row, padded, |even, odd, pair| {
                    (*even, *odd) = (pair[0], pair[1])
                }),
                stride => {
                    for (phase, row) in row.chunks_exact_mut(self.phase()).enumerate() {
                        let groups = padded.chunks_exact(stride);
                        row.iter_mut()
                            .zip(groups)
                            .for_each(|(to, from)| *to = from[phase]);
                    }
                }
            }
        }
    }

    /// The other way round, adding.
    #[inline(always)]
    fn collect<T: Float>(&self, spread: &mut [T], padded: &mut [T], plane: &mut [T]) {
        let inside = self.inside();
        for (y, row) in spread.chunks_exact_mut(padded.len()).enumerate() {
            let Some(to) = self.line_of(y) else {
                continue;
            };
            match self.stride.1 {
                1 => padded.copy_from_slice(row),
                2 => in_pairs(row, padded, |even, odd, pair| *pair = [*even, *odd]),
                stride => {
                    for (phase, row) in row.chunks_exact(self.phase()).enumerate() {
                        let groups = padded.chunks_exact_mut(stride);
                        groups.zip(row).for_each(|(to, &from)| to[phase] = from);
                    }
                }
            }
            let plane = &mut plane[to..][..inside.len()];
            plane
                .iter_mut()
                .zip(&padded[inside.clone()])
                .for_each(|(to, &from)| *to += from);
        }
    }

    /// Where the padded row `y` stands in a plane, if it is no padding.
    #[inline(always)]
    fn line_of(&self, y: usize) -> Option<usize> {
        let y = y.checked_sub(self.padding.0)?;
        (y < self.input.0).then(|| y * self.input.1)
    }

    /// Which elements of a padded row that patches read are no padding.
    #[inline(always)]
    fn inside(&self) -> Range<usize> {
        let end = (self.padding.1 + self.input.1).min(self.pitch());
        self.padding.1.min(end)..end
    }
}

/// `visit` of the two phases of a row and of their pairs: a loop that vectorises, for the commonest
/// stride but 1.
#[inline(always)]
fn in_pairs<T: Float>(
    row: &mut [T],
    padded: &mut [T],
    visit: impl Fn(&mut T, &mut T, &mut [T; 2]),
) {
    let (even, odd) = row.split_at_mut(row.len() / 2);
    let phases = even.iter_mut().zip(odd);
    for ((even, odd), pair) in phases.zip(padded.as_chunks_mut::<2>().0) {
        visit(even, odd, pair);
    }
}

/// Elements that a line is taken by. Many lines are but a few elements long, and shorter blocks
/// for their ends would take most of the time.
const BLOCK: usize = 8;

/// Copies `width` elements, and perhaps some more: lines behind are copied later.
#[inline(always)]
fn copy_line<T: Float>(to: &mut [T], from: &[T], width: usize) {
    let whole = width.next_multiple_of(BLOCK);
    if to.len() >= whole && from.len() >= whole {
        let from = from[..whole].as_chunks::<BLOCK>().0;
        let to = to[..whole].as_chunks_mut::<BLOCK>().0;
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    } else {
        to[..width].copy_from_slice(&from[..width]);
    }
}

/// Adds `width` elements.
#[inline(always)]
fn add_line<T: Float>(to: &mut [T], from: &[T], width: usize) {
    let whole = width.next_multiple_of(BLOCK);
    if to.len() >= whole && from.len() >= whole {
        let from = from[..whole].as_chunks::<BLOCK>().0;
        let to = to[..whole].as_chunks_mut::<BLOCK>().0;
        for (block, (to, from)) in to.iter_mut().zip(from).enumerate() {
            let end = width - block * BLOCK;
            // All of a block is read before any of it is written, so nothing can be in the way.
            *to = std::array::from_fn(
                #[inline(always)]
                |i| to[i] + if i < end { from[i] } else { T::zero() },
            );
        }
    } else {
        to[..width]
            .iter_mut()
            .zip(from)
            .for_each(|(to, &from)| *to += from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_what_the_definition_says() {
        for (stride, padding, dilation) in [
            ((1, 1), (0, 0), (1, 1)),
            ((2, 3), (1, 2), (1, 2)),
            ((1, 2), (2, 0), (2, 1)),
            ((3, 1), (0, 5), (1, 1)),
            ((1, 5), (1, 3), (1, 3)),
        ] {
            // Lines of more and of fewer elements than a block.
            let (h, w, kernel) = (6, 21, (3, 2));
            let out = |size: usize, p: usize, d: usize, k: usize, s: usize| {
                (size + 2 * p - d * (k - 1) - 1) / s + 1
            };
            let output = (
                out(h, padding.0, dilation.0, kernel.0, stride.0),
                out(w, padding.1, dilation.1, kernel.1, stride.1),
            );
            let patches = Patches {
                channels: 2,
                input: (h, w),
                output,
                kernel,
                stride,
                padding,
                dilation,
            };
            // Two images, in one matrix.
            let size = 2 * h * w;
            let images: Vec<f64> = (0..2 * size).map(|i| i as f64 + 1.0).collect();
            let places = patches.places();
            let mut columns = vec![f64::NAN; patches.depth() * 2 * places];
            let mut room = vec![f64::NAN; patches.room(2)];
            patches.gather(&images, &mut columns, &mut room);
            let mut back = vec![0.0; images.len()];
            let mut expected_back = vec![0.0; images.len()];
            patches.scatter_add(&columns, &mut back, &mut room);
            for row in 0..patches.depth() {
                let (c, ky, kx) = (row / 6, row / 2 % 3, row % 2);
                for (image, oy, ox) in (0..2 * places)
                    .map(|i| (i / places, i % places / output.1, i % places % output.1))
                {
                    let y = (oy * stride.0 + ky * dilation.0).wrapping_sub(padding.0);
                    let x = (ox * stride.1 + kx * dilation.1).wrapping_sub(padding.1);
                    let from = (y < h && x < w).then(|| image * size + (c * h + y) * w + x);
                    let at = (row * 2 + image) * places + oy * output.1 + ox;
                    assert_eq!(columns[at], from.map_or(0.0, |from| images[from]));
                    if let Some(from) = from {
                        expected_back[from] += columns[at];
                    }
                }
            }
            assert_eq!(back, expected_back);
        }
    }
}
