//! Recurrent layers: gradients through layers and states, layouts, dropout, states carried on.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::HashMap;

use mapsto_nn::{
    Activation, CellConfig, Gru, GruCell, Lstm, LstmCell, LstmState, Nonlinearity, RecurrentConfig,
    Rnn, RnnCell, Sequential, linear,
};
use mapsto_tensor::testing::{assert_close, check_gradients, wave};
use mapsto_tensor::{
    DType, Device, ModuleT, ParamKind, ParamStore, Result, Tensor, VarBuilder, backward, rng,
};

const HIDDEN: usize = 3;
const INPUT: usize = 2;

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu).with_seed(5)
}

/// Two layers in both directions.
fn deep() -> RecurrentConfig {
    RecurrentConfig {
        num_layers: 2,
        bidirectional: true,
        ..RecurrentConfig::new(INPUT, HIDDEN)
    }
}

/// Names and values of the parameters that `build` asks for.
fn parameters(build: impl Fn(VarBuilder<'static>)) -> (Vec<String>, Vec<Tensor>) {
    let store = store();
    build(store.root());
    let entries = store.entries().into_iter();
    let named = entries.map(|(name, var, _, _)| (name, var.as_tensor().detach()));
    named.unzip()
}

fn given(names: &[String], tensors: &[Tensor]) -> VarBuilder<'static> {
    let named = names.iter().cloned().zip(tensors.iter().cloned());
    let tensors: HashMap<String, Tensor> = named.collect();
    VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu)
}

/// Everything in one row, so that one check covers outputs and states.
fn joined(tensors: &[Tensor]) -> Result<Tensor> {
    let flat: Result<Vec<Tensor>> = tensors.iter().map(Tensor::flatten_all).collect();
    Tensor::cat(&flat?, 0)
}

