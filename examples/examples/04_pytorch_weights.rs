//! Weights from PyTorch: a state dict loads with no map, because names and shapes are the same.
//!
//! In PyTorch, a module with the attributes `conv`, `fc1` and `fc2` is saved by
//!
//! ```text
//! safetensors.torch.save_file(module.state_dict(), "weights.safetensors")
//! ```
//!
//! and `cargo run --example 04_pytorch_weights -- weights.safetensors mnist` prints the accuracy
//! of these weights on the test set in the folder `mnist`. Without arguments the program makes
//! such a file itself, with random weights, and measures them on drawn digits:
//!
//! ```text
//! 6 tensors fit with no map
//! accuracy 0.0860 on 1000 pictures
//! ```
//!
//! Time: a second.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::path::{Path, PathBuf};

use mapsto_data::{DataLoader, Split, digits, open};
use mapsto_models::cnn::{Classify, CnnConfig, cnn};
use mapsto_tensor::{Checkpoint, DType, Device, ParamStore, threads};
use mapsto_train::{Accuracy, evaluate};

fn main() -> anyhow::Result<()> {
    threads::run(0, program)
}

fn program() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (file, folder) = (arguments.next(), arguments.next());
    let own = std::env::temp_dir().join(format!("mapsto-weights-{}", std::process::id()));
    let Some(config) = CnnConfig::preset("mission", 28, 28, 10) else {
        anyhow::bail!("the zoo has no such network");
    };
    if file.is_none() {
        save_random(&config, &own)?;
    }

    let store = ParamStore::new(DType::F32, &Device::Cpu);
    let model = cnn(&config, store.root())?;
    let weights = Checkpoint::load(file.as_ref().unwrap_or(&own))?.tensors;
    // Strict: a missing or unexpected name, or another shape, is an error that lists them all.
    store.load_state_dict(&weights, true)?;
    println!("{} tensors fit with no map", weights.len());

    let set = match folder {
        Some(folder) => open(folder, Split::Test)?,
        None => digits(Split::Test, 1_000, 42)?,
    };
    let collate = set.collate();
    let loader = DataLoader::new(set, collate).batch_size(250)?;
    let metrics = vec![Box::new(Accuracy::default()) as _];
    let scores = evaluate(&Classify::new(model), metrics, loader.epoch(0))?;
    println!(
        "accuracy {:.4} on {} pictures",
        scores["accuracy"], scores.samples
    );
    if file.is_none() {
        std::fs::remove_file(own)?;
    }
    Ok(())
}

/// A state dict and nothing else, as PyTorch writes it.
fn save_random(config: &CnnConfig, path: &Path) -> anyhow::Result<()> {
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(1);
    cnn(config, store.root())?;
    let checkpoint = Checkpoint {
        tensors: store.state_dict(),
        ..Checkpoint::default()
    };
    Ok(checkpoint.save(path)?)
}
