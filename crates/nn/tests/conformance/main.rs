//! The same checks for all layers from one tensor to one; a new layer is one more row of the table.
//!
//! Those that take several tensors (attention, layers of Transformers), have buffers, or start with
//! the same values whatever the seed (normalisation) have files of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

mod checks;
mod recurrent;

use mapsto_nn::{
    Activation, AvgPool2d, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose2d,
    ConvTranspose2dConfig, Dropout, Embedding, EmbeddingConfig, Flatten, Linear, LinearConfig,
    MaxPool2d, Padding, Padding1d, Sequential, Upsample, conv2d, linear,
};
use mapsto_tensor::{Device, ModuleT, Result, Tensor};

use checks::{Row, conform};

#[test]
fn linear_layers() {
    conform(
        Row::new(
            "linear",
            &[5, 4],
            &[5, 3],
            &[("bias", &[3]), ("weight", &[3, 4])],
        ),
        |vb| linear(4, 3, vb),
    );
    let config = LinearConfig {
        bias: false,
        ..LinearConfig::new(4, 3)
    };
    conform(
        Row::new(
            "linear, no bias",
            &[2, 5, 4],
            &[2, 5, 3],
            &[("weight", &[3, 4])],
        ),
        |vb| Linear::new(&config, vb),
    );
}

#[test]
fn convolutions() {
    conform(
        Row::new(
            "conv2d",
            &[2, 3, 7, 8],
            &[2, 4, 5, 6],
            &[("bias", &[4]), ("weight", &[4, 3, 3, 3])],
        ),
        |vb| conv2d(3, 4, 3, vb),
    );
    let grouped = Conv2dConfig {
        stride: (2, 1),
        padding: Padding::Explicit(1, 2),
        dilation: (1, 2),
        groups: 2,
        bias: false,
        ..Conv2dConfig::new(4, 6, (3, 2))
    };
    conform(
        Row::new(
            "conv2d, grouped",
            &[2, 4, 7, 5],
            &[2, 6, 4, 7],
            &[("weight", &[6, 2, 3, 2])],
        ),
        |vb| Conv2d::new(&grouped, vb),
    );
    let same = Conv2dConfig {
        padding: Padding::Same,
        ..Conv2dConfig::new(1, 2, (2, 5))
    };
    conform(
        Row::new(
            "conv2d, same",
            &[1, 6, 9],
            &[2, 6, 9],
            &[("bias", &[2]), ("weight", &[2, 1, 2, 5])],
        ),
        |vb| Conv2d::new(&same, vb),
    );
}

#[test]
fn transposed_convolutions() {
    let doubling = ConvTranspose2dConfig {
        stride: (2, 2),
        padding: (1, 1),
        ..ConvTranspose2dConfig::new(3, 4, 4)
    };
    let parameters: &[(&str, &[usize])] = &[("bias", &[4]), ("weight", &[3, 4, 4, 4])];
    let row = Row::new(
        "conv transpose 2d",
        &[2, 3, 5, 4],
        &[2, 4, 10, 8],
        parameters,
    );
    conform(row, |vb| ConvTranspose2d::new(&doubling, vb));
    let grouped = ConvTranspose2dConfig {
        output_padding: (0, 1),
        groups: 2,
        bias: false,
        dilation: (1, 2),
        ..ConvTranspose2dConfig::new(4, 2, (2, 3))
    };
    let row = Row::new(
        "grouped",
        &[4, 5, 3],
        &[2, 6, 8],
        &[("weight", &[4, 1, 2, 3])],
    );
    conform(row, |vb| ConvTranspose2d::new(&grouped, vb));
}

