//! Layers and losses on samples of the inputs that PyTorch tests its own modules with.

use mapsto_tensor::testing::goldens;

mod torch {
    pub(crate) mod args;
    pub(crate) mod layers;
    pub(crate) mod losses;
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/torch_module_db");

#[test]
fn modules_agree_with_pytorch() {
    for case in goldens(FOLDER) {
        if case.meta("module").ends_with("Loss") {
            torch::losses::check(&case);
        } else {
            torch::layers::check(&case);
        }
    }
}

#[test]
fn every_module_has_a_case() {
    let expected = [
        "AvgPool2d",
        "BCEWithLogitsLoss",
        "BatchNorm1d",
        "BatchNorm2d",
        "CELU",
        "Conv2d",
        "ConvTranspose2d",
        "CrossEntropyLoss",
        "ELU",
        "GELU",
        "Hardswish",
        "Hardtanh",
        "LeakyReLU",
        "Linear",
        "LogSigmoid",
        "LogSoftmax",
        "MSELoss",
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
        "Tanh",
    ];
    assert_eq!(torch::args::modules(&goldens(FOLDER)), expected);
}
