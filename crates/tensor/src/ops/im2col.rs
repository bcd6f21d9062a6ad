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

    /// Elements that [`Patches::gather`] and [`Patches::scatter_add`] need to work.
    pub(super) fn room(&self) -> usize {
        let rows = (self.output.0 - 1) * self.stride.0 + (self.kernel.0 - 1) * self.dilation.0 + 1;
        if self.is_plain() {
            0
        } else {
            (1 + rows) * self.pitch()
        }
    }

    /// Writes the columns of `image` into a matrix, zeros where a patch hangs over the edge.
    #[inline(always)]
    pub(super) fn gather<T: Float>(
        &self,
        image: &[T],
        columns: &mut [T],
        within: Within,
        room: &mut [T],
    ) {
        let (places, width) = (self.places(), self.output.1);
        let mut start = within.first;
        for plane in image.chunks_exact(self.input.0 * self.input.1) {
            let plane = if self.is_plain() {
                plane
            } else {
                self.spread(plane, room);
                &room[self.pitch()..]
            };
            self.cells(
                #[inline(always)]
                |first, pitch| {
                    let lines = columns[start..][..places].chunks_exact_mut(width);
                    for (oy, to) in lines.enumerate() {
                        let from = &plane[first + oy * pitch..][..width];
                        line(
                            to,
                            from,
                            #[inline(always)]
                            |to, from| *to = from,
                        );
                    }
                    start += within.width;
                },
            );
        }
    }

    /// Adds the columns back to the places in `image` that they came from.
    #[inline(always)]
    pub(super) fn scatter_add<T: Float>(
        &self,
        columns: &[T],
        within: Within,
        image: &mut [T],
        room: &mut [T],
    ) {
        let (places, width) = (self.places(), self.output.1);
        let mut start = within.first;
        for plane in image.chunks_exact_mut(self.input.0 * self.input.1) {
            room.fill(T::zero());
            let sums = if self.is_plain() {
                &mut *plane
            } else {
                &mut room[self.pitch()..]
            };
            self.cells(
                #[inline(always)]
                |first, pitch| {
                    let lines = columns[start..][..places].chunks_exact(width);
                    for (oy, from) in lines.enumerate() {
                        let to = &mut sums[first + oy * pitch..][..width];
                        line(
                            to,
                            from,
                            #[inline(always)]
                            |to, from| *to += from,
                        );
                    }
                    start += within.width;
                },
            );
            if !self.is_plain() {
                self.collect(room, plane);
            }
        }
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
    fn spread<T: Float>(&self, plane: &[T], room: &mut [T]) {
        let (padded, spread) = room.split_at_mut(self.pitch());
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
    fn collect<T: Float>(&self, room: &mut [T], plane: &mut [T]) {
        let (padded, spread) = room.split_at_mut(self.pitch());
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

/// `visit` of each pair of a line, in blocks that vectorise: many lines are but a few elements
/// long.
#[inline(always)]
fn line<T: Float>(to: &mut [T], from: &[T], visit: impl Fn(&mut T, T)) {
    #[inline(always)]
    fn blocks<'a, 'b, T: Copy, const N: usize>(
        to: &'a mut [T],
        from: &'b [T],
        visit: &impl Fn(&mut T, T),
    ) -> (&'a mut [T], &'b [T]) {
        let (to, rest_to) = to.as_chunks_mut::<N>();
        let (from, rest_from) = from.as_chunks::<N>();
        for (to, from) in to.iter_mut().zip(from) {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, &from)| visit(to, from));
        }
        (rest_to, rest_from)
    }
    let (to, from) = blocks::<T, 8>(to, from, &visit);
    let (to, from) = blocks::<T, 4>(to, from, &visit);
    let (to, from) = blocks::<T, 2>(to, from, &visit);
    blocks::<T, 1>(to, from, &visit);
}

/// Where the columns of an image stand in a matrix that holds those of several.
#[derive(Clone, Copy)]
pub(super) struct Within {
    /// Columns of the matrix.
    pub(super) width: usize,
    /// The image's first.
    pub(super) first: usize,
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
            let (h, w, kernel) = (6, 7, (3, 2));
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
            let image: Vec<f64> = (0..2 * h * w).map(|i| i as f64 + 1.0).collect();
            let mut columns = vec![f64::NAN; patches.depth() * patches.places()];
            let within = Within {
                width: patches.places(),
                first: 0,
            };
            let mut room = vec![f64::NAN; patches.room()];
            patches.gather(&image, &mut columns, within, &mut room);
            let mut back = vec![0.0; image.len()];
            let mut expected_back = vec![0.0; image.len()];
            patches.scatter_add(&columns, within, &mut back, &mut room);
            let mut at = 0;
            for c in 0..2 {
                for ky in 0..kernel.0 {
                    for kx in 0..kernel.1 {
                        for oy in 0..output.0 {
                            for ox in 0..output.1 {
                                let y = (oy * stride.0 + ky * dilation.0).wrapping_sub(padding.0);
                                let x = (ox * stride.1 + kx * dilation.1).wrapping_sub(padding.1);
                                let inside = y < h && x < w;
                                let value = if inside {
                                    image[(c * h + y) * w + x]
                                } else {
                                    0.0
                                };
                                assert_eq!(columns[at], value);
                                if inside {
                                    expected_back[(c * h + y) * w + x] += value;
                                }
                                at += 1;
                            }
                        }
                    }
                }
            }
            assert_eq!(back, expected_back);
        }
    }
}
