//! [`ImageSet`]: grey pictures of one size with their classes, whole in memory.
//!
//! A sample is `(pixels, label)`, the bytes of one picture row by row; [`ImageCollate`] makes
//! tensors of them.
//!
//! **Shape:** a batch is `(N, 1, H, W)` in f32 and `(N)` in u32.
//!
//! **Differences from PyTorch:** scaling to 0..=1 (`ToTensor`) and `Normalize` happen for the
//! whole batch at once, with the same arithmetic: `(pixel / 255 - mean) / std` in f32.
//!
//! ```
//! use mapsto_data::{DataLoader, ImageSet};
//! let names = vec!["dark".to_owned(), "bright".to_owned()];
//! let set = ImageSet::new(vec![0, 51, 255, 255], vec![0, 1], (1, 2), names)?;
//! let collate = set.collate();
//! let loader = DataLoader::new(set, collate).batch_size(2)?;
//! let (x, y) = loader.epoch(0).next().unwrap()?;
//! assert_eq!(x.dims(), [2, 1, 1, 2]);
//! assert_eq!(x.flatten_all()?.to_vec1::<f32>()?, [0.0, 0.2, 1.0, 1.0]);
//! assert_eq!(y.to_vec1::<u32>()?, [0, 1]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::fmt;

use mapsto_tensor::rng::Stream;
use mapsto_tensor::{Device, Tensor};

use crate::{Collate, Dataset, Error, Picture, Result};

/// Grey pictures of one size with their classes.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSet {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    height: usize,
    width: usize,
    class_names: Vec<String>,
}

impl ImageSet {
    /// A set of `labels.len()` pictures of `size` (height, width), row by row in `pixels`.
    ///
    /// Each label is the number of a class in `class_names`.
    pub fn new(
        pixels: Vec<u8>,
        labels: Vec<u32>,
        size: (usize, usize),
        class_names: Vec<String>,
    ) -> Result<Self> {
        let (height, width) = size;
        let bytes = (height.checked_mul(width)).and_then(|size| size.checked_mul(labels.len()));
        if height == 0 || width == 0 || bytes != Some(pixels.len()) {
            return Err(Error::Config(format!(
                "{} bytes are not {} pictures of {height}x{width}: give one byte a pixel and one \
                 label a picture",
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
            height,
            width,
            class_names,
        })
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

    /// The bytes of picture `index`, row by row.
    pub fn pixels(&self, index: usize) -> Result<&[u8]> {
        let size = self.height * self.width;
        let len = self.labels.len();
        let mut pictures = self.pixels.chunks_exact(size);
        pictures.nth(index).ok_or(Error::Index { index, len })
    }

    /// Picture `index` in 0..=1.
    pub fn picture(&self, index: usize) -> Result<Picture> {
        let scaled = |&pixel: &u8| f32::from(pixel) / 255.0;
        let pixels = self.pixels(index)?.iter().map(scaled).collect();
        Picture::new(pixels, self.height, self.width)
    }

    /// The first `n` pictures, all of them where there are no more.
    pub fn truncate(mut self, n: usize) -> Self {
        self.labels.truncate(n);
        let size = self.height * self.width;
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
        ImageCollate::new(self.height, self.width)
    }
}

impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet")
            .field("len", &self.labels.len())
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

/// Makes `(pictures, labels)` tensors of samples `(pixels, label)`.
#[derive(Clone)]
pub struct ImageCollate {
    height: usize,
    width: usize,
    device: Device,
    /// What each of the 256 bytes becomes.
    values: [f32; 256],
}

impl ImageCollate {
    /// Makes batches of pictures of this size, in 0..=1, on the CPU.
    pub fn new(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            device: Device::Cpu,
            values: values(0.0, 1.0),
        }
    }

    /// Makes a pixel `(pixel / 255 - mean) / std`; `std` must be above 0.
    pub fn normalize(mut self, mean: f64, std: f64) -> Result<Self> {
        if !(std > 0.0 && std.is_finite() && mean.is_finite()) {
            return Err(Error::Config(format!(
                "pictures cannot be normalised by mean {mean} and standard deviation {std}: give \
                 a finite mean and a standard deviation above 0"
            )));
        }
        self.values = values(mean as f32, std as f32);
        Ok(self)
    }

    /// Puts the batches on `device`.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }
}

fn values(mean: f32, std: f32) -> [f32; 256] {
    std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std)
}

impl Collate<(Vec<u8>, u32)> for ImageCollate {
    type Batch = (Tensor, Tensor);

    fn collate(&self, items: Vec<(Vec<u8>, u32)>) -> Result<Self::Batch> {
        let (n, size) = (items.len(), self.height * self.width);
        let mut x = Vec::with_capacity(n * size);
        let mut y = Vec::with_capacity(n);
        for (pixels, label) in items {
            if pixels.len() != size {
                return Err(Error::Config(format!(
                    "picture {} of the batch has {} bytes, expected {}x{} = {size}: augmentation \
                     must keep the size",
                    y.len(),
                    pixels.len(),
                    self.height,
                    self.width
                )));
            }
            x.extend(pixels.iter().map(|&pixel| self.values[usize::from(pixel)]));
            y.push(label);
        }
        let x = Tensor::from_vec(x, (n, 1, self.height, self.width), &self.device)?;
        Ok((x, Tensor::from_vec(y, n, &self.device)?))
    }
}

impl fmt::Debug for ImageCollate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageCollate")
            .field("height", &self.height)
            .field("width", &self.width)
            .field("device", &self.device)
            .finish_non_exhaustive()
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
    fn normalising_by_the_sets_own_figures_gives_mean_0_and_std_1() {
        let set = ImageSet::new(vec![0, 10, 200, 255], vec![1, 1], (2, 1), names(3)).unwrap();
        assert_eq!(set.class_counts(), [0, 2, 0]);
        let (mean, std) = set.mean_std();
        let collate = set.collate().normalize(mean, std).unwrap();
        let item = |i| (set.pixels(i).unwrap().to_vec(), set.labels()[i]);
        let (x, y) = collate.collate(vec![item(0), item(1)]).unwrap();
        let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(x.iter().sum::<f32>().abs() < 1e-5);
        assert!((x.iter().map(|v| v * v).sum::<f32>() - 4.0).abs() < 1e-5);
        assert_eq!(x[1], (10.0 / 255.0 - mean as f32) / std as f32);
        assert_eq!(y.to_vec1::<u32>().unwrap(), [1, 1]);
        assert!(set.collate().normalize(0.0, 0.0).is_err());
        assert!(set.collate().collate(vec![(vec![0; 3], 0)]).is_err());
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
