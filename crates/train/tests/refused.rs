//! Snapshots that cannot be resumed from: typed errors, and nothing has changed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

mod common;

use std::path::Path;

use common::{BATCHES, Net, fingerprint, net, scripted, sgd};
use mapsto_optim::{Adam, IntoOptimizer};
use mapsto_tensor::{CheckpointError, DType, Device, ParamStore};
use mapsto_train::{
    Accuracy, BestCheckpoint, ConfusionMatrix, Direction, EarlyStopping, Error, JsonlLog,
    LastCheckpoint, Monitor, Progress, Snapshot, TopK, Trainer,
};
use serde_json::json;

fn plain(optimizer: impl IntoOptimizer, seed: u64) -> Trainer<Net> {
    let (store, net) = net(seed, 0.1);
    Trainer::new(&store, net, optimizer).unwrap().seed(seed)
}

fn early(direction: Direction) -> EarlyStopping {
    EarlyStopping::new(Monitor::new("train.loss", direction), 5)
}

fn full() -> Trainer<Net> {
    plain(Adam::default(), 1)
        .metric(Accuracy::default())
        .callback(early(Direction::Lower))
}

fn fit(trainer: &mut Trainer<Net>, epochs: usize) {
    trainer
        .fit(epochs, |epoch| common::shuffled(1, epoch))
        .unwrap();
}

/// A snapshot of `full` after an epoch.
fn snapshot() -> Snapshot {
    let mut trainer = full();
    fit(&mut trainer, 1);
    trainer.snapshot().unwrap()
}

/// Tries to resume from `snapshot`, and checks that `trainer` is as it was.
fn refused(mut trainer: Trainer<Net>, snapshot: &Snapshot) -> Error {
    fit(&mut trainer, 2);
    let before = fingerprint(&trainer.snapshot().unwrap());
    let error = trainer.resume(snapshot).unwrap_err();
    assert_eq!(trainer.position().step, 2 * BATCHES as u64, "{error}");
    assert_eq!(fingerprint(&trainer.snapshot().unwrap()), before, "{error}");
    error
}

fn reason(error: Error) -> String {
    match error {
        Error::NotResumable { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_snapshot_itself_fits() {
    let snapshot = snapshot();
    let mut trainer = full();
    trainer.resume(&snapshot).unwrap();
    let resumed = trainer.snapshot().unwrap();
    assert_eq!(fingerprint(&resumed), fingerprint(&snapshot));
    assert_eq!(trainer.position().epoch, 1);
}

#[test]
fn a_file_of_weights_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    snapshot().without_training().save(&path).unwrap();
    let weights = Snapshot::load(&path).unwrap();
    let reason = reason(refused(full(), &weights));
    assert!(reason.contains("no usable"), "{reason}");
}

#[test]
fn a_snapshot_of_another_model() {
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    let other = candle_nn::linear(4, 8, store.root().pp("fc1")).unwrap();
    candle_nn::linear(8, 5, store.root().pp("fc2")).unwrap();
    candle_nn::linear(8, 5, store.root().pp("fc3")).unwrap();
    drop(other);
    // Its training state is that of a fitting run; only the model is another.
    let mut optimizer = Adam::default().into_optimizer(&store).unwrap();
    let mut wrong = Snapshot::take(&store, &[("optim", &*optimizer)], Default::default()).unwrap();
    for key in ["history", "measure", "callbacks"] {
        wrong.insert(key, snapshot().training(key).unwrap());
    }
    match refused(full(), &wrong) {
        Error::Checkpoint(CheckpointError::Mismatch(report)) => {
            assert_eq!(report.unexpected, ["fc3.bias", "fc3.weight"]);
            let names: Vec<&String> = report.mismatched.iter().map(|(name, ..)| name).collect();
            assert_eq!(names, ["fc2.bias", "fc2.weight"]);
        }
        other => panic!("{other:?}"),
    }
    // The same through the part that loops written by hand use.
    let before = common::sha(&store);
    let error = snapshot()
        .restore(&store, &mut [("optim", &mut *optimizer)])
        .unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::Mismatch(_))),
        "{error:?}"
    );
    assert_eq!(common::sha(&store), before);
}

