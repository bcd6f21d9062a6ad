//! Our layers from the constructor arguments of PyTorch's, checked on one case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use mapsto_nn::{
    Activation, AvgPool2d, BatchNorm1d, BatchNorm2d, BatchNormConfig, Conv1d, Conv1dConfig, Conv2d,
    Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Dropout, Embedding, EmbeddingConfig,
    Flatten, Linear, LinearConfig, MaxPool2d, PadMode, Padding, Padding1d, SpectralNorm, Upsample,
    UpsampleMode, UpsampleTo,
};
use mapsto_tensor::testing::Golden;
use mapsto_tensor::{Device, ModuleT, ParamKind, ParamStore, VarBuilder, backward};
use serde_json::Value;

use super::args::assert_args;

/// Checks the output, and the gradients of the input and of every parameter.
pub(crate) fn check(golden: &Golden) {
    let store = ParamStore::new(golden.dtype(), &Device::Cpu);
    let layer = build(golden, store.root());
    let mut state = golden.with_prefix("param.");
    state.extend(golden.with_prefix("buffer."));
    store
        .load_state_dict(&state, true)
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    let file_name = |names: [&'static str; 2]| {
        let name = names.into_iter().find(|name| golden.has(name));
        name.unwrap_or_else(|| panic!("{}: none of {names:?}", golden.name))
    };
    let train = golden.meta("train") == "true";
    // Of several inputs the last is checked, and what the others left behind in buffers.
    let (earlier, input) = match golden.has("input.2") {
        true => (&["input.0", "input.1"][..], "input.2"),
        false => (&[][..], file_name(["input", "kwarg.input"])),
    };
    for name in earlier {
        layer.forward_t(&golden.tensor(name), train).unwrap();
    }
    // In the store, so that its gradient is returned and audited like that of a parameter.
    let mut x = golden.tensor(input);
    if x.dtype().is_float() {
        let var = store.insert(input, &x, ParamKind::Parameter).unwrap();
        x = var.as_tensor().clone();
    }
    let y = layer
        .forward_t(&x, train)
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    // Pooling with return_indices gives a pair, of which ours gives the first.
    golden.check(file_name(["output", "output.0"]), &y);
    let upstream = golden.tensor(file_name(["grad_output", "grad_output.0"]));
    let loss = (y * upstream).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    let expected = golden.with_prefix("grad.");
    assert_eq!(gradients.iter().count(), expected.len(), "{}", golden.name);
    for name in expected.keys() {
        let ours = gradients.get(name.trim_start_matches("param."));
        let ours = ours.unwrap_or_else(|| panic!("{}: no gradient of {name}", golden.name));
        golden.check(&format!("grad.{name}"), ours);
    }
    for name in golden.with_prefix("buffer_after.").keys() {
        let ours = store.get(name);
        let ours = ours.unwrap_or_else(|| panic!("{}: no {name}", golden.name));
        golden.check(&format!("buffer_after.{name}"), &ours);
    }
}

fn build(golden: &Golden, vb: VarBuilder<'static>) -> Box<dyn ModuleT> {
    match golden.meta("module") {
        "Linear" => Box::new(linear(golden, vb)),
        "Embedding" => Box::new(embedding(golden, vb)),
        "Conv1d" => Box::new(conv1d(golden, vb)),
        "Conv2d" => Box::new(conv2d(golden, vb)),
        "ConvTranspose2d" => Box::new(conv_transpose2d(golden, vb)),
        "BatchNorm1d" => Box::new(BatchNorm1d::new(&batch_norm(golden), vb).unwrap()),
        "BatchNorm2d" => Box::new(BatchNorm2d::new(&batch_norm(golden), vb).unwrap()),
        "SpectralNorm(Linear)" => {
            Box::new(SpectralNorm::new(vb, |vb| Ok(linear(golden, vb))).unwrap())
        }
        "SpectralNorm(Conv2d)" => {
            Box::new(SpectralNorm::new(vb, |vb| Ok(conv2d(golden, vb))).unwrap())
        }
        "Upsample" => Box::new(upsample(golden)),
        "MaxPool2d" => Box::new(max_pool2d(golden)),
        "AvgPool2d" => Box::new(avg_pool2d(golden)),
        "Flatten" => {
            assert_args(golden, &[]);
            Box::new(Flatten)
        }
        "Dropout" => {
            assert_args(golden, &["p"]);
            Box::new(Dropout::new(number(golden, "p", 0.5)).unwrap())
        }
        _ => Box::new(activation(golden)),
    }
}

