//! Bad options and shapes: messages name what was wrong, its value and what is allowed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fmt::Debug;

use mapsto_nn::{
    Activation, AvgPool2d, BatchNormConfig, BceWithLogitsLoss, Conv1d, Conv1dConfig, Conv2d,
    Conv2dConfig, ConvTranspose2dConfig, CrossEntropyLoss, Dropout, Embedding, EmbeddingConfig,
    Flatten, LayerNormConfig, LinearConfig, MaxPool2d, MseLoss, MultiheadAttentionConfig, Padding,
    Padding1d, TransformerLayerConfig, conv2d, cross_entropy, linear, mse_loss,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, Module, ParamStore, Result, Tensor, VarBuilder};

fn root() -> VarBuilder<'static> {
    ParamStore::new(DType::F64, &Device::Cpu).root()
}

#[track_caller]
fn assert_says<T: Debug>(result: Result<T>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "\"{part}\" is not in: {message}");
    }
}

#[test]
fn convolutions_of_sequences() {
    let good = Conv1dConfig::new(4, 6, 3);
    let build = |config: Conv1dConfig| Conv1d::new(&config, root());
    let bad = Conv1dConfig { stride: 0, ..good };
    assert_says(build(bad), &["conv1d: stride", "at least 1", "(1, 0)"]);
    let bad = Conv1dConfig { groups: 3, ..good };
    assert_says(build(bad), &["conv1d: 4 input and 6 output channels", "3"]);
    let bad = Conv1dConfig {
        padding: Padding1d::Same,
        stride: 2,
        ..good
    };
    assert_says(build(bad), &["conv1d: padding \"same\" needs stride 1"]);
    let layer = build(good).unwrap();
    let parts = [
        "conv1d: expected an input (N, C, L) or (C, L)",
        "[2, 4, 1, 7]",
    ];
    assert_says(layer.forward(&wave((2, 4, 1, 7), 0.1)), &parts);
}

#[test]
fn embeddings() {
    let good = EmbeddingConfig::new(5, 3);
    let bad = EmbeddingConfig {
        padding_idx: Some(5),
        ..good
    };
    let layer = Embedding::new(&bad, root());
    assert_says(layer, &["embedding: padding_idx 5", "the 5 words"]);
    let layer = Embedding::new(&good, root()).unwrap();
    let ids = Tensor::new(&[[0u32, 1, 4], [2, 5, 9]], &Device::Cpu).unwrap();
    let parts = ["embedding: id 5 at [1, 1]", "[2, 3]", "5 rows 0..=4"];
    assert_says(layer.forward(&ids), &parts);
    let ids = Tensor::new(&[3i64, -1], &Device::Cpu).unwrap();
    assert_says(layer.forward(&ids), &["embedding: id -1 at [1]"]);
    let ids = Tensor::new(&[3f32], &Device::Cpu).unwrap();
    assert_says(layer.forward(&ids), &["embedding: expected ids in", "F32"]);
}

#[test]
fn convolution_options() {
    let good = Conv2dConfig::new(4, 6, 3);
    let build = |config: Conv2dConfig| Conv2d::new(&config, root());
    let kernel_size = (3, 0);
    let bad = Conv2dConfig {
        kernel_size,
        ..good
    };
    assert_says(build(bad), &["conv2d: kernel_size", "at least 1", "(3, 0)"]);
    let bad = Conv2dConfig {
        stride: (0, 2),
        ..good
    };
    assert_says(build(bad), &["conv2d: stride", "at least 1", "(0, 2)"]);
    let bad = Conv2dConfig {
        dilation: (1, 0),
        ..good
    };
    assert_says(build(bad), &["conv2d: dilation", "at least 1", "(1, 0)"]);
    let channels = "4 input and 6 output channels";
    for (groups, text) in [(0, "0 groups"), (3, "3 groups"), (4, "4 groups")] {
        assert_says(build(Conv2dConfig { groups, ..good }), &[channels, text]);
    }
    let bad = Conv2dConfig {
        padding: Padding::Same,
        stride: (1, 2),
        ..good
    };
    assert_says(build(bad), &["\"same\" needs stride 1", "(1, 2)"]);
}

