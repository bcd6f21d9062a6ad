//! The kernel against the same walk out of candle ops, in value and gradient, and against finite
//! differences.

use candle_core::{Result, Tensor};

use super::*;
use crate::ops::Nonlinearity;
use crate::ops::composed_tests::assert_same;
use crate::testing::{check_gradients, wave};

const KINDS: [Recurrence; 3] = [
    Recurrence::Gru,
    Recurrence::Lstm,
    Recurrence::Rnn(Nonlinearity::Tanh),
];

fn sizes(kind: Recurrence, hidden: usize, coverage: bool, look: Look) -> Sizes {
    Sizes {
        steps: 4,
        batch: 3,
        hidden,
        width: kind.gates() * hidden,
        places: 6,
        context: 5,
        attention: 18,
        coverage,
        look,
    }
}

/// The op's inputs.
fn packed(kind: Recurrence, sizes: &Sizes) -> [Tensor; 3] {
    let weights = sizes.width * (sizes.context + sizes.hidden + 1);
    let asking = sizes.attention * (sizes.hidden + 1);
    let covered = usize::from(sizes.coverage) * (sizes.attention + sizes.batch * sizes.places);
    let found = usize::from(sizes.look == Look::After) * sizes.mixed();
    let states = kind.states() * sizes.units();
    [
        wave((sizes.steps, sizes.batch, sizes.width), 0.1),
        wave(
            (sizes.batch, sizes.places, sizes.attention + sizes.context),
            0.2,
        ),
        wave(weights + asking + covered + found + states, 0.3),
    ]
}

#[test]
fn kernel_and_composition_agree() {
    for kind in KINDS {
        for (lengths, coverage, look) in [
            (None, false, Look::Before),
            (Some(vec![6, 1, 4]), false, Look::Before),
            (Some(vec![5, 1, 6]), true, Look::Before),
            (Some(vec![6, 1, 4]), false, Look::After),
            (Some(vec![5, 1, 6]), true, Look::After),
        ] {
            let sizes = sizes(kind, 7, coverage, look);
            let lengths = lengths.as_deref();
            let run = |t: &[Tensor], composed: bool| -> Result<Tensor> {
                let inputs = std::array::from_fn(|i| t[i].clone());
                of_kind!(kind, cell => if composed {
                    composed::decode(cell, &sizes, &inputs, lengths)
                } else {
                    run(cell, &sizes, &inputs, lengths)
                })
            };
            assert_same(
                &format!("{}, {lengths:?}, {look:?}", kind.name()),
                &packed(kind, &sizes),
                |t| run(t, false),
                |t| run(t, true),
            );
            // What lies beyond a sequence may be anything, for both.
            let mut inputs = packed(kind, &sizes);
            inputs[1] = padded_with_nan(&inputs[1], lengths.unwrap_or(&[6; 3]));
            assert_same(
                &format!("{}, {lengths:?}, {look:?}, padded", kind.name()),
                &inputs,
                |t| run(t, false),
                |t| run(t, true),
            );
        }
    }
}

fn padded_with_nan(memory: &Tensor, lengths: &[usize]) -> Tensor {
    let (_, places, width) = memory.dims3().unwrap();
    let mut values = memory.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (row, length) in values.chunks_exact_mut(places * width).zip(lengths) {
        row[length * width..].fill(f64::NAN);
    }
    Tensor::from_vec(values, memory.shape(), memory.device()).unwrap()
}

/// Memory and weights of a decoder with 2 inputs, with coverage if there are 12 tensors, and that
/// looks after its steps if there are 13.
fn decoder(kind: Recurrence, t: &[Tensor]) -> Result<Decoded> {
    let memory = AttentionMemory {
        values: t[1].clone(),
        keys: t[2].clone(),
        lengths: Some(vec![3, 2]),
        seen: t.get(11).cloned(),
        found: t.get(12).cloned(),
    };
    let weights = AttentionDecoderWeights {
        cell: RecurrentWeights {
            weight_ih: t[3].clone(),
            weight_hh: t[4].clone(),
            biases: Some((t[5].clone(), t[6].clone())),
        },
        query: t[7].clone(),
        energy: t[8].clone(),
        coverage: t.get(10).cloned(),
        look: match t.len() {
            13 => Look::After,
            _ => Look::Before,
        },
    };
    attention_decoder(kind, &t[0], &memory, &weights, &t[9])
}

fn inputs(kind: Recurrence) -> Vec<Tensor> {
    let mut inputs = feeding(kind);
    inputs.truncate(10);
    inputs
}

/// With coverage.
fn covering(kind: Recurrence) -> Vec<Tensor> {
    let mut inputs = feeding(kind);
    inputs.truncate(12);
    inputs
}

