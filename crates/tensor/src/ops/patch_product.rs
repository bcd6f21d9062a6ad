//! The products of a convolution over a few images, and of its transpose.
//!
//! With the patches `P(x)` of images as columns, planes `y` of as many places, and the weight `W`
//! as a matrix of channels by the elements of a patch:
//!
//! | | | makes |
//! | --- | --- | --- |
//! | [`Sizes::down`] | `y = W P(x)` | a convolution; the input gradient of a transposed one |
//! | [`Sizes::up`] | `x += P'(W' y)` | a transposed convolution; the input gradient of one |
//! | [`Sizes::outer`] | `dW' += P(x) y'` | the weight gradient of both |
//!
//! `'` is the transpose: of patches, adding them to where they came from. All three are products
//! with panels, which patches or planes are copied into as they are found, several images side by
//! side, for few columns would waste registers. Where there are many channels, `lookup_down` and
//! `lookup_up` make them without copies of patches.

use rayon::prelude::*;

use super::conv_kernel::Sizes;
use super::lookup_down::Lookup;
use super::lookup_up::Phases;
use crate::kernel::{BLOCK, CHUNK, Float, add_rows, copy, wide};
use crate::micro_kernel::Left;
use crate::panels::{Panels, tiles};
use crate::room::{padded, split};
use crate::turn::turn;

/// A weight for [`Sizes::down`].
pub(super) enum Kernels<T> {
    /// Those of every group, in tiles.
    Tiles(Vec<T>),
    /// In panels, and where the patches stand.
    Panels(Vec<T>, Lookup),
}

/// A weight for [`Sizes::up`].
pub(super) enum Turned<T> {
    /// Those of every group, in tiles.
    Tiles(Vec<T>),
    Phases(Phases<T>),
}

impl Sizes {
    /// Elements of the room that the products need for a block of [`Sizes::together`] images.
    pub(super) fn room<T: Float>(&self) -> usize {
        let (depth, channels) = (self.patches.depth(), self.group_out());
        let width = self.together() * self.patches.places();
        let panels = |rows, cols| Panels::new::<T>(rows, cols).len();
        let planes = panels(channels, width).max(panels(width, channels));
        let planes = planes.max(panels(self.patches.places(), depth));
        padded([
            panels(depth, width).max(depth * width + BLOCK),
            planes,
            width + BLOCK,
            self.patches.room(self.together()),
        ])
        .max(padded(self.lookup_room::<T>()))
        .max(padded(self.phases_room::<T>()))
    }

    /// Whether patches are smaller than there are channels: of the two matrices that a weight gradient
    /// is made of, the smaller one is turned.
    fn turns_patches(&self) -> bool {
        !self.looks_up() && self.patches.depth() < self.group_out()
    }

    /// Sizes of a group's weight gradient as [`Sizes::outer`] makes it.
    pub(super) fn gradient_panels<T: Float>(&self) -> Panels {
        let (depth, channels) = (self.patches.depth(), self.group_out());
        if self.turns_patches() {
            Panels::new::<T>(channels, depth)
        } else {
            Panels::new::<T>(depth, channels)
        }
    }

    /// Planes out of images of a group: its [`Sizes::kernels`] times their patches, plus `bias`.
    pub(super) fn down<T: Float>(
        &self,
        (kernels, group, bias): (&Kernels<T>, usize, Option<&[T]>),
        images: &[T],
        planes: &mut [T],
        room: &mut [T],
    ) {
        let kernels = match kernels {
            Kernels::Tiles(kernels) => self.of_group(kernels, group),
            Kernels::Panels(weight, lookup) => {
                return self.down_by_lookup((lookup, weight, bias), images, planes, room);
            }
        };
        let (depth, places, channels) = (
            self.patches.depth(),
            self.patches.places(),
            self.group_out(),
        );
        let width = planes.len() / channels;
        let columns = Panels::new::<T>(depth, width);
        let product = Panels::new::<T>(channels, width);
        let sizes = [
            columns.len(),
            product.len(),
            width + BLOCK,
            self.patches.room(width / places),
        ];
        let [data, out, row, room] = split(room, sizes);
        self.patches.gather(images, room, |index, row| {
            wide(
                #[inline(always)]
                || columns.put(data, index, row),
            );
        });
        columns.product(
            (out, channels),
            Left::Tiles(kernels),
            data,
            false,
            self.spread(),
        );
        wide(
            #[inline(always)]
            || {
                for channel in 0..channels {
                    product.take(out, channel, row);
                    let bias = bias.map_or(T::zero(), |bias| bias[channel]);
                    let planes = planes.chunks_exact_mut(places).skip(channel);
                    let planes = planes.step_by(channels).zip(row.chunks_exact(places));
                    for (plane, values) in planes {
                        let plane = plane.iter_mut().zip(values);
                        plane.for_each(|(p, &value)| *p = value + bias);
                    }
                }
            },
        );
    }

    /// Adds to images of a group what their planes become under the transpose; `turned` is
    /// [`Sizes::turned`].
    pub(super) fn up<T: Float>(
        &self,
        (turned, group): (&Turned<T>, usize),
        planes: &[T],
        images: &mut [T],
        room: &mut [T],
    ) {
        let turned = match turned {
            Turned::Tiles(turned) => self.of_group(turned, group),
            Turned::Phases(phases) => return self.up_by_lookup(phases, planes, images, room),
        };
        let (depth, places, channels) = (
            self.patches.depth(),
            self.patches.places(),
            self.group_out(),
        );
        let width = planes.len() / channels;
        let columns = Panels::new::<T>(depth, width);
        let panels = Panels::new::<T>(channels, width);
        let sizes = [
            columns.len(),
            panels.len(),
            width + BLOCK,
            self.patches.room(width / places),
        ];
        let [out, data, row, room] = split(room, sizes);
        wide(
            #[inline(always)]
            || {
                for channel in 0..channels {
                    for image in 0..width / places {
                        let plane = &planes[(image * channels + channel) * places..];
                        copy(&mut row[image * places..], plane, places);
                    }
                    panels.put(data, channel, row);
                }
            },
        );
        panels.product(
            (out, depth),
            Left::Tiles(turned),
            data,
            false,
            self.spread(),
        );
        self.patches.scatter_add(images, room, |index, row| {
            wide(
                #[inline(always)]
                || columns.take(out, index, row),
            );
        });
    }

