//! Patches of images where they stand: products without a matrix of patches.
//!
//! Where there are many channels, they go along the registers, and a product reads the elements of
//! patches one by one, each at the sum of where its patch begins and how far inside it stands. Images
//! get their padding before; nothing else is copied. The sums are those of `patch_product`, bit by
//! bit.
//!
//! **Reference:** Evangelos Georganas et al., "Anatomy of high-performance deep learning
//! convolutions on SIMD architectures", 2018.

use super::conv_kernel::Sizes;
use super::im2col::Patches;
use crate::kernel::{BLOCK, Float, wide};
use crate::micro_kernel::Left;
use crate::panels::Panels;
use crate::room::split;

/// Fewer channels leave registers empty.
pub(super) const MANY: usize = 32;

/// Where the elements of the patches of some images stand.
pub(super) struct Lookup {
    /// The beginnings of all patches, image by image.
    patches: Vec<usize>,
    /// The elements of a patch.
    elements: Vec<usize>,
}

impl Lookup {
    /// For as many images as are multiplied together.
    fn new(sizes: &Sizes) -> Self {
        let p = &sizes.patches;
        let (pitch, plane) = p.padded_sizes();
        let images = 0..sizes.together();
        let patches = images.flat_map(|image| {
            (0..p.output.0).flat_map(move |y| {
                let line = image * p.channels * plane + y * p.stride.0 * pitch;
                (0..p.output.1).map(move |x| line + x * p.stride.1)
            })
        });
        let elements = (0..p.channels).flat_map(|channel| {
            (0..p.kernel.0).flat_map(move |y| {
                let line = channel * plane + y * p.dilation.0 * pitch;
                (0..p.kernel.1).map(move |x| line + x * p.dilation.1)
            })
        });
        Self {
            patches: patches.collect(),
            elements: elements.collect(),
        }
    }

    /// A column for each element of a patch.
    fn patches<'a, T>(&'a self, data: &'a [T], count: usize) -> Left<'a, T> {
        Left::Lookup {
            data,
            rows: &self.patches[..count],
            cols: &self.elements,
        }
    }

    /// A row for each element of a patch.
    pub(super) fn elements<'a, T>(&'a self, data: &'a [T], count: usize) -> Left<'a, T> {
        Left::Lookup {
            data,
            rows: &self.elements,
            cols: &self.patches[..count],
        }
    }
}

impl Patches {
    /// Elements of a row, and of a plane, with padding.
    fn padded_sizes(&self) -> (usize, usize) {
        if self.padding == (0, 0) {
            (self.input.1, self.input.0 * self.input.1)
        } else {
            (self.pitch(), self.spread_plane())
        }
    }

    /// Elements that [`Patches::padded`] needs for so many images.
    pub(super) fn padded_room(&self, images: usize) -> usize {
        if self.padding == (0, 0) {
            0
        } else {
            images * self.channels * self.spread_plane() + BLOCK
        }
    }

    /// Images with their padding.
    pub(super) fn padded<'a, T: Float>(&self, images: &'a [T], room: &'a mut [T]) -> &'a [T] {
        if self.padding == (0, 0) {
            return images;
        }
        let planes = images.chunks_exact(self.input.0 * self.input.1);
        wide(
            #[inline(always)]
            || {
                for (index, plane) in planes.enumerate() {
                    self.pad(plane, &mut room[index * self.spread_plane()..]);
                }
            },
        );
        room
    }
}

impl Sizes {
    /// Where patches stand, if they had better be read there: output planes, which this way have to
    /// be turned, must be fewer than rows of patches, which the other way have to be copied.
    pub(super) fn lookup(&self) -> Option<Lookup> {
        self.looks_up().then(|| Lookup::new(self))
    }

    pub(super) fn looks_up(&self) -> bool {
        self.groups == 1 && self.out >= MANY && self.patches.depth() >= 2 * self.out
    }

