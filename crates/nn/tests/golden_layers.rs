//! Layers against PyTorch's output and gradients; recurrent ones and those of Transformers have files
//! of their own.

use mapsto_tensor::testing::goldens;

mod torch {
    pub(crate) mod args;
    pub(crate) mod layers;
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/layers");

#[test]
fn layers_agree_with_pytorch() {
    goldens(FOLDER).iter().for_each(torch::layers::check);
}

#[test]
fn every_layer_has_a_case() {
    let expected = [
        "AvgPool2d",
        "BatchNorm1d",
        "BatchNorm2d",
        "CELU",
        "Conv1d",
        "Conv2d",
        "ConvTranspose2d",
        "Dropout",
        "ELU",
        "Embedding",
        "Flatten",
        "GELU",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "LeakyReLU",
        "Linear",
        "LogSigmoid",
        "LogSoftmax",
        "MaxPool2d",
        "Mish",
        "ReLU",
        "ReLU6",
        "SELU",
        "SiLU",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpectralNorm(Conv2d)",
        "SpectralNorm(Linear)",
        "Tanh",
        "Upsample",
    ];
    assert_eq!(torch::args::modules(&goldens(FOLDER)), expected);
}
