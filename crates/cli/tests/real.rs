//! Real sets, where `MAPSTO_DATA` names a folder that holds them: MNIST, the Penn Treebank, polarity.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::io::Write;
use std::path::PathBuf;

use common::mapsto;

/// A set's folder as an argument, or nothing, said plainly.
fn set(name: &str) -> Option<String> {
    let data = std::env::var_os("MAPSTO_DATA").map(|data| PathBuf::from(data).join(name));
    if data.is_none() {
        let notice = format!("skipped: set MAPSTO_DATA to a folder with {name}/\n");
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
    }
    data.map(|data| data.display().to_string())
}

#[test]
fn a_network_that_never_saw_a_real_digit_reads_mnist() {
    let Some(mnist) = set("mnist") else { return };
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
    let Some(mnist) = set("mnist") else { return };
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

#[test]
fn a_small_network_learns_the_penn_treebank() {
    let Some(ptb) = set("ptb") else { return };
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["train", "lm", "--preset", "ptb-small", "--data", &ptb];
    let small = ["model.hidden=32", "model.embedding=32", "model.layers=1"];
    let small: Vec<&str> = small.into_iter().flat_map(|o| ["-o", o]).collect();
    let short = ["--epochs", "1", "--limit-batches", "500", "--json"];
    let report = mapsto(folder.path(), &[&arguments[..], &small, &short].concat()).json();
    // Word frequencies alone come to 639, the guess among 10,000 words to 10,000.
    let perplexity = report["metrics"]["test"]["perplexity"].as_f64().unwrap();
    assert!((250.0..480.0).contains(&perplexity), "{perplexity}");
}

#[test]
fn a_small_network_tells_praise_from_blame() {
    let Some(texts) = set("rt-polarity") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "train",
        "sentiment",
        "--data",
        &texts,
        "--encoding",
        "latin1",
    ];
    let small = ["model.hidden=32", "model.embedding=50", "optim.lr=3e-3"];
    let small: Vec<&str> = small.into_iter().flat_map(|o| ["-o", o]).collect();
    let short = ["--epochs", "2", "--json"];
    let report = mapsto(folder.path(), &[&arguments[..], &small, &short].concat()).json();
    let accuracy = report["metrics"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.72, "{accuracy}");
}
