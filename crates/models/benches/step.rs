//! Whole training steps of the CNN entry's first network as a recipe makes them: loading ahead,
//! forward, loss, backward, Adam, metrics.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails has nothing to measure"
)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use mapsto_data::{DataLoader, ImageCollate, ImageSet, Split, digits};
use mapsto_models::cnn::{Classify, CnnConfig, cnn};
use mapsto_optim::Adam;
use mapsto_tensor::{DType, Device, ParamStore, threads};
use mapsto_train::{Accuracy, Trainer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Loader = DataLoader<ImageSet, ImageCollate>;

fn main() {
    threads::run(0, || {
        let mut criterion = Criterion::default().sample_size(20).configure_from_args();
        let mut group = criterion.benchmark_group("step");
        for batch_size in [32, 128] {
            let loader = loader(batch_size);
            group.throughput(Throughput::Elements(batch_size as u64));
            let id = BenchmarkId::new("mission", batch_size);
            group.bench_function(id, |b| b.iter_custom(|steps| train(&loader, steps)));
        }
        group.finish();
        criterion.final_summary();
    });
}

/// A hundred batches an epoch.
fn loader(batch_size: usize) -> Loader {
    let set = digits(Split::Train, 100 * batch_size, 42).unwrap();
    let collate = set.collate();
    let loader = DataLoader::new(set, collate)
        .batch_size(batch_size)
        .unwrap();
    loader.shuffle(true).seed(42).workers(1)
}

/// The time of `steps` steps of a new model.
fn train(loader: &Loader, steps: u64) -> Duration {
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(42);
    let config = CnnConfig::preset("mission", 28, 28, 10).unwrap();
    let model = cnn(&config, store.root()).unwrap();
    let trainer = Trainer::new(&store, Classify::new(model), Adam::default()).unwrap();
    let mut trainer = trainer.metric(Accuracy::default());

    // One long epoch for `fit`, made of as many of the loader's as it takes.
    let batches = |_| {
        let epochs = (0..).flat_map(|epoch| loader.epoch(epoch));
        epochs.take(usize::try_from(steps).unwrap())
    };
    let started = Instant::now();
    trainer.fit(1, batches).unwrap();
    started.elapsed()
}
