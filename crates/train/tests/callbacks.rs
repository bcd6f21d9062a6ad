//! Callbacks: early stopping, checkpoints, stop on NaN, progress lines, and interruption.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{
    BATCHES, Die, Net, held_out, net, numbers, one_number, product, scripted, sgd, sha, sha_of_file,
};
use mapsto_optim::Adam;
use mapsto_tensor::{Checkpoint, ParamStore};
use mapsto_train::{
    Accuracy, BestCheckpoint, Callback, Context, Direction, EarlyStopping, Error, LastCheckpoint,
    Monitor, Position, Progress, Snapshot, StopReason, TerminateOnNan, Trainer,
};
use serde_json::json;

fn build(seed: u64) -> (ParamStore, Trainer<Net>) {
    let (store, net) = net(seed, 0.2);
    let trainer = Trainer::new(&store, net, Adam::default())
        .unwrap()
        .seed(seed);
    (store, trainer)
}

fn fit(trainer: &mut Trainer<Net>, epochs: usize) {
    trainer
        .fit(epochs, |epoch| common::shuffled(1, epoch))
        .unwrap();
}

fn watch(direction: Direction) -> Monitor {
    Monitor::new("train.scripted", direction)
}

/// Writes down the weights after each epoch and the place of each snapshot.
#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<(Vec<String>, Vec<Position>)>>);

impl Witness {
    fn epochs(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }

    fn steps_of_snapshots(&self) -> Vec<u64> {
        self.0.lock().unwrap().1.iter().map(|at| at.step).collect()
    }
}

impl Callback for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> mapsto_train::Result<()> {
        self.0.lock().unwrap().0.push(sha(context.store));
        Ok(())
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) -> mapsto_train::Result<()> {
        let position = snapshot.training("position")?;
        self.0.lock().unwrap().1.push(position);
        Ok(())
    }
}

#[test]
fn early_stopping_ends_at_its_epoch_with_the_best_weights() {
    let higher = || watch(Direction::Higher);
    let with_margin = Monitor {
        min_delta: 0.15,
        ..higher()
    };
    // The figure by epoch, what watches it, patience, epochs trained, the best epoch.
    let cases: [(&[f64], Monitor, usize, usize, usize); 6] = [
        (&[0.5, 0.7, 0.6, 0.7, 0.9, 0.9], higher(), 2, 4, 1),
        (&[0.5, 0.7, 0.6, 0.8, 0.7, 0.7], higher(), 2, 6, 3),
        (&[0.5, 0.4, 0.4, 0.4, 0.4, 0.4], higher(), 1, 2, 0),
        (&[0.5, 0.6, 0.7, 0.8, 0.8, 0.8], with_margin, 2, 5, 2),
        (
            &[0.5, 0.7, 0.4, 0.6, 0.6, 0.6],
            watch(Direction::Lower),
            2,
            5,
            2,
        ),
        (&[f64::NAN, 0.1, f64::NAN, 0.1, 0.9, 0.9], higher(), 2, 4, 1),
    ];
    for (figures, monitor, patience, epochs, best) in cases {
        let witness = Witness::default();
        let (store, trainer) = build(1);
        let mut trainer = trainer
            .metric(scripted(figures))
            .callback(witness.clone())
            .callback(EarlyStopping::new(monitor, patience));
        fit(&mut trainer, figures.len());
        assert_eq!(trainer.history().epochs.len(), epochs, "{figures:?}");
        assert_eq!(sha(&store), witness.epochs()[best], "{figures:?}");
        let reason = format!(
            "train.scripted has not improved for {patience} epochs; best was epoch {}",
            best + 1
        );
        let is_early = epochs < figures.len() || figures[5] < figures[best];
        let expected = if is_early {
            StopReason::Stopped(reason)
        } else {
            StopReason::Completed
        };
        assert_eq!(trainer.stop_reason(), Some(&expected), "{figures:?}");
    }
}

#[test]
fn the_best_weights_come_back_after_all_epochs_too() {
    let witness = Witness::default();
    let (store, trainer) = build(1);
    let mut trainer = trainer
        .metric(scripted(&[0.1, 0.9, 0.2]))
        .callback(EarlyStopping::new(watch(Direction::Higher), 5))
        .callback(witness.clone());
    fit(&mut trainer, 3);
    assert_eq!(trainer.stop_reason(), Some(&StopReason::Completed));
    assert_eq!(sha(&store), witness.epochs()[1]);
    assert_ne!(sha(&store), witness.epochs()[2]);
}

