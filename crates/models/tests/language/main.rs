//! The language model as a network and a task: by finite differences, and by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::collections::HashMap;

use mapsto_models::Cell;
use mapsto_models::lstm::language::{
    LanguageDropout, LanguageModel, LanguageModelConfig, NextToken, Window,
};
use mapsto_tensor::testing::{assert_close, check_gradients, wave};
use mapsto_tensor::{D, DType, Device, ParamStore, StateDict, Tensor, VarBuilder, ops, rng};
use mapsto_train::{Callback, Objective};
use serde_json::json;

mod dropout;
mod refused;

const VOCAB: usize = 7;

/// Two LSTM layers, untied, one softmax, no dropout.
fn small() -> LanguageModelConfig {
    LanguageModelConfig {
        vocab: VOCAB,
        cell: Cell::Lstm,
        embedding: 3,
        hidden: 4,
        layers: 2,
        tied: false,
        mixture: 1,
        dropout: LanguageDropout::default(),
    }
}

fn model(config: &LanguageModelConfig) -> (ParamStore, LanguageModel) {
    let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(3);
    let model = LanguageModel::new(config, &store.root()).unwrap();
    (store, model)
}

/// Tokens `(T, N)` without a pattern.
fn tokens(steps: usize, streams: usize, from: u32) -> Tensor {
    let count = (steps * streams) as u32;
    let values: Vec<u32> = (from..from + count).map(|i| i * i % 11 % 7).collect();
    Tensor::from_vec(values, (steps, streams), &Device::Cpu).unwrap()
}

fn window(steps: usize, streams: usize) -> Window {
    Window {
        inputs: tokens(steps, streams, 0),
        targets: tokens(steps, streams, 5),
        first: true,
    }
}

