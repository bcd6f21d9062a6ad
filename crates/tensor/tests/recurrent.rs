//! Sequences: where each ends, states carried on, great length, counts and errors.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_tensor::ops::{Nonlinearity, Order, Recurrence, RecurrentWeights, recurrent};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{DType, Device, ParamKind, ParamStore, Result, Tensor, Var, backward, macs};

const KINDS: [Recurrence; 4] = [
    Recurrence::Rnn(Nonlinearity::Tanh),
    Recurrence::Rnn(Nonlinearity::Relu),
    Recurrence::Lstm,
    Recurrence::Gru,
];

fn weights(kind: Recurrence, input: usize, hidden: usize) -> RecurrentWeights {
    let width = kind.gates() * hidden;
    let scaled = |tensor: Tensor| (tensor * 0.5).unwrap();
    RecurrentWeights {
        weight_ih: scaled(wave((width, input), 0.2)),
        weight_hh: scaled(wave((width, hidden), 0.3)),
        biases: Some((scaled(wave(width, 0.5)), scaled(wave(width, 0.6)))),
    }
}

fn ordered(reverse: bool, lengths: &[usize]) -> Order {
    let lengths = Some(lengths.to_vec());
    Order { reverse, lengths }
}

#[test]
fn a_sequence_in_a_batch_is_the_sequence_alone() {
    let lengths = [3, 5, 1];
    for kind in KINDS {
        let weights = weights(kind, 2, 4);
        let (x, states) = (wave((5, 3, 2), 0.1), wave((kind.states(), 3, 4), 0.4));
        for reverse in [false, true] {
            let order = ordered(reverse, &lengths);
            let (y, last) = recurrent(kind, &x, &weights, &states, &order).unwrap();
            for (row, &length) in lengths.iter().enumerate() {
                let of_row = |t: &Tensor| t.narrow(1, row, 1).unwrap();
                let alone = of_row(&x).narrow(0, 0, length).unwrap();
                let lengths = None;
                let order = Order { reverse, lengths };
                let (expected, expected_last) =
                    recurrent(kind, &alone, &weights, &of_row(&states), &order).unwrap();
                let name = format!("{kind:?}, reverse {reverse}, row {row}");
                let inside = of_row(&y).narrow(0, 0, length).unwrap();
                assert_close(&name, &inside, &expected, 1e-12, 1e-12);
                assert_close(&name, &of_row(&last), &expected_last, 1e-12, 1e-12);
                let beyond = of_row(&y).narrow(0, length, 5 - length).unwrap();
                assert_close(&name, &beyond, &beyond.zeros_like().unwrap(), 0.0, 0.0);
            }
        }
    }
}

#[test]
fn padding_is_not_read() {
    for kind in KINDS {
        let weights = weights(kind, 2, 4);
        let states = wave((kind.states(), 1, 4), 0.4);
        for reverse in [false, true] {
            let order = ordered(reverse, &[2]);
            let padded = |value: f64| {
                let padding =
                    (Tensor::ones((3, 1, 2), DType::F64, &Device::Cpu).unwrap() * value).unwrap();
                let x = Tensor::cat(&[wave((2, 1, 2), 0.1), padding], 0).unwrap();
                let (y, last) = recurrent(kind, &x, &weights, &states, &order).unwrap();
                Tensor::cat(&[y, last], 0).unwrap()
            };
            let name = format!("{kind:?}, reverse {reverse}");
            assert_close(&name, &padded(f64::NAN), &padded(0.0), 0.0, 0.0);
        }
    }
}

#[test]
fn a_carried_state_continues_the_sequence() {
    for kind in KINDS {
        let weights = weights(kind, 2, 4);
        let (x, start) = (wave((7, 3, 2), 0.1), wave((kind.states(), 3, 4), 0.4));
        let order = Order::default();
        let walk = |x: &Tensor, states: &Tensor| recurrent(kind, x, &weights, states, &order);
        let (y, last) = walk(&x, &start).unwrap();
        let (first, middle) = walk(&x.narrow(0, 0, 3).unwrap(), &start).unwrap();
        let (second, end) = walk(&x.narrow(0, 3, 4).unwrap(), &middle).unwrap();
        let joined = Tensor::cat(&[first, second], 0).unwrap();
        assert_close(kind.name(), &joined, &y, 1e-12, 1e-12);
        assert_close(kind.name(), &end, &last, 1e-12, 1e-12);
    }
}

/// The sum of a walk of `steps` steps and its gradients by state, weight and bias.
fn long_walk(kind: Recurrence, steps: usize) -> (f64, Vec<Tensor>) {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let variable = |name: &str, value: &Tensor| {
        let var = store.insert(name, value, ParamKind::Parameter).unwrap();
        var.as_tensor().clone()
    };
    let RecurrentWeights {
        weight_ih,
        weight_hh,
        biases,
    } = weights(kind, 1, 2);
    let (ih, hh) = biases.unwrap();
    let weights = RecurrentWeights {
        weight_ih: variable("weight_ih", &weight_ih),
        weight_hh: variable("weight_hh", &weight_hh),
        biases: Some((variable("bias_ih", &ih), variable("bias_hh", &hh))),
    };
    let states = variable("states", &wave((kind.states(), 1, 2), 0.4));
    let x = wave((steps, 1, 1), 0.1);
    let (y, _) = recurrent(kind, &x, &weights, &states, &Order::default()).unwrap();
    let loss = y.sum_all().unwrap();
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    let gradients = gradients.iter().map(|(_, grad)| grad.clone()).collect();
    (loss.to_scalar().unwrap(), gradients)
}