#[test]
fn convolution_inputs() {
    let layer = conv2d(3, 2, 3, root()).unwrap();
    let flat = layer.forward(&wave((3, 5), 0.1));
    assert_says(flat, &["conv2d: expected", "(N, C, H, W)", "[3, 5]"]);
    let channels = layer.forward(&wave((1, 4, 5, 5), 0.1));
    assert_says(channels, &["conv2d: 4 input", "3 channels"]);
    let small = layer.forward(&wave((1, 3, 2, 5), 0.1));
    assert_says(small, &["kernel of 3", "does not fit an input of 2"]);
}

#[test]
fn linear_inputs() {
    let layer = linear(4, 2, root()).unwrap();
    let wrong = layer.forward(&wave((5, 3), 0.1));
    assert_says(wrong, &["linear:", "last dimension is 3", "[2, 4]"]);
    let number = layer.forward(&Tensor::new(1f64, &Device::Cpu).unwrap());
    assert_says(number, &["linear:", "at least one dimension"]);
}

#[test]
fn pooling_options_and_inputs() {
    let x = wave((1, 1, 4, 5), 0.1);
    for (kernel, stride, padding) in [(0, 1, 0), (2, 0, 0), (2, 1, 2)] {
        let got = format!("kernel {kernel}, stride {stride}, padding {padding}");
        let parts = ["at least 1", "at most half the kernel", &got];
        let max = MaxPool2d::new(kernel).stride(stride).padding(padding);
        assert_says(max.forward(&x), &parts);
        let average = AvgPool2d::new(kernel).stride(stride).padding(padding);
        assert_says(average.forward(&x), &parts);
    }
    let divisor = AvgPool2d::new(2).divisor_override(0).forward(&x);
    assert_says(divisor, &["divisor_override", "at least 1", "got 0"]);
    let large = MaxPool2d::new(5).forward(&x);
    assert_says(large, &["window of 5", "input of 4"]);
    let flat = MaxPool2d::new(2).forward(&wave((4, 5), 0.1));
    assert_says(flat, &["max_pool2d: expected", "(C, H, W)", "[4, 5]"]);
}

#[test]
fn dropout_probabilities() {
    for p in [1.5, -0.1, f64::NAN] {
        let got = format!("got {p}");
        assert_says(Dropout::new(p), &["dropout:", "[0, 1]", &got]);
    }
    assert!(Dropout::new(0.0).is_ok() && Dropout::new(1.0).is_ok());
}

#[test]
fn dimensions() {
    let x = wave((2, 3), 0.1);
    for dim in [2, -3] {
        let none = format!("no dimension {dim} in an input of 2 dimensions");
        assert_says(Activation::Softmax(dim).forward(&x), &["softmax", &none]);
        assert_says(Activation::LogSoftmax(dim).forward(&x), &["softmax", &none]);
        assert_says(Flatten::dims(0, dim).forward(&x), &["flatten", &none]);
    }
    let backwards = Flatten::dims(-1, 0).forward(&x);
    assert_says(backwards, &["flatten", "dimension 1 comes after 0"]);
}

#[test]
fn activation_names() {
    let unknown = "sweesh".parse::<Activation>();
    assert_says(unknown, &["\"sweesh\"", "known are", "relu", "log_softmax"]);
}

