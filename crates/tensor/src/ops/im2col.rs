//! Patches of a picture as the columns of a matrix, and back: what turns convolution into gemm.
//!
//! For one image `(C, H, W)` and a `kh x kw` kernel, the matrix is `(C kh kw, H' W')`; those of several
//! images stand side by side. It is made or read a row at a time.
//!
//! **Reference:** Kumar Chellapilla, Sidd Puri, Patrice Simard, "High performance convolutional
//! neural networks for document processing", 2006.

use std::array::from_fn;
use std::ops::Range;

use crate::kernel::{BLOCK, Float, copy, wide};

/// Sizes of a convolution over one group of one image.
#[derive(Debug, Clone, Copy)]
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

    /// Elements that [`Patches::gather`] and [`Patches::scatter_add`] need to work on so many images.
    pub(super) fn room(&self, images: usize) -> usize {
        let planes = if self.is_plain() {
            0
        } else {
            (images + 1) * (self.spread_plane() + BLOCK)
        };
        images * self.places() + BLOCK + planes
    }

    /// Shows every row of the matrix, with its index: zeros where a patch hangs over the edge. Behind
    /// it there is room for a block.
    pub(super) fn gather<T: Float>(
        &self,
        images: &[T],
        room: &mut [T],
        mut show: impl FnMut(usize, &[T]),
    ) {
        let count = self.images(images.len());
        let (row, room) = room.split_at_mut(count * self.places() + BLOCK);
        let cells = self.cells(count);
        for channel in 0..self.channels {
            let planes = if self.is_plain() {
                &images[channel * self.plane()..]
            } else {
                let (padded, spread) = room.split_at_mut(self.spread_plane() + BLOCK);
                wide(
                    #[inline(always)]
                    || {
                        for image in 0..count {
                            let plane = &images[self.place(image, channel)];
                            let place = image * self.spread_plane();
                            self.spread(plane, padded, &mut spread[place..]);
                        }
                    },
                );
                spread
            };
            for (cell, lines) in cells.iter().enumerate() {
                wide(
                    #[inline(always)]
                    || {
                        // What is copied too much is copied over by the next.
                        lines.walk(
                            #[inline(always)]
                            |at, from| copy(&mut row[at..], &planes[from..], lines.width),
                        );
                    },
                );
                show(channel * cells.len() + cell, row);
            }
        }
    }

    /// Adds the elements of every row, which `fill` writes, to the places in the images that they came
    /// from. Behind the row there is room for a block.
    pub(super) fn scatter_add<T: Float>(
        &self,
        images: &mut [T],
        room: &mut [T],
        mut fill: impl FnMut(usize, &mut [T]),
    ) {
        let count = self.images(images.len());
        let (row, room) = room.split_at_mut(count * self.places() + BLOCK);
        let cells = self.cells(count);
        let masks = T::MASKS;
        let (_, masks) = masks.split_at(BLOCK - self.output.1 % BLOCK);
        let Some(&mask) = masks.first_chunk::<BLOCK>() else {
            return;
        };
        for channel in 0..self.channels {
            let sums = if self.is_plain() {
                &mut images[channel * self.plane()..]
            } else {
                let spread = &mut room[self.spread_plane() + BLOCK..];
                spread[..count * self.spread_plane()].fill(T::zero());
                spread
            };
            for (cell, lines) in cells.iter().enumerate() {
                fill(channel * cells.len() + cell, row);
                wide(
                    #[inline(always)]
                    || {
                        lines.walk(
                            #[inline(always)]
                            |from, at| add_line(&mut sums[at..], &row[from..], lines.width, &mask),
                        );
                    },
                );
            }
            if self.is_plain() {
                continue;
            }
            let (padded, spread) = room.split_at_mut(self.spread_plane() + BLOCK);
            wide(
                #[inline(always)]
                || {
                    for image in 0..count {
                        let plane = &mut images[self.place(image, channel)];
                        let place = image * self.spread_plane();
                        self.collect(&spread[place..], padded, plane);
                    }
                },
            );
        }
    }

    /// Where the plane of a channel of an image stands.
    #[inline(always)]
    fn place(&self, image: usize, channel: usize) -> Range<usize> {
        let first = (image * self.channels + channel) * self.plane();
        first..first + self.plane()
    }

    /// How many images have so many elements.
    fn images(&self, elements: usize) -> usize {
        elements / (self.channels * self.plane())
    }

    /// Elements of a channel of an image.
    fn plane(&self) -> usize {
        self.input.0 * self.input.1
    }

    /// Elements of a plane with its padding, as far as patches read it.
    pub(super) fn spread_plane(&self) -> usize {
        let rows = (self.output.0 - 1) * self.stride.0 + (self.kernel.0 - 1) * self.dilation.0 + 1;
        rows * self.pitch()
    }

    /// Whether lines of outputs can read a plane as it is.
    fn is_plain(&self) -> bool {
        self.stride.1 == 1 && self.padding == (0, 0)
    }

    /// Columns of a phase: those of a plane that leave the same rest when divided by the stride.
    pub(super) fn phase(&self) -> usize {
        if self.is_plain() {
            self.input.1
        } else {
            (self.kernel.1 - 1) * self.dilation.1 / self.stride.1 + self.output.1
        }
    }

    /// Elements of a row, phase by phase.
    pub(super) fn pitch(&self) -> usize {
        self.stride.1 * self.phase()
    }

    /// The lines of outputs of each cell of the kernel, and where they read.
    fn cells(&self, images: usize) -> Vec<Lines> {
        let cells = (0..self.kernel.0).flat_map(|ky| (0..self.kernel.1).map(move |kx| (ky, kx)));
        cells.map(|(ky, kx)| self.lines(ky, kx, images)).collect()
    }

    fn lines(&self, ky: usize, kx: usize, images: usize) -> Lines {
        let (x, y) = (kx * self.dilation.1, ky * self.dilation.0);
        let apart = if self.is_plain() {
            self.channels * self.plane()
        } else {
            self.spread_plane()
        };
        Lines {
            images,
            count: self.output.0,
            width: self.output.1,
            first: y * self.pitch() + x % self.stride.1 * self.phase() + x / self.stride.1,
            step: self.stride.0 * self.pitch(),
            apart,
        }
    }
}