#[test]
fn a_figure_that_nobody_measures_is_an_error() {
    let (_, trainer) = build(1);
    let monitor = Monitor::new("val.accuracy", Direction::Higher);
    let mut trainer = trainer
        .metric(Accuracy::default())
        .callback(EarlyStopping::new(monitor, 1));
    let error = trainer
        .fit(1, |epoch| common::shuffled(1, epoch))
        .unwrap_err();
    match error {
        Error::UnknownMetric { name, known } => {
            assert_eq!(
                (&*name, &*known),
                ("val.accuracy", "train.accuracy, train.loss")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_undefined_loss_ends_the_run_before_its_step() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (store, w) = one_number(8.0);
        let mut trainer = Trainer::new(&store, product(&w), sgd(1.0))
            .unwrap()
            .callback(TerminateOnNan);
        trainer.fit(1, numbers(&[&[1.0], &[1.0]])).unwrap();
        let error = trainer
            .fit(2, numbers(&[&[1.0], &[bad], &[1.0]]))
            .unwrap_err();
        match error {
            Error::Diverged { loss, step, epoch } => {
                assert_eq!((loss.to_string(), step, epoch), (bad.to_string(), 3, 1));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(w.to_scalar::<f64>().unwrap(), 5.0);
        let here = Position {
            epoch: 1,
            batch: 1,
            step: 3,
        };
        assert_eq!(trainer.position(), here);
    }
}

#[test]
fn last_is_written_every_some_steps_and_after_each_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last");
    for (every, expected) in [
        (0, vec![7, 14]),
        (3, vec![3, 6, 7, 9, 12, 14]),
        (7, vec![7, 7, 14, 14]),
    ] {
        let witness = Witness::default();
        let (store, trainer) = build(1);
        let mut trainer = trainer
            .callback(LastCheckpoint::new(&path).every_steps(every))
            .callback(witness.clone());
        fit(&mut trainer, 2);
        assert_eq!(witness.steps_of_snapshots(), expected, "every {every}");
        let last = Snapshot::load(&path).unwrap();
        let end = Position {
            epoch: 2,
            batch: 0,
            step: 2 * BATCHES as u64,
        };
        assert_eq!(last.training::<Position>("position").unwrap(), end);
        assert_eq!(sha_of_file(&path), sha(&store));
    }
}

/// Reads the best checkpoint at each snapshot; runs after the callback that writes it.
#[derive(Debug)]
struct Reader(std::path::PathBuf, Arc<Mutex<Vec<String>>>);

impl Callback for Reader {
    fn name(&self) -> &'static str {
        "reader"
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> mapsto_train::Result<()> {
        context.take_snapshot();
        Ok(())
    }

    fn on_snapshot(&mut self, _: &Snapshot) -> mapsto_train::Result<()> {
        self.1.lock().unwrap().push(sha_of_file(&self.0));
        Ok(())
    }
}

fn best_by_epoch(best: BestCheckpoint, path: &Path) -> (Vec<String>, Vec<String>) {
    let (witness, files) = (Witness::default(), Arc::default());
    let (_, trainer) = build(1);
    let mut trainer = trainer
        .metric(scripted(&[0.5, 0.7, 0.6, 0.8, 0.8]))
        .describe(json!({"kind": "demo"}))
        .callback(best)
        .callback(witness.clone())
        .callback(Reader(path.to_owned(), Arc::clone(&files)));
    fit(&mut trainer, 5);
    let files = files.lock().unwrap().clone();
    (files, witness.epochs())
}

#[test]
fn best_is_written_on_improvement_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best");
    let best = BestCheckpoint::new(&path, watch(Direction::Higher));
    let (files, epochs) = best_by_epoch(best, &path);
    let expected: Vec<String> = [0, 1, 1, 3, 3].map(|epoch| epochs[epoch].clone()).to_vec();
    assert_eq!(files, expected);
    let checkpoint = Checkpoint::load(&path).unwrap();
    let names: Vec<&String> = checkpoint.tensors.keys().collect();
    assert_eq!(names, ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]);
    assert_eq!(checkpoint.metadata["model"], json!({"kind": "demo"}));
    assert_eq!(checkpoint.metadata["monitor"]["best"], json!(0.8));
    assert_eq!(checkpoint.metadata["monitor"]["best_epoch"], json!(3));

    let (files, epochs) = best_by_epoch(BestCheckpoint::newest(&path), &path);
    assert_eq!(files, epochs);
}

#[test]
fn best_is_made_up_for_after_a_kill_between_the_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let (last, best) = (folder.path().join("last"), folder.path().join("best"));
    let figures = scripted(&[0.9, 0.5]);
    let build = |seed| {
        let (store, trainer) = build(seed);
        let trainer = trainer
            .metric(figures.clone())
            .callback(LastCheckpoint::new(&last));
        (store, trainer)
    };
    let best_checkpoint = || BestCheckpoint::new(&best, watch(Direction::Higher));
    let (first_store, trainer) = build(1);
    let mut first = trainer
        .callback(Die::AtSnapshot)
        .callback(best_checkpoint());
    first
        .fit(2, |epoch| common::shuffled(1, epoch))
        .unwrap_err();
    assert!(last.exists() && !best.exists());
    let (_, trainer) = build(2);
    let mut second = trainer.callback(best_checkpoint());
    second.resume(&Snapshot::load(&last).unwrap()).unwrap();
    fit(&mut second, 2);
    assert_eq!(sha_of_file(&best), sha(&first_store));
}

