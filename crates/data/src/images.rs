//! [`ImageSet`]: pictures of one size with their classes, whole in memory.
//!
//! **Shape:** a sample is `(pixels, label)`: the `C * H * W` bytes of one picture, row by row and
//! plane by plane (one for grey, three for colour), and the number of its class. [`ImageCollate`] makes tensors of them.
//!
//! **Differences from PyTorch:** samples stay bytes until a batch is made, so augmentation works
//! on bytes.
//!
//! ```
//! use mapsto_data::{Dataset, ImageSet};
//! let names = vec!["dark".to_owned(), "bright".to_owned()];
//! let set = ImageSet::new(vec![0, 51, 255, 255], vec![0, 1], (1, 2), names)?;
//! assert_eq!((set.len(), set.height(), set.width()), (2, 1, 2));
//! assert_eq!(set.pixels(1)?, [255, 255]);
//! assert_eq!(set.class_counts(), [1, 1]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::fmt;

use mapsto_tensor::rng::Stream;
use sha2::{Digest, Sha256};

use crate::sets::hex;
use crate::{Dataset, Error, ImageCollate, Picture, Result};

/// Pictures of one size with their classes.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSet {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    channels: usize,
    height: usize,
    width: usize,
    class_names: Vec<String>,
}

impl ImageSet {
    /// A set of `labels.len()` grey pictures of `size` (height, width), row by row in `pixels`.
    ///
    /// Each label is the number of a class in `class_names`.
    ///
    /// # Errors
    ///
    /// Where a side is 0, the bytes are not as many as the pictures need, or a label is that of no
    /// class.
    pub fn new(
        pixels: Vec<u8>,
        labels: Vec<u32>,
        size: (usize, usize),
        class_names: Vec<String>,
    ) -> Result<Self> {
        Self::of_planes(pixels, labels, (1, size.0, size.1), class_names)
    }

    /// The same of `size` (channels, height, width), plane by plane.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and where there is no channel.
    pub fn of_planes(
        pixels: Vec<u8>,
        labels: Vec<u32>,
        size: (usize, usize, usize),
        class_names: Vec<String>,
    ) -> Result<Self> {
        let (channels, height, width) = size;
        let bytes = [channels, height, width, labels.len()]
            .iter()
            .try_fold(1_usize, |product, &factor| product.checked_mul(factor));
        if height == 0 || width == 0 || channels == 0 || bytes != Some(pixels.len()) {
            return Err(Error::Config(format!(
                "{} bytes are not {} pictures of {height}x{width} in {channels} channels: give one \
                 byte a sample and one label a picture",
                pixels.len(),
                labels.len()
            )));
        }
        let classes = class_names.len();
        let beyond = |&(_, &label): &(usize, &u32)| label as usize >= classes;
        if let Some((index, label)) = labels.iter().enumerate().find(beyond) {
            return Err(Error::Config(format!(
                "label {index} is {label}, but there are {classes} class names: name all classes"
            )));
        }
        Ok(Self {
            pixels,
            labels,
            channels,
            height,
            width,
            class_names,
        })
    }

    /// Planes of a picture: 1 for grey, 3 for colour.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Height of the pictures in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the pictures in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The class of each picture.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The name of each class.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Number of pictures in each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names.len()];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The bytes of picture `index`, row by row, plane by plane.
    ///
    /// # Errors
    ///
    /// Where there is no picture `index`.
    pub fn pixels(&self, index: usize) -> Result<&[u8]> {
        let size = self.size();
        let len = self.labels.len();
        let mut pictures = self.pixels.chunks_exact(size);
        pictures.nth(index).ok_or(Error::Index { index, len })
    }

    /// Picture `index` in 0..=1.
    ///
    /// # Errors
    ///
    /// Where there is no picture `index`, or it is neither grey nor of three planes.
    pub fn picture(&self, index: usize) -> Result<Picture> {
        let scaled = |&pixel: &u8| f32::from(pixel) / 255.0;
        let pixels = self.pixels(index)?.iter().map(scaled).collect();
        Picture::of_planes(pixels, self.channels, self.height, self.width)
    }

    /// SHA-256 of all labels and pixels in their order, in hexadecimal.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for label in &self.labels {
            hash.update(label.to_le_bytes());
        }
        hash.update(&self.pixels);
        hex(&hash.finalize())
    }

    /// Bytes of a picture.
    fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The first `n` pictures, all of them where there are no more.
    pub fn truncate(mut self, n: usize) -> Self {
        self.labels.truncate(n);
        let size = self.size();
        self.pixels.truncate(self.labels.len() * size);
        self
    }

    /// Mean and standard deviation of all pixels in 0..=1, for [`ImageCollate::normalize`].
    ///
    /// Counted in whole numbers, hence the same on every machine. An empty set has none (NaN).
    pub fn mean_std(&self) -> (f64, f64) {
        let mut sum = 0_u64;
        let mut squares = 0_u64;
        for &pixel in &self.pixels {
            sum += u64::from(pixel);
            squares += u64::from(pixel).pow(2);
        }
        let n = self.pixels.len() as f64;
        let mean = sum as f64 / n;
        let variance = squares as f64 / n - mean * mean;
        (mean / 255.0, variance.max(0.0).sqrt() / 255.0)
    }

    /// Makes batches of this set's pictures, in 0..=1, on the CPU.
    pub fn collate(&self) -> ImageCollate {
        ImageCollate::new(self.height, self.width).channels(self.channels)
    }
}

impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet")
            .field("len", &self.labels.len())
            .field("channels", &self.channels)
            .field("height", &self.height)
            .field("width", &self.width)
            .field("class_names", &self.class_names)
            .finish_non_exhaustive()
    }
}

impl Dataset for ImageSet {
    type Item = (Vec<u8>, u32);

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn get(&self, index: usize, _: &mut Stream) -> Result<Self::Item> {
        Ok((self.pixels(index)?.to_vec(), self.labels[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| i.to_string()).collect()
    }

    #[test]
    fn sizes_and_labels_are_checked() {
        let set = |bytes, labels: &[u32], size| {
            ImageSet::new(vec![0; bytes], labels.to_vec(), size, names(2))
        };
        assert!(set(12, &[0, 1], (2, 3)).is_ok());
        assert!(set(11, &[0, 1], (2, 3)).is_err());
        assert!(set(0, &[], (0, 3)).is_err());
        let error = set(12, &[0, 2], (2, 3)).unwrap_err();
        assert!(error.to_string().starts_with("label 1 is 2"), "{error}");
    }

    #[test]
    fn an_index_beyond_the_end_is_an_error() {
        let set = ImageSet::new(vec![1, 2, 3, 4], vec![0, 0], (1, 2), names(1)).unwrap();
        assert_eq!(set.pixels(1).unwrap(), [3, 4]);
        assert!(matches!(
            set.pixels(2),
            Err(Error::Index { index: 2, len: 2 })
        ));
        let first = set.clone().truncate(1);
        assert_eq!((first.len(), first.pixels(0).unwrap()), (1, &[1, 2][..]));
        assert_eq!(set.clone().truncate(9), set);
    }
}
