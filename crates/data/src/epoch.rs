//! [`Epoch`]: the batches of one epoch, loaded in the calling thread or ahead by threads.
//!
//! Worker `w` of `W` loads batches `w`, `w + W`, .. of those that are left and sends them through
//! a bounded channel of its own; the consumer takes from the channels in turn. So the order is
//! fixed, and no lock is held by two workers at once.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use mapsto_tensor::rng::Generator;

use crate::{Collate, Dataset, Error, Result};

/// What to load: shared by the workers of an epoch.
pub(crate) struct Job<D, C> {
    pub(crate) dataset: Arc<D>,
    pub(crate) collate: Arc<C>,
    pub(crate) indices: Vec<usize>,
    pub(crate) batches: usize,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
    pub(crate) epoch: usize,
}

impl<D: Dataset, C: Collate<D::Item>> Job<D, C> {
    /// Loads batch `batch`, or nothing when `stop` is set meanwhile.
    fn load(&self, batch: usize, stop: &AtomicBool) -> Option<Result<C::Batch>> {
        let start = batch * self.batch_size;
        let end = (start + self.batch_size).min(self.indices.len());
        let mut items = Vec::with_capacity(end - start);
        for &index in &self.indices[start..end] {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let mut rng = Generator::keyed(self.seed, &[self.epoch as u64, index as u64]);
            match self.dataset.get(index, &mut rng) {
                Ok(item) => items.push(item),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(self.collate.collate(items))
    }
}

/// The batches of one epoch, in order; made by [`DataLoader::epoch`](crate::DataLoader::epoch).
///
/// A batch that fails is an `Err` at its place, and the next batches follow. `skip` and `nth`
/// jump over batches without loading them. Dropping it ends its threads.
pub struct Epoch<D: Dataset, C: Collate<D::Item>> {
    job: Arc<Job<D, C>>,
    next: usize,
    workers: usize,
    prefetch: usize,
    pool: Option<Pool<C::Batch>>,
}

impl<D, C> Epoch<D, C>
where
    D: Dataset + 'static,
    C: Collate<D::Item> + 'static,
    C::Batch: 'static,
{
    pub(crate) fn new(job: Job<D, C>, workers: usize, prefetch: usize) -> Self {
        Self {
            job: Arc::new(job),
            next: 0,
            workers,
            prefetch,
            pool: None,
        }
    }

    /// Number of samples in all batches of the epoch.
    pub fn samples(&self) -> usize {
        let full = self.job.batches * self.job.batch_size;
        full.min(self.job.indices.len())
    }

    fn left(&self) -> usize {
        self.job.batches - self.next
    }

    fn load(&mut self, batch: usize) -> Result<C::Batch> {
        // More workers than batches would only be started to end again.
        let workers = self.workers.min(self.job.batches - batch);
        if let Some(pool) = &self.pool {
            return pool.take(batch);
        }
        if workers == 0 {
            // The flag is never set here, so the answer is always there.
            let loaded = self.job.load(batch, &AtomicBool::new(false));
            return loaded.unwrap_or_else(|| Err(stopped(0, batch)));
        }
        let pool = Pool::start(&self.job, batch, workers, self.prefetch)?;
        self.pool.insert(pool).take(batch)
    }
}

impl<D, C> Iterator for Epoch<D, C>
where
    D: Dataset + 'static,
    C: Collate<D::Item> + 'static,
    C::Batch: 'static,
{
    type Item = Result<C::Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left() == 0 {
            self.pool = None;
            return None;
        }
        let batch = self.next;
        self.next += 1;
        Some(self.load(batch))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left(), Some(self.left()))
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        if n > 0 {
            // The workers go by turns from where they started; after a jump they start anew.
            self.pool = None;
            self.next += n.min(self.left());
        }
        self.next()
    }
}

impl<D, C> ExactSizeIterator for Epoch<D, C>
where
    D: Dataset + 'static,
    C: Collate<D::Item> + 'static,
    C::Batch: 'static,
{
}

impl<D: Dataset, C: Collate<D::Item>> fmt::Debug for Epoch<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch")
            .field("epoch", &self.job.epoch)
            .field("next", &self.next)
            .field("batches", &self.job.batches)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// The threads that load ahead, and where their batches arrive.
struct Pool<B> {
    first: usize,
    receivers: Vec<Receiver<Result<B>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl<B: Send + 'static> Pool<B> {
    fn start<D, C>(
        job: &Arc<Job<D, C>>,
        first: usize,
        workers: usize,
        prefetch: usize,
    ) -> Result<Self>
    where
        D: Dataset + 'static,
        C: Collate<D::Item, Batch = B> + 'static,
    {
        let mut pool = Self {
            first,
            receivers: Vec::with_capacity(workers),
            threads: Vec::with_capacity(workers),
            stop: Arc::new(AtomicBool::new(false)),
        };
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(prefetch);
            let (job, stop) = (Arc::clone(job), Arc::clone(&pool.stop));
            let turns = (first + worker..job.batches).step_by(workers);
            let thread = thread::Builder::new()
                .name(format!("loader-{worker}"))
                .spawn(move || work(&job, worker, turns, &sender, &stop))
                .map_err(|error| Error::Worker {
                    worker,
                    batch: first + worker,
                    what: format!("its thread could not be started, use fewer workers: {error}"),
                })?;
            pool.receivers.push(receiver);
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    fn take(&self, batch: usize) -> Result<B> {
        let worker = (batch - self.first) % self.receivers.len();
        let received = self.receivers[worker].recv();
        received.unwrap_or_else(|_| Err(stopped(worker, batch)))
    }
}

impl<B> Drop for Pool<B> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A worker that waits for room in its channel wakes when the receiver is gone.
        self.receivers.clear();
        for thread in self.threads.drain(..) {
            // A panic was sent as an error already.
            let _ = thread.join();
        }
    }
}

/// What a worker does: loads its batches and sends them, until nobody takes them any more.
fn work<D: Dataset, C: Collate<D::Item>>(
    job: &Job<D, C>,
    worker: usize,
    turns: impl Iterator<Item = usize>,
    sender: &SyncSender<Result<C::Batch>>,
    stop: &AtomicBool,
) {
    for batch in turns {
        let loaded = catch_unwind(AssertUnwindSafe(|| job.load(batch, stop)));
        let loaded = loaded.unwrap_or_else(|panic| {
            let what = format!("it panicked: {}", message(&*panic));
            Some(Err(Error::Worker {
                worker,
                batch,
                what,
            }))
        });
        let sent = loaded.map(|loaded| sender.send(loaded));
        if !matches!(sent, Some(Ok(()))) {
            return;
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn stopped(worker: usize, batch: usize) -> Error {
    let what = "it ended early".to_owned();
    Error::Worker {
        worker,
        batch,
        what,
    }
}
