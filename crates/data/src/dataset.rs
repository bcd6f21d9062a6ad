//! A [`Dataset`] is a numbered collection of samples; adapters select, change and join them.
//!
//! `get` receives a stream of random numbers that belongs to (seed, epoch, index), so what an
//! augmentation draws depends on those three and on nothing else: not on the worker, and not on
//! what was loaded before. Sets without randomness ignore it. [`Samples`] makes a set of
//! a [`Vec`].
//!
//! **Differences from PyTorch:** `get` is `__getitem__` with that stream; [`Map`] takes the
//! place of the `transform` argument; [`Concat`] is `ConcatDataset`.
//!
//! ```
//! use mapsto_data::{Dataset, Map, Samples, Subset};
//! use mapsto_tensor::rng::Generator;
//! use rand::Rng;
//! use std::sync::Arc;
//! let digits = Subset::new(Arc::new(Samples(vec![10, 20, 30])), vec![2, 0])?;
//! let noisy = Map::new(digits, |x, rng| Ok(x + rng.random_range(0..10)));
//! let draw = || noisy.get(0, &mut Generator::keyed(42, &[0, 0]));
//! assert_eq!(noisy.len(), 2);
//! assert!((30..40).contains(&draw()?));
//! assert_eq!(draw()?, draw()?);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::sync::Arc;

use mapsto_tensor::rng::Stream;

use crate::{Error, Result};

/// A numbered collection of samples.
pub trait Dataset: Send + Sync {
    /// One sample.
    type Item: Send;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads sample `index`; whatever is random about it is drawn from `rng`.
    ///
    /// # Errors
    ///
    /// Where `index` lies beyond the set, or the sample cannot be had.
    fn get(&self, index: usize, rng: &mut Stream) -> Result<Self::Item>;
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize, rng: &mut Stream) -> Result<Self::Item> {
        (**self).get(index, rng)
    }
}

/// Samples that are all in memory and are cloned when they are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "TensorDataset")]
pub struct Samples<T>(pub Vec<T>);

impl<T: Clone + Send + Sync> Dataset for Samples<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize, _: &mut Stream) -> Result<T> {
        let len = self.0.len();
        let sample = self.0.get(index);
        sample.cloned().ok_or(Error::Index { index, len })
    }
}

/// The samples of `dataset` at `indices`, in that order.
#[derive(Debug)]
pub struct Subset<D> {
    dataset: Arc<D>,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// Selects `indices`, of which each must lie in the set.
    ///
    /// # Errors
    ///
    /// Where an index lies beyond the set.
    pub fn new(dataset: Arc<D>, indices: Vec<usize>) -> Result<Self> {
        let len = dataset.len();
        match indices.iter().find(|&&index| index >= len) {
            Some(&index) => Err(Error::Index { index, len }),
            None => Ok(Self { dataset, indices }),
        }
    }

    /// The whole set that this one selects from.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Where the samples stand in the whole set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize, rng: &mut Stream) -> Result<Self::Item> {
        let len = self.indices.len();
        let inner = *self.indices.get(index).ok_or(Error::Index { index, len })?;
        self.dataset.get(inner, rng)
    }
}

/// The samples of a set, each changed by a closure `(item, &mut Stream) -> Result<item>`.
pub struct Map<D, F> {
    dataset: D,
    map: F,
}

impl<D, F, T> Map<D, F>
where
    D: Dataset,
    F: Fn(D::Item, &mut Stream) -> Result<T> + Send + Sync,
{
    /// Changes every sample of `dataset` by `map` when it is loaded.
    #[doc(alias = "transform")]
    pub fn new(dataset: D, map: F) -> Self {
        Self { dataset, map }
    }
}

impl<D, F, T> Dataset for Map<D, F>
where
    D: Dataset,
    F: Fn(D::Item, &mut Stream) -> Result<T> + Send + Sync,
    T: Send,
{
    type Item = T;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize, rng: &mut Stream) -> Result<T> {
        (self.map)(self.dataset.get(index, rng)?, rng)
    }
}

impl<D: std::fmt::Debug, F> std::fmt::Debug for Map<D, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Map");
        out.field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

/// Several sets, one after the other; sets of different types go in as
/// `Arc<dyn Dataset<Item = T>>`.
#[derive(Debug)]
#[doc(alias = "ConcatDataset")]
pub struct Concat<D>(Vec<D>);

impl<D: Dataset> Concat<D> {
    /// Joins `datasets` in their order.
    pub fn new(datasets: Vec<D>) -> Self {
        Self(datasets)
    }
}

impl<D: Dataset> Dataset for Concat<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.0.iter().map(Dataset::len).sum()
    }

    fn get(&self, index: usize, rng: &mut Stream) -> Result<Self::Item> {
        let mut inner = index;
        for dataset in &self.0 {
            if inner < dataset.len() {
                return dataset.get(inner, rng);
            }
            inner -= dataset.len();
        }
        let len = self.len();
        Err(Error::Index { index, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapsto_tensor::rng::Generator;

    fn all<D: Dataset>(dataset: &D) -> Vec<D::Item> {
        let mut rng = Generator::keyed(0, &[]);
        let get = |index| dataset.get(index, &mut rng).unwrap();
        (0..dataset.len()).map(get).collect()
    }

    #[test]
    fn concat_of_different_types_counts_through() {
        let first: Arc<dyn Dataset<Item = i32>> = Arc::new(Samples(vec![1, 2]));
        let empty: Arc<dyn Dataset<Item = i32>> = Arc::new(Samples(Vec::new()));
        let second: Arc<dyn Dataset<Item = i32>> =
            Arc::new(Map::new(Samples(vec![3, 4, 5]), |x, _| Ok(x * 10)));
        let joined = Concat::new(vec![first, empty, second]);
        assert_eq!(all(&joined), [1, 2, 30, 40, 50]);
        let beyond = joined.get(5, &mut Generator::keyed(0, &[]));
        assert!(matches!(beyond, Err(Error::Index { index: 5, len: 5 })));
    }

    #[test]
    fn a_subset_shares_its_set_and_checks_its_indices() {
        let whole = Arc::new(Samples(vec!['a', 'b', 'c']));
        let part = Subset::new(Arc::clone(&whole), vec![2, 2, 0]).unwrap();
        assert_eq!(all(&part), ['c', 'c', 'a']);
        assert!(std::ptr::eq(part.dataset(), &*whole));
        let wrong = Subset::new(whole, vec![0, 3]);
        assert!(matches!(wrong, Err(Error::Index { index: 3, len: 3 })));
    }
}
