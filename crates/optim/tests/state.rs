//! The state dict: PyTorch's names, exact continuation, and loading that changes all or nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

mod common;

use common::{Params, all_bits, every_rule, gradients, params};
use mapsto_optim::{Optim, Optimizer};
use mapsto_tensor::{DType, Device, StateDict, Tensor};

/// `bias` has a gradient in every third step only.
fn step(optimizer: &mut dyn Optimizer, params: &Params, number: u64) {
    let without: &[&str] = if number.is_multiple_of(3) {
        &[]
    } else {
        &["bias"]
    };
    let mut grads = gradients(params, number, without);
    optimizer.step(&mut grads).unwrap();
}

fn bits_of(state: &StateDict) -> Vec<(String, Vec<u64>)> {
    let bits = |(name, tensor): (&String, &Tensor)| (name.clone(), common::bits(tensor));
    state.iter().map(bits).collect()
}

#[test]
fn names_are_pytorchs() {
    for (rule, build, slots) in every_rule() {
        let params = params(DType::F32);
        let mut optimizer = build(&params);
        optimizer.step(&mut gradients(&params, 0, &[])).unwrap();
        let mut expected: Vec<String> = ["bias", "weight"]
            .iter()
            .flat_map(|param| slots.iter().map(move |slot| format!("{param}.{slot}")))
            .collect();
        expected.push("step".to_owned());
        expected.sort_unstable();
        let names: Vec<String> = optimizer.state_dict().unwrap().into_keys().collect();
        assert_eq!(names, expected, "{rule}");
    }
}

#[test]
fn a_loaded_optimizer_goes_on_to_the_same_bits() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        for (rule, build, _) in every_rule() {
            let whole = params(dtype);
            let mut uninterrupted = build(&whole);
            for number in 0..10 {
                step(&mut *uninterrupted, &whole, number);
            }

            let first = params(dtype);
            let mut optimizer = build(&first);
            for number in 0..4 {
                step(&mut *optimizer, &first, number);
            }
            let state = optimizer.state_dict().unwrap();
            let second: Params = first
                .iter()
                .map(|(name, var)| {
                    let copy = mapsto_tensor::Var::from_tensor(&var.copy().unwrap()).unwrap();
                    (name.clone(), copy)
                })
                .collect();
            let mut resumed = build(&second);
            resumed.load_state_dict(&state).unwrap();
            assert_eq!(resumed.steps(), 4, "{rule}");
            for number in 4..10 {
                step(&mut *resumed, &second, number);
            }
            assert_eq!(all_bits(&second), all_bits(&whole), "{rule} {dtype:?}");
            assert_eq!(
                bits_of(&resumed.state_dict().unwrap()),
                bits_of(&uninterrupted.state_dict().unwrap()),
                "{rule} {dtype:?}"
            );
        }
    }
}

#[test]
fn states_are_copies_both_ways() {
    for (rule, build, _) in every_rule() {
        let params = params(DType::F32);
        let mut optimizer = build(&params);
        step(&mut *optimizer, &params, 0);
        let saved = optimizer.state_dict().unwrap();
        let before = bits_of(&saved);
        step(&mut *optimizer, &params, 3);
        assert_eq!(bits_of(&saved), before, "{rule}: saving");
        optimizer.load_state_dict(&saved).unwrap();
        step(&mut *optimizer, &params, 3);
        assert_eq!(bits_of(&saved), before, "{rule}: loading");
    }
}

#[test]
fn a_parameter_without_gradients_keeps_its_own_count() {
    for (rule, build, _) in every_rule() {
        let both = params(DType::F64);
        let mut optimizer = build(&both);
        for number in 0..7 {
            step(&mut *optimizer, &both, number);
        }
        // The same gradients for the bias alone, with no steps between.
        let alone: Params = params(DType::F64).into_iter().take(1).collect();
        let mut reference = build(&alone);
        for number in [0, 3, 6] {
            step(&mut *reference, &alone, number);
        }
        assert_eq!(all_bits(&both)[0], all_bits(&alone)[0], "{rule}");
        let state = optimizer.state_dict().unwrap();
        let count = |key: &str| state.get(key).map(|t| t.to_scalar::<i64>().unwrap());
        assert_eq!(count("step"), Some(7), "{rule}");
        assert_eq!(count("bias.step"), Some(3), "{rule}");
        assert_eq!(count("weight.step"), None, "{rule}");
    }
}

/// What is wrong with a state, how to make it so, and what the message must name.
type Fault = (&'static str, fn(&mut StateDict), &'static str);

const FAULTS: [Fault; 7] = [
    (
        "a slot is missing",
        |s| drop(s.remove("weight.exp_avg")),
        "missing weight.exp_avg",
    ),
    (
        "the count is missing",
        |s| drop(s.remove("step")),
        "missing step",
    ),
    (
        "a slot is unexpected",
        |s| drop(s.insert("weight.momentum_buffer".to_owned(), number(0))),
        "unexpected weight.momentum_buffer",
    ),
    (
        "a parameter is unexpected",
        |s| drop(s.insert("other.exp_avg".to_owned(), number(0))),
        "unexpected other.exp_avg",
    ),
    (
        "a slot has another shape",
        |s| drop(s.insert("weight.exp_avg_sq".to_owned(), number(0))),
        "weight.exp_avg_sq is [] instead of [3, 2]",
    ),
    (
        "the count is negative",
        |s| drop(s.insert("step".to_owned(), number(-1))),
        "step must be",
    ),
    (
        "an own count is no number",
        |s| {
            let list = Tensor::new(&[1i64, 2], &Device::Cpu).unwrap();
            drop(s.insert("weight.step".to_owned(), list));
        },
        "weight.step must be a single number",
    ),
];

fn number(value: i64) -> Tensor {
    Tensor::new(value, &Device::Cpu).unwrap()
}

#[test]
fn a_state_that_does_not_fit_changes_nothing() {
    let other = params(DType::F32);
    let mut donor = Optim::new(common::adam(0.0, false), other.clone()).unwrap();
    for number in 0..5 {
        step(&mut donor, &other, number);
    }
    for (fault, spoil, message) in FAULTS {
        let params = params(DType::F32);
        let mut optimizer = Optim::new(common::adam(0.0, false), params.clone()).unwrap();
        step(&mut optimizer, &params, 0);
        let before = bits_of(&optimizer.state_dict().unwrap());
        let mut state = donor.state_dict().unwrap();
        spoil(&mut state);
        let error = optimizer.load_state_dict(&state).unwrap_err().to_string();
        assert!(error.contains(message), "{fault}: {error}");
        assert_eq!(bits_of(&optimizer.state_dict().unwrap()), before, "{fault}");
        assert_eq!(optimizer.steps(), 1, "{fault}");
    }
}

#[test]
fn the_state_of_another_rule_is_refused() {
    let params = params(DType::F32);
    let momentum = Optim::new(common::sgd(0.9, 0.0, false), params.clone()).unwrap();
    let mut adam = Optim::new(common::adam(0.0, false), params).unwrap();
    let error = adam
        .load_state_dict(&momentum.state_dict().unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("missing bias.exp_avg") && error.contains("unexpected bias.momentum_buffer"),
        "{error}"
    );
}
