//! The average of the weights: when it begins, what is measured and kept, and how it goes on.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::path::Path;

use common::{StopAfter, numbers, one_number, product, scripted, sgd};
use mapsto_tensor::{ParamStore, Tensor};
use mapsto_train::{
    Averaging, BestCheckpoint, Direction, EarlyStopping, Ema, History, LastCheckpoint, Monitor,
    Objective, Snapshot, Trainer,
};

const EPOCHS: usize = 6;

/// The figure is worse than its best of more than one epoch before at the end of epoch 3.
const FIGURES: [f64; EPOCHS] = [3.0, 2.0, 2.5, 2.2, 9.0, 9.0];

/// Each step takes 1 from `w`, two steps an epoch.
fn trainer(folder: &Path) -> (ParamStore, Trainer<impl Objective<Tensor> + use<>>) {
    let (store, w) = one_number(0.0);
    let trainer = Trainer::new(&store, product(&w), sgd(1.0))
        .unwrap()
        .metric(scripted(&FIGURES))
        .callback(Averaging::new("train.scripted", 1))
        .callback(LastCheckpoint::new(folder.join("last")))
        .callback(BestCheckpoint::newest(folder.join("best")));
    (store, trainer)
}

fn fit(trainer: &mut Trainer<impl Objective<Tensor>>) -> History {
    let validation = numbers(&[&[1.0]]);
    let batches = numbers(&[&[1.0], &[1.0]]);
    trainer
        .fit_validated(EPOCHS, batches, || validation(0))
        .unwrap()
}

fn value(tensor: &Tensor) -> f64 {
    tensor.to_scalar().unwrap()
}

fn kept(path: &Path) -> f64 {
    let checkpoint = Snapshot::load(path).unwrap().without_training();
    value(&checkpoint.tensors["w"])
}

#[test]
fn from_then_on_the_average_is_measured_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut trainer) = trainer(folder.path());
    let history = fit(&mut trainer);
    // Epochs 4 and 5 end at the means of -9, -10 and of -9 to -12.
    let losses: Vec<f64> = history.epochs.iter().map(|e| e.logs["val.loss"]).collect();
    assert_eq!(losses, [-2.0, -4.0, -6.0, -8.0, -9.5, -10.5]);
    assert_eq!(value(&store.get("w").unwrap()), -12.0);
    assert_eq!(kept(&folder.path().join("best")), -10.5);
    assert_eq!(kept(&folder.path().join("last")), -10.5);
    let last = Snapshot::load(&folder.path().join("last")).unwrap();
    assert_eq!(value(&last.weights()["w"]), -12.0);
}

#[test]
fn a_resumed_run_goes_on_averaging() {
    // In the epoch before, while it is averaged, and after its first step.
    for step in [7, 9, 10] {
        let folder = tempfile::tempdir().unwrap();
        let (_, first) = trainer(folder.path());
        let mut first = first.callback(StopAfter::Step(step));
        fit(&mut first);
        let snapshot = first.snapshot().unwrap();
        let (store, mut second) = trainer(folder.path());
        second.resume(&snapshot).unwrap();
        let history = fit(&mut second);
        assert_eq!(history.epochs[EPOCHS - 1].logs["val.loss"], -10.5);
        assert_eq!(value(&store.get("w").unwrap()), -12.0);
    }
}

#[test]
fn the_average_that_was_measured_is_what_comes_back() {
    let (store, w) = one_number(0.0);
    let monitor = Monitor::new("train.scripted", Direction::Higher);
    let mut trainer = Trainer::new(&store, product(&w), sgd(1.0))
        .unwrap()
        .metric(scripted(&[0.1, 0.9, 0.2]))
        .callback(Ema::new(0.9))
        .callback(EarlyStopping::new(monitor, 5));
    trainer.fit(3, numbers(&[&[1.0], &[1.0]])).unwrap();
    // The mean of -1, -2, -3 and -4; after the second epoch the number itself was -4.
    assert!((value(&store.get("w").unwrap()) + 2.5).abs() < 1e-12);
}

#[test]
fn figures_that_are_not_finite_are_remembered() {
    for figure in [f64::NAN, f64::INFINITY] {
        let build = || {
            let (store, w) = one_number(0.0);
            let trainer = Trainer::new(&store, product(&w), sgd(1.0)).unwrap();
            let figures = scripted(&[figure, 1.0]);
            trainer
                .metric(figures)
                .callback(Averaging::new("train.scripted", 5))
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let mut first = build();
        first.fit(1, numbers(&[&[1.0]])).unwrap();
        first.snapshot().unwrap().save(&file).unwrap();
        build().resume(&Snapshot::load(&file).unwrap()).unwrap();
    }
}

#[test]
fn an_unknown_figure_is_named() {
    let (store, w) = one_number(0.0);
    let mut trainer = Trainer::new(&store, product(&w), sgd(1.0))
        .unwrap()
        .callback(Averaging::new("val.loss", 5));
    let error = trainer.fit(1, numbers(&[&[1.0]])).unwrap_err().to_string();
    assert!(
        error.contains("val.loss") && error.contains("train.loss"),
        "{error}"
    );
}
