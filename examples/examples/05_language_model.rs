//! A language model out of layers: embedding, LSTM, softmax, its state carried from window to
//! window. It learns a small written language whose entropy is known, so that its perplexity has
//! a floor. It prints `perplexity 8.24, of the perfect model 7.95`.
//!
//! Time: half a minute on two cores. `STEPS` limits the windows of an epoch.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Context as _;
use mapsto_data::{Bptt, Corpus, Section, Unit, Vocab, VocabConfig, grammar};
use mapsto_examples::steps;
use mapsto_nn::{
    Embedding, EmbeddingConfig, Linear, Lstm, LstmState, RecurrentConfig, cross_entropy, linear,
};
use mapsto_optim::{Adam, IntoOptimizer, Optimizer};
use mapsto_tensor::{DType, Device, Module, ParamStore, Result, Tensor, backward, threads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    threads::run(0, program)
}

struct Model {
    embedding: Embedding,
    lstm: Lstm,
    decoder: Linear,
}

impl Model {
    fn new(vocab: usize, store: &ParamStore) -> Result<Self> {
        let root = store.root();
        Ok(Self {
            embedding: Embedding::new(&EmbeddingConfig::new(vocab, 32), root.pp("embedding"))?,
            lstm: Lstm::new(&RecurrentConfig::new(32, 64), root.pp("lstm"))?,
            decoder: linear(64, vocab, root.pp("decoder"))?,
        })
    }

    /// The mean surprise at the targets of a window `(T, N)`, and the state at its end.
    fn surprise(
        &self,
        (inputs, targets): &(Tensor, Tensor),
        state: Option<&LstmState>,
        train: bool,
    ) -> Result<(Tensor, LstmState)> {
        let embedded = self.embedding.forward(inputs)?;
        let (outputs, state) = self.lstm.forward(&embedded, state, None, train)?;
        let logits = self.decoder.forward(&outputs.flatten(0, 1)?)?;
        let loss = cross_entropy(&logits, &targets.flatten_all()?)?;
        Ok((loss, state.detach()))
    }
}

/// `exp` of the mean surprise over a whole text, training on it if there is an optimizer.
fn pass(
    model: &Model,
    text: &Bptt,
    limit: usize,
    mut optimizer: Option<(&mut dyn Optimizer, &ParamStore)>,
) -> anyhow::Result<f64> {
    let (mut state, mut nats, mut tokens) = (None, 0.0, 0);
    for window in text.epoch(0).take(limit) {
        let window = window?;
        let (loss, after) = model.surprise(&window, state.as_ref(), optimizer.is_some())?;
        if let Some((optimizer, store)) = &mut optimizer {
            optimizer.step(&mut backward(&loss, store)?)?;
        }
        let count = window.1.elem_count();
        nats += f64::from(loss.to_scalar::<f32>()?) * count as f64;
        (tokens, state) = (tokens + count, Some(after));
    }
    Ok((nats / tokens as f64).exp())
}

fn program() -> anyhow::Result<()> {
    let corpus = Corpus::grammar(20_000, 1_000, 1_000, Unit::Word, 42)?;
    let vocab = Vocab::build(corpus.train().tokens(), &VocabConfig::default())?;
    let windows = |section: &Section| -> mapsto_data::Result<Bptt> {
        Bptt::new(&vocab.encode(section.tokens())?, 20, 35, &Device::Cpu)
    };
    let train = windows(corpus.train())?;
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(42);
    let model = Model::new(vocab.len(), &store)?;
    let rule = Adam {
        lr: 3e-3,
        ..Adam::default()
    };
    let mut optimizer = rule.into_optimizer(&store)?;
    let limit = steps(train.len())?;
    for epoch in 1..=4 {
        let perplexity = pass(&model, &train, limit, Some((&mut *optimizer, &store)))?;
        println!("epoch {epoch}: perplexity {perplexity:.2}");
    }
    let test = windows(corpus.test().context("no test part")?)?;
    let perplexity = pass(&model, &test, limit, None)?;
    let floor = grammar::perplexity(Unit::Word);
    println!("perplexity {perplexity:.2}, of the perfect model {floor:.2}");
    Ok(())
}