    /// The weight in panels with the output channels as columns.
    pub(super) fn weight_panels<T: Float>(&self, weight: &[T]) -> Vec<T> {
        let depth = self.patches.depth();
        let panels = Panels::new::<T>(depth, self.out);
        let mut data = vec![T::zero(); panels.len()];
        panels.lay(&mut data, 0, weight, (1, depth), depth);
        data
    }

    /// Elements of the room that [`Sizes::down_by_lookup`] needs for a block of images.
    pub(super) fn lookup_room<T: Float>(&self) -> [usize; 2] {
        if !self.looks_up() {
            return [0; 2];
        }
        let width = self.together() * self.patches.places();
        let out = Panels::new::<T>(width, self.out).len();
        [self.patches.padded_room(self.together()), out]
    }

    /// [`Sizes::down`] with a weight in panels.
    pub(super) fn down_by_lookup<T: Float>(
        &self,
        (lookup, weight, bias): (&Lookup, &[T], Option<&[T]>),
        images: &[T],
        planes: &mut [T],
        room: &mut [T],
    ) {
        let (places, channels) = (self.patches.places(), self.out);
        let width = planes.len() / channels;
        let panels = Panels::new::<T>(self.patches.depth(), channels);
        let out_panels = Panels::new::<T>(width, channels);
        let [padded, out] = split(room, self.lookup_room::<T>());
        let out = &mut out[..out_panels.len()];
        let left = lookup.patches(self.patches.padded(images, padded), width);
        panels.product((out, width), left, weight, false, self.spread());
        out_panels.turn_into(out, places, planes);
        let Some(bias) = bias else {
            return;
        };
        for planes in planes.chunks_exact_mut(channels * places) {
            let pairs = planes.chunks_exact_mut(places).zip(bias);
            pairs.for_each(|(plane, &bias)| plane.iter_mut().for_each(|p| *p += bias));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Room;
    use crate::ops::Conv2dParams;
    use crate::ops::patch_product::Kernels;
    use crate::testing::values;

    #[test]
    fn patches_where_they_stand_give_the_bits_of_their_copies() {
        for (stride, padding, dilation) in [
            ((1, 1), (0, 0), (1, 1)),
            ((2, 3), (0, 0), (1, 2)),
            ((2, 2), (1, 1), (1, 1)),
            ((1, 1), (2, 1), (1, 1)),
            ((1, 3), (1, 2), (2, 1)),
        ] {
            let params = Conv2dParams {
                stride,
                padding,
                dilation,
                groups: 1,
            };
            let (channels, out, batch) = (8, MANY + 3, 3);
            let (shape, weight_shape) = ([batch, channels, 9, 13], [out, channels, 3, 3]);
            let sizes = Sizes::new(&shape, &weight_shape, &params).unwrap();
            let weight = values(weight_shape.iter().product(), 0.7);
            let kernels = sizes.kernels(&weight);
            let Kernels::Panels(_, lookup) = &kernels else {
                panic!("{params:?} does not look up");
            };
            let depth = sizes.patches.depth();
            let tiles = Kernels::Tiles(sizes.tiles(&weight, (depth, 1), (out, depth)));
            let images = values(sizes.together().min(batch) * sizes.image_in(), 0.1);
            let count = images.len() / sizes.image_in() * sizes.image_out();
            let (bias, grad) = (values(out, 0.9), values(count, 0.3));
            let mut room = Room::take();
            let [room] = room.split([sizes.room::<f64>()]);
            let mut run = |kernels, lookup: Option<&Lookup>| {
                let mut planes = vec![0.0; count];
                sizes.down((kernels, 0, Some(&bias)), &images, &mut planes, room);
                let mut gradient = vec![1.0; sizes.gradient_panels::<f64>().len()];
                sizes.outer(lookup, (&images, &grad), &mut gradient, room);
                (planes, sizes.gradient(&[gradient]))
            };
            assert!(
                run(&kernels, Some(lookup)) == run(&tiles, None),
                "{params:?}"
            );
        }
    }
}
