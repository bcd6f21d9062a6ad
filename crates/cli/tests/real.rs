//! MNIST itself, where `MAPSTO_DATA` names a folder that holds it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::io::Write;
use std::path::PathBuf;

use common::mapsto;

/// MNIST's folder as an argument, or nothing, said plainly.
fn mnist() -> Option<String> {
    let data = std::env::var_os("MAPSTO_DATA").map(|data| PathBuf::from(data).join("mnist"));
    if data.is_none() {
        let notice = b"skipped: set MAPSTO_DATA to a folder with mnist/\n";
        std::io::stderr().write_all(notice).unwrap();
    }
    data.map(|data| data.display().to_string())
}

#[test]
fn a_network_that_never_saw_a_real_digit_reads_mnist() {
    let Some(mnist) = mnist() else { return };
    let folder = tempfile::tempdir().unwrap();
    let samples = [
        "-o",
        "data.train_samples=8000",
        "-o",
        "data.test_samples=500",
    ];
    let arguments = [
        &["train", "cnn", "--name", "a", "--epochs", "2", "--json"],
        &samples[..],
    ];
    mapsto(folder.path(), &arguments.concat()).json();
    let scores = mapsto(
        folder.path(),
        &["eval", "runs/a", "--data", &mnist, "--json"],
    )
    .json();
    let accuracy = scores["metrics"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{accuracy}");
    assert_eq!(scores["samples"], 10_000);
}

#[test]
fn a_few_hundred_steps_learn_mnist() {
    let Some(mnist) = mnist() else { return };
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "train",
        "cnn",
        "--data",
        &mnist,
        "--epochs",
        "1",
        "--limit-batches",
        "400",
    ];
    let trained = mapsto(folder.path(), &[&arguments[..], &["--json"]].concat()).json();
    let accuracy = trained["metrics"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.92, "{accuracy}");
}