#[test]
fn an_interruption_saves_and_stops_after_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last");
    let (whole_store, mut whole) = build(1);
    fit(&mut whole, 2);

    let flag = Arc::new(AtomicBool::new(false));
    let (_, trainer) = build(1);
    let mut first = trainer
        .interrupt(Arc::clone(&flag))
        .callback(LastCheckpoint::new(&path))
        .callback(SetAt(10, flag));
    fit(&mut first, 2);
    assert_eq!(first.stop_reason(), Some(&StopReason::Interrupted));
    assert_eq!(first.history().epochs.len(), 1);
    let here = Position {
        epoch: 1,
        batch: 3,
        step: 10,
    };
    assert_eq!(first.position(), here);
    let snapshot = Snapshot::load(&path).unwrap();
    assert_eq!(snapshot.training::<Position>("position").unwrap(), here);

    let (store, trainer) = build(2);
    let mut second = trainer.callback(LastCheckpoint::new(&path));
    second.resume(&snapshot).unwrap();
    fit(&mut second, 2);
    assert_eq!(sha(&store), sha(&whole_store));
}

/// Asks for an interruption while a step is under way.
#[derive(Debug)]
struct SetAt(u64, Arc<AtomicBool>);

impl Callback for SetAt {
    fn name(&self) -> &'static str {
        "set_at"
    }

    fn on_loss(&mut self, _: f64, position: Position) -> mapsto_train::Result<()> {
        self.1.store(position.step + 1 >= self.0, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn progress_is_a_line_an_epoch() {
    let output = Shared::default();
    let (_, trainer) = build(1);
    let mut trainer = trainer
        .metric(Accuracy::default())
        .callback(Progress::lines(output.clone()));
    let history = trainer
        .fit_validated(2, |epoch| common::shuffled(1, epoch), held_out)
        .unwrap();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (number, (line, record)) in lines.iter().zip(&history.epochs).enumerate() {
        let figure = |name: &str| format!("{:.4}", record.logs[name]);
        let expected = format!(
            "epoch {}/2: accuracy {}, loss {}, val_accuracy {}, val_loss {}, ",
            number + 1,
            figure("train.accuracy"),
            figure("train.loss"),
            figure("val.accuracy"),
            figure("val.loss"),
        );
        let rest = line
            .strip_prefix(&expected)
            .unwrap_or_else(|| panic!("{line}"));
        let (rate, seconds) = rest.split_once(" samples/s, ").unwrap();
        assert!(rate.parse::<u64>().is_ok(), "{line}");
        let seconds = seconds.strip_suffix(" s").unwrap();
        assert!(seconds.parse::<f64>().is_ok(), "{line}");
    }
}
