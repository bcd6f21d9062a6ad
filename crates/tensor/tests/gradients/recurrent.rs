//! Recurrent cells over sequences: both directions, lengths, with and without biases.

use mapsto_tensor::ops::{Nonlinearity, Order, Recurrence, RecurrentWeights, recurrent};
use mapsto_tensor::testing::{check_gradients, wave};
use mapsto_tensor::{Result, Tensor};

const STEPS: usize = 4;
const BATCH: usize = 3;
const INPUT: usize = 2;
const HIDDEN: usize = 5;

/// Outputs and last states, one after another.
fn all(kind: Recurrence, t: &[Tensor], order: &Order) -> Result<Tensor> {
    let weights = RecurrentWeights {
        weight_ih: t[1].clone(),
        weight_hh: t[2].clone(),
        biases: t.get(4).map(|ih| (ih.clone(), t[5].clone())),
    };
    let (outputs, states) = recurrent(kind, &t[0], &weights, &t[3], order)?;
    Tensor::cat(&[outputs, states], 0)
}

fn check(kind: Recurrence) {
    let width = kind.gates() * HIDDEN;
    let inputs = [
        wave((STEPS, BATCH, INPUT), 0.1),
        wave((width, INPUT), 0.2),
        wave((width, HIDDEN), 0.3),
        wave((kind.states(), BATCH, HIDDEN), 0.4),
        wave(width, 0.5),
        wave(width, 0.6),
    ];
    for lengths in [None, Some(vec![2, 4, 1])] {
        for reverse in [false, true] {
            let lengths = lengths.clone();
            let order = Order { reverse, lengths };
            check_gradients(&inputs, |t| all(kind, t, &order));
            check_gradients(&inputs[..4], |t| all(kind, t, &order));
        }
    }
}

#[test]
fn lstm() {
    check(Recurrence::Lstm);
}

#[test]
fn gru() {
    check(Recurrence::Gru);
}

#[test]
fn rnn() {
    check(Recurrence::Rnn(Nonlinearity::Tanh));
    check(Recurrence::Rnn(Nonlinearity::Relu));
}

#[test]
fn one_step() {
    let inputs = [
        wave((1, BATCH, INPUT), 0.1),
        wave((4 * HIDDEN, INPUT), 0.2),
        wave((4 * HIDDEN, HIDDEN), 0.3),
        wave((2, BATCH, HIDDEN), 0.4),
    ];
    check_gradients(&inputs, |t| all(Recurrence::Lstm, t, &Order::default()));
}
