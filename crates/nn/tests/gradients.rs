//! Layers and losses by finite differences, in inputs and parameters, at odd sizes.
//!
//! Recurrent layers and attention have files of their own. Transposed convolution, upsampling,
//! batch and layer normalisation and multi-head attention are one op each, which mapsto-tensor
//! differentiates so; layers of Transformers are part of a network of mapsto-models.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::HashMap;

use mapsto_nn::{
    Activation, AvgPool2d, BceWithLogitsLoss, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig,
    CrossEntropyLoss, Dropout, Embedding, EmbeddingConfig, Flatten, Linear, LinearConfig,
    MaxPool2d, MseLoss, PadMode, Padding, Padding1d, Reduction, Sequential, SpectralNorm,
};
use mapsto_tensor::testing::{check_gradients, wave};
use mapsto_tensor::{DType, Device, Module, ModuleT, Tensor, VarBuilder, rng};

const REDUCTIONS: [Reduction; 3] = [Reduction::None, Reduction::Mean, Reduction::Sum];

/// A builder that hands out these tensors, so that their gradients are those of parameters.
fn given(named: &[(&str, &Tensor)]) -> VarBuilder<'static> {
    let tensors: HashMap<String, Tensor> = named
        .iter()
        .map(|&(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect();
    VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu)
}

fn scaled(shape: &[usize], factor: f64) -> Tensor {
    (wave(shape, 0.8) * factor).unwrap()
}

#[test]
fn linear() {
    for leading in [&[][..], &[5], &[2, 3]] {
        let x = wave([leading, &[3]].concat(), 0.1);
        let inputs = [x, wave((7, 3), 0.2), wave(7, 0.3)];
        check_gradients(&inputs, |t| {
            let vb = given(&[("weight", &t[1]), ("bias", &t[2])]);
            Linear::new(&LinearConfig::new(3, 7), vb)?.forward(&t[0])
        });
    }
}

#[test]
fn embedding() {
    let config = EmbeddingConfig::new(5, 3);
    for shape in [&[][..], &[7], &[2, 3]] {
        let count = shape.iter().product::<usize>() as u32;
        let ids: Vec<u32> = (0..count).map(|i| i * i % 5).collect();
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu).unwrap();
        check_gradients(&[wave((5, 3), 0.2)], |t| {
            Embedding::new(&config, given(&[("weight", &t[0])]))?.forward(&ids)
        });
    }
}

#[test]
fn conv1d() {
    let plain = Conv1dConfig::new(4, 6, 3);
    let strided = Conv1dConfig {
        stride: 2,
        padding: Padding1d::Explicit(2),
        dilation: 2,
        groups: 2,
        ..plain
    };
    let same = Conv1dConfig {
        padding: Padding1d::Same,
        padding_mode: PadMode::Reflect,
        ..Conv1dConfig::new(4, 6, 4)
    };
    for (config, input) in [
        (plain, &[2, 4, 7][..]),
        (plain, &[4, 5]),
        (strided, &[3, 4, 7]),
        (same, &[1, 4, 7]),
    ] {
        let weight = wave((6, 4 / config.groups, config.kernel_size), 0.2);
        check_gradients(&[wave(input, 0.1), weight, wave(6, 0.3)], |t| {
            let vb = given(&[("weight", &t[1]), ("bias", &t[2])]);
            Conv1d::new(&config, vb)?.forward(&t[0])
        });
    }
}

fn check_conv2d(config: &Conv2dConfig, input: &[usize]) {
    let (kh, kw) = config.kernel_size;
    let group_in = config.in_channels / config.groups;
    let weight = wave((config.out_channels, group_in, kh, kw), 0.2);
    let mut inputs = vec![wave(input, 0.1), weight];
    if config.bias {
        inputs.push(wave(config.out_channels, 0.3));
    }
    check_gradients(&inputs, |t| {
        let mut named = vec![("weight", &t[1])];
        named.extend(t.get(2).map(|bias| ("bias", bias)));
        Conv2d::new(config, given(&named))?.forward(&t[0])
    });
}

#[test]
fn conv2d() {
    let plain = Conv2dConfig::new(3, 2, (3, 2));
    check_conv2d(&plain, &[2, 3, 5, 4]);
    check_conv2d(&plain, &[3, 5, 4]);
    let strided = Conv2dConfig {
        stride: (2, 3),
        padding: Padding::Explicit(2, 1),
        dilation: (1, 2),
        bias: false,
        ..plain
    };
    check_conv2d(&strided, &[2, 3, 7, 8]);
    let grouped = Conv2dConfig {
        groups: 2,
        padding: Padding::Explicit(0, 1),
        ..Conv2dConfig::new(4, 6, (2, 3))
    };
    check_conv2d(&grouped, &[1, 4, 5, 3]);
}

#[test]
fn conv2d_in_every_padding_mode() {
    let modes = [
        PadMode::Zeros,
        PadMode::Reflect,
        PadMode::Replicate,
        PadMode::Circular,
    ];
    for padding_mode in modes {
        let same = Conv2dConfig {
            padding: Padding::Same,
            padding_mode,
            ..Conv2dConfig::new(1, 2, (4, 3))
        };
        check_conv2d(&same, &[1, 1, 5, 7]);
        let explicit = Conv2dConfig {
            padding: Padding::Explicit(1, 2),
            stride: (2, 1),
            ..same
        };
        check_conv2d(&explicit, &[2, 1, 5, 7]);
    }
}

