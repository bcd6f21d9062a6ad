//! The ops as other devices run them, out of candle ops, against the kernels: equal in value
//! and gradient. Here they run in `f64` on the CPU, where both exist.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::*;
use crate::rng;
use crate::testing::{assert_close, wave};

/// Asserts that two functions agree on `inputs`, in value and in every gradient.
pub(super) fn assert_same(
    name: &str,
    inputs: &[Tensor],
    kernel: impl Fn(&[Tensor]) -> Result<Tensor>,
    composed: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let run = |f: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let vars: Vec<Var> = inputs
            .iter()
            .map(|x| Var::from_tensor(x).unwrap())
            .collect();
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let y = f(&tensors).unwrap();
        let weighted = (&y * wave(y.shape(), 0.3)).unwrap().sum_all().unwrap();
        let grads = weighted.backward().unwrap();
        let of = |x: &Tensor| {
            grads
                .get(x)
                .unwrap_or_else(|| panic!("{name}: cut"))
                .clone()
        };
        (y, tensors.iter().map(of).collect::<Vec<_>>())
    };
    let (expected, expected_grads) = run(&kernel);
    let (actual, actual_grads) = run(&composed);
    assert_close(name, &actual, &expected, 1e-10, 1e-10);
    for (actual, expected) in actual_grads.iter().zip(&expected_grads) {
        assert_close(
            &format!("gradient of {name}"),
            actual,
            expected,
            1e-10,
            1e-10,
        );
    }
}

#[test]
fn convolution() {
    let params = |stride, padding, dilation, groups| Conv2dParams {
        stride,
        padding,
        dilation,
        groups,
    };
    for (channels, kernel, params) in [
        (4, (1, 1), Conv2dParams::default()),
        (4, (3, 2), params((2, 2), (1, 0), (1, 1), 1)),
        (4, (2, 3), params((1, 3), (2, 1), (2, 1), 2)),
        (4, (3, 3), params((2, 1), (1, 2), (1, 2), 4)),
        // Enough channels to go along the registers, both ways.
        (33, (4, 4), params((2, 2), (1, 1), (1, 1), 1)),
    ] {
        let x = wave((3, channels, 7, 8), 0.1);
        let out = channels.max(8);
        let weight = wave((out, channels / params.groups, kernel.0, kernel.1), 0.2);
        let inputs = [x, weight, wave(out, 0.7)];
        assert_same(
            &format!("conv2d with bias, {params:?}"),
            &inputs,
            |t| conv2d(&t[0], &t[1], Some(&t[2]), &params),
            |t| conv_composed::conv2d(&t[0], &t[1], Some(&t[2]), &params),
        );
        assert_same(
            &format!("conv2d, {params:?}"),
            &inputs[..2],
            |t| conv2d(&t[0], &t[1], None, &params),
            |t| conv_composed::conv2d(&t[0], &t[1], None, &params),
        );
    }
}

#[test]
fn embeddings() {
    let ids = [4u32, 0, 2, 4, 1, 4];
    let tensor = Tensor::new(&ids, &Device::Cpu).unwrap();
    for padding in [None, Some(4), Some(3)] {
        assert_same(
            &format!("embedding, padding {padding:?}"),
            &[wave((6, 3), 0.2)],
            |t| embedding(&t[0], &tensor, padding),
            |t| embedding::composed(&t[0], &ids, padding),
        );
    }
}

/// Windows side by side, overlapping, apart, padded, and hanging over the edge.
fn some_windows() -> Vec<Pool2dParams> {
    let plain = Pool2dParams::new(2);
    let padded = Pool2dParams {
        kernel: (3, 2),
        stride: (2, 1),
        padding: (1, 1),
        ceil_mode: false,
    };
    let apart = Pool2dParams {
        stride: (3, 4),
        ceil_mode: true,
        ..plain
    };
    let ceiling = Pool2dParams {
        ceil_mode: true,
        stride: (2, 3),
        ..padded
    };
    vec![plain, padded, apart, ceiling]
}

