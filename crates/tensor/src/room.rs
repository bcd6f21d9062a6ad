//! [`Room`]: memory for a kernel's intermediate values, kept by the thread for its next call.
//!
//! Fresh memory would be cleared before it is written over; where a matrix of columns is made for
//! every few pictures, that took a twentieth of a training step.

use std::cell::Cell;
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

/// Pieces begin at multiples of this many elements, which vector instructions like.
const ALIGNED: usize = 16;

/// Memory that a kernel writes before it reads it; it holds what the last user left.
pub(crate) struct Room<T: Float>(Vec<T>);

impl<T: Float> Room<T> {
    /// What this thread keeps; nothing if a caller further up has it already.
    pub(crate) fn take() -> Self {
        Self(T::kept().take())
    }

    /// Pieces of these sizes.
    pub(crate) fn split<const N: usize>(&mut self, sizes: [usize; N]) -> [&mut [T]; N] {
        let padded = sizes.map(|size| size.next_multiple_of(ALIGNED));
        let total = padded.iter().sum();
        if self.0.len() < total {
            // Not resized, which would copy the old values.
            self.0 = vec![T::zero(); total];
        }
        if cfg!(debug_assertions) {
            // A kernel that reads before it writes shall not find plausible numbers.
            self.0[..total].fill(T::nan());
        }
        let mut rest = self.0.as_mut_slice();
        let mut index = 0;
        sizes.map(|size| {
            let (piece, others) = std::mem::take(&mut rest).split_at_mut(padded[index]);
            (rest, index) = (others, index + 1);
            &mut piece[..size]
        })
    }
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
