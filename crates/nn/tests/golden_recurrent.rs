//! Recurrent layers and cells against PyTorch's outputs, last states and gradients.
//!
//! The folder holds every recurrent case but those with `proj_size`, which ours do not have.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use mapsto_nn::{
    CellConfig, Gru, GruCell, Lstm, LstmCell, LstmState, Nonlinearity, RecurrentConfig, Rnn,
    RnnCell,
};
use mapsto_tensor::testing::{Golden, goldens};
use mapsto_tensor::{Device, ParamKind, ParamStore, Result, Tensor, VarBuilder, backward};
use serde_json::Value;

mod torch {
    pub(crate) mod args;
}

use torch::args::{assert_args, modules};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/recurrent");

/// Any of the layers: the input, the states and lengths to all outputs in PyTorch's order.
type Layer = Box<dyn Fn(&Tensor, &[Tensor], Option<&[usize]>) -> Result<Vec<Tensor>>>;

fn number(golden: &Golden, key: &str) -> Option<usize> {
    golden.arg(key).as_u64().map(|n| n as usize)
}

fn flag(golden: &Golden, key: &str, default: bool) -> bool {
    golden.arg(key).as_bool().unwrap_or(default)
}

fn nonlinearity(golden: &Golden) -> Nonlinearity {
    match golden.arg("nonlinearity") {
        Value::Null => Nonlinearity::Tanh,
        name => serde_json::from_value(name).unwrap(),
    }
}

fn config(golden: &Golden) -> RecurrentConfig {
    let known = [
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "bidirectional",
        "nonlinearity",
        "proj_size",
    ];
    assert_args(golden, &known);
    assert_eq!(number(golden, "proj_size").unwrap_or(0), 0);
    let sizes = ["input_size", "hidden_size"].map(|key| number(golden, key).unwrap());
    RecurrentConfig {
        num_layers: number(golden, "num_layers").unwrap_or(1),
        bias: flag(golden, "bias", true),
        batch_first: flag(golden, "batch_first", false),
        bidirectional: flag(golden, "bidirectional", false),
        ..RecurrentConfig::new(sizes[0], sizes[1])
    }
}

fn cell_config(golden: &Golden) -> CellConfig {
    let known = ["input_size", "hidden_size", "bias", "nonlinearity"];
    assert_args(golden, &known);
    let sizes = ["input_size", "hidden_size"].map(|key| number(golden, key).unwrap());
    CellConfig {
        bias: flag(golden, "bias", true),
        ..CellConfig::new(sizes[0], sizes[1])
    }
}

fn lstm_state(states: &[Tensor]) -> Option<LstmState> {
    let (h, c) = (states.first()?.clone(), states[1].clone());
    Some(LstmState { h, c })
}

fn layer(golden: &Golden, vb: VarBuilder<'_>) -> Layer {
    match golden.meta("module") {
        "LSTM" => {
            let lstm = Lstm::new(&config(golden), vb).unwrap();
            Box::new(move |x, states, lengths| {
                let (y, last) = lstm.forward(x, lstm_state(states).as_ref(), lengths, true)?;
                Ok(vec![y, last.h, last.c])
            })
        }
        "GRU" => {
            let gru = Gru::new(&config(golden), vb).unwrap();
            Box::new(move |x, states, lengths| {
                let (y, h) = gru.forward(x, states.first(), lengths, true)?;
                Ok(vec![y, h])
            })
        }
        "RNN" => {
            let rnn = Rnn::new(&config(golden), nonlinearity(golden), vb).unwrap();
            Box::new(move |x, states, lengths| {
                let (y, h) = rnn.forward(x, states.first(), lengths, true)?;
                Ok(vec![y, h])
            })
        }
        _ => cell(golden, vb),
    }
}