#[test]
fn max_pooling() {
    let ties = Tensor::zeros((2, 3, 7, 8), DType::F64, &Device::Cpu).unwrap();
    for params in some_windows() {
        for x in [wave((2, 3, 7, 8), 0.4), ties.clone()] {
            // With ties the padding must not win either, so the first window starts inside.
            let output = params.output_size(7, 8).unwrap();
            assert_same(
                &format!("max_pool2d, {params:?}"),
                &[x],
                |t| max_pool2d(&t[0], &params),
                |t| max_pool::composed(&t[0], &params, output),
            );
        }
    }
}

#[test]
fn average_pooling() {
    for window in some_windows() {
        for (count_include_pad, divisor_override) in [(true, None), (false, None), (true, Some(5))]
        {
            let params = AvgPool2dParams {
                window,
                count_include_pad,
                divisor_override,
            };
            assert_same(
                &format!("avg_pool2d, {params:?}"),
                &[wave((2, 3, 7, 8), 0.4)],
                |t| avg_pool2d(&t[0], &params),
                |t| avg_pool::composed(&t[0], &params),
            );
        }
    }
}

#[test]
fn affine_maps() {
    let inputs = [wave((5, 3), 0.1), wave((4, 3), 0.2), wave(4, 0.3)];
    assert_same(
        "linear with bias",
        &inputs,
        |t| linear(&t[0], &t[1], Some(&t[2])),
        |t| linear::composed(&t[0], &t[1], Some(&t[2])),
    );
    assert_same(
        "linear",
        &inputs[..2],
        |t| linear(&t[0], &t[1], None),
        |t| linear::composed(&t[0], &t[1], None),
    );
}

#[test]
fn softmax_and_its_logarithm() {
    // Large enough that a softmax without a shift would overflow; one row of several blocks.
    for x in [wave((4, 5), 0.1) * 900.0, wave((3, 613), 0.1) * 30.0] {
        let x = x.unwrap();
        assert_same(
            "softmax",
            std::slice::from_ref(&x),
            |t| softmax(&t[0], 1),
            |t| softmax::composed(&t[0], false),
        );
        assert_same(
            "log_softmax",
            &[x],
            |t| log_softmax(&t[0], 1),
            |t| softmax::composed(&t[0], true),
        );
    }
}

#[test]
fn cross_entropy() {
    let classes = |weights, smoothing| Targets::Classes {
        labels: vec![Some(2), None, Some(0), Some(4)],
        weights,
        smoothing,
    };
    let weights = Some(vec![0.5, 1.0, 2.0, 0.1, 3.0]);
    let soft = wave((4, 5), 0.9).sqr().unwrap().flatten_all().unwrap();
    for targets in [
        classes(None, 0.0),
        classes(None, 0.2),
        classes(weights.clone(), 0.0),
        classes(weights, 0.3),
        Targets::Distributions(soft.to_vec1().unwrap()),
    ] {
        assert_same(
            &format!("cross entropy, {targets:?}"),
            &[wave((4, 5), 0.2)],
            |t| cross_entropy_rows(&t[0], targets.clone()),
            |t| cross_entropy::composed(&t[0], &targets),
        );
    }
    // Rows of several blocks, the label in the last.
    let targets = Targets::Classes {
        labels: vec![Some(612), Some(3)],
        weights: None,
        smoothing: 0.0,
    };
    assert_same(
        "cross entropy of long rows",
        &[(wave((2, 613), 0.2) * 20.0).unwrap()],
        |t| cross_entropy_rows(&t[0], targets.clone()),
        |t| cross_entropy::composed(&t[0], &targets),
    );
}

