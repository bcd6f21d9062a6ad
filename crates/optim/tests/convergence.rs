//! Every rule finds the minimum of a convex function that is known beforehand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

mod common;

use common::{adam, adamw, sgd};
use mapsto_optim::{Optim, Optimizer, Rule};
use mapsto_tensor::testing::assert_close;
use mapsto_tensor::{Device, Gradients, Tensor, Var};

const CURVATURE: [f64; 3] = [0.5, 1.0, 4.0];
const CENTRE: [f64; 3] = [3.0, -2.0, 0.25];

/// Minimises `1/2 sum a (w - c)^2` from 0 and checks the result. With an L2 penalty of strength
/// `penalty` in the gradient, the minimum is `a c / (a + penalty)`.
fn check(case: &str, rule: impl Rule, penalty: f64) {
    let constant = |values: [f64; 3]| Tensor::new(&values, &Device::Cpu).unwrap();
    let (a, c) = (constant(CURVATURE), constant(CENTRE));
    let w = Var::from_tensor(&a.zeros_like().unwrap()).unwrap();
    let mut optimizer = Optim::new(rule, vec![("w".to_owned(), w.clone())])
        .unwrap()
        .schedule(|step| 0.998f64.powi(step as i32));
    for _ in 0..3000 {
        let grad = (&a * (w.as_tensor() - &c).unwrap()).unwrap();
        let mut grads = Gradients::from_iter([("w".to_owned(), grad)]);
        optimizer.step(&mut grads).unwrap();
    }
    let minimum: Vec<f64> = CURVATURE
        .iter()
        .zip(CENTRE)
        .map(|(a, c)| a * c / (a + penalty))
        .collect();
    let minimum = Tensor::new(minimum, &Device::Cpu).unwrap();
    assert_close(case, &w, &minimum, 0.0, 1e-3);
}

#[test]
fn sgd_converges() {
    for (momentum, dampening, nesterov) in [
        (0.0, 0.0, false),
        (0.9, 0.0, false),
        (0.5, 0.3, false),
        (0.9, 0.0, true),
    ] {
        let case = format!("sgd {momentum} {dampening} {nesterov}");
        check(&case, sgd(momentum, dampening, nesterov), 0.1);
    }
}

#[test]
fn adam_converges() {
    check("adam", adam(0.0, false), 0.0);
    check("adam with penalty", adam(0.1, false), 0.1);
    check("adam amsgrad", adam(0.1, true), 0.1);
}

#[test]
fn adamw_converges() {
    check("adamw", adamw(0.0, false), 0.0);
    check("adamw amsgrad", adamw(0.0, true), 0.0);
}
