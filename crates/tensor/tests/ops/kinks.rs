//! What the derivative is where there is none: PyTorch's choices.

use mapsto_tensor::ops::{Pool2dParams, Unary, max_pool2d, relu, unary};
use mapsto_tensor::{DType, Device, Result, Tensor, Var};

fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let var = Var::from_tensor(x).unwrap();
    let grads = f(&var).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = grads.get(&var).unwrap().flatten_all().unwrap();
    grad.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

#[test]
fn derivatives_at_kinks() {
    for (function, x, expected) in [
        (Unary::Relu, 0.0, 0.0),
        (Unary::Relu6, 0.0, 0.0),
        (Unary::Relu6, 6.0, 0.0),
        (Unary::LeakyRelu(0.1), 0.0, 0.1),
        (Unary::Elu(2.0), 0.0, 2.0),
        (Unary::Celu(2.0), 0.0, 1.0),
        (Unary::Hardsigmoid, -3.0, 0.0),
        (Unary::Hardsigmoid, 3.0, 0.0),
        (Unary::Hardswish, -3.0, 0.0),
        (Unary::Hardswish, 3.0, 1.0),
        (Unary::Hardtanh(-1.0, 2.0), -1.0, 0.0),
        (Unary::Hardtanh(-1.0, 2.0), 2.0, 0.0),
        (Unary::Softsign, 0.0, 1.0),
    ] {
        let x = Tensor::new(&[x], &Device::Cpu).unwrap();
        assert_eq!(
            gradient(&x, |x| unary(x, function)),
            [expected],
            "{function:?}"
        );
    }
    let zero = Tensor::new(&[0.0_f32, -0.0], &Device::Cpu).unwrap();
    assert_eq!(gradient(&zero, relu), [0.0, 0.0]);
}

#[test]
fn activations_keep_their_limits_far_from_zero() {
    let far = [-1e30_f32, -200.0, 200.0, 1e30];
    let x = Tensor::new(&far, &Device::Cpu).unwrap();
    for (function, values, slopes) in [
        (Unary::Sigmoid, [0.0, 0.0, 1.0, 1.0], [0.0; 4]),
        (Unary::Tanh, [-1.0, -1.0, 1.0, 1.0], [0.0; 4]),
        (
            Unary::Softplus,
            [0.0, 0.0, 200.0, 1e30],
            [0.0, 0.0, 1.0, 1.0],
        ),
        (
            Unary::LogSigmoid,
            [-1e30, -200.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0],
        ),
        (
            Unary::Elu(1.0),
            [-1.0, -1.0, 200.0, 1e30],
            [0.0, 0.0, 1.0, 1.0],
        ),
        (Unary::Relu, [0.0, 0.0, 200.0, 1e30], [0.0, 0.0, 1.0, 1.0]),
        (Unary::Gelu, [0.0, 0.0, 200.0, 1e30], [0.0, 0.0, 1.0, 1.0]),
        (Unary::Silu, [0.0, 0.0, 200.0, 1e30], [0.0, 0.0, 1.0, 1.0]),
        (Unary::Mish, [0.0, 0.0, 200.0, 1e30], [0.0, 0.0, 1.0, 1.0]),
    ] {
        let y: Vec<f32> = unary(&x, function).unwrap().to_vec1().unwrap();
        assert_eq!(y, values, "{function:?}");
        assert_eq!(gradient(&x, |x| unary(x, function)), slopes, "{function:?}");
    }
}

/// Two by two windows side by side, which have a loop of their own, and the general loop.
fn both_loops() -> [Pool2dParams; 2] {
    let fast = Pool2dParams::new(2);
    let general = Pool2dParams {
        stride: (3, 3),
        ..fast
    };
    [fast, general]
}

#[test]
fn ties_go_to_the_first_maximum_in_row_major_order() {
    for params in both_loops() {
        for (picture, expected) in [
            ([7.0, 7.0, 7.0, 7.0], [1.0, 0.0, 0.0, 0.0]),
            ([0.0, 7.0, 7.0, 7.0], [0.0, 1.0, 0.0, 0.0]),
            ([0.0, 1.0, 7.0, 7.0], [0.0, 0.0, 1.0, 0.0]),
            ([7.0, 1.0, 2.0, 7.0], [1.0, 0.0, 0.0, 0.0]),
            ([f64::NEG_INFINITY; 4], [1.0, 0.0, 0.0, 0.0]),
        ] {
            let x = Tensor::new(&picture, &Device::Cpu).unwrap();
            let x = x.reshape((1, 1, 2, 2)).unwrap();
            assert_eq!(
                gradient(&x, |x| max_pool2d(x, &params)),
                expected,
                "{picture:?}"
            );
        }
    }
}

#[test]
fn padding_never_wins_a_tie() {
    let params = Pool2dParams {
        kernel: (3, 3),
        stride: (2, 2),
        padding: (1, 1),
        ceil_mode: false,
    };
    let x = Tensor::full(f64::NEG_INFINITY, (1, 1, 3, 3), &Device::Cpu).unwrap();
    let expected = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(gradient(&x, |x| max_pool2d(x, &params)), expected);
}

#[test]
fn a_winner_of_several_windows_gets_all_their_gradients() {
    let params = Pool2dParams {
        kernel: (2, 2),
        stride: (1, 1),
        padding: (0, 0),
        ceil_mode: false,
    };
    let x = Tensor::new(&[0.0, 1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0, 7.0], &Device::Cpu).unwrap();
    let x = x.reshape((1, 1, 3, 3)).unwrap();
    let grad = gradient(&x, |x| max_pool2d(x, &params));
    assert_eq!(grad, [0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn nan_wins_a_max_pooling_from_every_place() {
    for params in both_loops() {
        for place in 0..4 {
            let mut picture = [1.0, 2.0, 3.0, 4.0];
            picture[place] = f64::NAN;
            let x = Tensor::new(&picture, &Device::Cpu).unwrap();
            let x = x.reshape((1, 1, 2, 2)).unwrap();
            let y = max_pool2d(&x, &params).unwrap().flatten_all().unwrap();
            assert!(y.to_vec1::<f64>().unwrap()[0].is_nan(), "place {place}");
            let mut expected = [0.0; 4];
            expected[place] = 1.0;
            assert_eq!(gradient(&x, |x| max_pool2d(x, &params)), expected);
        }
    }
}
