//! The training of `01_keras` as a plain loop: forward, loss, backward, step. In the middle of the
//! second epoch it writes a snapshot; a second model takes over from that file and ends at the
//! same bits. It prints `both end at weights 5718f3..., accuracy 0.9420`.
//!
//! Time: a minute on two cores. `STEPS` and `TARGET` as in `01_keras`.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::path::Path;

use mapsto_data::{DataLoader, ImageCollate, ImageSet, Split, digits};
use mapsto_examples::{check, steps};
use mapsto_nn::{Activation, Flatten, MaxPool2d, Sequential, conv2d, cross_entropy, linear};
use mapsto_optim::{Adam, IntoOptimizer};
use mapsto_tensor::{D, DType, Device, ModuleT, ParamStore, Result, backward, threads};
use mapsto_train::{Position, Snapshot, weights_sha256};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Loader = DataLoader<ImageSet, ImageCollate>;

fn main() -> anyhow::Result<()> {
    threads::run(0, program)
}

fn network(store: &ParamStore) -> Result<Sequential> {
    Sequential::new(store.root())
        .layer(|vb| conv2d(1, 32, 3, vb))?
        .add(Activation::Relu)
        .add(MaxPool2d::new(2))
        .add(Flatten)
        .layer(|vb| linear(32 * 13 * 13, 128, vb))?
        .add(Activation::Relu)
        .layer(|vb| linear(128, 10, vb))
}

/// Trains two epochs, from the snapshot in `file` if it is there; else it writes one after step
/// `middle`. Gives the fingerprint of the weights and the test accuracy.
fn train(seed: u64, loader: &Loader, file: &Path, middle: u64) -> anyhow::Result<(String, f64)> {
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(seed);
    let model = network(&store)?;
    let mut optimizer = Adam::default().into_optimizer(&store)?;
    let mut position = Position::default();
    if file.exists() {
        position = Snapshot::load(file)?.restore(&store, &mut [("optim", &mut *optimizer)])?;
    }
    println!(
        "starts at epoch {}, batch {}",
        position.epoch, position.batch
    );
    while position.epoch < 2 {
        for batch in loader.epoch(position.epoch).skip(position.batch) {
            let (pictures, labels) = batch?;
            let logits = model.forward_t(&pictures, true)?;
            let loss = cross_entropy(&logits, &labels)?;
            let mut gradients = backward(&loss, &store)?;
            optimizer.step(&mut gradients)?;
            position.batch += 1;
            position.step += 1;
            if position.step == middle {
                Snapshot::take(&store, &[("optim", &*optimizer)], position)?.save(file)?;
            }
        }
        position.epoch += 1;
        position.batch = 0;
    }
    Ok((weights_sha256(&store.state_dict())?, accuracy(&model)?))
}

fn accuracy(model: &Sequential) -> anyhow::Result<f64> {
    let mut right = 0;
    for batch in loader(Split::Test, 1_000)?.epoch(0) {
        let (pictures, labels) = batch?;
        let answers = model.forward_t(&pictures, false)?.argmax(D::Minus1)?;
        let hits = answers.eq(&labels)?.to_dtype(DType::U32)?;
        right += hits.sum_all()?.to_scalar::<u32>()?;
    }
    Ok(f64::from(right) / 1_000.0)
}

fn loader(split: Split, samples: usize) -> mapsto_data::Result<Loader> {
    let set = digits(split, samples, 42)?;
    let collate = set.collate();
    let loader = DataLoader::new(set, collate).batch_size(32)?;
    Ok(loader.shuffle(split == Split::Train).seed(42).workers(1))
}

fn program() -> anyhow::Result<()> {
    let batches = steps(625)?;
    let loader = loader(Split::Train, 32 * batches)?;
    let file = std::env::temp_dir().join(format!("mapsto-example-{}", std::process::id()));
    let middle = (batches + batches / 2) as u64;
    let (whole, _) = train(42, &loader, &file, middle)?;
    // From other weights, which the snapshot replaces.
    let (resumed, accuracy) = train(43, &loader, &file, middle)?;
    std::fs::remove_file(&file)?;
    anyhow::ensure!(whole == resumed, "the resumed run ends at other bits");
    println!("both end at weights {whole}, accuracy {accuracy:.4}");
    check("accuracy", accuracy)
}
