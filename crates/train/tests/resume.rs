//! Exact resume: training in two parts, the second with everything built anew, gives the bits of
//! training in one.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::path::Path;

use common::{
    Net, StopAfter, fingerprint, held_out, net, numbers, one_number, product, scripted, sgd, sha,
};
use mapsto_optim::{Adam, IntoOptimizer, Optim, Optimizer, Sgd};
use mapsto_tensor::{ParamStore, rng};
use mapsto_train::{
    Accuracy, BestCheckpoint, ConfusionMatrix, Direction, EarlyStopping, History, LastCheckpoint,
    Monitor, Position, Snapshot, StopReason, TopK, Trainer, weights_sha256,
};
use serde_json::Value;

const EPOCHS: usize = 4;

fn optimizer(name: &str, store: &ParamStore) -> Box<dyn Optimizer> {
    let schedule = |step: u64| 1.0 / (1.0 + step as f64 / 10.0);
    let params = store.trainable();
    match name {
        "adam" => {
            let rule = Adam {
                lr: 0.02,
                ..Adam::default()
            };
            let optim = Optim::new(rule, params).unwrap().schedule(schedule);
            optim.clip_grad_norm(1.0).unwrap().into_optimizer(store)
        }
        _ => {
            let rule = Sgd {
                lr: 0.1,
                momentum: 0.9,
                ..Sgd::default()
            };
            Optim::new(rule, params)
                .unwrap()
                .schedule(schedule)
                .into_optimizer(store)
        }
    }
    .unwrap()
}

/// A trainer with everything that has a state. The order of samples is part of the task; the
/// seeds of weights and dropout are `seed`.
fn trainer(name: &str, seed: u64, folder: &Path) -> (ParamStore, Trainer<Net>) {
    let (store, net) = net(seed, 0.4);
    let monitor = Monitor::new("val.loss", Direction::Lower);
    let trainer = Trainer::new(&store, net, optimizer(name, &store))
        .unwrap()
        .seed(seed)
        .metric(Accuracy::default())
        .metric(TopK::new(2))
        .metric(ConfusionMatrix::new(common::CLASSES))
        .callback(EarlyStopping::new(monitor.clone(), 10))
        .callback(LastCheckpoint::new(folder.join("last")))
        .callback(BestCheckpoint::new(folder.join("best"), monitor));
    (store, trainer)
}

fn fit(trainer: &mut Trainer<Net>) -> History {
    let batches = |epoch| common::shuffled(11, epoch);
    trainer.fit_validated(EPOCHS, batches, held_out).unwrap()
}

/// The history without what the clock gave.
fn untimed(history: &History) -> History {
    let mut history = history.clone();
    history
        .epochs
        .iter_mut()
        .for_each(|record| record.seconds = 0.0);
    history
}

/// Everything that a run leaves behind.
fn outcome(
    store: &ParamStore,
    trainer: &Trainer<Net>,
    folder: &Path,
) -> (Vec<String>, History, Position) {
    let snapshot = trainer.snapshot().unwrap();
    let last = Snapshot::load(&folder.join("last")).unwrap();
    let fingerprints = vec![
        sha(store),
        weights_sha256(&snapshot.tensors_of("optim")).unwrap(),
        weights_sha256(&snapshot.tensors_of("callback/early_stopping")).unwrap(),
        weights_sha256(&last.weights()).unwrap(),
        common::sha_of_file(&folder.join("best")),
        snapshot.training::<Value>("generator").unwrap().to_string(),
        snapshot.training::<Value>("callbacks").unwrap().to_string(),
    ];
    (fingerprints, untimed(trainer.history()), trainer.position())
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    for name in ["adam", "sgd"] {
        let whole = tempfile::tempdir().unwrap();
        let (store, mut uninterrupted) = trainer(name, 1, whole.path());
        fit(&mut uninterrupted);
        let expected = outcome(&store, &uninterrupted, whole.path());
        // 7 batches an epoch: in the middle, before its last step, after it but before its end,
        // at its end, and in later epochs.
        let places = [
            StopAfter::Step(3),
            StopAfter::Step(6),
            StopAfter::Step(7),
            StopAfter::Epoch(1),
            StopAfter::Step(8),
            StopAfter::Step(19),
            StopAfter::Epoch(3),
        ];
        for place in places {
            let case = format!("{name} {place:?}");
            let folder = tempfile::tempdir().unwrap();
            let every = if let StopAfter::Step(step) = place {
                step
            } else {
                0
            };
            let file = folder.path().join("stopped");
            let (_, first) = trainer(name, 1, folder.path());
            let mut first = first
                .callback(Renamed(LastCheckpoint::new(&file).every_steps(every)))
                .callback(place);
            fit(&mut first);
            drop(first);

            rng::manual_seed(99);
            let (store, mut second) = trainer(name, 2, folder.path());
            second.resume(&Snapshot::load(&file).unwrap()).unwrap();
            fit(&mut second);
            assert_eq!(outcome(&store, &second, folder.path()), expected, "{case}");
        }
    }
}

/// A second checkpoint callback in one trainer needs a name of its own.
#[derive(Debug)]
struct Renamed(LastCheckpoint);

