//! [`Room`]: memory for a kernel's intermediate values, kept by the thread for its next call.
//!
//! Fresh memory would be cleared before it is written over; where a matrix of columns is made for
//! every few pictures, that took a twentieth of a training step.

use std::cell::Cell;
use std::ops::Range;
use std::thread::LocalKey;

use crate::kernel::Float;

/// What every thread keeps of a float type; only `f32` and `f64` have it.
pub trait Kept: Sized + 'static {
    /// The memory that this thread keeps.
    fn kept() -> &'static LocalKey<Cell<Vec<Self>>>;
}

macro_rules! kept {
    ($T:ty) => {
        impl Kept for $T {
            fn kept() -> &'static LocalKey<Cell<Vec<Self>>> {
                thread_local! {
                    static KEPT: Cell<Vec<$T>> = const { Cell::new(Vec::new()) };
                }
                &KEPT
            }
        }
    };
}

kept!(f32);
kept!(f64);

/// Elements that a thread keeps at most.
const MOST: usize = 1 << 22;

/// Pieces begin at multiples of this many elements.
pub(crate) const ALIGNED: usize = 16;

/// Memory that a kernel writes before it reads it; it holds what the last user left.
pub(crate) struct Room<T: Float>(Vec<T>);

impl<T: Float> Room<T> {
    /// What this thread keeps; nothing if a caller further up has it already.
    pub(crate) fn take() -> Self {
        Self(T::kept().take())
    }

    /// Pieces of these sizes.
    pub(crate) fn split<const N: usize>(&mut self, sizes: [usize; N]) -> [&mut [T]; N] {
        let total = padded(sizes);
        if self.0.len() < total + ALIGNED {
            // Not resized, which would copy the old values.
            self.0 = vec![T::zero(); total + ALIGNED];
        }
        let place = aligned(&self.0, total);
        let room = &mut self.0[place];
        if cfg!(debug_assertions) {
            // A kernel that reads before it writes shall not find plausible numbers.
            room.fill(T::nan());
        }
        split(room, sizes)
    }
}

/// Where in `data`, which has [`ALIGNED`] more, `size` elements begin on a line of the cache: a
/// register of the widest kind that lies on two of them is read twice, which took a fifth of the time
/// of products.
pub(crate) fn aligned<T>(data: &[T], size: usize) -> Range<usize> {
    let first = data.as_ptr().align_offset(ALIGNED * size_of::<T>());
    first..first + size
}

/// Elements that pieces of these sizes take up.
pub(crate) fn padded<const N: usize>(sizes: [usize; N]) -> usize {
    sizes
        .map(|size| size.next_multiple_of(ALIGNED))
        .iter()
        .sum()
}

/// Pieces of these sizes of a part of a room, which has at least [`padded`] of them.
pub(crate) fn split<T, const N: usize>(room: &mut [T], sizes: [usize; N]) -> [&mut [T]; N] {
    let mut rest = room;
    sizes.map(|size| {
        let taken = size.next_multiple_of(ALIGNED);
        let (piece, others) = std::mem::take(&mut rest).split_at_mut(taken);
        rest = others;
        &mut piece[..size]
    })
}

impl<T: Float> Drop for Room<T> {
    fn drop(&mut self) {
        if self.0.len() <= MOST {
            T::kept().set(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_memory_and_gives_it_to_one_user_at_a_time() {
        let mut room = Room::<f32>::take();
        let [a, b, none] = room.split([3, 20, 0]);
        assert_eq!((a.len(), b.len(), none.len()), (3, 20, 0));
        a.fill(1.0);
        b.fill(2.0);
        assert!(a.as_ptr().addr() % 64 == 0 && b.as_ptr().addr() % 64 == 0);
        let address = a.as_ptr();
        let mut inner = Room::<f32>::take();
        let [other] = inner.split([3]);
        assert_ne!(other.as_ptr(), address);
        drop(inner);
        drop(room);
        assert_eq!(Room::<f32>::take().split([3])[0].as_ptr(), address);
    }

    #[test]
    fn more_than_the_most_is_given_back() {
        let mut room = Room::<f64>::take();
        room.split([MOST + 1]);
        drop(room);
        assert_eq!(Room::<f64>::take().0.len(), 0);
    }
}
