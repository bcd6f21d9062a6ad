//! Planes with their padding, phase by phase: how `im2col` reads lines of outputs from neighbours.
//!
//! A phase holds the columns that leave the same rest when divided by the stride.

use std::array::from_fn;
use std::ops::Range;

use super::im2col::Patches;
use crate::kernel::{BLOCK, Float, copy};

impl Patches {
    /// Lays out a plane with its padding, phase by phase, so that the outputs of a line read
    /// neighbours.
    #[inline(always)]
    pub(super) fn spread<T: Float>(&self, plane: &[T], padded: &mut [T], spread: &mut [T]) {
        if self.stride.1 == 1 {
            return self.pad(plane, spread);
        }
        // The whole plane at a time: what has just been written in other pieces is slow to read.
        self.pad(plane, padded);
        let rows = spread[..self.spread_plane()].chunks_exact_mut(self.pitch());
        for (row, padded) in rows.zip(padded.chunks_exact(self.pitch())) {
            if self.stride.1 == 2 {
                let (even, odd) = row.split_at_mut(row.len() / 2);
                let (evens, even) = even.as_chunks_mut::<BLOCK>();
                let (odds, odd) = odd.as_chunks_mut::<BLOCK>();
                let (pairs, rest) = padded.as_chunks::<{ 2 * BLOCK }>();
                for ((even, odd), &pairs) in evens.iter_mut().zip(odds).zip(pairs) {
                    *even = from_fn(
                        #[inline(always)]
                        |i| pairs[2 * i],
                    );
                    *odd = from_fn(
                        #[inline(always)]
                        |i| pairs[2 * i + 1],
                    );
                }
                let phases = even.iter_mut().zip(odd);
                for ((even, odd), &[a, b]) in phases.zip(rest.as_chunks::<2>().0) {
                    (*even, *odd) = (a, b);
                }
                continue;
            }
            for (phase, row) in row.chunks_exact_mut(self.phase()).enumerate() {
                let groups = padded.chunks_exact(self.stride.1);
                let pairs = row.iter_mut().zip(groups);
                pairs.for_each(|(to, from)| *to = from[phase]);
            }
        }
    }

    /// Copies a plane, with zeros around it. Of `padded` a block more than that may be written.
    #[inline(always)]
    pub(super) fn pad<T: Float>(&self, plane: &[T], padded: &mut [T]) {
        let (inside, pitch) = (self.inside(), self.pitch());
        for y in 0..self.spread_plane() / pitch {
            let row = &mut padded[y * pitch..];
            let Some(from) = self.line_of(y) else {
                row[..pitch].fill(T::zero());
                continue;
            };
            zeros(row, inside.start);
            copy(&mut row[inside.start..], &plane[from..], inside.len());
            zeros(&mut row[inside.end..], pitch - inside.end);
        }
    }

    /// The other way round, adding.
    #[inline(always)]
    pub(super) fn collect<T: Float>(&self, spread: &[T], padded: &mut [T], plane: &mut [T]) {
        let (inside, pitch) = (self.inside(), self.pitch());
        let spread = &spread[..self.spread_plane()];
        let rows = spread.chunks_exact(pitch);
        for (row, padded) in rows.zip(padded.chunks_exact_mut(pitch)) {
            if self.stride.1 == 2 {
                let (even, odd) = row.split_at(row.len() / 2);
                let (evens, even) = even.as_chunks::<BLOCK>();
                let (odds, odd) = odd.as_chunks::<BLOCK>();
                let (pairs, rest) = padded.as_chunks_mut::<{ 2 * BLOCK }>();
                for ((&even, &odd), pairs) in evens.iter().zip(odds).zip(pairs) {
                    *pairs = from_fn(
                        #[inline(always)]
                        |i| if i % 2 == 0 { even[i / 2] } else { odd[i / 2] },
                    );
                }
                let phases = even.iter().zip(odd);
                for ((&even, &odd), pair) in phases.zip(rest.as_chunks_mut::<2>().0) {
                    *pair = [even, odd];
                }
                continue;
            }
            for (phase, row) in row.chunks_exact(self.phase()).enumerate() {
                let groups = padded.chunks_exact_mut(self.stride.1);
                groups.zip(row).for_each(|(to, &from)| to[phase] = from);
            }
        }
        for (y, row) in padded[..spread.len()].chunks_exact(pitch).enumerate() {
            let Some(to) = self.line_of(y) else {
                continue;
            };
            let sums = plane[to..][..inside.len()].iter_mut();
            let pairs = sums.zip(&row[inside.clone()]);
            pairs.for_each(|(to, &from)| *to += from);
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

/// Writes `count` zeros; and up to the end of a block, if it is that long.
#[inline(always)]
fn zeros<T: Float>(to: &mut [T], count: usize) {
    match to.first_chunk_mut::<BLOCK>() {
        Some(block) if count <= BLOCK => *block = [T::zero(); BLOCK],
        _ => to[..count].fill(T::zero()),
    }
}
