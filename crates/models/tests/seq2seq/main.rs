//! Encoder and decoder: PyTorch's numbers, gradients, searches against all there is to find.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

#[path = "../common/mod.rs"]
mod common;
mod golden;
mod network;
mod recipe;
mod sample;
mod scheduled;
mod search;
mod transformer;

use std::sync::Arc;

use mapsto_models::Cell;
use mapsto_models::seq2seq::{
    AttentionKind, EncoderDecoder, Seq2Seq, Seq2SeqConfig, TransformerConfig, TransformerTranslator,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, ParamStore, Tensor};

/// All ways to look back.
const KINDS: [AttentionKind; 5] = [
    AttentionKind::None,
    AttentionKind::Additive,
    AttentionKind::Dot,
    AttentionKind::General,
    AttentionKind::Concat,
];

/// A small model of 7 and 6 words.
fn config(attention: AttentionKind, cell: Cell) -> Seq2SeqConfig {
    Seq2SeqConfig {
        source_vocab: 7,
        target_vocab: 6,
        shared: false,
        embedding: 3,
        cell,
        encoder_hidden: 2,
        hidden: 4,
        attention,
        coverage: false,
        input_feeding: false,
        attention_size: 3,
        readout: false,
        tied: false,
        dropout: 0.0,
    }
}

/// The model with parameters that are far from 0.
fn model(config: &Seq2SeqConfig) -> (ParamStore, Seq2Seq) {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let model = Seq2Seq::new(config, &store.root()).unwrap();
    far_from_zero(&store);
    (store, model)
}

fn far_from_zero(store: &ParamStore) {
    let mut params = store.state_dict();
    for (at, tensor) in (1..).zip(params.values_mut()) {
        *tensor = (wave(tensor.shape(), 0.37 * f64::from(at)) * 1.5).unwrap();
    }
    store.load_state_dict(&params, true).unwrap();
}

/// A model of each kind, with its name.
fn models() -> Vec<(String, Arc<dyn EncoderDecoder>)> {
    let mut all: Vec<(String, Arc<dyn EncoderDecoder>)> = vec![];
    for attention in KINDS {
        for cell in [Cell::Gru, Cell::Lstm] {
            let config = config(attention, cell);
            all.push((
                format!("{attention:?} {cell:?}"),
                Arc::new(model(&config).1),
            ));
        }
    }
    let covering = Seq2SeqConfig {
        coverage: true,
        ..config(AttentionKind::Additive, Cell::Gru)
    };
    all.push(("coverage".to_owned(), Arc::new(model(&covering).1)));
    let feeding = Seq2SeqConfig {
        input_feeding: true,
        ..covering
    };
    all.push(("feeding".to_owned(), Arc::new(model(&feeding).1)));
    let config = transformer(false);
    all.push(("Transformer".to_owned(), Arc::new(transformed(&config).1)));
    all
}

/// A small Transformer of 7 and 6 words; shared, of 7 each.
fn transformer(shared: bool) -> TransformerConfig {
    TransformerConfig {
        source_vocab: 7,
        target_vocab: if shared { 7 } else { 6 },
        shared,
        size: 6,
        heads: 2,
        layers: 2,
        hidden: 5,
        dropout: 0.0,
    }
}

fn transformed(config: &TransformerConfig) -> (ParamStore, TransformerTranslator) {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let model = TransformerTranslator::new(config, &store.root()).unwrap();
    far_from_zero(&store);
    (store, model)
}

const SOURCES: [&[u32]; 3] = [&[4, 2, 6, 3], &[5, 1, 0, 0], &[3, 3, 6, 0]];
const LENGTHS: [usize; 3] = [4, 2, 3];

/// `log p` of each word after each of those of a target and before it, a row a word.
fn log_p(model: &dyn EncoderDecoder, source: &[u32], target: &[u32]) -> Vec<Vec<f64>> {
    let given = [&[2], target].concat();
    let source = (&tokens(&[source]), &[source.len()][..]);
    let features = model.features(source, &tokens(&[&given]), false).unwrap();
    let log_p = model.log_probabilities(&features).unwrap();
    log_p.to_vec2().unwrap()
}

/// `log p` of a target and its end.
fn log_p_of(model: &dyn EncoderDecoder, source: &[u32], target: &[u32]) -> f64 {
    let next = target.iter().copied().chain([3]);
    let rows = log_p(model, source, target);
    next.zip(&rows).map(|(word, row)| row[word as usize]).sum()
}

/// All targets of at most three words, none of them the end.
fn targets() -> Vec<Vec<u32>> {
    let mut all = vec![vec![]];
    let mut longest = vec![vec![]];
    for _ in 0..3 {
        let longer = |target: &Vec<u32>| {
            let target = target.clone();
            [0, 1, 2, 4, 5].map(move |word| [target.clone(), vec![word]].concat())
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend(longest.clone());
    }
    all
}

fn tokens(rows: &[&[u32]]) -> Tensor {
    Tensor::new(
        rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(),
        &Device::Cpu,
    )
    .unwrap()
}