    /// Adds the weight gradient of images and planes of a group, in panels, and turned unless
    /// [`Sizes::turns_patches`].
    pub(super) fn outer<T: Float>(
        &self,
        lookup: Option<&Lookup>,
        (images, planes): (&[T], &[T]),
        gradient: &mut [T],
        room: &mut [T],
    ) {
        let (depth, places, channels) = (
            self.patches.depth(),
            self.patches.places(),
            self.group_out(),
        );
        let width = planes.len() / channels;
        let panels = if self.turns_patches() {
            Panels::new::<T>(places, depth)
        } else {
            Panels::new::<T>(width, channels)
        };
        let whole = |data: &mut [T]| {
            for (image, planes) in planes.chunks_exact(channels * places).enumerate() {
                panels.lay(data, image * places, planes, (1, places), places);
            }
        };
        let spread = self.spread();
        if let Some(lookup) = lookup {
            let sizes = [panels.len(), self.patches.padded_room(width / places)];
            let [data, padded] = split(room, sizes);
            whole(data);
            let left = lookup.elements(self.patches.padded(images, padded), width);
            return panels.product((gradient, depth), left, data, true, spread);
        }
        let sizes = [
            depth * width + BLOCK,
            panels.len(),
            self.patches.room(width / places),
        ];
        let [columns, data, room] = split(room, sizes);
        self.patches.gather(images, room, |index, row| {
            wide(
                #[inline(always)]
                || copy(&mut columns[index * width..], row, width),
            );
        });
        if self.turns_patches() {
            let planes = planes.chunks_exact(channels * places).enumerate();
            for (image, planes) in planes {
                let columns = &columns[image * places..];
                panels.lay(data, 0, columns, (1, width), places);
                let left = Left::Rows(planes, places);
                panels.product((gradient, channels), left, data, true, spread);
            }
        } else {
            whole(data);
            let left = Left::Rows(columns, width);
            panels.product((gradient, depth), left, data, true, spread);
        }
    }

    /// The weight for [`Sizes::down`].
    pub(super) fn kernels<T: Float>(&self, weight: &[T]) -> Kernels<T> {
        if let Some(lookup) = self.lookup() {
            return Kernels::Panels(self.weight_panels(weight), lookup);
        }
        let (depth, channels) = (self.patches.depth(), self.group_out());
        Kernels::Tiles(self.tiles(weight, (depth, 1), (channels, depth)))
    }

    /// The weight for [`Sizes::up`].
    pub(super) fn turned<T: Float>(&self, weight: &[T]) -> Turned<T> {
        if let Some(phases) = self.phases(weight) {
            return Turned::Phases(phases);
        }
        let (depth, channels) = (self.patches.depth(), self.group_out());
        Turned::Tiles(self.tiles(weight, (1, depth), (depth, channels)))
    }

    /// The part of a group, of a weight in tiles.
    fn of_group<'a, T>(&self, tiles: &'a [T], group: usize) -> &'a [T] {
        let of_group = self.patches.depth() * self.group_out();
        &tiles[group * of_group..][..of_group]
    }

    pub(super) fn tiles<T: Float>(
        &self,
        weight: &[T],
        strides: (usize, usize),
        sizes: (usize, usize),
    ) -> Vec<T> {
        let mut made = vec![T::zero(); weight.len()];
        let groups = made.chunks_exact_mut(sizes.0 * sizes.1);
        for (made, kernels) in groups.zip(weight.chunks_exact(sizes.0 * sizes.1)) {
            tiles(made, kernels, strides, sizes);
        }
        made
    }

    /// The weight gradient, out of its parts: each has that of every group.
    pub(super) fn gradient<T: Float>(&self, parts: &[Vec<T>]) -> Vec<T> {
        let (depth, channels) = (self.patches.depth(), self.group_out());
        let panels = self.gradient_panels::<T>();
        let mut total = vec![T::zero(); self.groups * panels.len()];
        total
            .par_chunks_mut(CHUNK)
            .enumerate()
            .for_each(|(chunk, total)| {
                for part in parts {
                    add_rows(total, &part[chunk * CHUNK..][..total.len()]);
                }
            });
        let mut dw = vec![T::zero(); self.groups * channels * depth];
        let groups = dw.chunks_exact_mut(channels * depth);
        for (dw, total) in groups.zip(total.chunks_exact(panels.len())) {
            if self.turns_patches() {
                let kernels = dw.chunks_exact_mut(depth).enumerate();
                kernels.for_each(|(channel, kernel)| panels.take(total, channel, kernel));
                continue;
            }
            let kernels = dw.par_chunks_mut(panels.width() * depth);
            let kernels = kernels.zip(total.par_chunks(panels.panel()));
            kernels.for_each(|(kernels, panel)| {
                let (here, across) = (kernels.len() / depth, panel.len() / depth);
                turn((panel, across), (kernels, depth), (depth, here));
            });
        }
        dw
    }
}
