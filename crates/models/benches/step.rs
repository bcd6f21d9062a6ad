//! Whole training steps as a recipe makes them: loading, forward, loss, backward, update, metrics.
//! `mission`: the CNN entry's first network. `language`: LSTMs of Zaremba's small and medium sizes
//! over 10,000 words, without dropout and clipping; `zaremba`: with them, of which the small size has
//! clipping alone. `translate`: the attention
//! translator of Multi30k, 64 pairs of 15 words over a joint vocabulary of 8,000; `luong`: with
//! attention after the decoder, two vocabularies, and no dropout; of both, the batches are made before.
//! Two steps come before those that are
//! timed: the first audits its gradients, and both ask the system for memory that the others use again.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails has nothing to measure"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use mapsto_data::{
    Bptt, Collate, DataLoader, ImageCollate, ImageSet, PairCollate, Split, Tokenizer, digits,
};
use mapsto_models::Cell;
use mapsto_models::cnn::{Classify, CnnConfig, cnn};
use mapsto_models::lstm::language::{
    LanguageDropout, LanguageModel, LanguageModelConfig, NextToken, Window,
};
use mapsto_models::seq2seq::{AttentionKind, PAD, Seq2Seq, Seq2SeqConfig, Translate};
use mapsto_optim::{Adam, Optim, Sgd};
use mapsto_tensor::rng::Generator;
use mapsto_tensor::{DType, Device, ParamStore, threads};
use mapsto_train::{Accuracy, Perplexity, Trainer};
use rand::Rng as _;

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
        for (name, recipe) in [("language", false), ("zaremba", true)] {
            for (units, seq_len) in [(200, 20), (650, 35)] {
                group.throughput(Throughput::Elements(20 * seq_len as u64));
                let id = BenchmarkId::new(name, units);
                group.bench_function(id, |b| {
                    b.iter_custom(|steps| train_language((units, seq_len), recipe, steps));
                });
            }
        }
        group.throughput(Throughput::Elements((PAIRS * WORDS) as u64));
        for (name, attention) in [
            ("translate", AttentionKind::Additive),
            ("luong", AttentionKind::General),
        ] {
            group.bench_function(name, |b| {
                b.iter_custom(|steps| train_translator(attention, steps));
            });
        }
        group.finish();
        criterion.final_summary();
    });
}

/// Steps of the epoch before the one that is timed.
const BEFORE: usize = 2;

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
    let steps = usize::try_from(steps).unwrap();
    let started = std::cell::Cell::new(Instant::now());
    let batches = |epoch| {
        started.set(Instant::now());
        let epochs = (0..).flat_map(|epoch| loader.epoch(epoch));
        epochs.take(if epoch == 0 { BEFORE } else { steps })
    };
    trainer.fit(2, batches).unwrap();
    started.get().elapsed()
}

/// The time of `steps` steps of a new language model on random words; with the dropout and the clipped
/// gradient of the recipe, or without.
fn train_language((units, seq_len): (usize, usize), recipe: bool, steps: u64) -> Duration {
    let dropout = if recipe && units == 650 { 0.5 } else { 0.0 };
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(42);
    let config = LanguageModelConfig {
        vocab: 10_000,
        cell: Cell::Lstm,
        embedding: units,
        hidden: units,
        layers: 2,
        tied: false,
        mixture: 1,
        dropout: LanguageDropout {
            input: dropout,
            hidden: dropout,
            output: dropout,
            ..LanguageDropout::default()
        },
    };
    let task = NextToken::new(LanguageModel::new(&config, &store.root()).unwrap());
    let rule = Sgd {
        lr: 0.1,
        ..Sgd::default()
    };
    let mut rule = Optim::new(rule, store.trainable()).unwrap();
    if recipe {
        // The loss is a mean over steps, Zaremba's a sum.
        rule = rule.clip_grad_norm(5.0 / seq_len as f64).unwrap();
    }
    let mut trainer = Trainer::new(&store, task, rule).unwrap();
    trainer = trainer.metric(Perplexity::default());

    let mut rng = Generator::keyed(42, &[]);
    let steps = usize::try_from(steps).unwrap();
    let tokens: Vec<u32> = (0..20 * (seq_len * steps.max(BEFORE) + 1))
        .map(|_| rng.random_range(0..10_000))
        .collect();
    let text = Bptt::new(&tokens, 20, seq_len, &Device::Cpu).unwrap();
    let started = std::cell::Cell::new(Instant::now());
    let windows = |epoch| {
        started.set(Instant::now());
        let windows = text.epoch(epoch).enumerate();
        let windows = windows.take(if epoch == 0 { BEFORE } else { steps });
        windows.map(|(index, window)| {
            window.map(|(inputs, targets)| Window {
                inputs,
                targets,
                first: index == 0,
            })
        })
    };
    trainer.fit(2, windows).unwrap();
    started.get().elapsed()
}

/// Pairs of a batch, and words of each sentence, the end of a target among them.
const PAIRS: usize = 64;
const WORDS: usize = 15;

/// The time of `steps` steps of a new translator on random words.
fn train_translator(attention: AttentionKind, steps: u64) -> Duration {
    // The network that is usual with each: vocabularies and the last layer in common, or not.
    let joint = attention == AttentionKind::Additive;
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(42);
    let config = Seq2SeqConfig {
        source_vocab: 8_000,
        target_vocab: 8_000,
        shared: joint,
        embedding: 256,
        cell: Cell::Gru,
        encoder_hidden: 256,
        hidden: 512,
        attention,
        coverage: false,
        input_feeding: joint,
        attention_size: 512,
        readout: true,
        tied: joint,
        dropout: if joint { 0.3 } else { 0.0 },
    };
    let model = Seq2Seq::new(&config, &store.root()).unwrap();
    let task = Translate::new(Arc::new(model), if joint { 0.1 } else { 0.0 });
    let mut trainer = Trainer::new(&store, task, Adam::default()).unwrap();

    let mut rng = Generator::keyed(42, &[]);
    let mut words =
        |count| -> Vec<u32> { (0..count).map(|_| rng.random_range(4..8_000)).collect() };
    let collate = PairCollate::new(PAD, Tokenizer::BOS, Tokenizer::EOS);
    let batches: Vec<_> = (0..BEFORE as u64 + steps)
        .map(|_| {
            collate.collate(
                (0..PAIRS)
                    .map(|_| (words(WORDS), words(WORDS - 1)))
                    .collect(),
            )
        })
        .collect();
    let batches = std::cell::RefCell::new(batches);
    let started = std::cell::Cell::new(Instant::now());
    let batches = |epoch| {
        started.set(Instant::now());
        let mut left = batches.borrow_mut();
        let after = if epoch == 0 { BEFORE } else { left.len() };
        left.drain(..after).collect::<Vec<_>>()
    };
    trainer.fit(2, batches).unwrap();
    started.get().elapsed()
}