fn activation(golden: &Golden) -> Activation {
    let (known, activation): (&[&str], Activation) = match golden.meta("module") {
        "ReLU" => (&[], Activation::Relu),
        "ReLU6" => (&[], Activation::Relu6),
        "LeakyReLU" => {
            let slope = number(golden, "negative_slope", 0.01);
            (&["negative_slope"], Activation::LeakyRelu(slope))
        }
        "ELU" => (&["alpha"], Activation::Elu(number(golden, "alpha", 1.0))),
        "CELU" => (&["alpha"], Activation::Celu(number(golden, "alpha", 1.0))),
        "SELU" => (&[], Activation::Selu),
        "GELU" => {
            let tanh = golden.arg("approximate") == "tanh";
            let gelu = if tanh {
                Activation::GeluTanh
            } else {
                Activation::Gelu
            };
            (&["approximate"], gelu)
        }
        "SiLU" => (&[], Activation::Silu),
        "Mish" => (&[], Activation::Mish),
        "Softplus" => (&[], Activation::Softplus),
        "Softsign" => (&[], Activation::Softsign),
        "Sigmoid" => (&[], Activation::Sigmoid),
        "LogSigmoid" => (&[], Activation::LogSigmoid),
        "Tanh" => (&[], Activation::Tanh),
        "Hardsigmoid" => (&[], Activation::Hardsigmoid),
        "Hardswish" => (&[], Activation::Hardswish),
        "Hardtanh" => {
            let low = number(golden, "min_val", -1.0);
            let bounds = Activation::Hardtanh(low, number(golden, "max_val", 1.0));
            (&["min_val", "max_val"], bounds)
        }
        "Softmax" => (&["dim"], Activation::Softmax(dim(golden))),
        "LogSoftmax" => (&["dim"], Activation::LogSoftmax(dim(golden))),
        other => panic!("{}: no layer of ours for {other}", golden.name),
    };
    assert_args(golden, known);
    activation
}

fn linear(golden: &Golden, vb: VarBuilder<'static>) -> Linear {
    assert_args(golden, &["kind", "in_features", "out_features", "bias"]);
    let size = |key| golden.arg(key).as_u64().unwrap() as usize;
    let config = LinearConfig {
        bias: flag(golden, "bias", true),
        ..LinearConfig::new(size("in_features"), size("out_features"))
    };
    Linear::new(&config, vb).unwrap()
}

fn embedding(golden: &Golden, vb: VarBuilder<'static>) -> Embedding {
    assert_args(golden, &["num_embeddings", "embedding_dim", "padding_idx"]);
    let size = |key| golden.arg(key).as_u64().map(|n| n as usize);
    let config = EmbeddingConfig {
        padding_idx: size("padding_idx").map(|id| id as u32),
        ..EmbeddingConfig::new(
            size("num_embeddings").unwrap(),
            size("embedding_dim").unwrap(),
        )
    };
    Embedding::new(&config, vb).unwrap()
}

const CONVOLUTION: [&str; 10] = [
    "kind",
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "bias",
    "padding_mode",
];

fn padding_mode(golden: &Golden) -> PadMode {
    match golden.arg("padding_mode") {
        Value::Null => PadMode::Zeros,
        name => serde_json::from_value(name).unwrap(),
    }
}

fn conv1d(golden: &Golden, vb: VarBuilder<'static>) -> Conv1d {
    assert_args(golden, &CONVOLUTION);
    let size = |key| golden.arg(key).as_u64().map(|n| n as usize);
    let padding = match golden.arg("padding") {
        Value::String(word) if word == "same" => Padding1d::Same,
        Value::String(word) if word == "valid" => Padding1d::Valid,
        _ => Padding1d::Explicit(size("padding").unwrap_or(0)),
    };
    let config = Conv1dConfig {
        in_channels: size("in_channels").unwrap(),
        out_channels: size("out_channels").unwrap(),
        kernel_size: size("kernel_size").unwrap(),
        stride: size("stride").unwrap_or(1),
        padding,
        dilation: size("dilation").unwrap_or(1),
        groups: size("groups").unwrap_or(1),
        bias: flag(golden, "bias", true),
        padding_mode: padding_mode(golden),
    };
    Conv1d::new(&config, vb).unwrap()
}

fn conv2d(golden: &Golden, vb: VarBuilder<'static>) -> Conv2d {
    assert_args(golden, &CONVOLUTION);
    let size = |key| golden.arg(key).as_u64().map(|n| n as usize);
    let padding = match golden.arg("padding") {
        Value::String(word) if word == "same" => Padding::Same,
        Value::String(word) if word == "valid" => Padding::Valid,
        _ => {
            let (rows, columns) = pair(golden, "padding").unwrap_or((0, 0));
            Padding::Explicit(rows, columns)
        }
    };
    let config = Conv2dConfig {
        in_channels: size("in_channels").unwrap(),
        out_channels: size("out_channels").unwrap(),
        kernel_size: pair(golden, "kernel_size").unwrap(),
        stride: pair(golden, "stride").unwrap_or((1, 1)),
        padding,
        dilation: pair(golden, "dilation").unwrap_or((1, 1)),
        groups: size("groups").unwrap_or(1),
        bias: flag(golden, "bias", true),
        padding_mode: padding_mode(golden),
    };
    Conv2d::new(&config, vb).unwrap()
}