/// The lines of one row of the matrix: they stand one after another there, and apart in the planes.
#[derive(Clone, Copy)]
struct Lines {
    images: usize,
    /// Lines of an image.
    count: usize,
    width: usize,
    /// Where in a plane the first begins, and how far behind the next does.
    first: usize,
    step: usize,
    /// How far planes are from each other.
    apart: usize,
}

impl Lines {
    /// Where each line begins in the row, and in the planes.
    #[inline(always)]
    fn walk(&self, mut visit: impl FnMut(usize, usize)) {
        for image in 0..self.images {
            let mut at = image * self.count * self.width;
            let mut place = image * self.apart + self.first;
            for _ in 0..self.count {
                visit(at, place);
                at += self.width;
                place += self.step;
            }
        }
    }
}

/// Adds `width` elements; `mask` is that of the elements behind the last whole block.
#[inline(always)]
fn add_line<T: Float>(to: &mut [T], from: &[T], width: usize, mask: &[T::Mask; BLOCK]) {
    let whole = width.next_multiple_of(BLOCK);
    if to.len() >= whole && from.len() >= whole {
        let (from, _) = from[..whole].as_chunks::<BLOCK>();
        let (to, _) = to[..whole].as_chunks_mut::<BLOCK>();
        let blocks = width / BLOCK;
        // All of a block is read before any of it is written, so nothing can be in the way of
        // vectors.
        for (to, from) in to[..blocks].iter_mut().zip(from) {
            let (sums, more) = (*to, *from);
            *to = from_fn(
                #[inline(always)]
                |i| sums[i] + more[i],
            );
        }
        if let (Some(to), Some(from)) = (to.get_mut(blocks), from.get(blocks)) {
            let (sums, more, mask) = (*to, *from, *mask);
            *to = from_fn(
                #[inline(always)]
                |i| sums[i] + more[i].masked(mask[i]),
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
            let width = 2 * places;
            let mut columns = vec![f64::NAN; patches.depth() * width];
            let mut room = vec![f64::NAN; patches.room(2)];
            patches.gather(&images, &mut room, |index, row| {
                columns[index * width..][..width].copy_from_slice(&row[..width]);
            });
            let mut back = vec![0.0; images.len()];
            let mut expected_back = vec![0.0; images.len()];
            patches.scatter_add(&mut back, &mut room, |index, row| {
                row[..width].copy_from_slice(&columns[index * width..][..width]);
            });
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
