//! What a language model writes, how it measures texts, and files that hold none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

mod measured;
mod refused;
mod writing;

use std::path::{Path, PathBuf};

use mapsto_data::{Unit, Vocab, VocabConfig};
use mapsto_models::Cell;
use mapsto_models::lstm::language::{
    Description, LanguageDropout, LanguageModel, LanguageModelConfig, Sampling, Writer,
};
use mapsto_tensor::{Checkpoint, DType, Device, ParamStore};
use serde_json::{Value, json};
use tempfile::TempDir;

const WORDS: [&str; 6] = ["<eos>", "the", "dog", "cat", "sleeps", "sees"];
const CHARS: [&str; 6] = ["\n", " ", "a", "b", "é", "z"];

fn config(vocab: usize) -> LanguageModelConfig {
    LanguageModelConfig {
        vocab,
        cell: Cell::Lstm,
        embedding: 8,
        hidden: 8,
        layers: 2,
        tied: true,
        mixture: 1,
        // Writing must not drop anything.
        dropout: LanguageDropout {
            output: 0.5,
            weight: 0.5,
            ..LanguageDropout::default()
        },
    }
}

/// A file with a model that has not learned anything, so its words are all about as probable.
fn checkpoint(folder: &Path, tokens: &[&str], unit: Unit, unk: Option<&str>) -> PathBuf {
    let unk = unk.map(str::to_owned);
    let vocab = Vocab::build(
        tokens,
        &VocabConfig {
            unk,
            ..VocabConfig::default()
        },
    )
    .unwrap();
    let config = config(vocab.len());
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(4);
    LanguageModel::new(&config, &store.root()).unwrap();
    let kind = "lm".to_owned();
    let description = Description {
        kind,
        config,
        vocab,
        unit,
        data: "a test".to_owned(),
    };
    save(folder, &store, json!(description))
}

fn save(folder: &Path, store: &ParamStore, model: Value) -> PathBuf {
    let path = folder.join("model.safetensors");
    let (tensors, metadata) = (store.state_dict(), json!({"model": model}));
    Checkpoint { tensors, metadata }.save(&path).unwrap();
    path
}

fn load(path: &Path) -> Writer {
    Writer::load(path, &Device::Cpu).unwrap()
}

/// Knows its words and has none for others.
fn writer() -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let writer = load(&checkpoint(folder.path(), &WORDS, Unit::Word, None));
    (folder, writer)
}

fn text(writer: &Writer, prompt: &str, sampling: &Sampling, seed: u64) -> String {
    writer
        .generate(prompt, sampling, 60, seed, |_| true)
        .unwrap()
}
