//! The loop: history, evaluation, prediction, means over samples, the audit, and its errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::cell::RefCell;
use std::io;

use common::{BATCHES, Batch, SAMPLES, held_out, net, numbers, one_number, product, samples, sgd};
use mapsto_optim::Adam;
use mapsto_tensor::{DType, Device, ParamKind, Result, Tensor, rng};
use mapsto_train::{
    Accuracy, EarlyStopping, Error, Monitor, Output, Position, StopReason, Trainer, evaluate,
    predict,
};

fn adam() -> Adam {
    Adam {
        lr: 0.02,
        ..Adam::default()
    }
}

#[test]
fn fit_gives_a_record_an_epoch() {
    let (store, net) = net(1, 0.0);
    let mut trainer = Trainer::new(&store, net, adam())
        .unwrap()
        .metric(Accuracy::default());
    let history = trainer
        .fit_validated(3, |epoch| common::shuffled(1, epoch), held_out)
        .unwrap();
    let places: Vec<(usize, u64)> = history.epochs.iter().map(|r| (r.epoch, r.step)).collect();
    assert_eq!(places, [(0, 7), (1, 14), (2, 21)]);
    for record in &history.epochs {
        let names: Vec<&String> = record.logs.keys().collect();
        let expected = ["train.accuracy", "train.loss", "val.accuracy", "val.loss"];
        assert_eq!(names, expected);
    }
    // The last validation is an evaluation of the weights as they are now.
    let scores = trainer.evaluate(held_out()).unwrap();
    assert_eq!(history.values("val.loss")[2], scores["loss"]);
    assert_eq!(history.values("val.accuracy")[2], scores["accuracy"]);
    assert_eq!(scores.samples, 20);
    assert_eq!(trainer.stop_reason(), Some(&StopReason::Completed));
    let end = Position {
        epoch: 3,
        batch: 0,
        step: 3 * BATCHES as u64,
    };
    assert_eq!(trainer.position(), end);
    assert_eq!(trainer.history(), &history);
}

#[test]
fn fit_goes_on_up_to_the_epochs_it_is_asked_for() {
    let run = |asked: &[usize]| {
        let (store, net) = net(1, 0.3);
        let mut trainer = Trainer::new(&store, net, adam()).unwrap().seed(5);
        for &epochs in asked {
            trainer
                .fit(epochs, |epoch| common::shuffled(1, epoch))
                .unwrap();
        }
        (common::sha(&store), trainer.history().values("train.loss"))
    };
    assert_eq!(run(&[1, 3, 2]), run(&[3]));
}

#[test]
fn layers_of_candles_learn() {
    let (store, net) = net(1, 0.1);
    let mut trainer = Trainer::new(&store, net, adam())
        .unwrap()
        .metric(Accuracy::default());
    let before = trainer.evaluate(held_out()).unwrap();
    trainer.fit(15, |epoch| common::shuffled(1, epoch)).unwrap();
    let after = trainer.evaluate(held_out()).unwrap();
    assert!(before["accuracy"] < 0.9, "{before:?}");
    assert_eq!(after["accuracy"], 1.0, "{after:?}");
    assert!(after["loss"] < before["loss"] / 4.0, "{after:?}");
}

#[test]
fn evaluation_and_prediction_switch_dropout_off() {
    let (_, plain) = net(1, 0.0);
    let (store, net) = net(1, 0.5);
    let generator = rng::generator();
    let expected = evaluate(&plain, vec![], held_out()).unwrap();
    let trainer = Trainer::new(&store, net, adam()).unwrap();
    assert_eq!(trainer.evaluate(held_out()).unwrap(), expected);
    let rows = |t: Tensor| t.to_vec2::<f32>().unwrap();
    let predicted = rows(trainer.predict(held_out()).unwrap());
    assert_eq!(predicted, rows(predict(&plain, held_out()).unwrap()));
    // Nothing was drawn either, so an evaluation does not change what training draws.
    assert_eq!(rng::generator(), generator);
}

#[test]
fn objectives_are_told_what_the_pass_is_for() {
    let (store, w) = one_number(1.0);
    let flags = RefCell::new(vec![]);
    let task = |batch: &Tensor, train: bool| -> Result<Output> {
        flags.borrow_mut().push(train);
        product(&w)(batch, train)
    };
    let mut trainer = Trainer::new(&store, task, sgd(0.1)).unwrap();
    let batches = numbers(&[&[1.0], &[2.0]]);
    trainer
        .fit_validated(1, &batches, || numbers(&[&[1.0]])(0))
        .unwrap();
    trainer.predict(batches(0)).unwrap();
    assert_eq!(*flags.borrow(), [true, true, false, false, false]);
}

#[test]
fn predictions_keep_the_order_of_the_samples() {
    let (store, net) = net(3, 0.0);
    let all: Vec<usize> = (0..SAMPLES).collect();
    let (x, _) = samples(&all);
    let at_once = net.forward(&x, false).unwrap().to_vec2::<f32>().unwrap();
    let trainer = Trainer::new(&store, net, adam()).unwrap();
    let batches = all
        .chunks(8)
        .map(|chunk| Ok::<Batch, io::Error>(samples(chunk)));
    let rows = trainer.predict(batches).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows.len(), SAMPLES);
    for (row, expected) in rows.iter().flatten().zip(at_once.iter().flatten()) {
        assert!((row - expected).abs() < 1e-5, "{row} instead of {expected}");
    }
}