#[test]
fn classes() {
    let logits = wave((2, 3), 0.1);
    let classes = |targets: &[i64]| Tensor::new(targets, &Device::Cpu).unwrap();
    let beyond = cross_entropy(&logits, &classes(&[0, 3]));
    assert_says(beyond, &["target 3", "row 1", "3 classes", "0..=2"]);
    let negative = cross_entropy(&logits, &classes(&[-1, 0]));
    assert_says(negative, &["target -1 at place 0", "3 classes", "-100"]);
    let huge = cross_entropy(&logits, &classes(&[0, 1 << 40]));
    assert_says(huge, &["target 1099511627776 at place 1", "3 classes"]);
    let few = cross_entropy(&logits, &classes(&[0]));
    assert_says(few, &["[2, 3]", "needs class targets [2]", "got [1]"]);
    let shape = cross_entropy(&logits, &wave((3, 2), 0.1));
    assert_says(shape, &["cross_entropy", "[2, 3]", "[3, 2]"]);
    let number = Tensor::new(1f64, &Device::Cpu).unwrap();
    assert_says(cross_entropy(&number, &number), &["(N, C)", "one number"]);
}

#[test]
fn loss_options() {
    let (logits, targets) = (wave((2, 3), 0.1), wave((2, 3), 0.2));
    for label_smoothing in [-0.1, 1.5] {
        let loss = CrossEntropyLoss {
            label_smoothing,
            ..CrossEntropyLoss::default()
        };
        let got = format!("got {label_smoothing}");
        let parts = ["label smoothing", "[0, 1]", &got];
        assert_says(loss.forward(&logits, &targets), &parts);
    }
    let loss = CrossEntropyLoss {
        weight: Some(wave(4, 0.1)),
        ..CrossEntropyLoss::default()
    };
    let parts = ["weight for each of 3 classes", "[4]"];
    assert_says(loss.forward(&logits, &targets), &parts);
    let shapes = ["[2, 3]", "[3]", "must be the same"];
    assert_says(mse_loss(&logits, &wave(3, 0.1)), &shapes);
    let binary = BceWithLogitsLoss::default();
    assert_says(binary.forward(&logits, &wave(3, 0.1)), &shapes);
}

#[test]
fn unknown_keys_of_configs() {
    let misspelt = r#"{"in_channels": 1, "out_channels": 2, "kernel_size": [3, 3], "strid": 2}"#;
    let error = serde_json::from_str::<Conv2dConfig>(misspelt).unwrap_err();
    assert!(error.to_string().contains("strid"), "{error}");
    let misspelt = r#"{"in_features": 1, "out_features": 2, "biased": true}"#;
    let error = serde_json::from_str::<LinearConfig>(misspelt).unwrap_err();
    assert!(error.to_string().contains("biased"), "{error}");
    let error = serde_json::from_str::<MseLoss>(r#"{"reduce": "sum"}"#).unwrap_err();
    assert!(error.to_string().contains("reduce"), "{error}");
}

#[test]
fn defaults_of_configs() {
    let short = r#"{"in_channels": 1, "filters": 2, "kernel_size": [3, 2]}"#;
    let config: Conv2dConfig = serde_json::from_str(short).unwrap();
    assert_eq!(config, Conv2dConfig::new(1, 2, (3, 2)));
    let config: ConvTranspose2dConfig = serde_json::from_str(short).unwrap();
    assert_eq!(config, ConvTranspose2dConfig::new(1, 2, (3, 2)));
    let config: BatchNormConfig = serde_json::from_str(r#"{"num_features": 8}"#).unwrap();
    assert_eq!(config, BatchNormConfig::new(8));
    let config: LayerNormConfig = serde_json::from_str(r#"{"normalized_shape": [8]}"#).unwrap();
    assert_eq!(config, LayerNormConfig::new([8]));
    let short = r#"{"embed_dim": 8, "num_heads": 2}"#;
    let config: MultiheadAttentionConfig = serde_json::from_str(short).unwrap();
    assert_eq!(config, MultiheadAttentionConfig::new(8, 2));
    let config: TransformerLayerConfig =
        serde_json::from_str(r#"{"d_model": 8, "nhead": 2}"#).unwrap();
    assert_eq!(config, TransformerLayerConfig::new(8, 2));
    let config: LinearConfig =
        serde_json::from_str(r#"{"in_features": 1, "out_features": 2}"#).unwrap();
    assert_eq!(config, LinearConfig::new(1, 2));
}
