//! The transpose of a convolution without a matrix of patches: every pixel gathers what falls on it.
//!
//! Pixels that leave the same rest when divided by the stride, a phase, are reached by the same cells
//! of the kernel. For each phase that is a convolution of the padded planes, in which channels go
//! along the registers as in `lookup_down`:
//!
//! `x[c, a + s m - p] += sum over o, q of w[o, c, u] y[o, m - q]`, with `u d = a + s q`
//!
//! **Reference:** Vincent Dumoulin, Francesco Visin, "A guide to convolution arithmetic for deep
//! learning", 2016.

use rayon::prelude::*;

use super::conv_kernel::Sizes;
use super::lookup_down::MANY;
use crate::kernel::{Float, wide};
use crate::micro_kernel::Left;
use crate::panels::Panels;
use crate::room::split;

/// The pixels of a phase along one side of a picture.
struct Line {
    /// Where the first stands, and how many there are.
    first: usize,
    count: usize,
    /// Where in a padded plane what reaches the first begins.
    start: usize,
    /// Each cell of the kernel, and how far behind `start` what it lets through stands.
    cells: Vec<(usize, usize)>,
}

/// One side of a picture.
struct Side {
    phases: Vec<Line>,
    /// Zeros in front of the planes, and their size with all zeros.
    before: usize,
    size: usize,
}

impl Side {
    fn new(pixels: usize, places: usize, kernel: usize, [s, p, d]: [usize; 3]) -> Self {
        let mut phases = vec![];
        let (mut before, mut after) = (0, 0);
        for phase in 0..s.min(pixels + p) {
            let cells = (0..kernel).filter(|cell| cell * d % s == phase);
            let cells: Vec<_> = cells.map(|cell| (cell, cell * d / s)).collect();
            let first = p.saturating_sub(phase).div_ceil(s);
            let end = (pixels + p - phase).div_ceil(s);
            let (Some(&(_, near)), Some(&(_, far))) = (cells.first(), cells.last()) else {
                continue;
            };
            if first >= end {
                continue;
            }
            before = far.saturating_sub(first).max(before);
            after = end.saturating_sub(near + places).max(after);
            phases.push((phase, first, end, far, cells));
        }
        let line = |(phase, first, end, far, cells): (usize, usize, usize, usize, Vec<_>)| Line {
            first: phase + s * first - p,
            count: end - first,
            start: first + before - far,
            cells: cells.into_iter().map(|(cell, q)| (cell, far - q)).collect(),
        };
        Self {
            phases: phases.into_iter().map(line).collect(),
            before,
            size: before + places + after,
        }
    }

    /// Pixels times cells.
    fn work(&self) -> usize {
        let phases = self.phases.iter();
        phases.map(|line| line.count * line.cells.len()).sum()
    }
}

/// A phase of a picture: its pixels, the weight that reaches them, and where it finds planes.
struct Phase<T> {
    /// The first pixel, and the rows and columns of the others.
    first: (usize, usize),
    count: (usize, usize),
    /// Input channels and cells by output channels, in panels.
    weight: Vec<T>,
    pixels: Vec<usize>,
    elements: Vec<usize>,
}

/// A weight by phases.
pub(super) struct Phases<T> {
    sides: [Side; 2],
    phases: Vec<Phase<T>>,
    room: [usize; 3],
}

impl Sizes {
    /// The weight by phases, if every pixel had better gather: adding rows of patches must be more
    /// work than turning pictures, and products with padding no more than those that fall outside.
    pub(super) fn phases<T: Float>(&self, weight: &[T]) -> Option<Phases<T>> {
        if !self.gathers() {
            return None;
        }
        let sides = self.sides();
        let [rows, cols] = &sides;
        let phases = rows.phases.iter();
        let phases: Vec<_> = phases
            .flat_map(|row| cols.phases.iter().map(move |col| (row, col)))
            .collect();
        let phases = phases.into_par_iter();
        let phases = phases.map(|(row, col)| self.phase((row, col), &sides, weight));
        Some(Phases {
            phases: phases.collect(),
            sides,
            room: self.phases_room::<T>(),
        })
    }

