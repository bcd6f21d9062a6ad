//! [`PadCollate`]: makes one tensor of sequences of token numbers by filling up the short ones.
//!
//! **Shape:** `N` sequences to `(N, L)` in u32, `L` the longest of them; labels to `(N)` in u32.
//!
//! ```
//! use mapsto_data::{Collate, PadCollate};
//! let padded = PadCollate::new(0).collate(vec![vec![7, 8, 9], vec![5]])?;
//! assert_eq!(padded.ids.to_vec2::<u32>()?, [[7, 8, 9], [5, 0, 0]]);
//! assert_eq!(padded.lengths, [3, 1]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use mapsto_tensor::{Device, Tensor};

use crate::{Collate, Error, Result};

/// Fills up short sequences with a padding token.
#[derive(Debug, Clone)]
#[doc(alias = "pad_sequence")]
pub struct PadCollate {
    pad: u32,
    min_len: usize,
    device: Device,
}

/// Sequences of one length, and how long they were.
#[derive(Debug, Clone)]
pub struct Padded {
    /// Token numbers `(N, L)` in u32.
    pub ids: Tensor,
    /// Length of each sequence without its padding.
    pub lengths: Vec<usize>,
}

impl PadCollate {
    /// Fills up with the token number `pad`, on the CPU.
    pub fn new(pad: u32) -> Self {
        Self {
            pad,
            min_len: 1,
            device: Device::Cpu,
        }
    }

    /// Fills up to this length at least, such as the width of a convolution; default 1.
    pub fn min_len(mut self, min_len: usize) -> Self {
        self.min_len = min_len;
        self
    }

    /// Puts the batches on `device`.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }
}

impl Collate<Vec<u32>> for PadCollate {
    type Batch = Padded;

    fn collate(&self, items: Vec<Vec<u32>>) -> Result<Padded> {
        let lengths: Vec<usize> = items.iter().map(Vec::len).collect();
        if let Some(empty) = lengths.iter().position(|&len| len == 0) {
            return Err(Error::Config(format!(
                "sequence {empty} of the batch is empty: leave out texts without a token"
            )));
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let len = longest.max(self.min_len);
        let mut ids = Vec::with_capacity(items.len() * len);
        for item in &items {
            ids.extend_from_slice(item);
            ids.extend(std::iter::repeat_n(self.pad, len - item.len()));
        }
        let ids = Tensor::from_vec(ids, (items.len(), len), &self.device)?;
        Ok(Padded { ids, lengths })
    }
}

impl Collate<(Vec<u32>, u32)> for PadCollate {
    type Batch = (Padded, Tensor);

    fn collate(&self, items: Vec<(Vec<u32>, u32)>) -> Result<Self::Batch> {
        let (sequences, labels): (Vec<Vec<u32>>, Vec<u32>) = items.into_iter().unzip();
        let count = labels.len();
        let labels = Tensor::from_vec(labels, count, &self.device)?;
        Ok((self.collate(sequences)?, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketSampler, DataLoader, Samples};

    #[test]
    fn padding_stands_at_the_end_and_labels_go_along() {
        let collate = PadCollate::new(9).min_len(4);
        let items = vec![(vec![1], 3), (vec![2, 2], 0)];
        let (padded, labels) = collate.collate(items).unwrap();
        let ids = padded.ids.to_vec2::<u32>().unwrap();
        assert_eq!(ids, [[1, 9, 9, 9], [2, 2, 9, 9]]);
        assert_eq!(padded.lengths, [1, 2]);
        assert_eq!(labels.to_vec1::<u32>().unwrap(), [3, 0]);
        let error = collate.collate(vec![vec![1], vec![]]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("sequence 1 of the batch is empty")
        );
    }

    #[test]
    fn a_loader_meets_the_batches_of_the_sampler() {
        let lengths: Vec<usize> = (0..50).map(|i| i * 13 % 50 + 1).collect();
        let texts = lengths.iter().map(|&len| vec![len as u32; len]);
        let loader = DataLoader::new(Samples(texts.collect()), PadCollate::new(0))
            .sampler(BucketSampler::new(lengths, 4, 3).unwrap())
            .batch_size(4)
            .unwrap();
        let batches: Vec<Padded> = loader.epoch(0).map(Result::unwrap).collect();
        assert_eq!(batches.len(), 13);
        for batch in &batches {
            let (shortest, longest) = (batch.lengths[0], batch.lengths[batch.lengths.len() - 1]);
            assert_eq!(longest - shortest, batch.lengths.len() - 1);
            assert_eq!(batch.ids.dims2().unwrap(), (batch.lengths.len(), longest));
        }
    }
}