/// Checks `run(builder, inputs)` by the `inputs` and all parameters.
fn check(
    inputs: &[Tensor],
    build: impl Fn(VarBuilder<'static>),
    run: impl Fn(VarBuilder<'static>, &[Tensor]) -> Result<Tensor>,
) {
    let (names, values) = parameters(build);
    let all = [inputs, &values].concat();
    check_gradients(&all, |t| {
        let (inputs, values) = t.split_at(inputs.len());
        run(given(&names, values), inputs)
    });
}

#[test]
fn gradients_of_layers() {
    let config = deep();
    let x = wave((4, 3, INPUT), 0.1);
    let states = [wave((4, 3, HIDDEN), 0.2), wave((4, 3, HIDDEN), 0.3)];
    let lengths: [Option<&[usize]>; 2] = [None, Some(&[3, 1, 4])];
    for lengths in lengths {
        check(
            &[std::slice::from_ref(&x), &states[..]].concat(),
            |vb| drop(Lstm::new(&config, vb).unwrap()),
            |vb, t| {
                let (h, c) = (t[1].clone(), t[2].clone());
                let state = LstmState { h, c };
                let layer = Lstm::new(&config, vb)?;
                let (y, last) = layer.forward(&t[0], Some(&state), lengths, true)?;
                joined(&[y, last.h, last.c])
            },
        );
        check(
            &[x.clone(), states[0].clone()],
            |vb| drop(Gru::new(&config, vb).unwrap()),
            |vb, t| {
                let layer = Gru::new(&config, vb)?;
                let (y, h) = layer.forward(&t[0], Some(&t[1]), lengths, true)?;
                joined(&[y, h])
            },
        );
        for function in [Nonlinearity::Tanh, Nonlinearity::Relu] {
            check(
                &[x.clone(), states[0].clone()],
                |vb| drop(Rnn::new(&config, function, vb).unwrap()),
                |vb, t| {
                    let layer = Rnn::new(&config, function, vb)?;
                    let (y, h) = layer.forward(&t[0], Some(&t[1]), lengths, true)?;
                    joined(&[y, h])
                },
            );
        }
    }
}

#[test]
fn gradients_of_cells() {
    let config = CellConfig::new(INPUT, HIDDEN);
    let inputs = [
        wave((5, INPUT), 0.1),
        wave((5, HIDDEN), 0.2),
        wave((5, HIDDEN), 0.3),
    ];
    check(
        &inputs,
        |vb| drop(LstmCell::new(&config, vb).unwrap()),
        |vb, t| {
            let (h, c) = (t[1].clone(), t[2].clone());
            let after = LstmCell::new(&config, vb)?.forward(&t[0], Some(&LstmState { h, c }))?;
            joined(&[after.h, after.c])
        },
    );
    check(
        &inputs[..2],
        |vb| drop(GruCell::new(&config, vb).unwrap()),
        |vb, t| GruCell::new(&config, vb)?.forward(&t[0], Some(&t[1])),
    );
    let tanh = Nonlinearity::Tanh;
    check(
        &inputs[..2],
        |vb| drop(RnnCell::new(&config, tanh, vb).unwrap()),
        |vb, t| RnnCell::new(&config, tanh, vb)?.forward(&t[0], Some(&t[1])),
    );
}

#[test]
fn layouts_hold_the_same_numbers() {
    let store = store();
    let time_first = Lstm::new(&deep(), store.root()).unwrap();
    let batch_first = RecurrentConfig {
        batch_first: true,
        ..deep()
    };
    let batch_first = Lstm::new(&batch_first, store.root()).unwrap();
    let x = wave((5, 3, INPUT), 0.1);
    let states = [wave((4, 3, HIDDEN), 0.2), wave((4, 3, HIDDEN), 0.3)];
    let [h, c] = states.clone();
    let state = Some(LstmState { h, c });
    let run = |layer: &Lstm, x: &Tensor, state: Option<&LstmState>| {
        let (y, last) = layer.forward(x, state, None, false).unwrap();
        [y, last.h, last.c]
    };
    let expected = run(&time_first, &x, state.as_ref());
    let turned = x.transpose(0, 1).unwrap();
    let [y, h, c] = run(&batch_first, &turned, state.as_ref());
    let actual = [y.transpose(0, 1).unwrap(), h, c];
    for (actual, expected) in actual.iter().zip(&expected) {
        assert_close("batch first", actual, expected, 0.0, 0.0);
    }
    let row = |t: &Tensor| t.narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
    let [h, c] = states.each_ref().map(row);
    let alone = run(&batch_first, &row(&x), Some(&LstmState { h, c }));
    for (alone, expected) in alone.iter().zip(&expected) {
        assert_close("no batch", alone, &row(expected), 1e-12, 1e-12);
    }
}

#[test]
fn dropout_acts_between_layers_alone() {
    let config = |num_layers| RecurrentConfig {
        dropout: 1.0,
        num_layers,
        ..RecurrentConfig::new(INPUT, HIDDEN)
    };
    let store = store();
    let x = wave((4, 3, INPUT), 0.1);
    let run = |layers, x: &Tensor, train| {
        let layer = Gru::new(&config(layers), store.root()).unwrap();
        layer.forward(x, None, None, train).unwrap()
    };
    let (one, _) = run(1, &x, true);
    assert_close("one layer", &one, &run(1, &x, false).0, 0.0, 0.0);
    // With everything dropped, the second layer sees zeros whatever the input; the state of
    // the first is untouched.
    let (y, states) = run(2, &x, true);
    let (other, _) = run(2, &wave((4, 3, INPUT), 0.7), true);
    assert_close("second layer", &y, &other, 0.0, 0.0);
    let last = one.get(3).unwrap();
    assert_close("first state", &states.get(0).unwrap(), &last, 0.0, 0.0);
    rng::manual_seed(1);
    let (whole, _) = run(2, &x, false);
    assert_eq!(rng::generator().counter, 0);
    let differs = (whole - y).unwrap().abs().unwrap().max_all().unwrap();
    assert!(differs.to_scalar::<f64>().unwrap() > 1e-3);
}

#[test]
fn a_detached_state_carries_numbers_without_gradients() {
    let store = store();
    let layer = Lstm::new(&RecurrentConfig::new(INPUT, HIDDEN), store.root()).unwrap();
    let first = store.insert("first", &wave((3, 2, INPUT), 0.1), ParamKind::Parameter);
    let first = first.unwrap().as_tensor().clone();
    let second = wave((4, 2, INPUT), 0.2);
    let (_, state) = layer.forward(&first, None, None, true).unwrap();
    let run = |state: &LstmState| layer.forward(&second, Some(state), None, true).unwrap().0;
    let (carried, cut) = (run(&state), run(&state.detach()));
    assert_close("values", &cut, &carried, 0.0, 0.0);
    let reaches = |y: &Tensor| {
        let gradients = backward(&y.sum_all().unwrap(), &store).unwrap();
        gradients.get("first").is_some()
    };
    assert!(reaches(&carried) && !reaches(&cut));
}

#[test]
fn in_a_sequential_it_gives_the_outputs() {
    let store = store();
    let config = RecurrentConfig::new(INPUT, HIDDEN);
    let model = Sequential::new(store.root())
        .layer(|vb| Lstm::new(&config, vb))
        .and_then(|model| {
            model
                .add(Activation::Tanh)
                .layer(|vb| linear(HIDDEN, 5, vb))
        })
        .unwrap();
    let x = wave((4, 3, INPUT), 0.1);
    let layer = Lstm::new(&config, store.root().pp("0")).unwrap();
    let (y, _) = layer.forward(&x, None, None, false).unwrap();
    let rest = |i: usize, x: &Tensor| model.get(i).unwrap().forward_t(x, false).unwrap();
    let expected = rest(2, &rest(1, &y));
    let actual = model.forward_t(&x, false).unwrap();
    assert_close("sequential", &actual, &expected, 0.0, 0.0);
}