#[test]
fn a_snapshot_of_another_optimizer() {
    let mut sgd = plain(sgd(0.1), 1)
        .metric(Accuracy::default())
        .callback(early(Direction::Lower));
    fit(&mut sgd, 1);
    let reason = reason(refused(full(), &sgd.snapshot().unwrap()));
    assert!(reason.contains("missing fc1.bias.exp_avg"), "{reason}");
}

#[test]
fn a_snapshot_without_the_state_of_a_callback_or_a_metric() {
    let folder = tempfile::tempdir().unwrap();
    let log = JsonlLog::new(folder.path().join("log"));
    let error = refused(full().callback(log), &snapshot());
    assert!(reason(error).contains("without the callback \"jsonl_log\""));
    let error = refused(full().metric(TopK::new(2)), &snapshot());
    assert!(reason(error).contains("metric top2_accuracy"));
    // What remembers nothing may come and go.
    let mut with_progress = full().callback(Progress::lines(std::io::sink()));
    with_progress.resume(&snapshot()).unwrap();
}

#[test]
fn states_of_another_form() {
    let spoilt = |key: &str, value: serde_json::Value| {
        let mut snapshot = snapshot();
        snapshot.insert(key, value);
        snapshot
    };
    let cases = [
        ("history", json!(7), "\"history\""),
        (
            "history",
            json!([{"epoch": 0, "step": 1, "seconds": 0.1, "logs": {"a": null}}]),
            "\"history\"",
        ),
        ("position", json!({"epoch": 1}), "\"position\""),
        (
            "position",
            json!({"epoch": -1, "batch": 0, "step": 0}),
            "\"position\"",
        ),
        ("generator", json!(null), "\"generator\""),
        ("measure", json!({"samples": 3}), "losses"),
        (
            "measure",
            json!({"losses": {"loss": [{}, 3]}, "samples": 3}),
            "no sum of loss",
        ),
        (
            "measure",
            json!({"losses": {}, "samples": 3, "metrics": {"accuracy": 3}}),
            "metric accuracy",
        ),
        (
            "callbacks",
            json!({"early_stopping": {"waited": 0}}),
            "callback early_stopping",
        ),
    ];
    for (key, value, expected) in cases {
        let reason = reason(refused(full(), &spoilt(key, value)));
        assert!(reason.contains(expected), "{key}: {reason}");
    }
}

#[test]
fn callbacks_before_the_one_that_fails_are_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let build = |value: f64| {
        let best = BestCheckpoint::new(
            folder.path().join("best"),
            Monitor::new("train.scripted", Direction::Higher),
        );
        plain(Adam::default(), 1)
            .metric(scripted(&[value, value]))
            .callback(best)
            .callback(early(Direction::Lower))
    };
    let mut donor = build(0.9);
    fit(&mut donor, 1);
    let mut snapshot = donor.snapshot().unwrap();
    let mut states: serde_json::Value = snapshot.training("callbacks").unwrap();
    states["early_stopping"] = json!("spoilt");
    snapshot.insert("callbacks", states);
    refused(build(0.2), &snapshot);
}

fn truncated(path: &Path, whole: &[u8], length: usize) -> Error {
    std::fs::write(path, &whole[..length]).unwrap();
    Snapshot::load(path).unwrap_err()
}

#[test]
fn files_that_are_cut_off_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last");
    let mut trainer = full().callback(LastCheckpoint::new(&path));
    fit(&mut trainer, 1);
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 5, 100, whole.len() / 2, whole.len() - 1] {
        let error = truncated(&path, &whole, length);
        assert!(
            matches!(&error, Error::Checkpoint(CheckpointError::Corrupt { path: p, .. }) if *p == path),
            "{length} bytes: {error:?}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    let error = Snapshot::load(&path).unwrap_err();
    assert!(
        matches!(error, Error::Checkpoint(CheckpointError::Io { .. })),
        "{error:?}"
    );
}

#[test]
fn a_confusion_matrix_of_another_size() {
    let build = |classes| plain(Adam::default(), 1).metric(ConfusionMatrix::new(classes));
    let mut donor = build(3);
    fit(&mut donor, 1);
    let reason = reason(refused(build(4), &donor.snapshot().unwrap()));
    assert!(reason.contains("metric macro_f1"), "{reason}");
}