fn conv_transpose2d(golden: &Golden, vb: VarBuilder<'static>) -> ConvTranspose2d {
    let known = [
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "output_padding",
        "dilation",
        "groups",
        "bias",
    ];
    assert_args(golden, &known);
    let size = |key| golden.arg(key).as_u64().map(|n| n as usize);
    let config = ConvTranspose2dConfig {
        in_channels: size("in_channels").unwrap(),
        out_channels: size("out_channels").unwrap(),
        kernel_size: pair(golden, "kernel_size").unwrap(),
        stride: pair(golden, "stride").unwrap_or((1, 1)),
        padding: pair(golden, "padding").unwrap_or((0, 0)),
        output_padding: pair(golden, "output_padding").unwrap_or((0, 0)),
        dilation: pair(golden, "dilation").unwrap_or((1, 1)),
        groups: size("groups").unwrap_or(1),
        bias: flag(golden, "bias", true),
    };
    ConvTranspose2d::new(&config, vb).unwrap()
}

fn batch_norm(golden: &Golden) -> BatchNormConfig {
    let known = [
        "num_features",
        "eps",
        "momentum",
        "affine",
        "bias",
        "track_running_stats",
    ];
    assert_args(golden, &known);
    let channels = golden.arg("num_features").as_u64().unwrap() as usize;
    // Null is a value of its own here, and not the default.
    let momentum = match golden.arg("momentum") {
        Value::Null if golden.meta("args").contains("\"momentum\": null") => None,
        _ => Some(number(golden, "momentum", 0.1)),
    };
    BatchNormConfig {
        eps: number(golden, "eps", 1e-5),
        momentum,
        affine: flag(golden, "affine", true),
        bias: flag(golden, "bias", true),
        track_running_stats: flag(golden, "track_running_stats", true),
        ..BatchNormConfig::new(channels)
    }
}

fn upsample(golden: &Golden) -> Upsample {
    assert_args(golden, &["scale_factor", "mode", "align_corners"]);
    let mode = match golden.arg("mode").as_str() {
        Some("nearest") => UpsampleMode::Nearest,
        _ => UpsampleMode::Bilinear {
            align_corners: flag(golden, "align_corners", false),
        },
    };
    let scale = number(golden, "scale_factor", 1.0);
    Upsample::new(UpsampleTo::Scale(scale, scale), mode).unwrap()
}

fn max_pool2d(golden: &Golden) -> MaxPool2d {
    let known = [
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "return_indices",
    ];
    assert_args(golden, &known);
    let mut pool = MaxPool2d::new(pair(golden, "kernel_size").unwrap()).ceil_mode(flag(
        golden,
        "ceil_mode",
        false,
    ));
    if let Some(stride) = pair(golden, "stride") {
        pool = pool.stride(stride);
    }
    match pair(golden, "padding") {
        Some(padding) => pool.padding(padding),
        None => pool,
    }
}

fn avg_pool2d(golden: &Golden) -> AvgPool2d {
    let known = [
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
    ];
    assert_args(golden, &known);
    let mut pool = AvgPool2d::new(pair(golden, "kernel_size").unwrap())
        .ceil_mode(flag(golden, "ceil_mode", false))
        .count_include_pad(flag(golden, "count_include_pad", true));
    if let Some(stride) = pair(golden, "stride") {
        pool = pool.stride(stride);
    }
    if let Some(padding) = pair(golden, "padding") {
        pool = pool.padding(padding);
    }
    match golden.arg("divisor_override").as_u64() {
        Some(divisor) => pool.divisor_override(divisor as usize),
        None => pool,
    }
}

fn number(golden: &Golden, key: &str, default: f64) -> f64 {
    match golden.arg(key) {
        Value::Null => default,
        value => value.as_f64().expect("a number"),
    }
}

fn flag(golden: &Golden, key: &str, default: bool) -> bool {
    match golden.arg(key) {
        Value::Null => default,
        value => value.as_bool().expect("true or false"),
    }
}

fn dim(golden: &Golden) -> i64 {
    golden.arg("dim").as_i64().expect("a dimension")
}

/// One number stands for both.
fn pair(golden: &Golden, key: &str) -> Option<(usize, usize)> {
    let value = golden.arg(key);
    if value.is_null() {
        return None;
    }
    let both = match value.as_u64() {
        Some(side) => (side as usize, side as usize),
        None => serde_json::from_value(value).expect("a number or a pair"),
    };
    Some(both)
}