impl mapsto_train::Callback for Renamed {
    fn name(&self) -> &'static str {
        "renamed"
    }

    fn on_batch_end(
        &mut self,
        context: &mut mapsto_train::Context<'_>,
    ) -> mapsto_train::Result<()> {
        self.0.on_batch_end(context)
    }

    fn on_epoch_end(
        &mut self,
        context: &mut mapsto_train::Context<'_>,
    ) -> mapsto_train::Result<()> {
        self.0.on_epoch_end(context)
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) -> mapsto_train::Result<()> {
        self.0.on_snapshot(snapshot)
    }
}

#[test]
fn a_snapshot_holds_the_whole_state_and_shares_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, first) = trainer("adam", 1, folder.path());
    let mut first = first.callback(StopAfter::Step(10));
    fit(&mut first);
    let snapshot = first.snapshot().unwrap();
    let before = fingerprint(&snapshot);
    fit(&mut first);
    assert_eq!(
        fingerprint(&snapshot),
        before,
        "training changed the snapshot"
    );
    for _ in 0..2 {
        first.resume(&snapshot).unwrap();
        assert_eq!(fingerprint(&first.snapshot().unwrap()), before);
        fit(&mut first);
        assert_eq!(
            fingerprint(&snapshot),
            before,
            "the resumed run changed the snapshot"
        );
    }
}

/// Epoch 0 is the best by this figure, so patience 3 ends the run after epoch 3.
fn stopping(seed: u64) -> (ParamStore, Trainer<Net>) {
    let (store, net) = net(seed, 0.2);
    let monitor = Monitor::new("train.scripted", Direction::Higher);
    let trainer = Trainer::new(&store, net, optimizer("adam", &store))
        .unwrap()
        .seed(seed)
        .metric(scripted(&[0.9, 0.5, 0.7, 0.6, 1.0]))
        .callback(EarlyStopping::new(monitor, 3));
    (store, trainer)
}

#[test]
fn the_best_weights_and_the_patience_survive_a_resume() {
    let batches = |epoch| common::shuffled(3, epoch);
    let (store, mut whole) = stopping(1);
    let history = whole.fit(9, batches).unwrap();
    assert_eq!(history.epochs.len(), 4);
    let (best, mut first_epoch) = stopping(1);
    first_epoch.fit(1, batches).unwrap();
    assert_eq!(sha(&store), sha(&best));

    for place in [StopAfter::Step(10), StopAfter::Epoch(3)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("last");
        let (_, first) = stopping(1);
        let mut first = first
            .callback(LastCheckpoint::new(&file).every_steps(10))
            .callback(place);
        first.fit(9, batches).unwrap();
        let (store, mut second) = stopping(2);
        second.resume(&Snapshot::load(&file).unwrap()).unwrap();
        let resumed = second.fit(9, batches).unwrap();
        assert_eq!(untimed(&resumed), untimed(&history));
        assert_eq!(sha(&store), sha(&best));
        assert_eq!(second.stop_reason(), whole.stop_reason());
    }
}

#[test]
fn a_run_that_had_stopped_stays_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last");
    let batches = |epoch| common::shuffled(3, epoch);
    let (first_store, first) = stopping(1);
    let mut first = first.callback(LastCheckpoint::new(&file));
    first.fit(9, batches).unwrap();

    // As after a kill between the last checkpoint and the end of the run.
    let (store, mut second) = stopping(2);
    second.resume(&Snapshot::load(&file).unwrap()).unwrap();
    let history = second.fit(9, batches).unwrap();
    assert_eq!(history, *first.history());
    assert_eq!(sha(&store), sha(&first_store));
    assert_eq!(second.stop_reason(), first.stop_reason());
    assert!(matches!(second.stop_reason(), Some(StopReason::Stopped(_))));
}

#[test]
fn figures_that_are_not_finite_survive_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let build = || {
            let (store, w) = one_number(1.0);
            let trainer = Trainer::new(&store, product(&w), sgd(0.0)).unwrap();
            let monitor = Monitor::new("train.scripted", Direction::Lower);
            trainer
                .metric(scripted(&[value, 1.0]))
                .callback(EarlyStopping::new(monitor, 5))
        };
        // The first step is audited: only later ones may be undefined.
        let batches = numbers(&[&[1.0], &[1.0], &[value]]);
        // Those of the first epoch; NaN as text, because it differs from itself.
        let figures = |history: &History| {
            ["train.loss", "train.scripted"].map(|name| history.values(name)[0].to_string())
        };
        let expected = figures(&build().fit(1, &batches).unwrap());
        assert_eq!(expected, [value.to_string(), value.to_string()]);
        // With the undefined loss in the sum of the epoch, and in the history.
        for step in [3, 5] {
            let mut first = build().callback(StopAfter::Step(step));
            first.fit(2, &batches).unwrap();
            let snapshot = first.snapshot().unwrap();
            snapshot.save(&file).unwrap();
            let mut second = build().callback(StopAfter::Step(9));
            second.resume(&Snapshot::load(&file).unwrap()).unwrap();
            let resumed = second.snapshot().unwrap();
            assert_eq!(fingerprint(&resumed), fingerprint(&snapshot));
            assert_eq!(figures(&second.fit(1, &batches).unwrap()), expected);
        }
    }
}
