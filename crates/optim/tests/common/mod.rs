//! What the tests of optimizers share: every rule, parameters, and gradients that differ from
//! step to step.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part; helpers of tests are tests too"
)]

use mapsto_optim::{Adam, AdamW, Optim, Optimizer, Rule, Sgd};
use mapsto_tensor::{DType, Device, Gradients, Tensor, Var};

pub(crate) type Params = Vec<(String, Var)>;

/// Makes an optimizer of one rule.
pub(crate) type Build = Box<dyn Fn(&Params) -> Box<dyn Optimizer>>;

/// Every rule with every option that changes its formula, and PyTorch's names of its state.
pub(crate) fn every_rule() -> Vec<(&'static str, Build, &'static [&'static str])> {
    let moments: &[&str] = &["exp_avg", "exp_avg_sq"];
    let with_max: &[&str] = &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
    let buffer: &[&str] = &["momentum_buffer"];
    vec![
        ("adam", build(adam(0.1, false)), moments),
        ("adam amsgrad", build(adam(0.0, true)), with_max),
        ("adamw", build(adamw(0.1, false)), moments),
        ("adamw amsgrad", build(adamw(0.1, true)), with_max),
        ("sgd", build(sgd(0.0, 0.0, false)), &[]),
        ("sgd momentum", build(sgd(0.9, 0.0, false)), buffer),
        ("sgd dampening", build(sgd(0.8, 0.3, false)), buffer),
        ("sgd nesterov", build(sgd(0.9, 0.0, true)), buffer),
    ]
}

fn build(rule: impl Rule) -> Build {
    Box::new(move |params| Box::new(Optim::new(rule.clone(), params.clone()).unwrap()))
}

pub(crate) fn adam(weight_decay: f64, amsgrad: bool) -> Adam {
    Adam {
        lr: 0.05,
        weight_decay,
        amsgrad,
        ..Adam::default()
    }
}

pub(crate) fn adamw(weight_decay: f64, amsgrad: bool) -> AdamW {
    AdamW {
        lr: 0.05,
        weight_decay,
        amsgrad,
        ..AdamW::default()
    }
}

pub(crate) fn sgd(momentum: f64, dampening: f64, nesterov: bool) -> Sgd {
    Sgd {
        lr: 0.05,
        momentum,
        dampening,
        weight_decay: 0.1,
        nesterov,
    }
}

/// `count` numbers that vary with `seed`.
pub(crate) fn wave(count: usize, seed: u64) -> Vec<f64> {
    (0..count)
        .map(|i| ((i as f64 + 1.0) * 0.7 + seed as f64 * 1.3).sin())
        .collect()
}

pub(crate) fn tensor(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let values = wave(shape.iter().product(), seed);
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    tensor.to_dtype(dtype).unwrap()
}

/// `bias` (3) and `weight` (3, 2).
pub(crate) fn params(dtype: DType) -> Params {
    let var = |shape: &[usize], seed| Var::from_tensor(&tensor(shape, seed, dtype)).unwrap();
    vec![
        ("bias".to_owned(), var(&[3], 1)),
        ("weight".to_owned(), var(&[3, 2], 2)),
    ]
}

/// The gradients of step `step` for all parameters but those in `without`.
pub(crate) fn gradients(params: &Params, step: u64, without: &[&str]) -> Gradients {
    let present = params
        .iter()
        .filter(|(name, _)| !without.contains(&name.as_str()));
    present
        .enumerate()
        .map(|(i, (name, var))| {
            let seed = 10 * step + i as u64;
            (name.clone(), tensor(var.dims(), seed, var.dtype()))
        })
        .collect()
}

/// The bits of a tensor, exact for the float types used here.
pub(crate) fn bits(tensor: &Tensor) -> Vec<u64> {
    let values = tensor.to_dtype(DType::F64).unwrap();
    let values = values.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    values.into_iter().map(f64::to_bits).collect()
}

pub(crate) fn all_bits(params: &Params) -> Vec<Vec<u64>> {
    params.iter().map(|(_, var)| bits(var)).collect()
}
