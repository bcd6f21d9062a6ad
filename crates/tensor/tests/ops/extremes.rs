//! Huge numbers and empty batches.

use mapsto_tensor::ops::{
    Conv2dParams, Targets, conv2d, cross_entropy_rows, linear, log_softmax, softmax,
};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{DType, Device, Tensor, Var};

use crate::cases::OPS;

const LN_2: f32 = std::f32::consts::LN_2;

fn rows(values: &[[f32; 3]]) -> Var {
    Var::from_slice(&values.concat(), (values.len(), 3), &Device::Cpu).unwrap()
}

#[test]
fn softmax_of_huge_logits_is_a_distribution() {
    let x = rows(&[[3e38, -3e38, 0.0], [1e4, 1e4, -1e4], [-3e38, -3e38, -3e38]]);
    let third = 1.0_f32 / 3.0;
    let expected = Tensor::new(
        &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [third, third, third]],
        &Device::Cpu,
    );
    let y = softmax(&x, 1).unwrap();
    assert_close("softmax", &y, &expected.unwrap(), 1e-6, 0.0);
    let grads = (y * wave((3, 3), 0.4).to_dtype(DType::F32).unwrap())
        .and_then(|y| y.sum_all()?.backward())
        .unwrap();
    let grad: Vec<f32> = grads
        .get(&x)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
    // The first row is saturated; the second still moves between its two equals.
    assert_eq!(grad[..3], [0.0; 3]);
    assert!(grad[3] != 0.0 && (grad[3] + grad[4]).abs() < 1e-6);
}

#[test]
fn log_softmax_of_huge_logits_is_exact() {
    let x = rows(&[[1e4, -1e4, 0.0], [1e8, 1e8, -1e8], [-1e30, -1e30, -3e30]]);
    let y: Vec<Vec<f32>> = log_softmax(&x, 1).unwrap().to_vec2().unwrap();
    assert_eq!(y[0], [0.0, -2e4, -1e4]);
    assert_eq!(y[1], [-LN_2, -LN_2, -2e8]);
    assert_eq!(y[2], [-LN_2, -LN_2, -3e30 + 1e30]);
}

#[test]
fn cross_entropy_of_huge_logits_is_exact() {
    let x = rows(&[[1e4, -1e4, 0.0], [1e8, 1e8, -1e8], [-1e30, -1e30, -3e30]]);
    let labels = vec![Some(1), Some(0), Some(1)];
    let losses = |smoothing| {
        let targets = Targets::Classes {
            labels: labels.clone(),
            weights: None,
            smoothing,
        };
        let loss = cross_entropy_rows(&x, targets).unwrap();
        let grads = loss.sum_all().unwrap().backward().unwrap();
        let grad: Vec<Vec<f32>> = grads.get(&x).unwrap().to_vec2().unwrap();
        (loss.to_vec1::<f32>().unwrap(), grad)
    };
    let (loss, grad) = losses(0.0);
    assert_eq!(loss, [2e4, LN_2, LN_2]);
    assert_eq!(grad[0], [1.0, -1.0, 0.0]);
    let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
    assert!(close(grad[1][0], -0.5) && close(grad[1][1], 0.5) && grad[1][2] == 0.0);

    let (smooth, grad) = losses(0.3);
    assert!(close(smooth[0] / 2e4, 0.7 + 0.1 + 0.1 * 0.5));
    assert!(grad.iter().flatten().all(|g| g.is_finite()), "{grad:?}");
}

#[test]
fn a_masked_class_gets_probability_and_gradient_zero() {
    let x = rows(&[[1.0, f32::NEG_INFINITY, 1.0]]);
    let y: Vec<Vec<f32>> = softmax(&x, 1).unwrap().to_vec2().unwrap();
    assert_eq!(y[0][1], 0.0);
    let targets = Targets::Classes {
        labels: vec![Some(0)],
        weights: None,
        smoothing: 0.0,
    };
    let loss = cross_entropy_rows(&x, targets).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    let grad: Vec<Vec<f32>> = grads.get(&x).unwrap().to_vec2().unwrap();
    assert!((loss.to_scalar::<f32>().unwrap() - LN_2).abs() < 1e-6);
    assert!((grad[0][0] + 0.5).abs() < 1e-6 && grad[0][1] == 0.0);
}

#[test]
fn an_ignored_row_has_loss_and_gradient_zero_whatever_its_logits() {
    let x = rows(&[[1e4, -1e4, 3.0], [1.0, 2.0, 3.0]]);
    let targets = Targets::Classes {
        labels: vec![None, Some(2)],
        weights: None,
        smoothing: 0.0,
    };
    let loss = cross_entropy_rows(&x, targets).unwrap();
    assert_eq!(loss.to_vec1::<f32>().unwrap()[0], 0.0);
    let grads = loss.sum_all().unwrap().backward().unwrap();
    let grad: Vec<Vec<f32>> = grads.get(&x).unwrap().to_vec2().unwrap();
    assert_eq!(grad[0], [0.0; 3]);
    assert!(grad[1].iter().all(|&g| g != 0.0));
}

#[test]
fn an_empty_batch_gives_an_empty_output_and_gradient() {
    let one = Tensor::zeros((1, 3, 6, 5), DType::F32, &Device::Cpu).unwrap();
    for (name, op) in OPS {
        let x = Var::zeros((0, 3, 6, 5), DType::F32, &Device::Cpu).unwrap();
        let y = op(&x).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut expected = op(&one).unwrap().dims().to_vec();
        expected[0] = 0;
        assert_eq!(y.dims(), expected, "{name}");
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(grads.get(&x).unwrap().dims(), [0, 3, 6, 5], "{name}");
    }
}

#[test]
fn an_empty_batch_moves_no_weight() {
    let var = |shape: &[usize]| Var::from_tensor(&wave(shape.to_vec(), 0.3)).unwrap();
    let zeros = |y: Tensor, weights: &[&Var]| {
        let grads = y.sum_all().unwrap().backward().unwrap();
        for &weight in weights {
            let grad = grads.get(weight).unwrap();
            assert_close("gradient", grad, &weight.zeros_like().unwrap(), 0.0, 0.0);
        }
    };
    let (w, b) = (var(&[4, 3, 2, 2]), var(&[4]));
    let x = Tensor::zeros((0, 3, 5, 5), DType::F64, &Device::Cpu).unwrap();
    zeros(
        conv2d(&x, &w, Some(&b), &Conv2dParams::default()).unwrap(),
        &[&w, &b],
    );
    let (w, b) = (var(&[4, 5]), var(&[4]));
    zeros(linear(&x, &w, Some(&b)).unwrap(), &[&w, &b]);
}

#[test]
fn a_linear_map_of_no_inputs_is_its_bias() {
    let w = Tensor::zeros((2, 0), DType::F64, &Device::Cpu).unwrap();
    let b = Tensor::new(&[3.0, 4.0], &Device::Cpu).unwrap();
    let x = Tensor::zeros((3, 0), DType::F64, &Device::Cpu).unwrap();
    let y = linear(&x, &w, Some(&b)).unwrap();
    assert_eq!(y.to_vec2::<f64>().unwrap(), [[3.0, 4.0]; 3]);
    let y = linear(&x, &w, None).unwrap();
    assert_eq!(y.to_vec2::<f64>().unwrap(), [[0.0, 0.0]; 3]);
}
