//! The usual first network of Keras, as it reads here: build, fit, evaluate.
//!
//! It trains on digits that `mapsto_data` draws, so it needs no file. It prints the layers, a
//! line an epoch, and at the end
//!
//! ```text
//! test loss 0.1586, accuracy 0.9485
//! ```
//!
//! Time: a minute on two cores. `STEPS=2` takes two batches an epoch instead of 625;
//! `TARGET=0.9` has the program fail below this accuracy.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use mapsto_data::{DataLoader, Split, digits};
use mapsto_examples::{check, steps};
use mapsto_models::cnn::Classify;
use mapsto_nn::{Activation, Flatten, MaxPool2d, Sequential, conv2d, linear, summary};
use mapsto_optim::Adam;
use mapsto_tensor::{DType, Device, ParamStore, threads};
use mapsto_train::{Accuracy, Progress, Trainer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    // Everything runs inside one pool of threads, one for each processor.
    threads::run(0, program)
}

fn program() -> anyhow::Result<()> {
    let train = digits(Split::Train, 32 * steps(625)?, 42)?;
    let test = digits(Split::Test, 4_000, 42)?;
    let collate = train.collate();
    let train = DataLoader::new(train, collate.clone())
        .batch_size(32)?
        .shuffle(true)
        .seed(42)
        .workers(1);
    let test = DataLoader::new(test, collate).batch_size(250)?;

    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(42);
    let model = Sequential::new(store.root())
        .layer(|vb| conv2d(1, 32, 3, vb))?
        .add(Activation::Relu)
        .add(MaxPool2d::new(2))
        .add(Flatten)
        .layer(|vb| linear(32 * 13 * 13, 128, vb))?
        .add(Activation::Relu)
        .layer(|vb| linear(128, 10, vb))?;
    println!("{}\n", summary(&model, &store, &[1, 28, 28])?);

    let mut trainer = Trainer::new(&store, Classify::new(model), Adam::default())?
        .metric(Accuracy::default())
        .callback(Progress::lines(std::io::stdout()));
    trainer.fit(5, |epoch| train.epoch(epoch))?;
    let scores = trainer.evaluate(test.epoch(0))?;

    println!(
        "test loss {:.4}, accuracy {:.4}",
        scores["loss"], scores["accuracy"]
    );
    check("accuracy", scores["accuracy"])
}
