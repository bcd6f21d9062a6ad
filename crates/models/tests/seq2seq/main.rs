//! Encoder and decoder: PyTorch's numbers, gradients, searches against all there is to find.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

mod golden;
mod network;
mod recipe;
mod search;

use mapsto_models::Cell;
use mapsto_models::seq2seq::{AttentionKind, Seq2Seq, Seq2SeqConfig};
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
    let mut params = store.state_dict();
    for (at, tensor) in (1..).zip(params.values_mut()) {
        *tensor = (wave(tensor.shape(), 0.37 * f64::from(at)) * 1.5).unwrap();
    }
    store.load_state_dict(&params, true).unwrap();
    (store, model)
}

fn tokens(rows: &[&[u32]]) -> Tensor {
    Tensor::new(
        rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(),
        &Device::Cpu,
    )
    .unwrap()
}
