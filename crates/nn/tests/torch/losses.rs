//! Our losses from the constructor arguments of PyTorch's, checked on one case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use mapsto_nn::{BceWithLogitsLoss, CrossEntropyLoss, MseLoss, Reduction};
use mapsto_tensor::testing::Golden;
use mapsto_tensor::{Device, ParamKind, ParamStore, Result, Tensor, backward};
use serde_json::Value;

use super::args::assert_args;

/// Checks the loss, and the gradient of the input and, where the file has one, of the target.
pub(crate) fn check(golden: &Golden) {
    let store = ParamStore::new(golden.dtype(), &Device::Cpu);
    let expected = golden.with_prefix("grad.");
    let tensor = |name: &str| {
        let tensor = golden.tensor(name);
        if !expected.contains_key(name) {
            return tensor;
        }
        let var = store.insert(name, &tensor, ParamKind::Parameter).unwrap();
        var.as_tensor().clone()
    };
    let loss = forward(golden, &tensor("input.0"), &tensor("input.1"))
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    golden.check("output", &loss);
    let total = (loss * golden.tensor("grad_output")).unwrap();
    let gradients = backward(&total.sum_all().unwrap(), &store).unwrap();
    assert!(!expected.is_empty(), "{}: no gradients", golden.name);
    for name in expected.keys() {
        let ours = gradients.get(name);
        let ours = ours.unwrap_or_else(|| panic!("{}: no gradient of {name}", golden.name));
        golden.check(&format!("grad.{name}"), ours);
    }
}

fn forward(golden: &Golden, input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let weight = |name: &str| golden.has(name).then(|| golden.tensor(name));
    match golden.meta("module") {
        "CrossEntropyLoss" => {
            let known = ["weight", "ignore_index", "reduction", "label_smoothing"];
            assert_args(golden, &known);
            let defaults = CrossEntropyLoss::default();
            let loss = CrossEntropyLoss {
                weight: weight("arg.weight"),
                ignore_index: golden
                    .arg("ignore_index")
                    .as_i64()
                    .unwrap_or(defaults.ignore_index),
                reduction: reduction(golden),
                label_smoothing: golden.arg("label_smoothing").as_f64().unwrap_or(0.0),
            };
            loss.forward(input, target)
        }
        "MSELoss" => {
            assert_args(golden, &["reduction"]);
            let reduction = reduction(golden);
            MseLoss { reduction }.forward(input, target)
        }
        "BCEWithLogitsLoss" => {
            assert_args(golden, &["weight", "pos_weight", "reduction"]);
            let loss = BceWithLogitsLoss {
                weight: weight("arg.weight"),
                pos_weight: weight("arg.pos_weight"),
                reduction: reduction(golden),
            };
            loss.forward(input, target)
        }
        other => panic!("{}: no loss of ours for {other}", golden.name),
    }
}

fn reduction(golden: &Golden) -> Reduction {
    match golden.arg("reduction") {
        Value::Null => Reduction::Mean,
        name => serde_json::from_value(name).unwrap(),
    }
}