    fn gathers(&self) -> bool {
        let p = &self.patches;
        let products = p.places() * p.kernel.0 * p.kernel.1;
        let many = self.groups == 1 && p.channels >= MANY;
        if !many || products < 2 * p.input.0 * p.input.1 {
            return false;
        }
        let [rows, cols] = self.sides();
        rows.work() * cols.work() <= products
    }

    fn sides(&self) -> [Side; 2] {
        let p = &self.patches;
        [
            Side::new(
                p.input.0,
                p.output.0,
                p.kernel.0,
                [p.stride.0, p.padding.0, p.dilation.0],
            ),
            Side::new(
                p.input.1,
                p.output.1,
                p.kernel.1,
                [p.stride.1, p.padding.1, p.dilation.1],
            ),
        ]
    }

    fn phase<T: Float>(
        &self,
        (row, col): (&Line, &Line),
        [rows, cols]: &[Side; 2],
        weight: &[T],
    ) -> Phase<T> {
        let (kernel, channels) = (self.patches.kernel, self.patches.channels);
        let plane = rows.size * cols.size;
        let pixels = (0..self.together()).flat_map(|image| {
            let image = image * self.out * plane;
            (0..row.count).flat_map(move |y| {
                let line = image + (row.start + y) * cols.size + col.start;
                (0..col.count).map(move |x| line + x)
            })
        });
        let cells = row.cells.iter();
        let cells: Vec<_> = cells
            .flat_map(|&(u, y)| {
                let cells = col.cells.iter();
                cells.map(move |&(v, x)| (u * kernel.1 + v, y * cols.size + x))
            })
            .collect();
        let elements = (0..self.out).flat_map(|channel| {
            let cells = cells.iter();
            cells.map(move |&(_, place)| channel * plane + place)
        });
        let panels = Panels::new::<T>(self.out * cells.len(), channels);
        let mut data = vec![T::zero(); panels.len()];
        let mut values = vec![T::zero(); channels];
        for (channel, weight) in weight.chunks_exact(self.patches.depth()).enumerate() {
            for (index, &(cell, _)) in cells.iter().enumerate() {
                let weight = weight[cell..].iter().step_by(kernel.0 * kernel.1);
                let pairs = values.iter_mut().zip(weight);
                pairs.for_each(|(value, &weight)| *value = weight);
                panels.put(&mut data, channel * cells.len() + index, &values);
            }
        }
        Phase {
            first: (row.first, col.first),
            count: (row.count, col.count),
            weight: data,
            pixels: pixels.collect(),
            elements: elements.collect(),
        }
    }

    /// Elements of the room that [`Sizes::up_by_lookup`] needs for a block of images.
    pub(super) fn phases_room<T: Float>(&self) -> [usize; 3] {
        if !self.gathers() {
            return [0; 3];
        }
        let ([rows, cols], images) = (self.sides(), self.together());
        let most = |side: &Side| side.phases.iter().map(|line| line.count).max().unwrap_or(0);
        let (pixels, channels) = (most(&rows) * most(&cols), self.patches.channels);
        [
            images * self.out * rows.size * cols.size,
            Panels::new::<T>(images * pixels, channels).len(),
            images * pixels * channels,
        ]
    }

    /// [`Sizes::up`] by phases.
    pub(super) fn up_by_lookup<T: Float>(
        &self,
        weight: &Phases<T>,
        planes: &[T],
        images: &mut [T],
        room: &mut [T],
    ) {
        let channels = self.patches.channels;
        let count = planes.len() / self.image_out();
        let [data, out, turned] = split(room, weight.room);
        self.pad_planes(&weight.sides, planes, data);
        for phase in &weight.phases {
            let pixels = phase.count.0 * phase.count.1;
            let panels = Panels::new::<T>(phase.elements.len(), channels);
            let out_panels = Panels::new::<T>(count * pixels, channels);
            let out = &mut out[..out_panels.len()];
            let left = Left::Lookup {
                data,
                rows: &phase.pixels[..count * pixels],
                cols: &phase.elements,
            };
            let height = count * pixels;
            panels.product((out, height), left, &phase.weight, false, self.spread());
            let turned = &mut turned[..count * pixels * channels];
            out_panels.turn_into(out, pixels, turned);
            self.add_phase(phase, turned, images);
        }
    }

