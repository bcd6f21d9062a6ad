//! Every loss against PyTorch's values and gradients.

use mapsto_tensor::testing::goldens;

mod torch {
    pub(crate) mod args;
    pub(crate) mod losses;
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/losses");

#[test]
fn losses_agree_with_pytorch() {
    goldens(FOLDER).iter().for_each(torch::losses::check);
}

#[test]
fn every_loss_has_a_case() {
    let expected = ["BCEWithLogitsLoss", "CrossEntropyLoss", "MSELoss"];
    assert_eq!(torch::args::modules(&goldens(FOLDER)), expected);
}