#[test]
fn losses_are_averaged_over_samples_not_over_batches() {
    let (store, w) = one_number(1.0);
    let mut trainer = Trainer::new(&store, product(&w), sgd(0.0)).unwrap();
    let batches = numbers(&[&[1.0, 2.0, 3.0], &[10.0]]);
    let history = trainer.fit(1, &batches).unwrap();
    assert_eq!(history.values("train.loss"), [4.0]);
    assert_eq!(trainer.evaluate(batches(0)).unwrap()["loss"], 4.0);
    // Each epoch has a mean of its own.
    let history = trainer.fit(2, numbers(&[&[6.0], &[8.0]])).unwrap();
    assert_eq!(history.values("train.loss"), [4.0, 7.0]);
}

#[test]
fn each_step_follows_the_gradient_of_its_own_batch() {
    let (store, w) = one_number(1.0);
    let mut trainer = Trainer::new(&store, product(&w), sgd(0.5)).unwrap();
    let history = trainer.fit(1, numbers(&[&[2.0], &[4.0, 8.0]])).unwrap();
    // 1 - 2/2 - 6/2; the losses are 2 and 0, the second by the weight after the first step.
    assert_eq!(w.to_scalar::<f64>().unwrap(), -3.0);
    assert_eq!(history.values("train.loss"), [2.0 / 3.0]);
}

#[test]
fn the_first_step_names_a_parameter_without_a_gradient() {
    let (store, w) = one_number(1.0);
    let unused = Tensor::zeros(2, DType::F64, &Device::Cpu).unwrap();
    store
        .insert("head.unused", &unused, ParamKind::Parameter)
        .unwrap();
    let mut trainer = Trainer::new(&store, product(&w), sgd(0.5)).unwrap();
    let error = trainer.fit(1, numbers(&[&[2.0]])).unwrap_err();
    assert!(matches!(error, Error::Tensor(_)), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("no gradient reached head.unused:"),
        "{message}"
    );
    assert_eq!(w.to_scalar::<f64>().unwrap(), 1.0);
    assert_eq!(trainer.position(), Position::default());
}

#[test]
fn a_failing_source_is_named_by_epoch_and_batch() {
    let (store, w) = one_number(0.0);
    let mut trainer = Trainer::new(&store, product(&w), sgd(1.0)).unwrap();
    let one = || Tensor::new(&[1.0], &Device::Cpu).unwrap();
    let source = |fail: bool| {
        move |epoch: usize| {
            (0..3).map(move |batch| {
                if fail && (epoch, batch) == (1, 2) {
                    Err(io::Error::other("disk on fire"))
                } else {
                    Ok(one())
                }
            })
        }
    };
    let error = trainer.fit(2, source(true)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Batch {
                epoch: Some(1),
                batch: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "batch 2 of epoch 1: disk on fire");
    // The steps before it count, and a second attempt goes on from there.
    assert_eq!(w.to_scalar::<f64>().unwrap(), -5.0);
    trainer.fit(2, source(false)).unwrap();
    assert_eq!(w.to_scalar::<f64>().unwrap(), -6.0);

    let failing = || [Ok(one()), Err(io::Error::other("disk on fire"))];
    for error in [
        trainer.evaluate(failing()).unwrap_err(),
        trainer.predict(failing()).unwrap_err(),
        trainer
            .fit_validated(3, source(false), failing)
            .unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Batch {
                    epoch: None,
                    batch: 1,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().ends_with("disk on fire"), "{error}");
    }
}

#[test]
fn a_source_without_batches_is_an_error() {
    let (store, w) = one_number(0.0);
    let mut trainer = Trainer::new(&store, product(&w), sgd(1.0)).unwrap();
    let none = numbers(&[]);
    let errors = [
        (trainer.fit(1, &none).map(drop), "the training set"),
        (trainer.evaluate(none(0)).map(drop), "the evaluation"),
        (trainer.predict(none(0)).map(drop), "the prediction"),
    ];
    for (result, expected) in errors {
        match result.unwrap_err() {
            Error::NoBatches { what } => assert_eq!(what, expected),
            other => panic!("{expected}: {other}"),
        }
    }
    assert!(trainer.history().epochs.is_empty());
}

#[test]
fn settings_are_checked_before_training() {
    let (store, w) = one_number(0.0);
    let result = Trainer::new(&store, product(&w), sgd(f64::NAN));
    let error = result.map(drop).unwrap_err();
    assert!(error.to_string().contains("Sgd: lr must lie in"), "{error}");

    let stopping = || {
        EarlyStopping::new(
            Monitor::new("train.loss", mapsto_train::Direction::Lower),
            1,
        )
    };
    let mut trainer = Trainer::new(&store, product(&w), sgd(1.0))
        .unwrap()
        .callback(stopping())
        .callback(stopping());
    let error = trainer.fit(1, numbers(&[&[1.0]])).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DuplicateCallback {
                name: "early_stopping"
            }
        ),
        "{error:?}"
    );
    assert_eq!(w.to_scalar::<f64>().unwrap(), 0.0);
}

#[test]
fn the_history_is_a_table() {
    let (store, w) = one_number(1.0);
    let mut trainer = Trainer::new(&store, product(&w), sgd(0.0)).unwrap();
    trainer.fit(1, numbers(&[&[1.5]])).unwrap();
    let history = trainer
        .fit_validated(2, numbers(&[&[1.5]]), || numbers(&[&[4.0]])(0))
        .unwrap();
    let csv = history.to_csv();
    let cells: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        cells[0],
        ["epoch", "step", "seconds", "train.loss", "val.loss"]
    );
    assert_eq!(
        (&cells[1][..2], &cells[1][3..]),
        (&["0", "1"][..], &["1.5", ""][..])
    );
    assert_eq!(
        (&cells[2][..2], &cells[2][3..]),
        (&["1", "2"][..], &["1.5", "4"][..])
    );
    assert!(csv.ends_with('\n') && cells.len() == 3, "{csv}");
}