    /// Planes of some images with zeros around them.
    fn pad_planes<T: Float>(&self, [rows, cols]: &[Side; 2], planes: &[T], data: &mut [T]) {
        let (height, width) = self.patches.output;
        let size = rows.size * cols.size;
        let planes = planes.chunks_exact(height * width);
        wide(
            #[inline(always)]
            || {
                for (plane, data) in planes.zip(data.chunks_exact_mut(size)) {
                    data.fill(T::zero());
                    let lines = data[rows.before * cols.size..].chunks_mut(cols.size);
                    for (line, values) in lines.zip(plane.chunks_exact(width)) {
                        line[cols.before..][..width].copy_from_slice(values);
                    }
                }
            },
        );
    }

    /// Adds the pixels of a phase, plane by plane, to where they stand.
    fn add_phase<T: Float>(&self, phase: &Phase<T>, pixels: &[T], images: &mut [T]) {
        let (input, stride) = (self.patches.input, self.patches.stride);
        let planes = images.chunks_exact_mut(input.0 * input.1);
        let (count, first) = (phase.count, phase.first);
        wide(
            #[inline(always)]
            || {
                for (plane, pixels) in planes.zip(pixels.chunks_exact(count.0 * count.1)) {
                    let lines = plane.chunks_exact_mut(input.1).skip(first.0);
                    let lines = lines.step_by(stride.0).zip(pixels.chunks_exact(count.1));
                    for (line, pixels) in lines {
                        let line = line[first.1..].iter_mut().step_by(stride.1);
                        line.zip(pixels).for_each(|(to, &from)| *to += from);
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Room;
    use crate::ops::Conv2dParams;
    use crate::ops::patch_product::Turned;
    use crate::testing::values;

    /// Strides and dilations with and without a common divisor, padding inside and beyond the kernel,
    /// pixels that nothing reaches, phases without cells, one image and several blocks.
    #[test]
    fn pixels_gather_what_patches_would_add() {
        for (size, kernel, stride, padding, dilation) in [
            ((14, 14), (4, 4), (2, 2), (1, 1), (1, 1)),
            ((9, 13), (3, 3), (1, 1), (1, 1), (1, 1)),
            ((11, 10), (5, 5), (2, 2), (2, 2), (1, 1)),
            ((12, 17), (3, 5), (1, 3), (1, 2), (1, 1)),
            ((15, 16), (4, 5), (2, 2), (3, 2), (2, 1)),
            ((14, 9), (3, 3), (1, 1), (3, 2), (3, 2)),
        ] {
            let params = Conv2dParams {
                stride,
                padding,
                dilation,
                groups: 1,
            };
            let (channels, out, batch) = (MANY + 3, 6, 3);
            let shape = [batch, channels, size.0, size.1];
            let weight_shape = [out, channels, kernel.0, kernel.1];
            let sizes = Sizes::new(&shape, &weight_shape, &params).unwrap();
            let weight = values(weight_shape.iter().product(), 0.7);
            let Turned::Phases(phases) = sizes.turned(&weight) else {
                panic!("{sizes:?} does not gather");
            };
            let (depth, channels) = (sizes.patches.depth(), sizes.group_out());
            let turned = sizes.tiles(&weight, (1, depth), (depth, channels));
            let images = sizes.together().min(batch);
            let planes = values(images * sizes.image_out(), 0.3);
            let pictures = values(images * sizes.image_in(), 0.1);
            let [mut gathered, mut added] = [pictures.clone(), pictures];
            let mut room = Room::take();
            let [room] = room.split([sizes.room::<f64>()]);
            sizes.up((&Turned::Phases(phases), 0), &planes, &mut gathered, room);
            sizes.up((&Turned::Tiles(turned), 0), &planes, &mut added, room);
            for (gathered, added) in gathered.iter().zip(&added) {
                assert!((gathered - added).abs() < 1e-12, "{sizes:?}");
            }
        }
    }
}
