//! `RecurrentLayer`: the stack's layer alone, and dropout of its recurrent weights.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::HashMap;

use mapsto_nn::{CellConfig, Lstm, LstmState, RecurrentConfig, RecurrentLayer};
use mapsto_tensor::ops::{Nonlinearity, Order, Recurrence};
use mapsto_tensor::testing::{assert_close, check_gradients, wave};
use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, VarBuilder, rng};

const KINDS: [Recurrence; 4] = [
    Recurrence::Lstm,
    Recurrence::Gru,
    Recurrence::Rnn(Nonlinearity::Tanh),
    Recurrence::Rnn(Nonlinearity::Relu),
];

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu).with_seed(5)
}

fn layer(kind: Recurrence, p: f64) -> (ParamStore, RecurrentLayer) {
    let store = store();
    let layer = RecurrentLayer::new(kind, &CellConfig::new(3, 4), "_l0", &store.root()).unwrap();
    (store, layer.weight_dropout(p).unwrap())
}

/// Outputs and last states from states that are not 0.
fn walk(layer: &RecurrentLayer, x: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
    let zeros = layer.zeros(x)?;
    let states = wave(zeros.shape(), 0.7);
    layer.forward(x, &states, &Order::default(), train)
}

fn outputs(layer: &RecurrentLayer, x: &Tensor, train: bool) -> Vec<f64> {
    let (y, last) = walk(layer, x, train).unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
    [flat(&y), flat(&last)].concat()
}

#[test]
fn it_is_the_layer_of_a_stack() {
    let (layers, stack) = (store(), store());
    let layer = RecurrentLayer::new(
        Recurrence::Lstm,
        &CellConfig::new(3, 4),
        "_l0",
        &layers.root(),
    );
    let layer = layer.unwrap();
    let lstm = Lstm::new(&RecurrentConfig::new(3, 4), stack.root()).unwrap();
    assert_eq!(layers.names(), stack.names());
    let x = wave((6, 2, 3), 0.1);
    let (y, last) = walk(&layer, &x, true).unwrap();
    let states = wave((2, 2, 4), 0.7);
    let part = |states: &Tensor, i| states.narrow(0, i, 1).unwrap();
    let state = LstmState {
        h: part(&states, 0),
        c: part(&states, 1),
    };
    let (expected, end) = lstm.forward(&x, Some(&state), None, true).unwrap();
    assert_close("outputs", &y, &expected, 0.0, 0.0);
    assert_close("h", &part(&last, 0), &end.h, 0.0, 0.0);
    assert_close("c", &part(&last, 1), &end.c, 0.0, 0.0);
}

/// The same layer with these recurrent weights.
fn with_recurrent_weights(
    kind: Recurrence,
    from: &ParamStore,
    weight_hh: &Tensor,
) -> RecurrentLayer {
    let mut named: HashMap<String, Tensor> = from.state_dict().into_iter().collect();
    named.insert("weight_hh_l0".to_owned(), weight_hh.clone());
    let vb = VarBuilder::from_tensors(named, DType::F64, &Device::Cpu);
    RecurrentLayer::new(kind, &CellConfig::new(3, 4), "_l0", &vb).unwrap()
}

#[test]
fn dropped_weights_are_the_same_at_all_steps_and_scaled() {
    let x = wave((6, 2, 3), 0.1);
    for kind in KINDS {
        let (store, layer) = layer(kind, 0.4);
        rng::manual_seed(3);
        let trained = outputs(&layer, &x, true);
        // The mask that this seed draws for the weights, applied by hand once and for all.
        rng::manual_seed(3);
        let whole = &store.state_dict()["weight_hh_l0"];
        let mask = mapsto_tensor::ops::dropout(&whole.ones_like().unwrap(), 0.4).unwrap();
        let factors: Vec<f64> = mask.flatten_all().unwrap().to_vec1().unwrap();
        let is_mask = |f: &f64| *f == 0.0 || (f - 1.0 / 0.6).abs() < 1e-12;
        assert!(factors.iter().all(is_mask) && factors.contains(&0.0));
        let by_hand = with_recurrent_weights(kind, &store, &(whole * mask).unwrap());
        let expected = outputs(&by_hand, &x, false);
        let name = kind.name();
        let off = trained.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(
            off.fold(0.0, f64::max) < 1e-12,
            "{name}: {trained:?} {expected:?}"
        );
        // Another call draws another mask.
        assert_ne!(outputs(&layer, &x, true), trained, "{name}");
    }
}

#[test]
fn evaluation_and_no_dropout_draw_nothing() {
    let x = wave((6, 2, 3), 0.1);
    for kind in KINDS {
        rng::manual_seed(3);
        let plain = outputs(&layer(kind, 0.0).1, &x, true);
        assert_eq!(outputs(&layer(kind, 0.0).1, &x, false), plain);
        assert_eq!(outputs(&layer(kind, 0.9).1, &x, false), plain);
        assert_eq!(rng::generator().counter, 0, "{}", kind.name());
    }
}

#[test]
fn all_dropped_leaves_the_input_alone() {
    let (store, layer) = layer(Recurrence::Rnn(Nonlinearity::Tanh), 1.0);
    let x = wave((6, 2, 3), 0.1);
    let none = Tensor::zeros((4, 4), DType::F64, &Device::Cpu).unwrap();
    let kind = Recurrence::Rnn(Nonlinearity::Tanh);
    let without = with_recurrent_weights(kind, &store, &none);
    assert_eq!(outputs(&layer, &x, true), outputs(&without, &x, false));
}

#[test]
fn gradients_by_finite_differences() {
    let x = wave((5, 2, 3), 0.1);
    for kind in KINDS {
        let (store, _) = layer(kind, 0.0);
        let params = store.state_dict();
        let (names, values): (Vec<String>, Vec<Tensor>) = params.into_iter().unzip();
        let inputs = [vec![x.clone()], values].concat();
        check_gradients(&inputs, |t| {
            let named = names.iter().cloned().zip(t[1..].iter().cloned());
            let vb = VarBuilder::from_tensors(named.collect(), DType::F64, &Device::Cpu);
            let layer = RecurrentLayer::new(kind, &CellConfig::new(3, 4), "_l0", &vb)?;
            // The same mask every time.
            rng::manual_seed(5);
            let (y, last) = walk(&layer.weight_dropout(0.3)?, &t[0], true)?;
            Tensor::cat(&[y.flatten_all()?, last.flatten_all()?], 0)
        });
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    for p in [-0.1, 1.1, f64::NAN] {
        let error = layer(Recurrence::Gru, 0.0).1.weight_dropout(p).unwrap_err();
        assert!(error.to_string().contains("[0, 1]"), "{error}");
    }
    let none = CellConfig::new(3, 0);
    let error = RecurrentLayer::new(Recurrence::Lstm, &none, "", &store().root()).unwrap_err();
    assert!(error.to_string().contains("hidden_size"), "{error}");
    let (_, layer) = layer(Recurrence::Lstm, 0.0);
    assert!(layer.zeros(&wave(3, 0.1)).is_err(), "no batch");
    let x = wave((5, 2, 7), 0.1);
    assert!(walk(&layer, &x, false).is_err(), "7 features for 3");
}