fn scalar(tensor: &Tensor) -> f64 {
    tensor.to_scalar().unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// States that are no function of the parameters, one a layer.
fn fixed_states(config: &LanguageModelConfig, streams: usize) -> StateDict {
    let rows = if config.cell == Cell::Lstm { 2 } else { 1 };
    let last = config.layers - 1;
    let state = |layer: usize| {
        let width = if layer == last && config.tied && config.mixture == 1 {
            config.embedding
        } else {
            config.hidden
        };
        (
            layer.to_string(),
            wave((rows, streams, width), 0.2 + layer as f64),
        )
    };
    (0..config.layers).map(state).collect()
}

/// The whole training loss of a window in the middle of a text, by every parameter.
fn check_loss(config: &LanguageModelConfig, alpha: f64, beta: f64) {
    let (store, _) = model(config);
    let params = store.state_dict();
    let (names, tensors): (Vec<String>, Vec<Tensor>) = params.into_iter().unzip();
    let window = Window {
        first: false,
        ..window(4, 2)
    };
    check_gradients(&tensors, |given| {
        let named: HashMap<String, Tensor> =
            names.iter().cloned().zip(given.iter().cloned()).collect();
        let vb = VarBuilder::from_tensors(named, DType::F64, &Device::Cpu);
        let task = NextToken::new(LanguageModel::new(config, &vb)?);
        let task = task.activation_regularisation(alpha, beta);
        let states = json!({"layers": config.layers});
        task.carried()
            .load_state(&states, fixed_states(config, 2))
            .unwrap();
        // The same masks every time.
        rng::manual_seed(5);
        Ok(task.compute_loss(&window, true)?.loss)
    });
}

#[test]
fn gradients_of_every_network() {
    check_loss(&small(), 0.0, 0.0);
    for cell in [Cell::Gru, Cell::Rnn] {
        check_loss(
            &LanguageModelConfig {
                cell,
                layers: 1,
                ..small()
            },
            0.0,
            0.0,
        );
    }
    check_loss(
        &LanguageModelConfig {
            tied: true,
            ..small()
        },
        0.0,
        0.0,
    );
    let mixture = LanguageModelConfig {
        mixture: 3,
        layers: 1,
        ..small()
    };
    check_loss(&mixture, 0.0, 0.0);
    check_loss(
        &LanguageModelConfig {
            tied: true,
            ..mixture
        },
        0.0,
        0.0,
    );
}

fn everywhere(variational: bool) -> LanguageDropout {
    LanguageDropout {
        variational,
        words: 0.2,
        input: 0.3,
        hidden: 0.3,
        output: 0.4,
        weight: 0.4,
    }
}

#[test]
fn gradients_with_dropout_and_regularisation() {
    check_loss(&small(), 2.0, 1.0);
    for (variational, tied) in [(false, false), (true, true)] {
        let dropout = everywhere(variational);
        check_loss(
            &LanguageModelConfig {
                tied,
                dropout,
                ..small()
            },
            2.0,
            1.0,
        );
    }
}

#[test]
fn regularisation_is_that_of_its_formula_and_of_training_alone() {
    let (_, model) = model(&small());
    let (window, alpha, beta) = (window(5, 2), 2.0, 0.7);
    let task = NextToken::new(model.clone()).activation_regularisation(alpha, beta);
    let loss = |train| scalar(&task.compute_loss(&window, train).unwrap().loss);
    let hidden = model.hidden(&window.inputs, None, false).unwrap();
    let surprise = values(&model.surprise(&hidden.raw, &window.targets).unwrap());
    let plain = surprise.iter().sum::<f64>() / surprise.len() as f64;
    assert!((loss(false) - plain).abs() < 1e-12);
    let h = values(&hidden.raw);
    let mean = |squares: Vec<f64>| squares.iter().sum::<f64>() / squares.len() as f64;
    let size = mean(h.iter().map(|h| h * h).collect());
    // A step is 2 streams of 4 units.
    let change = mean(
        h.iter()
            .zip(&h[8..])
            .map(|(a, b)| (b - a).powi(2))
            .collect(),
    );
    let expected = plain + alpha * size + beta * change;
    assert!(
        (loss(true) - expected).abs() < 1e-12,
        "{} {expected}",
        loss(true)
    );
}

#[test]
fn a_mixture_is_that_of_its_formula() {
    let config = LanguageModelConfig {
        mixture: 3,
        layers: 1,
        ..small()
    };
    let (store, model) = model(&config);
    let params = store.state_dict();
    let (inputs, targets) = (tokens(4, 2, 0), tokens(4, 2, 5));
    let hidden = model.hidden(&inputs, None, false).unwrap();
    let times = |x: &Tensor, name: &str| x.matmul(&params[name].t().unwrap()).unwrap();
    let rows = hidden.raw.flatten(0, 1).unwrap();
    let z = times(&rows, "latent.weight")
        .broadcast_add(&params["latent.bias"])
        .unwrap();
    let z = z.tanh().unwrap().reshape((8 * 3, 3)).unwrap();
    let logits = times(&z, "decoder.weight")
        .broadcast_add(&params["decoder.bias"])
        .unwrap();
    let p = ops::log_softmax(&logits, D::Minus1).unwrap().exp().unwrap();
    let prior = ops::log_softmax(&times(&rows, "prior.weight"), D::Minus1).unwrap();
    let weighted = p
        .reshape((8, 3, VOCAB))
        .unwrap()
        .broadcast_mul(&prior.exp().unwrap().unsqueeze(2).unwrap())
        .unwrap();
    let expected = weighted.sum(1).unwrap().log().unwrap();
    let ours = model.log_probabilities(&hidden.raw).unwrap();
    assert_close("mixture", &ours, &expected, 1e-12, 1e-12);
    surprises_are_those_of_the_targets(&model, &hidden.raw, &targets);
}

fn surprises_are_those_of_the_targets(model: &LanguageModel, hidden: &Tensor, targets: &Tensor) {
    let log_p = model.log_probabilities(hidden).unwrap();
    let column = targets.flatten_all().unwrap().unsqueeze(1).unwrap();
    let expected = log_p
        .gather(&column, 1)
        .unwrap()
        .squeeze(1)
        .unwrap()
        .neg()
        .unwrap();
    let ours = model.surprise(hidden, targets).unwrap();
    assert_close("surprise", &ours, &expected, 1e-12, 1e-12);
    let sums = log_p.exp().unwrap().sum(1).unwrap();
    assert!(values(&sums).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
}

#[test]
fn two_windows_with_carried_state_are_one() {
    for cell in [Cell::Lstm, Cell::Gru, Cell::Rnn] {
        let (_, model) = model(&LanguageModelConfig { cell, ..small() });
        let whole = window(20, 3);
        let half = |from, first| Window {
            inputs: whole.inputs.narrow(0, from, 10).unwrap(),
            targets: whole.targets.narrow(0, from, 10).unwrap(),
            first,
        };
        let surprises = |task: &NextToken, window: &Window| {
            task.compute_loss(window, false).unwrap().predictions
        };
        let expected = surprises(&NextToken::new(model.clone()), &whole);
        let task = NextToken::new(model.clone());
        let parts = [half(0, true), half(10, false)].map(|half| surprises(&task, &half));
        let joined = Tensor::cat(&parts, 0).unwrap();
        assert_close("surprises", &joined, &expected, 1e-12, 1e-12);
        // A pass that begins forgets, whatever came before.
        let forgetful = surprises(&task, &half(10, true));
        let fresh = surprises(&NextToken::new(model.clone()), &half(10, true));
        assert_eq!(values(&forgetful), values(&fresh));
        assert_ne!(values(&forgetful), values(&parts[1]));
        // An evaluation in between leaves the state of training as it is.
        let trained = |window: &Window| task.compute_loss(window, true).unwrap().predictions;
        let begun = trained(&half(0, true));
        surprises(&task, &window(7, 3));
        let joined = Tensor::cat(&[begun, trained(&half(10, false))], 0).unwrap();
        assert_close("surprises of training", &joined, &expected, 1e-12, 1e-12);
    }
}

#[test]
fn tied_weights_are_one_parameter() {
    let names = |config: &LanguageModelConfig| model(config).0.names();
    let config = LanguageModelConfig {
        layers: 1,
        ..small()
    };
    let tied = LanguageModelConfig {
        tied: true,
        ..config.clone()
    };
    let mut expected = vec![
        "decoder.bias",
        "encoder.weight",
        "rnn.bias_hh_l0",
        "rnn.bias_ih_l0",
        "rnn.weight_hh_l0",
        "rnn.weight_ih_l0",
    ];
    assert_eq!(names(&tied), expected);
    expected.insert(1, "decoder.weight");
    assert_eq!(names(&config), expected);
    let mixture = LanguageModelConfig { mixture: 3, ..tied };
    let names = names(&mixture);
    assert!(!names.iter().any(|name| name == "decoder.weight"));
    for name in ["latent.weight", "latent.bias", "prior.weight"] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn the_summary_of_a_mixture_counts_each_part() {
    let (store, model) = model(&LanguageModelConfig {
        mixture: 3,
        ..small()
    });
    let summary = model.summary(&store).unwrap();
    let rows: Vec<_> = summary
        .layers
        .iter()
        .map(|row| (row.name.as_str(), row.parameters, row.multiply_adds))
        .collect();
    let (first, second) = (4 * 4 * (3 + 4), 4 * 4 * (4 + 4));
    let expected = [
        ("encoder", VOCAB * 3, 0),
        ("rnn", first + second + 4 * 4 * 4, (first + second) as u64),
        ("latent", 9 * (4 + 1), 9 * 4),
        ("prior", 3 * 4, 3 * 4),
        ("decoder", VOCAB * (3 + 1), 3 * VOCAB as u64 * 3),
    ];
    assert_eq!(rows, expected);
}
