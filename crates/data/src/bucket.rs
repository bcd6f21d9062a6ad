//! [`BucketSampler`]: batches of sequences of about the same length, so that little is padded.
//!
//! An epoch shuffles all samples, cuts the order into pools of 100 batches, sorts each pool by
//! length, cuts it into batches, and shuffles the full batches. The one batch that is not full
//! comes last, so a [`DataLoader`](crate::DataLoader) of the same batch size meets exactly these
//! batches. The order is a function of (seed, epoch).
//!
//! ```
//! use mapsto_data::{BucketSampler, Sampler};
//! let sampler = BucketSampler::new(vec![9, 1, 8, 2, 9, 1], 2, 42)?;
//! let order = sampler.indices(0);
//! let mut batches: Vec<Vec<usize>> = order.chunks(2).map(|batch| batch.to_vec()).collect();
//! batches.iter_mut().for_each(|batch| batch.sort());
//! batches.sort();
//! assert_eq!(batches, [[0, 4], [1, 5], [2, 3]]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use mapsto_tensor::rng::Generator;

use crate::order;
use crate::{Error, Result, Sampler};

/// Batches that are sorted together: more make batches more even, fewer make epochs differ more.
const POOL: usize = 100;

/// Batches of sequences of about the same length, in a new order in each epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "BucketIterator")]
pub struct BucketSampler {
    lengths: Vec<usize>,
    batch_size: usize,
    seed: u64,
}

impl BucketSampler {
    /// Sample `i` is `lengths[i]` long; give the loader the same `batch_size`.
    ///
    /// # Errors
    ///
    /// Where `batch_size` is 0.
    pub fn new(lengths: Vec<usize>, batch_size: usize, seed: u64) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::Config(
                "the batch size is 0: give 1 or more".to_owned(),
            ));
        }
        Ok(Self {
            lengths,
            batch_size,
            seed,
        })
    }
}

impl Sampler for BucketSampler {
    fn indices(&self, epoch: usize) -> Vec<usize> {
        let mut rng = Generator::keyed(self.seed, &[epoch as u64]);
        let mut indices: Vec<usize> = (0..self.lengths.len()).collect();
        order::shuffle(&mut indices, &mut rng);
        for pool in indices.chunks_mut(self.batch_size.saturating_mul(POOL)) {
            // Stable, so sequences of equal length keep their random order.
            pool.sort_by_key(|&index| self.lengths[index]);
        }
        let mut batches: Vec<&[usize]> = indices.chunks_exact(self.batch_size).collect();
        let rest = indices.chunks_exact(self.batch_size).remainder();
        order::shuffle(&mut batches, &mut rng);
        batches.push(rest);
        batches.concat()
    }

    fn len(&self) -> usize {
        self.lengths.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,003 lengths of 1 to 40 in no order.
    fn lengths() -> Vec<usize> {
        (0..1003).map(|i| i * 7919 % 1009 % 40 + 1).collect()
    }

    #[test]
    fn every_sample_comes_once_in_the_order_of_seed_and_epoch() {
        let sampler = |seed| BucketSampler::new(lengths(), 8, seed).unwrap();
        let order = sampler(1).indices(2);
        assert_eq!(order, sampler(1).indices(2));
        assert_ne!(order, sampler(1).indices(3));
        assert_ne!(order, sampler(2).indices(2));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1003).collect::<Vec<_>>());
        assert_eq!(sampler(1).len(), 1003);
        assert!(BucketSampler::new(lengths(), 0, 1).is_err());
        assert!(
            BucketSampler::new(vec![], 4, 1)
                .unwrap()
                .indices(0)
                .is_empty()
        );
    }

    #[test]
    fn batches_are_even_and_come_in_random_order() {
        let lengths = lengths();
        let order = BucketSampler::new(lengths.clone(), 8, 1)
            .unwrap()
            .indices(0);
        let longest = |batch: &[usize]| batch.iter().map(|&i| lengths[i]).max().unwrap();
        let padded = |order: &[usize]| -> usize {
            order
                .chunks(8)
                .map(|batch| longest(batch) * batch.len())
                .sum()
        };
        let tokens: usize = lengths.iter().sum();
        let shuffled: Vec<usize> = crate::RandomSampler::new(1003, 1).indices(0);
        assert!(padded(&order) < tokens * 105 / 100, "{}", padded(&order));
        assert!(padded(&shuffled) > tokens * 150 / 100);
        let heights: Vec<usize> = order.chunks(8).map(longest).collect();
        let falls = heights.windows(2).filter(|pair| pair[0] > pair[1]).count();
        // Of 125 neighbours about half fall if batches are shuffled, none or one if not.
        assert!((35..90).contains(&falls), "{falls}");
    }

    #[test]
    fn the_order_never_changes() {
        // Runs that are resumed rest on this.
        let order = BucketSampler::new(vec![5, 1, 4, 2, 3, 6, 7], 2, 42)
            .unwrap()
            .indices(0);
        assert_eq!(order, [1, 3, 0, 5, 4, 2, 6]);
    }
}