#[test]
fn ten_thousand_steps_need_no_deep_stack() {
    let small_stack = std::thread::Builder::new().stack_size(2 << 20);
    let walks = small_stack.spawn(|| KINDS.map(|kind| (long_walk(kind, 10_000), kind)));
    for ((sum, gradients), kind) in walks.unwrap().join().unwrap() {
        assert!(sum.is_finite(), "{kind:?}");
        // The state at the start is forgotten on the way, so its gradient is that of a shorter
        // walk; the others are sums over all steps.
        let (_, short) = long_walk(kind, 1000);
        let [bias, _, states, _, weight_hh] = &gradients[..] else {
            unreachable!("five parameters");
        };
        assert_close(kind.name(), states, &short[2], 1e-9, 1e-9);
        for (long, short) in [(bias, &short[0]), (weight_hh, &short[4])] {
            let norm = |t: &Tensor| -> f64 {
                let squares = t.sqr().unwrap().sum_all().unwrap();
                squares.to_scalar::<f64>().unwrap().sqrt()
            };
            assert!(norm(long) > 5.0 * norm(short), "{kind:?}");
        }
    }
}

#[test]
fn a_second_backward_pass_gives_the_same() {
    for kind in KINDS {
        let states = Var::from_tensor(&wave((kind.states(), 2, 3), 0.1)).unwrap();
        let (x, weights) = (wave((4, 2, 2), 0.2), weights(kind, 2, 3));
        let (y, _) = recurrent(kind, &x, &weights, &states, &Order::default()).unwrap();
        let gradient = || {
            let gradients = y.sum_all().unwrap().backward().unwrap();
            gradients.get(&states).unwrap().clone()
        };
        assert_close(kind.name(), &gradient(), &gradient(), 0.0, 0.0);
    }
}

#[test]
fn multiply_adds_are_counted() {
    for kind in KINDS {
        let (x, states) = (wave((7, 3, 2), 0.1), wave((kind.states(), 3, 4), 0.4));
        let weights = weights(kind, 2, 4);
        let walk = || recurrent(kind, &x, &weights, &states, &Order::default());
        let (_, count) = macs::count(walk);
        assert_eq!(count, (7 * 3 * kind.gates() * 4 * (2 + 4)) as u64);
    }
}

fn assert_says(result: Result<(Tensor, Tensor)>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "\"{part}\" is not in: {message}");
    }
}

#[test]
fn errors_name_what_does_not_fit() {
    let kind = Recurrence::Lstm;
    let good = weights(kind, 2, 4);
    let (x, states) = (wave((5, 3, 2), 0.1), wave((2, 3, 4), 0.4));
    let walk = |x: &Tensor, weights: &RecurrentWeights, states: &Tensor, order: &Order| {
        recurrent(kind, x, weights, states, order)
    };
    let whole = Order::default();
    let flat = walk(&wave((5, 2), 0.1), &good, &states, &whole);
    assert_says(flat, &["lstm: expected an input (T, B, in)", "[5, 2]"]);
    let empty = walk(&x.narrow(0, 0, 0).unwrap(), &good, &states, &whole);
    assert_says(empty, &["lstm:", "at least one step", "got 0"]);
    let wide = walk(&wave((5, 3, 6), 0.1), &good, &states, &whole);
    assert_says(wide, &["weight_ih", "[16, 6]", "[16, 2]"]);
    let three_gates = RecurrentWeights {
        weight_hh: wave((12, 4), 0.1),
        weight_ih: wave((12, 2), 0.1),
        biases: None,
    };
    let gates = walk(&x, &three_gates, &states, &whole);
    assert_says(gates, &["weight_hh", "[16, 4]", "[12, 4]"]);
    let one_bias = RecurrentWeights {
        biases: Some((wave(16, 0.1), wave(4, 0.1))),
        ..good.clone()
    };
    let bias = walk(&x, &one_bias, &states, &whole);
    assert_says(bias, &["bias_hh", "[16]", "[4]"]);
    let state = walk(&x, &good, &wave((2, 1, 4), 0.4), &whole);
    assert_says(state, &["the states", "[2, 3, 4]", "[2, 1, 4]"]);
    let few = walk(&x, &good, &states, &ordered(false, &[5, 5]));
    assert_says(few, &["2 lengths", "batch of 3"]);
    for length in [0, 6] {
        let wrong = walk(&x, &good, &states, &ordered(true, &[5, length, 1]));
        assert_says(wrong, &["1..=5", &format!("got {length}")]);
    }
}