fn cell(golden: &Golden, vb: VarBuilder<'_>) -> Layer {
    let config = cell_config(golden);
    match golden.meta("module") {
        "LSTMCell" => {
            let cell = LstmCell::new(&config, vb).unwrap();
            Box::new(move |x, states, _| {
                let after = cell.forward(x, lstm_state(states).as_ref())?;
                Ok(vec![after.h, after.c])
            })
        }
        "GRUCell" => {
            let cell = GruCell::new(&config, vb).unwrap();
            Box::new(move |x, states, _| Ok(vec![cell.forward(x, states.first())?]))
        }
        "RNNCell" => {
            let cell = RnnCell::new(&config, nonlinearity(golden), vb).unwrap();
            Box::new(move |x, states, _| Ok(vec![cell.forward(x, states.first())?]))
        }
        other => panic!("{}: no layer of ours for {other}", golden.name),
    }
}

/// The call that the case describes.
fn call(golden: &Golden, layer: &Layer, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    match golden.meta("call") {
        "" => layer(&inputs[0], &inputs[1..], None),
        packed if packed.starts_with("pack_padded_sequence") => {
            let lengths: Vec<i64> = inputs[1].to_vec1()?;
            let lengths: Vec<usize> = lengths.into_iter().map(|n| n as usize).collect();
            layer(&inputs[0], &inputs[2..], Some(&lengths))
        }
        carried if carried.starts_with("out1, s = m(input.0); out2, s2 = m(input.1, s)") => {
            let first = layer(&inputs[0], &[], None)?;
            let mut outputs = layer(&inputs[1], &first[1..], None)?;
            outputs.insert(0, first[0].clone());
            Ok(outputs)
        }
        other => panic!("{}: unknown call {other}", golden.name),
    }
}

/// `stem` itself if the file has it, else `stem.0` and on.
fn numbered(golden: &Golden, stem: &str) -> Vec<String> {
    if golden.has(stem) {
        return vec![stem.to_owned()];
    }
    let names = (0..).map(|i| format!("{stem}.{i}"));
    names.take_while(|name| golden.has(name)).collect()
}

fn check(golden: &Golden) {
    let store = ParamStore::new(golden.dtype(), &Device::Cpu);
    let layer = layer(golden, store.root());
    let parameters = golden.with_prefix("param.");
    store.load_state_dict(&parameters, true).unwrap();
    let inputs = numbered(golden, "input").into_iter().map(|name| {
        let tensor = golden.tensor(&name);
        if !golden.has(&format!("grad.{name}")) {
            return tensor;
        }
        let var = store.insert(&name, &tensor, ParamKind::Parameter).unwrap();
        var.as_tensor().clone()
    });
    let inputs: Vec<Tensor> = inputs.collect();
    let outputs = call(golden, &layer, &inputs);
    let outputs = outputs.unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    let names = numbered(golden, "output");
    assert_eq!(names.len(), outputs.len(), "{}", golden.name);
    let mut loss = Tensor::zeros((), golden.dtype(), &Device::Cpu).unwrap();
    for (name, output) in names.iter().zip(&outputs) {
        golden.check(name, output);
        let upstream = golden.tensor(&format!("grad_{name}"));
        loss = (loss + (output * upstream).unwrap().sum_all().unwrap()).unwrap();
    }
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    let expected = golden.with_prefix("grad.");
    assert_eq!(gradients.iter().count(), expected.len(), "{}", golden.name);
    for name in expected.keys() {
        let ours = gradients.get(name.trim_start_matches("param."));
        let ours = ours.unwrap_or_else(|| panic!("{}: no gradient of {name}", golden.name));
        golden.check(&format!("grad.{name}"), ours);
    }
}

#[test]
fn recurrent_layers_agree_with_pytorch() {
    let cases = goldens(FOLDER);
    assert_eq!(cases.len(), 77);
    cases.iter().for_each(check);
}

#[test]
fn every_recurrent_layer_has_a_case() {
    let expected = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"];
    assert_eq!(modules(&goldens(FOLDER)), expected);
}