/// With coverage, looking after its steps.
fn feeding(kind: Recurrence) -> Vec<Tensor> {
    let width = kind.gates() * 3;
    let shapes: [&[usize]; 13] = [
        &[3, 2, 2],
        &[2, 3, 4],
        &[2, 3, 5],
        &[width, 6],
        &[width, 3],
        &[width],
        &[width],
        &[5, 3],
        &[1, 5],
        &[kind.states(), 2, 3],
        &[1, 5],
        &[2, 3],
        &[2, 4],
    ];
    let number = (1..).map(|i| f64::from(i) * 0.17);
    shapes
        .iter()
        .zip(number)
        .map(|(shape, at)| wave(shape.to_vec(), at))
        .collect()
}

#[test]
fn gradients_are_right() {
    for inputs in KINDS
        .map(|kind| (kind, inputs(kind)))
        .into_iter()
        .chain(KINDS.map(|kind| (kind, covering(kind))))
        .chain(KINDS.map(|kind| (kind, feeding(kind))))
    {
        let (kind, inputs) = inputs;
        check_gradients(&inputs, |t| {
            let all = decoder(kind, t)?;
            let parts = [all.outputs, all.contexts, all.attention, all.states];
            let parts = parts.iter().map(Tensor::flatten_all);
            Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
        });
    }
}

#[test]
fn nothing_beyond_a_sequence_is_looked_at() {
    let mut inputs = inputs(Recurrence::Gru);
    let decoded = decoder(Recurrence::Gru, &inputs).unwrap();
    let attention = decoded.attention.to_vec3::<f64>().unwrap();
    for step in &attention {
        assert_eq!(step[1][2], 0.0);
        for row in step {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
    // What lies there may be anything.
    for input in &mut inputs[1..3] {
        let beyond = input.narrow(1, 2, 1).unwrap();
        let padded = (beyond * f64::NAN).unwrap();
        let changed = Tensor::cat(&[&input.narrow(1, 0, 2).unwrap(), &padded], 1).unwrap();
        let first = input.narrow(0, 0, 1).unwrap();
        *input = Tensor::cat(&[&first, &changed.narrow(0, 1, 1).unwrap()], 0).unwrap();
    }
    let again = decoder(Recurrence::Gru, &inputs).unwrap();
    let bits = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(bits(&again.outputs), bits(&decoded.outputs));
    assert_eq!(bits(&again.contexts), bits(&decoded.contexts));
}

#[test]
fn one_step_at_a_time_is_the_same_walk() {
    let kind = Recurrence::Lstm;
    for mut inputs in [covering(kind), feeding(kind)] {
        let whole = decoder(kind, &inputs).unwrap();
        let x = inputs[0].clone();
        for step in 0..3 {
            inputs[0] = x.narrow(0, step, 1).unwrap();
            let one = decoder(kind, &inputs).unwrap();
            inputs[9] = one.states.clone();
            inputs[11] = (&inputs[11] + one.attention.get(0).unwrap()).unwrap();
            if let Some(found) = inputs.get_mut(12) {
                *found = one.contexts.get(0).unwrap();
            }
            let of_whole = whole.outputs.narrow(0, step, 1).unwrap();
            crate::testing::assert_close("a step", &one.outputs, &of_whole, 1e-12, 1e-12);
        }
        crate::testing::assert_close("the end", &inputs[9], &whole.states, 1e-12, 1e-12);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (place, shape, what) in [
        (0, vec![3, 2], "(T, B, E)"),
        (1, vec![2, 3], "(B, S, C)"),
        (1, vec![3, 3, 4], "a memory"),
        (2, vec![2, 3, 4], "keys"),
        (3, vec![9, 5], "weight_ih"),
        (4, vec![8, 3], "weight_hh"),
        (6, vec![8], "bias_hh"),
        (7, vec![5, 4], "query"),
        (8, vec![1, 4], "energy"),
        (9, vec![2, 2, 3], "states"),
        (1, vec![2, 3, 0], "value in each"),
        (10, vec![1, 4], "coverage"),
        (11, vec![2, 4], "seen"),
        (12, vec![2, 3], "found"),
    ] {
        let mut inputs = feeding(Recurrence::Gru);
        inputs[place] = wave(shape, 0.1);
        let error = decoder(Recurrence::Gru, &inputs).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
    for (lengths, what) in [
        (vec![3], "1 lengths"),
        (vec![3, 4], "1..=3"),
        (vec![0, 1], "1..=3"),
    ] {
        let inputs = inputs(Recurrence::Gru);
        let error =
            check_lengths("decoder", Some(&lengths), inputs[1].dim(1).unwrap(), 2).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
