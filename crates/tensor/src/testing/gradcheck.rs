//! Analytic gradients against central differences, in `f64`.

use candle_core::{Device, Shape, Tensor, Var};

use crate::backward::{by, record};

/// A deterministic tensor without special values, in about `[-1, 1]`; `phase` makes another.
pub fn wave(shape: impl Into<Shape>, phase: f64) -> Tensor {
    let shape = shape.into();
    let values: Vec<f64> = (0..shape.elem_count())
        .map(|i| (1.7 * i as f64 + phase).sin() + 0.1 * (0.3 * i as f64 * phase).cos())
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("shape fits")
}

/// Checks the gradient of `f` by every element of every input, as candle finds it and as
/// [`record`] does.
///
/// The outputs are weighted by fixed irregular numbers, so that errors cannot cancel. For a
/// function with kinks, choose inputs that stay a step of 1e-6 away from them.
pub fn check_gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>) {
    const STEP: f64 = 1e-6;
    let vars: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).expect("copy"))
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let output = f(&tensors).expect("forward");
    let weights = wave(output.shape(), 0.5);
    let weighted = |y: &Tensor| (y * &weights).and_then(|y| y.sum_all()).expect("sum");
    let grads = weighted(&output).backward().expect("backward");
    let named = || (0..).map(|i: usize| i.to_string()).zip(vars.clone());
    let taped = record(|| by(&weighted(&f(&tensors).expect("forward")), named().collect()));
    let taped = taped.expect("backward with a tape");
    let value = |inputs: &[Tensor]| -> f64 {
        weighted(&f(inputs).expect("forward"))
            .to_scalar()
            .expect("one f64")
    };
    for (which, input) in inputs.iter().enumerate() {
        let analytic: Vec<f64> = grads
            .get(&tensors[which])
            .unwrap_or_else(|| panic!("input {which} got no gradient"))
            .flatten_all()
            .and_then(|g| g.to_vec1())
            .expect("f64");
        let taped: Vec<f64> = taped
            .get(&which.to_string())
            .unwrap_or_else(|| panic!("input {which} got no gradient from the tape"))
            .flatten_all()
            .and_then(|g| g.to_vec1())
            .expect("f64");
        for (i, (a, b)) in analytic.iter().zip(&taped).enumerate() {
            assert!(
                (a - b).abs() <= 1e-12 + 1e-9 * a.abs(),
                "input {which}, element {i}: gradient {a}, with a tape {b}"
            );
        }
        let flat: Vec<f64> = input.flatten_all().and_then(|x| x.to_vec1()).expect("f64");
        for (i, &analytic) in analytic.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = flat.clone();
                moved[i] += by;
                let mut all = inputs.to_vec();
                all[which] = Tensor::from_vec(moved, input.shape(), &Device::Cpu).expect("shape");
                value(&all)
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!(
                (analytic - numeric).abs() <= 1e-7 + 1e-6 * numeric.abs(),
                "input {which}, element {i}: gradient {analytic}, by differences {numeric}"
            );
        }
    }
}
