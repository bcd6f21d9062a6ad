//! The loader: order and bits at any number of workers, skipping, errors, and the end of threads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mapsto_data::{
    DataLoader, Dataset, Error, Map, Result, Samples, Split, SubsetRandomSampler, digits,
};
use mapsto_tensor::rng::Stream;
use rand::Rng;

/// `0..len`; counts what is loaded, and fails or panics where it is told to.
#[derive(Default)]
struct Probe {
    len: usize,
    loaded: Arc<AtomicUsize>,
    fail_at: Option<usize>,
    panic_at: Option<usize>,
}

impl Dataset for Probe {
    type Item = usize;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize, _: &mut Stream) -> Result<usize> {
        self.loaded.fetch_add(1, Ordering::SeqCst);
        if self.fail_at == Some(index) {
            return Err(Error::Config(format!("sample {index} is broken")));
        }
        assert_ne!(self.panic_at, Some(index), "sample {index} panics");
        Ok(index)
    }
}

fn list(items: Vec<usize>) -> Result<Vec<usize>> {
    Ok(items)
}

fn probe(len: usize) -> (Probe, Arc<AtomicUsize>) {
    let loaded = Arc::new(AtomicUsize::new(0));
    let set = Probe {
        len,
        loaded: Arc::clone(&loaded),
        ..Probe::default()
    };
    (set, loaded)
}

#[test]
fn the_same_bits_at_any_number_of_workers() {
    let bits = |workers, prefetch, epoch| {
        let set = digits(Split::Train, 70, 1).unwrap();
        let collate = set.collate().normalize(0.13, 0.31).unwrap();
        let noisy = Map::new(set, |(mut pixels, label), rng| {
            pixels.iter_mut().for_each(|p| *p ^= rng.random::<u8>());
            Ok((pixels, label))
        });
        let loader = DataLoader::new(noisy, collate)
            .batch_size(8)
            .unwrap()
            .shuffle(true)
            .seed(42)
            .workers(workers)
            .prefetch(prefetch);
        let batches = loader.epoch(epoch).map(|batch| {
            let (x, y) = batch.unwrap();
            let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let x: Vec<u32> = x.into_iter().map(f32::to_bits).collect();
            (x, y.to_vec1::<u32>().unwrap())
        });
        batches.collect::<Vec<_>>()
    };
    let expected = bits(0, 2, 0);
    assert_eq!(expected.len(), 9);
    assert!(expected == bits(1, 2, 0));
    assert!(expected == bits(3, 2, 0));
    assert!(expected == bits(3, 0, 0));
    assert!(expected == bits(50, 1, 0));
    assert!(expected != bits(0, 2, 1));
}

#[test]
fn augmentation_belongs_to_seed_epoch_and_index() {
    // What each sample drew, in the order of the samples.
    let drawn = |shuffle, seed, epoch| {
        let set = Map::new(Samples((0..20).collect()), |index: usize, rng| {
            Ok((index, rng.random::<u64>()))
        });
        let loader = DataLoader::new(set, Ok).batch_size(3).unwrap();
        let loader = loader.shuffle(shuffle).seed(seed);
        let batches: Result<Vec<_>> = loader.epoch(epoch).collect();
        let mut samples = batches.unwrap().concat();
        samples.sort_unstable();
        samples
    };
    assert_eq!(drawn(false, 1, 2), drawn(true, 1, 2));
    assert_ne!(drawn(true, 1, 2), drawn(true, 1, 3));
    assert_ne!(drawn(true, 1, 2), drawn(true, 2, 2));
}

#[test]
fn skipping_gives_the_same_batches_and_loads_nothing_else() {
    for workers in [0, 1, 3] {
        let (set, loaded) = probe(23);
        let loader = DataLoader::new(set, list).batch_size(2).unwrap();
        let loader = loader.shuffle(true).seed(7).workers(workers);
        let all: Vec<_> = loader.epoch(4).map(Result::unwrap).collect();
        assert_eq!(all.len(), 12);
        for skip in [0, 1, 5, 11, 12, 99] {
            loaded.store(0, Ordering::SeqCst);
            let rest: Vec<_> = loader.epoch(4).skip(skip).map(Result::unwrap).collect();
            assert_eq!(rest, all[skip.min(12)..]);
            let expected: usize = rest.iter().map(Vec::len).sum();
            assert_eq!(loaded.load(Ordering::SeqCst), expected, "{workers} {skip}");
        }
        // A jump in the middle, when the workers are already ahead.
        let mut epoch = loader.epoch(4);
        assert_eq!(epoch.next().unwrap().unwrap(), all[0]);
        assert_eq!(epoch.nth(3).unwrap().unwrap(), all[4]);
        assert_eq!(epoch.len(), 7);
        assert_eq!(epoch.map(Result::unwrap).collect::<Vec<_>>(), all[5..]);
    }
}

#[test]
fn nothing_is_loaded_before_the_first_batch_is_asked_for() {
    let (set, loaded) = probe(10);
    let loader = DataLoader::new(set, list).workers(2);
    let epoch = loader.epoch(0);
    assert_eq!((epoch.len(), epoch.samples()), (10, 10));
    drop(epoch);
    assert_eq!(loaded.load(Ordering::SeqCst), 0);
}

