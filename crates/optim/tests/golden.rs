//! PyTorch's numbers: parameters after 1, 2, 5 and 10 recorded gradients, and clipped gradients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use std::collections::BTreeMap;

use mapsto_optim::{Adam, AdamW, At, Optim, Optimizer, Rule, Sgd, clip_grad_norm, clip_grad_value};
use mapsto_tensor::testing::{Golden, assert_close, goldens};
use mapsto_tensor::{Gradients, Tensor, Var};
use serde::de::DeserializeOwned;
use serde_json::Value;

const STEPS: u64 = 10;
const CHECKED: [u64; 4] = [1, 2, 5, 10];

#[test]
fn every_recorded_run_is_pytorchs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for golden in goldens(folder) {
        match golden.meta("module") {
            "Adam" => check_rule::<Adam>(&golden),
            "AdamW" => check_rule::<AdamW>(&golden),
            "SGD" => check_rule::<Sgd>(&golden),
            "clip_grad_norm_" => check_clip_norm(&golden),
            "clip_grad_value_" => check_clip_value(&golden),
            unknown => panic!("{}: no test for {unknown}", golden.name),
        }
    }
}

fn check_rule<R: Rule + DeserializeOwned>(golden: &Golden) {
    let groups = groups::<R>(golden);
    check_optim(golden, &groups);
    for (names, rule) in &groups {
        for name in names {
            check_both_paths(golden, rule, name);
        }
    }
}

/// The rules of a file and the parameters of each; PyTorch's arguments are our fields.
fn groups<R: Rule + DeserializeOwned>(golden: &Golden) -> Vec<(Vec<String>, R)> {
    let args: Value = serde_json::from_str(golden.meta("args")).unwrap();
    if golden.meta("groups").is_empty() {
        let names = golden.with_prefix("param.").into_keys().collect();
        return vec![(names, serde_json::from_value(args).unwrap())];
    }
    let groups: Vec<BTreeMap<String, Value>> = serde_json::from_str(golden.meta("groups")).unwrap();
    let group = |mut group: BTreeMap<String, Value>| {
        let names = serde_json::from_value(group.remove("params").unwrap()).unwrap();
        let mut args = args.clone();
        args.as_object_mut().unwrap().extend(group);
        (names, serde_json::from_value(args).unwrap())
    };
    groups.into_iter().map(group).collect()
}

fn gradient(golden: &Golden, step: u64, name: &str) -> Tensor {
    golden.tensor(&format!("grad.step{step:02}.{name}"))
}

fn check_optim<R: Rule>(golden: &Golden, groups: &[(Vec<String>, R)]) {
    let params: Vec<(String, Var)> = golden
        .with_prefix("param.")
        .into_iter()
        .map(|(name, tensor)| (name, Var::from_tensor(&tensor).unwrap()))
        .collect();
    let mut optimizer = Optim::new(groups[0].1.clone(), params.clone()).unwrap();
    for (names, rule) in &groups[1..] {
        let select = |name: &str| names.iter().any(|n| n == name);
        optimizer = optimizer.group(select, rule.clone()).unwrap();
    }
    for step in 1..=STEPS {
        let names = params.iter().map(|(name, _)| name);
        let mut grads: Gradients = names
            .map(|name| (name.clone(), gradient(golden, step, name)))
            .collect();
        optimizer.step(&mut grads).unwrap();
        if CHECKED.contains(&step) {
            for (name, var) in &params {
                golden.check(&format!("param_after.{step:02}.{name}"), var);
            }
        }
    }
}

/// The formula over slices and the one out of candle ops, both against the file and against
/// each other, state included.
fn check_both_paths<R: Rule>(golden: &Golden, rule: &R, name: &str) {
    let mut of_ops = golden.tensor(&format!("param.{name}"));
    let slots = rule.slots().len();
    let mut state_of_ops = vec![of_ops.zeros_like().unwrap(); slots];
    let (dims, dtype) = (of_ops.dims().to_vec(), of_ops.dtype());
    // The slices run in f64 so that one loop serves both dtypes of the files.
    let mut of_slices = flat(&of_ops);
    let mut state_of_slices = vec![vec![0.0; of_slices.len()]; slots];
    for step in 1..=STEPS {
        let at = At {
            lr: rule.lr(),
            step,
        };
        let grad = gradient(golden, step, name);
        (of_ops, state_of_ops) = rule
            .update_tensors(&at, &of_ops, &grad, &state_of_ops)
            .unwrap();
        let mut state: Vec<&mut [f64]> = state_of_slices.iter_mut().map(|s| &mut s[..]).collect();
        rule.update(&at, &mut of_slices, &flat(&grad), &mut state);
        if CHECKED.contains(&step) {
            golden.check(&format!("param_after.{step:02}.{name}"), &of_ops);
        }
    }
    assert_eq!(state_of_ops.len(), slots, "{}", golden.name);
    let (rtol, atol) = match dtype {
        mapsto_tensor::DType::F64 => (1e-12, 1e-14),
        _ => golden.tolerance(),
    };
    let ours = std::iter::once(of_slices).chain(state_of_slices);
    for (slices, ops) in ours.zip(std::iter::once(of_ops).chain(state_of_ops)) {
        let slices = Tensor::from_vec(slices, dims.as_slice(), ops.device()).unwrap();
        let case = format!("{} {name}: slices against ops", golden.name);
        assert_close(&case, &slices, &ops, rtol, atol);
    }
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(mapsto_tensor::DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn check_clip_norm(golden: &Golden) {
    let max = golden.arg("max_norm").as_f64().unwrap();
    let mut grads: Gradients = golden.with_prefix("grad.").into_iter().collect();
    let norm = clip_grad_norm(&mut grads, max).unwrap();
    golden.check(
        "total_norm",
        &Tensor::new(norm, &mapsto_tensor::Device::Cpu).unwrap(),
    );
    check_clipped(golden, &grads);
}

fn check_clip_value(golden: &Golden) {
    let max = golden.arg("clip_value").as_f64().unwrap();
    let mut grads: Gradients = golden.with_prefix("grad.").into_iter().collect();
    clip_grad_value(&mut grads, max).unwrap();
    check_clipped(golden, &grads);
}

fn check_clipped(golden: &Golden, grads: &Gradients) {
    let expected = golden.with_prefix("grad_after.");
    assert_eq!(grads.iter().count(), expected.len(), "{}", golden.name);
    for (name, grad) in grads.iter() {
        golden.check(&format!("grad_after.{name}"), grad);
    }
}
