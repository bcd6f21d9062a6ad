//! [`DataLoader`] turns a data set into batches: order, batching and loading ahead.
//!
//! `loader.epoch(k)` is an iterator over the batches of epoch `k`. Which samples it holds and
//! what augmentation draws depend on (seed, epoch) only, at any number of workers.
//! `loader.epoch(k).skip(n)` jumps over `n` batches without loading them, so a run that was
//! stopped in the middle of an epoch goes on where it was at no cost.
//!
//! **Differences from PyTorch:** the loader is not an iterator itself, since an epoch has a
//! number; the seed belongs to the loader; workers are threads and share the data set.
//!
//! ```
//! use mapsto_data::{DataLoader, Result, Samples};
//! let sum = |items: Vec<u32>| Ok(items.iter().sum::<u32>());
//! let loader = DataLoader::new(Samples((0..10).collect()), sum)
//!     .batch_size(4)?
//!     .shuffle(true)
//!     .seed(42)
//!     .workers(2);
//! let sums: Vec<u32> = loader.epoch(0).collect::<Result<_>>()?;
//! assert_eq!((sums.len(), sums.iter().sum()), (3, 45));
//! let rest: Vec<u32> = loader.epoch(0).skip(2).collect::<Result<_>>()?;
//! assert_eq!(rest, sums[2..]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::fmt;
use std::sync::Arc;

use crate::epoch::{Epoch, Job};
use crate::{Dataset, Error, RandomSampler, Result, Sampler, SequentialSampler};

/// Makes a batch of samples; closures `Fn(Vec<Item>) -> Result<Batch>` implement it.
pub trait Collate<T>: Send + Sync {
    /// One batch.
    type Batch: Send;

    /// Makes a batch of `items`, which are in the epoch's order.
    ///
    /// # Errors
    ///
    /// Where the items make no batch, such as those of different sizes.
    fn collate(&self, items: Vec<T>) -> Result<Self::Batch>;
}

impl<T, B, F> Collate<T> for F
where
    F: Fn(Vec<T>) -> Result<B> + Send + Sync,
    B: Send,
{
    type Batch = B;

    fn collate(&self, items: Vec<T>) -> Result<B> {
        self(items)
    }
}

enum Order {
    Sequential,
    Shuffled,
    Sampler(Box<dyn Sampler>),
}

/// Turns a data set into batches, epoch by epoch.
pub struct DataLoader<D, C> {
    dataset: Arc<D>,
    collate: Arc<C>,
    order: Order,
    batch_size: usize,
    drop_last: bool,
    seed: u64,
    workers: usize,
    prefetch: usize,
}

impl<D, C> DataLoader<D, C>
where
    D: Dataset + 'static,
    C: Collate<D::Item> + 'static,
    C::Batch: 'static,
{
    /// Loads `dataset` in its own order, one sample a batch, in the calling thread.
    ///
    /// A set that is shared goes in as an [`Arc`].
    pub fn new(dataset: D, collate: C) -> Self {
        Self {
            dataset: Arc::new(dataset),
            collate: Arc::new(collate),
            order: Order::Sequential,
            batch_size: 1,
            drop_last: false,
            seed: 0,
            workers: 0,
            prefetch: 2,
        }
    }

    /// Samples a batch, 1 or more; default 1.
    ///
    /// # Errors
    ///
    /// Where `batch_size` is 0.
    pub fn batch_size(mut self, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::Config(
                "the batch size is 0: give 1 or more".to_owned(),
            ));
        }
        self.batch_size = batch_size;
        Ok(self)
    }

    /// Whether each epoch visits the samples in a new random order; default no.
    ///
    /// The last call of `shuffle` and [`sampler`](Self::sampler) decides.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.order = if shuffle {
            Order::Shuffled
        } else {
            Order::Sequential
        };
        self
    }

    /// Visits the samples in the order of `sampler`.
    ///
    /// The last call of [`shuffle`](Self::shuffle) and `sampler` decides.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.order = Order::Sampler(Box::new(sampler));
        self
    }

    /// The seed of the order and of what the data set draws; default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Threads that load ahead; default 0, which loads in the calling thread.
    #[doc(alias = "num_workers")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Batches that wait ready for each worker, beside the one it works on; default 2.
    #[doc(alias = "prefetch_factor")]
    pub fn prefetch(mut self, prefetch: usize) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Whether to leave out a last batch that is not full; default no.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Number of batches in an epoch.
    pub fn len(&self) -> usize {
        self.batches(match &self.order {
            Order::Sampler(sampler) => sampler.len(),
            Order::Sequential | Order::Shuffled => self.dataset.len(),
        })
    }

    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of epoch `epoch`; nothing is loaded, and no thread started, before the
    /// first is asked for.
    pub fn epoch(&self, epoch: usize) -> Epoch<D, C> {
        let len = self.dataset.len();
        let indices = match &self.order {
            Order::Sequential => SequentialSampler::new(len).indices(epoch),
            Order::Shuffled => RandomSampler::new(len, self.seed).indices(epoch),
            Order::Sampler(sampler) => sampler.indices(epoch),
        };
        let job = Job {
            dataset: Arc::clone(&self.dataset),
            collate: Arc::clone(&self.collate),
            batches: self.batches(indices.len()),
            indices,
            batch_size: self.batch_size,
            seed: self.seed,
            epoch,
        };
        Epoch::new(job, self.workers, self.prefetch)
    }

    fn batches(&self, samples: usize) -> usize {
        if self.drop_last {
            samples / self.batch_size
        } else {
            samples.div_ceil(self.batch_size)
        }
    }
}

impl<D, C> fmt::Debug for DataLoader<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match &self.order {
            Order::Sequential => "sequential",
            Order::Shuffled => "shuffled",
            Order::Sampler(_) => "sampler",
        };
        f.debug_struct("DataLoader")
            .field("order", &order)
            .field("batch_size", &self.batch_size)
            .field("drop_last", &self.drop_last)
            .field("seed", &self.seed)
            .field("workers", &self.workers)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}
