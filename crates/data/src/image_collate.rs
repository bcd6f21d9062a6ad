//! [`ImageCollate`]: makes tensors of the samples of an [`ImageSet`](crate::ImageSet).
//!
//! **Shape:** `N` samples `(pixels, label)` to `(N, C, H, W)` in f32, with one channel unless told otherwise, and `(N)` in u32.
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

use mapsto_tensor::{Device, Tensor};

use crate::{Collate, Error, Result};

/// Makes `(pictures, labels)` tensors of samples `(pixels, label)`.
#[derive(Clone)]
pub struct ImageCollate {
    channels: usize,
    height: usize,
    width: usize,
    device: Device,
    /// What each of the 256 bytes becomes.
    values: [f32; 256],
}

impl ImageCollate {
    /// Makes batches of grey pictures of this size, in 0..=1, on the CPU.
    pub fn new(height: usize, width: usize) -> Self {
        Self {
            channels: 1,
            height,
            width,
            device: Device::Cpu,
            values: values(0.0, 1.0),
        }
    }

    /// Makes a pixel `(pixel / 255 - mean) / std`; `std` must be above 0.
    ///
    /// # Errors
    ///
    /// Where `mean` is not finite, or `std` is not finite and above 0.
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

    /// Of pictures with so many planes.
    pub fn channels(mut self, channels: usize) -> Self {
        self.channels = channels;
        self
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
        let (n, size) = (items.len(), self.channels * self.height * self.width);
        let mut x = Vec::with_capacity(n * size);
        let mut y = Vec::with_capacity(n);
        for (pixels, label) in items {
            if pixels.len() != size {
                return Err(Error::Config(format!(
                    "picture {} of the batch has {} bytes, expected {}x{}x{} = {size}: augmentation \
                     must keep the size",
                    y.len(),
                    pixels.len(),
                    self.channels,
                    self.height,
                    self.width
                )));
            }
            x.extend(pixels.iter().map(|&pixel| self.values[usize::from(pixel)]));
            y.push(label);
        }
        let x = Tensor::from_vec(x, (n, self.channels, self.height, self.width), &self.device)?;
        Ok((x, Tensor::from_vec(y, n, &self.device)?))
    }
}

impl fmt::Debug for ImageCollate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageCollate")
            .field("channels", &self.channels)
            .field("height", &self.height)
            .field("width", &self.width)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageSet;

    #[test]
    fn normalising_by_the_sets_own_figures_gives_mean_0_and_std_1() {
        let set = ImageSet::new(
            vec![0, 10, 200, 255],
            vec![1, 1],
            (2, 1),
            vec![String::new(); 3],
        )
        .unwrap();
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
}
