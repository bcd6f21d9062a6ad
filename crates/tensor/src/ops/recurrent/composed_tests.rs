//! The kernels against the same sequences out of candle ops, in value and gradient.

use candle_core::{DType, Result, Tensor};

use super::*;
use crate::ops::composed_tests::assert_same;
use crate::testing::{assert_close, wave};

const STEPS: usize = 5;
const BATCH: usize = 3;
const HIDDEN: usize = 7;

/// Both directions, with and without lengths.
fn orders() -> Vec<Order> {
    let lengths = [None, Some(vec![2, 5, 1]), Some(vec![4, 3, 4])];
    let both = |lengths: Option<Vec<usize>>| {
        [false, true].map(|reverse| Order {
            reverse,
            lengths: lengths.clone(),
        })
    };
    lengths.into_iter().flat_map(both).collect()
}

/// The op's inputs, with a bias of the product below the states if the cell can have one.
fn inputs<C: Cell>(_: C, with_bias: bool) -> [Tensor; 3] {
    let width = C::GATES * HIDDEN;
    let below = if with_bias { C::GATES } else { 0 };
    [
        wave((STEPS, BATCH, width), 0.1),
        wave((width, HIDDEN), 0.2),
        wave((C::STATES * BATCH + below, HIDDEN), 0.3),
    ]
}

fn agree<C: Cell>(cell: C) {
    for order in orders() {
        for with_bias in [false, true] {
            if with_bias && !C::PRODUCT_APART {
                continue;
            }
            assert_same(
                &format!("{}, {order:?}, bias {with_bias}", C::NAME),
                &inputs(cell, with_bias),
                |t| run(cell, &t[0], &t[1], &t[2], &order),
                |t| composed::sequence(cell, &order, &t[0], &t[1], &t[2]),
            );
        }
    }
}

#[test]
fn lstm() {
    agree(Lstm);
}

#[test]
fn gru() {
    agree(Gru);
}

#[test]
fn rnn() {
    agree(Rnn(Nonlinearity::Tanh));
    agree(Rnn(Nonlinearity::Relu));
}

#[test]
fn half_precision_takes_the_composed_way() {
    let half = |t: &Tensor| t.to_dtype(DType::F16).unwrap();
    let outputs =
        |t: &[Tensor; 3]| -> Result<Tensor> { run(Lstm, &t[0], &t[1], &t[2], &Order::default()) };
    let inputs = inputs(Lstm, false);
    let y = outputs(&inputs.each_ref().map(half)).unwrap();
    assert_eq!(y.dtype(), DType::F16);
    assert_close("lstm in f16", &y, &outputs(&inputs).unwrap(), 1e-2, 2e-2);
}
