//! The digits that are drawn, not read: they need no file and no network.

use rayon::prelude::*;

use super::{Split, known};
use crate::digits::{SIDE, draw};
use crate::{Error, ImageSet, Result};

/// Where the test digits begin: more train digits are refused, so the splits never share one.
const FIRST_TEST: u64 = 1_000_000_000_000;

/// Draws the first `n` digits of a split, 28 x 28, on all processors.
///
/// A digit depends on (split, its number, `seed`) only; a larger `n` adds to the same set.
///
/// # Errors
///
/// Where `n` is 1,000,000,000,000 or more.
pub fn digits(split: Split, n: usize, seed: u64) -> Result<ImageSet> {
    let first = match split {
        Split::Train => 0,
        Split::Test => FIRST_TEST,
    };
    let bytes = n.checked_mul(SIDE * SIDE);
    let Some(bytes) = bytes.filter(|_| (n as u64) < FIRST_TEST) else {
        return Err(Error::Config(format!(
            "{n} digits cannot be drawn: give less than {FIRST_TEST}"
        )));
    };
    let mut pixels = vec![0; bytes];
    let mut labels = vec![0; n];
    let pictures = pixels.par_chunks_exact_mut(SIDE * SIDE);
    let places = pictures.zip(labels.par_iter_mut()).enumerate();
    places.for_each(|(index, (picture, label))| {
        let (drawn, class) = draw(seed, first + index as u64);
        picture.copy_from_slice(&drawn);
        *label = u32::from(class);
    });
    let names = known::DIGITS.map(str::to_owned).to_vec();
    ImageSet::new(pixels, labels, (SIDE, SIDE), names)
}
