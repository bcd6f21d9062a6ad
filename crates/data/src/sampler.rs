//! A [`Sampler`] says in which order an epoch visits the samples.
//!
//! The order is a function of (seed, epoch) and of nothing else: it costs nothing to go back to
//! an epoch, and no number of workers changes it.
//!
//! **Differences from PyTorch:** a sampler keeps its seed, and `indices(epoch)` takes the place
//! of an iterator with a hidden generator.
//!
//! ```
//! use mapsto_data::{RandomSampler, Sampler};
//! let sampler = RandomSampler::new(5, 42);
//! assert_eq!(sampler.indices(1), sampler.indices(1));
//! let mut order = sampler.indices(1);
//! order.sort();
//! assert_eq!(order, [0, 1, 2, 3, 4]);
//! ```

use mapsto_tensor::rng::Generator;

use crate::order;
use crate::{Error, Result};

/// The order in which an epoch visits the samples.
pub trait Sampler: Send + Sync {
    /// The samples of epoch `epoch`, in order.
    fn indices(&self, epoch: usize) -> Vec<usize>;

    /// Number of samples in an epoch.
    fn len(&self) -> usize;

    /// Whether an epoch has no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `0, 1, .., len - 1` in every epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequentialSampler {
    len: usize,
}

impl SequentialSampler {
    /// Visits `len` samples in their order.
    pub fn new(len: usize) -> Self {
        Self { len }
    }
}

impl Sampler for SequentialSampler {
    fn indices(&self, _: usize) -> Vec<usize> {
        (0..self.len).collect()
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// All samples, in a new order in each epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomSampler {
    len: usize,
    seed: u64,
}

impl RandomSampler {
    /// Shuffles `len` samples; the order belongs to (`seed`, epoch).
    pub fn new(len: usize, seed: u64) -> Self {
        Self { len, seed }
    }
}

impl Sampler for RandomSampler {
    fn indices(&self, epoch: usize) -> Vec<usize> {
        shuffled((0..self.len).collect(), self.seed, epoch)
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// The given samples, in a new order in each epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubsetRandomSampler {
    indices: Vec<usize>,
    seed: u64,
}

impl SubsetRandomSampler {
    /// Shuffles `indices`; the order belongs to (`seed`, epoch).
    pub fn new(indices: Vec<usize>, seed: u64) -> Self {
        Self { indices, seed }
    }
}

impl Sampler for SubsetRandomSampler {
    fn indices(&self, epoch: usize) -> Vec<usize> {
        shuffled(self.indices.clone(), self.seed, epoch)
    }

    fn len(&self) -> usize {
        self.indices.len()
    }
}

/// `num_samples` draws with replacement, each sample as often as its weight says.
///
/// A sample that is drawn twice in an epoch is augmented alike both times, because augmentation
/// belongs to (seed, epoch, index).
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedRandomSampler {
    /// `sums[i]` is the sum of the weights up to and including the i-th.
    sums: Vec<f64>,
    num_samples: usize,
    seed: u64,
}

impl WeightedRandomSampler {
    /// Draws sample `i` with probability `weights[i]` over the sum of the weights.
    ///
    /// The weights need not add up to one; none may be negative, and one must be positive.
    ///
    /// # Errors
    ///
    /// Where a weight is negative or not a number, or their sum is 0 or infinite.
    pub fn new(weights: &[f64], num_samples: usize, seed: u64) -> Result<Self> {
        let wrong = |&(_, weight): &(usize, &f64)| weight.is_nan() || *weight < 0.0;
        if let Some((index, weight)) = weights.iter().enumerate().find(wrong) {
            return Err(Error::Config(format!(
                "weight {index} of the sampler is {weight}: give weights of 0 or more"
            )));
        }
        let mut total = 0.0;
        let mut add = |weight: &f64| {
            total += weight;
            total
        };
        let sums: Vec<f64> = weights.iter().map(&mut add).collect();
        if !(total > 0.0 && total.is_finite()) {
            return Err(Error::Config(format!(
                "the sampler's {} weights add up to {total}: give at least one that is positive, \
                 and none that is infinite",
                weights.len()
            )));
        }
        Ok(Self {
            sums,
            num_samples,
            seed,
        })
    }
}

impl Sampler for WeightedRandomSampler {
    fn indices(&self, epoch: usize) -> Vec<usize> {
        let mut rng = Generator::keyed(self.seed, &[epoch as u64]);
        let total = self.sums.last().copied().unwrap_or(0.0);
        // Rounding may carry the product up to the total; it then belongs to the last sample
        // of positive weight, the first whose sum is the total.
        let last = self.sums.partition_point(|&sum| sum < total);
        let mut draw = || {
            let point = order::unit(&mut rng) * total;
            self.sums.partition_point(|&sum| sum <= point).min(last)
        };
        (0..self.num_samples).map(|_| draw()).collect()
    }

    fn len(&self) -> usize {
        self.num_samples
    }
}

fn shuffled(mut indices: Vec<usize>, seed: u64, epoch: usize) -> Vec<usize> {
    order::shuffle(&mut indices, &mut Generator::keyed(seed, &[epoch as u64]));
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_belongs_to_seed_and_epoch() {
        let order = |seed, epoch| RandomSampler::new(50, seed).indices(epoch);
        assert_eq!(order(1, 3), order(1, 3));
        assert_ne!(order(1, 3), order(1, 4));
        assert_ne!(order(1, 3), order(2, 3));
        assert_ne!(order(1, 3), SequentialSampler::new(50).indices(3));
    }

    #[test]
    fn the_order_never_changes() {
        // Runs that are resumed rest on this.
        let order = RandomSampler::new(8, 42).indices(0);
        assert_eq!(order, [5, 0, 3, 6, 7, 2, 4, 1]);
    }

    #[test]
    fn a_subset_is_shuffled_and_complete() {
        let sampler = SubsetRandomSampler::new(vec![9, 7, 5, 3], 1);
        let mut order = sampler.indices(0);
        assert_eq!(order.len(), sampler.len());
        order.sort_unstable();
        assert_eq!(order, [3, 5, 7, 9]);
    }

    #[test]
    fn weights_decide_how_often_a_sample_comes() {
        let sampler = WeightedRandomSampler::new(&[0.0, 1.0, 0.0, 3.0, 0.0], 8000, 1).unwrap();
        let mut counts = [0; 5];
        for index in sampler.indices(0) {
            counts[index] += 1;
        }
        assert_eq!((counts[0], counts[2], counts[4]), (0, 0, 0));
        // 6,000 expected, standard deviation 39.
        assert!((5840..6160).contains(&counts[3]), "{counts:?}");
        assert_ne!(sampler.indices(0), sampler.indices(1));
    }

    #[test]
    fn weights_that_make_no_sense_are_refused() {
        for weights in [
            &[1.0, -1.0][..],
            &[f64::NAN],
            &[0.0, 0.0],
            &[],
            &[f64::INFINITY],
        ] {
            let error = WeightedRandomSampler::new(weights, 1, 0).unwrap_err();
            assert!(error.to_string().contains("weight"), "{error}");
        }
    }
}