/// As the two ops one after the other, to the same bits, and again when the graph is walked back
/// a second time.
#[test]
fn linear_and_cross_entropy_in_one() {
    let classes = |weights, smoothing| Targets::Classes {
        labels: vec![Some(2), None, Some(0), Some(4)],
        weights,
        smoothing,
    };
    let weights = Some(vec![0.5, 1.0, 2.0, 0.1, 3.0]);
    let shapes: [&[usize]; 3] = [&[4, 3], &[5, 3], &[5]];
    let inputs = shapes.map(|shape| wave(shape.to_vec(), 0.7));
    for targets in [classes(None, 0.0), classes(weights, 0.3)] {
        for count in [2, 3] {
            let vars: Vec<Var> = inputs[..count]
                .iter()
                .map(|x| Var::from_tensor(x).unwrap())
                .collect();
            let (x, weight, bias) = (&vars[0], &vars[1], vars.get(2).map(|b| b.as_tensor()));
            let one = linear_cross_entropy(x, weight, bias, targets.clone()).unwrap();
            let logits = linear(x, weight, bias).unwrap();
            let two = cross_entropy_rows(&logits, targets.clone()).unwrap();
            let bits = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(bits(&one), bits(&two), "{targets:?}");
            let weighted = |y: &Tensor| (y * wave(4, 0.3)).unwrap().backward().unwrap();
            let expected = weighted(&two);
            for _ in 0..2 {
                let grads = weighted(&one);
                for var in &vars {
                    let of =
                        |grads: &candle_core::backprop::GradStore| bits(grads.get(var).unwrap());
                    assert_eq!(of(&grads), of(&expected), "{targets:?}");
                }
            }
            assert_same(
                &format!("linear and cross entropy, {targets:?}"),
                &inputs[..count],
                |t| linear_cross_entropy(&t[0], &t[1], t.get(2), targets.clone()),
                |t| {
                    let logits = linear::composed(&t[0], &t[1], t.get(2))?;
                    cross_entropy::composed(&logits, &targets)
                },
            );
        }
    }
}

#[test]
fn dropout_with_the_same_mask() {
    let x = wave((6, 7), 0.2);
    assert_same(
        "dropout",
        &[x],
        |t| {
            rng::manual_seed(3);
            dropout(&t[0], 0.3)
        },
        |t| {
            rng::manual_seed(3);
            dropout::composed(&t[0], 0.3)
        },
    );
}

#[test]
fn activations() {
    // On both sides of every kink, not on one.
    let x = (wave((5, 20), 0.3) * 8.0).unwrap();
    for function in every_activation() {
        assert_same(
            &format!("{function:?}"),
            std::slice::from_ref(&x),
            |t| unary(&t[0], function),
            |t| function.composed(&t[0]),
        );
    }
}

#[test]
fn activations_pass_nan_on_where_the_kernels_do() {
    let nan = Tensor::new(&[f64::NAN], &Device::Cpu).unwrap();
    for function in every_activation() {
        let kernel = unary(&nan, function).unwrap();
        let composed = function.composed(&nan).unwrap();
        assert_close(&format!("{function:?}"), &composed, &kernel, 0.0, 0.0);
    }
}

fn every_activation() -> Vec<Unary> {
    vec![
        Unary::Relu,
        Unary::Relu6,
        Unary::LeakyRelu(0.1),
        Unary::Elu(1.3),
        Unary::Selu,
        Unary::Celu(0.7),
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
        Unary::Hardtanh(-0.5, 2.0),
    ]
}

#[test]
fn half_precision_takes_the_composed_way() {
    let (x, weight) = (wave((2, 3, 5, 6), 0.1), wave((4, 3, 3, 3), 0.2));
    let half = |t: &Tensor| t.to_dtype(DType::F16).unwrap();
    let params = Conv2dParams::default();
    let y = conv2d(&half(&x), &half(&weight), None, &params).unwrap();
    assert_eq!(y.dtype(), DType::F16);
    let expected = conv2d(&x, &weight, None, &params).unwrap();
    assert_close("conv2d in f16", &y, &expected, 1e-2, 2e-2);
}