#[test]
fn layers_without_parameters() {
    conform(
        Row::new("max_pool2d", &[2, 3, 7, 6], &[2, 3, 3, 3], &[]),
        |_| Ok(MaxPool2d::new(2)),
    );
    let overlapping = MaxPool2d::new((3, 2)).stride((2, 1)).padding(1);
    conform(
        Row::new("max_pool2d, padded", &[2, 3, 7, 5], &[2, 3, 4, 6], &[]),
        |_| Ok(overlapping),
    );
    conform(Row::new("avg_pool2d", &[3, 7, 6], &[3, 3, 3], &[]), |_| {
        Ok(AvgPool2d::new(2))
    });
    let overhanging = AvgPool2d::new((3, 2)).ceil_mode(true);
    conform(
        Row::new("avg_pool2d, ceil", &[2, 3, 7, 5], &[2, 3, 3, 3], &[]),
        |_| Ok(overhanging),
    );
    conform(Row::new("flatten", &[2, 3, 4, 5], &[2, 60], &[]), |_| {
        Ok(Flatten)
    });
    conform(
        Row::new("flatten, some", &[2, 3, 4, 5], &[2, 12, 5], &[]),
        |_| Ok(Flatten::dims(1, -2)),
    );
    conform(
        Row::new("upsample, nearest", &[2, 3, 4, 5], &[2, 3, 8, 10], &[]),
        |_| Upsample::nearest(2.0),
    );
    conform(Row::new("upsample", &[3, 4, 5], &[3, 7, 3], &[]), |_| {
        Upsample::to_size((7, 3))
    });
    let dropout = Row::new("dropout", &[20, 5], &[20, 5], &[]).random();
    conform(dropout, |_| Dropout::new(0.3));
}

#[test]
fn activations() {
    let names = [
        "identity",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "gelu_tanh",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "sigmoid",
        "log_sigmoid",
        "tanh",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "softmax",
        "log_softmax",
    ];
    // The message lists all there are, so that none is left out here.
    let error = "none".parse::<Activation>().unwrap_err().to_string();
    let known = format!("known are {}", names.join(", "));
    assert!(error.contains(&known), "{error}");
    for name in names {
        let activation: Activation = name.parse().unwrap();
        let row = Row::new(name, &[3, 2, 5], &[3, 2, 5], &[]);
        conform(row, |_| Ok(activation));
    }
}

#[test]
fn convolutions_of_sequences() {
    let config = Conv1dConfig {
        groups: 2,
        padding: Padding1d::Explicit(2),
        ..Conv1dConfig::new(4, 6, 3)
    };
    let row = Row::new(
        "conv1d",
        &[2, 4, 7],
        &[2, 6, 9],
        &[("bias", &[6]), ("weight", &[6, 2, 3])],
    );
    conform(row, |vb| Conv1d::new(&config, vb));
    let row = Row::new(
        "conv1d, no batch",
        &[4, 7],
        &[6, 9],
        &[("bias", &[6]), ("weight", &[6, 2, 3])],
    );
    conform(row, |vb| Conv1d::new(&config, vb));
}

/// Three words added to the input, since the checks are about inputs of floats.
#[derive(Debug, Clone)]
struct ThreeWords(Embedding);

impl ModuleT for ThreeWords {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let ids = Tensor::new(&[3u32, 0, 3], &Device::Cpu)?;
        x.broadcast_add(&self.0.forward_t(&ids, train)?)
    }
}

#[test]
fn embedding() {
    let config = EmbeddingConfig {
        padding_idx: Some(0),
        ..EmbeddingConfig::new(5, 4)
    };
    let row = Row::new("embedding", &[2, 3, 4], &[2, 3, 4], &[("weight", &[5, 4])]);
    conform(row, |vb| Ok(ThreeWords(Embedding::new(&config, vb)?)));
}

#[test]
fn sequences() {
    let row = Row::new(
        "sequential",
        &[2, 1, 6, 7],
        &[2, 3],
        &[
            ("0.bias", &[2]),
            ("0.weight", &[2, 1, 3, 3]),
            ("head.bias", &[3]),
            ("head.weight", &[3, 12]),
        ],
    );
    conform(row.random(), |vb| {
        Sequential::new(vb)
            .layer(|vb| conv2d(1, 2, 3, vb))?
            .add(Activation::Tanh)
            .add(AvgPool2d::new((2, 1)))
            .add(MaxPool2d::new((1, 1)).stride((1, 2)))
            .add(Flatten)
            .add(Dropout::new(0.5)?)
            .named("head", |vb| linear(12, 3, vb))
    });
}
