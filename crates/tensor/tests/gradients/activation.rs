//! Every elementwise activation, away from its kinks.

use mapsto_tensor::ops::{Unary, relu, unary};
use mapsto_tensor::testing::{check_gradients, wave};
use mapsto_tensor::{Device, Tensor};

#[test]
fn every_activation() {
    let x = points();
    for function in [
        Unary::Relu,
        Unary::Relu6,
        Unary::LeakyRelu(0.01),
        Unary::LeakyRelu(-0.5),
        Unary::Elu(1.0),
        Unary::Elu(0.3),
        Unary::Selu,
        Unary::Celu(1.0),
        Unary::Celu(2.5),
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Silu,
        Unary::Mish,
        Unary::Softplus,
        Unary::Softsign,
        Unary::Sigmoid,
        Unary::LogSigmoid,
        Unary::Tanh,
        Unary::Hardsigmoid,
        Unary::Hardswish,
        Unary::Hardtanh(-1.0, 1.0),
        Unary::Hardtanh(-2.5, 0.5),
    ] {
        check_gradients(std::slice::from_ref(&x), |t| unary(&t[0], function));
    }
    check_gradients(&[x], |t| relu(&t[0]));
}

/// Both sides of the kinks at -3, -2.5, -1, 0, 0.5, 1, 3 and 6, and some places between.
fn points() -> Tensor {
    Tensor::new(
        &[
            -9.3, -3.1, -2.9, -2.6, -2.4, -1.1, -0.9, -0.3, -0.01, 0.01, 0.4, 0.6, 0.9, 1.1, 2.2,
            2.9, 3.1, 5.9, 6.1, 8.7,
        ],
        &Device::Cpu,
    )
    .unwrap()
}

#[test]
fn more_elements_than_one_task_takes() {
    // Only a few of them move the sum, so that differences cost little.
    let few = wave(3, 0.2);
    check_gradients(&[few], |t| {
        let many = t[0].reshape((3, 1))?.repeat((1, 7000))?;
        unary(&many, Unary::Tanh)?.narrow(1, 6990, 4)
    });
}