#[test]
fn the_last_batch_is_kept_or_dropped() {
    let sizes = |len, drop_last| {
        let (set, _) = probe(len);
        let loader = DataLoader::new(set, list).batch_size(4).unwrap();
        let loader = loader.drop_last(drop_last);
        let sizes: Vec<_> = loader.epoch(0).map(|batch| batch.unwrap().len()).collect();
        assert_eq!(sizes.len(), loader.len());
        assert_eq!(sizes.iter().sum::<usize>(), loader.epoch(0).samples());
        sizes
    };
    assert_eq!(sizes(10, false), [4, 4, 2]);
    assert_eq!(sizes(10, true), [4, 4]);
    assert_eq!(sizes(8, true), [4, 4]);
    assert!(sizes(0, false).is_empty());
    assert!(sizes(3, true).is_empty());
}

#[test]
fn a_sampler_decides_what_an_epoch_holds() {
    let (set, _) = probe(10);
    let sampler = SubsetRandomSampler::new(vec![1, 5, 9], 3);
    let loader = DataLoader::new(set, list).sampler(sampler);
    assert_eq!(loader.len(), 3);
    let mut seen: Vec<usize> = loader.epoch(0).flat_map(Result::unwrap).collect();
    seen.sort_unstable();
    assert_eq!(seen, [1, 5, 9]);
}

#[test]
fn errors_come_in_their_place_and_the_rest_follows() {
    for workers in [0, 1, 3] {
        let (mut set, _) = probe(12);
        set.fail_at = Some(5);
        let loader = DataLoader::new(set, list).batch_size(2).unwrap();
        let batches: Vec<_> = loader.workers(workers).epoch(0).collect();
        assert_eq!(batches.len(), 6);
        for (number, batch) in batches.iter().enumerate() {
            match batch {
                Ok(items) => assert_eq!(*items, [number * 2, number * 2 + 1]),
                Err(error) => assert_eq!(
                    (number, error.to_string()),
                    (2, "sample 5 is broken".to_owned())
                ),
            }
        }
        assert!(batches[2].is_err());
    }
}

#[test]
fn a_workers_panic_is_an_error_and_the_rest_follows() {
    for workers in [1, 3] {
        let (mut set, _) = probe(6);
        set.panic_at = Some(3);
        let batches: Vec<_> = DataLoader::new(set, list)
            .workers(workers)
            .epoch(0)
            .collect();
        let failed = |batch: &&Result<_>| batch.is_err();
        assert_eq!(batches.iter().filter(failed).count(), 1);
        assert!(matches!(batches[3], Err(Error::Worker { batch: 3, .. })));
        let message = batches[3].as_ref().unwrap_err().to_string();
        assert!(message.contains("sample 3 panics"), "{message}");
    }
}

#[test]
fn dropping_an_epoch_ends_its_threads() {
    let (set, loaded) = probe(100_000);
    let set = Arc::new(set);
    let loader = DataLoader::new(Arc::clone(&set), list).workers(3);
    let mut epoch = loader.epoch(0);
    assert_eq!(epoch.next().unwrap().unwrap(), [0]);
    drop(epoch);
    drop(loader);
    // The threads held the set too; they are gone, and long before the end.
    assert_eq!(Arc::strong_count(&set), 1);
    assert!(loaded.load(Ordering::SeqCst) < 100);
}

#[test]
fn dropping_an_epoch_does_not_wait_for_the_batch_that_is_being_loaded() {
    let (set, loaded) = probe(20_000);
    // The second batch would take ten seconds.
    let slow = Map::new(set, |index, _| {
        if index >= 10_000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(index)
    });
    let loader = DataLoader::new(slow, list).batch_size(10_000).unwrap();
    let mut epoch = loader.workers(1).epoch(0);
    assert_eq!(epoch.next().unwrap().unwrap().len(), 10_000);
    drop(epoch);
    assert!(loaded.load(Ordering::SeqCst) < 20_000);
}

#[test]
fn shuffling_belongs_to_the_loaders_seed_and_the_epoch() {
    let order = |shuffle, seed, epoch| {
        let (set, _) = probe(30);
        let loader = DataLoader::new(set, list).shuffle(shuffle).seed(seed);
        let batches: Result<Vec<_>> = loader.epoch(epoch).collect();
        batches.unwrap().concat()
    };
    assert_eq!(order(true, 1, 0), order(true, 1, 0));
    assert_ne!(order(true, 1, 0), order(true, 2, 0));
    assert_ne!(order(true, 1, 0), order(true, 1, 1));
    assert_eq!(order(false, 1, 1), (0..30).collect::<Vec<_>>());
}

#[test]
fn an_epoch_owns_what_it_needs() {
    let epoch = {
        let (set, _) = probe(4);
        DataLoader::new(set, list).workers(1).epoch(0)
    };
    let thread = std::thread::spawn(move || epoch.map(Result::unwrap).count());
    assert_eq!(thread.join().unwrap(), 4);
}

#[test]
fn a_batch_of_nothing_is_refused() {
    let (set, _) = probe(4);
    let error = DataLoader::new(set, list).batch_size(0).unwrap_err();
    assert!(error.to_string().contains("batch size is 0"), "{error}");
}