#[test]
fn spectral_norm_in_evaluation() {
    // Any vectors do: they are constants, to the gradient too.
    let (u, v) = (wave(7, 0.4), wave(3, 0.5));
    let inputs = [wave((5, 3), 0.1), wave((7, 3), 0.2), wave(7, 0.3)];
    check_gradients(&inputs, |t| {
        let vb = given(&[
            ("weight_orig", &t[1]),
            ("bias", &t[2]),
            ("weight_u", &u),
            ("weight_v", &v),
        ]);
        SpectralNorm::new(vb, |vb| mapsto_nn::linear(3, 7, vb))?.forward_t(&t[0], false)
    });
}

#[test]
fn pooling() {
    let x = [wave((2, 3, 7, 5), 0.1)];
    let max = MaxPool2d::new((3, 2)).stride((2, 1)).padding(1);
    check_gradients(&x, |t| max.forward(&t[0]));
    check_gradients(&x, |t| max.ceil_mode(true).forward(&t[0]));
    let average = AvgPool2d::new((3, 2)).stride((1, 3)).padding((1, 1));
    check_gradients(&x, |t| average.forward(&t[0]));
    let hanging = average.stride((2, 2)).ceil_mode(true);
    check_gradients(&x, |t| hanging.forward(&t[0]));
    check_gradients(&x, |t| hanging.count_include_pad(false).forward(&t[0]));
    check_gradients(&x, |t| hanging.divisor_override(5).forward(&t[0]));
}

#[test]
fn shape_and_noise() {
    let x = [wave((3, 2, 5), 0.1)];
    check_gradients(&x, |t| Flatten.forward(&t[0]));
    check_gradients(&x, |t| Flatten::dims(0, 1).forward(&t[0]));
    let dropout = Dropout::new(0.4).unwrap();
    check_gradients(&x, |t| {
        // The same mask every time.
        rng::manual_seed(5);
        dropout.forward_t(&t[0], true)
    });
    check_gradients(&x, |t| dropout.forward_t(&t[0], false));
}

#[test]
fn activations() {
    let activations = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu(0.2),
        Activation::Elu(1.3),
        Activation::Selu,
        Activation::Celu(0.7),
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Mish,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Sigmoid,
        Activation::LogSigmoid,
        Activation::Tanh,
        Activation::Hardsigmoid,
        Activation::Hardswish,
        Activation::Hardtanh(-0.5, 2.0),
        Activation::Softmax(0),
        Activation::Softmax(1),
        Activation::Softmax(-1),
        Activation::LogSoftmax(0),
        Activation::LogSoftmax(1),
        Activation::LogSoftmax(-1),
    ];
    // Wide enough for every piece of the functions that are made of pieces.
    let x = [scaled(&[3, 4, 5], 7.0)];
    for activation in activations {
        check_gradients(&x, |t| activation.forward(&t[0]));
    }
}

#[test]
fn sequential() {
    let names = ["0.weight", "0.bias", "3.weight", "3.bias"];
    let inputs = [
        wave((2, 1, 5, 6), 0.1),
        wave((2, 1, 2, 3), 0.2),
        wave(2, 0.3),
        wave((3, 32), 0.4),
        wave(3, 0.5),
    ];
    check_gradients(&inputs, |t| {
        let named: Vec<(&str, &Tensor)> = names.into_iter().zip(&t[1..]).collect();
        Sequential::new(given(&named))
            .layer(|vb| Conv2d::new(&Conv2dConfig::new(1, 2, (2, 3)), vb))?
            .add(Activation::Tanh)
            .add(Flatten)
            .layer(|vb| mapsto_nn::linear(32, 3, vb))?
            .forward_t(&t[0], true)
    });
}

#[test]
fn cross_entropy_of_classes() {
    let logits = [scaled(&[2, 3, 5], 3.0)];
    let targets = [[0i64, 2, -1, 1, 1], [2, 2, 0, -1, 1]];
    let targets = Tensor::new(&targets, &Device::Cpu).unwrap();
    let weight = Tensor::new(&[0.5f64, 2.0, 1.2], &Device::Cpu).unwrap();
    for reduction in REDUCTIONS {
        for (weight, label_smoothing) in [(None, 0.0), (Some(&weight), 0.0), (Some(&weight), 0.3)] {
            let loss = CrossEntropyLoss {
                weight: weight.cloned(),
                ignore_index: -1,
                reduction,
                label_smoothing,
            };
            check_gradients(&logits, |t| loss.forward(&t[0], &targets));
        }
    }
}

#[test]
fn cross_entropy_of_probabilities() {
    let targets = Activation::Softmax(1)
        .forward(&wave((2, 3, 5), 0.9))
        .unwrap();
    let weight = Tensor::new(&[0.5f64, 2.0, 1.2], &Device::Cpu).unwrap();
    for reduction in REDUCTIONS {
        let loss = CrossEntropyLoss {
            weight: Some(weight.clone()),
            reduction,
            label_smoothing: 0.2,
            ..CrossEntropyLoss::default()
        };
        let inputs = [scaled(&[2, 3, 5], 3.0), targets.clone()];
        check_gradients(&inputs, |t| loss.forward(&t[0], &t[1]));
    }
}

#[test]
fn squared_and_binary_losses() {
    let inputs = [scaled(&[3, 5], 4.0), wave((3, 5), 0.4)];
    for reduction in REDUCTIONS {
        check_gradients(&inputs, |t| MseLoss { reduction }.forward(&t[0], &t[1]));
        let binary = BceWithLogitsLoss {
            weight: Some(wave((3, 1), 0.6)),
            pos_weight: Some(wave(5, 0.7)),
            reduction,
        };
        check_gradients(&inputs, |t| binary.forward(&t[0], &t[1]));
    }
}
