//! The log of figures: fields, which steps have lines, and no line twice or lost over a resume.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use common::{Die, StopAfter, numbers, one_number, product, scripted, sgd};
use mapsto_tensor::{Result, Tensor};
use mapsto_train::{JsonlLog, LastCheckpoint, Objective, Snapshot, Trainer};
use serde_json::Value;

fn trainer(log: &Path) -> Trainer<impl Objective<Tensor> + use<>> {
    let (store, w) = one_number(1.0);
    let objective = product(&w);
    let task = move |batch: &Tensor, train: bool| -> Result<_> { objective(batch, train) };
    Trainer::new(&store, task, sgd(0.01))
        .unwrap()
        .metric(scripted(&[0.5, f64::NAN, 0.25]))
        .callback(JsonlLog::new(log))
}

/// Batches of one sample.
fn batches(
    count: usize,
) -> impl Fn(usize) -> std::vec::IntoIter<std::result::Result<Tensor, std::convert::Infallible>> {
    let values: Vec<f64> = (0..count).map(|i| (i as f64).sin()).collect();
    let batches: Vec<&[f64]> = values.chunks(1).collect();
    numbers(&batches)
}

/// Line by line, without the time.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        assert!(
            value["time"].as_f64().is_some_and(|time| time > 1.7e9),
            "{line}"
        );
        value.as_object_mut().unwrap().remove("time");
        value
    };
    text.lines().map(line).collect()
}

fn places(lines: &[Value]) -> Vec<(u64, u64)> {
    let mut places: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["step"].as_u64().unwrap(),
                line["epoch"].as_u64().unwrap(),
            )
        })
        .collect();
    places.dedup();
    places
}

#[test]
fn lines_say_step_epoch_split_name_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "of an older run\n").unwrap();
    let mut trainer = trainer(&path);
    let history = trainer
        .fit_validated(2, batches(60), || numbers(&[&[2.0]])(0))
        .unwrap();
    let lines = lines(&path);
    assert_eq!(places(&lines), [(50, 0), (60, 0), (100, 1), (120, 1)]);
    let at = |step: u64| -> Vec<(&str, &str)> {
        let of_step = lines.iter().filter(|line| line["step"] == step);
        of_step
            .map(|line| {
                (
                    line["split"].as_str().unwrap(),
                    line["name"].as_str().unwrap(),
                )
            })
            .collect()
    };
    assert_eq!(at(50), [("train", "loss"), ("train", "scripted")]);
    let epoch = [
        ("train", "loss"),
        ("train", "scripted"),
        ("val", "loss"),
        ("val", "scripted"),
    ];
    assert_eq!(at(120), epoch);
    let value = |step: u64, split: &str, name: &str| {
        let is_it = |l: &&Value| l["step"] == step && l["split"] == split && l["name"] == name;
        lines.iter().find(is_it).unwrap()["value"].clone()
    };
    for (epoch, step) in [(0, 60), (1, 120)] {
        for split in ["train", "val"] {
            let expected = history.values(&format!("{split}.loss"))[epoch];
            assert_eq!(value(step, split, "loss"), expected);
        }
    }
    assert_eq!(value(60, "train", "scripted"), 0.5);
    assert_eq!(value(120, "train", "scripted"), Value::Null);
}

#[test]
fn the_last_step_of_an_epoch_has_one_line_a_figure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    trainer(&path).fit(2, batches(50)).unwrap();
    let lines = lines(&path);
    assert_eq!(places(&lines), [(50, 0), (100, 1)]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_resumed_run_has_the_lines_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, last) = (folder.path().join("log"), folder.path().join("last"));
    trainer(&path).fit(3, batches(60)).unwrap();
    let whole = lines(&path);
    let distinct: BTreeSet<String> = whole.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), whole.len());
    // The step of the last snapshot, and where the process is killed afterwards: with lines
    // written between, none, and with the lines of the snapshot's own step to be written again.
    for (saved, killed) in [(55, 70), (70, 75), (50, 110), (60, 90), (40, 45)] {
        let checkpoint = LastCheckpoint::new(&last);
        let mut first = trainer(&path)
            .callback(OnlyAt(saved, checkpoint))
            .callback(Die::AtStep(killed));
        first.fit(3, batches(60)).unwrap_err();
        let mut log = std::fs::File::options().append(true).open(&path).unwrap();
        log.write_all(b"{\"step\": 1, \"epo").unwrap();

        let mut second = trainer(&path);
        second.resume(&Snapshot::load(&last).unwrap()).unwrap();
        second.fit(3, batches(60)).unwrap();
        assert_eq!(lines(&path), whole, "saved {saved}, killed {killed}");
    }
}

/// Writes a checkpoint after one step only.
#[derive(Debug)]
struct OnlyAt(u64, LastCheckpoint);

impl mapsto_train::Callback for OnlyAt {
    fn name(&self) -> &'static str {
        "only_at"
    }

    fn on_batch_end(
        &mut self,
        context: &mut mapsto_train::Context<'_>,
    ) -> mapsto_train::Result<()> {
        if context.position.step == self.0 {
            context.take_snapshot();
        }
        Ok(())
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) -> mapsto_train::Result<()> {
        self.1.on_snapshot(snapshot)
    }
}

#[test]
fn a_second_fit_goes_on_in_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    trainer(&path).fit(2, batches(60)).unwrap();
    let whole = lines(&path);
    let mut in_parts = trainer(&path).callback(StopAfter::Step(70));
    in_parts.fit(2, batches(60)).unwrap();
    in_parts.fit(2, batches(60)).unwrap();
    assert_eq!(lines(&path), whole);
}

#[test]
fn a_line_that_a_crash_cut_off_within_the_snapshot_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (path, last) = (folder.path().join("log"), folder.path().join("last"));
    let mut first = trainer(&path)
        .callback(OnlyAt(55, LastCheckpoint::new(&last)))
        .callback(StopAfter::Step(55));
    first.fit(1, batches(60)).unwrap();
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 9]).unwrap();
    let mut second = trainer(&path);
    second.resume(&Snapshot::load(&last).unwrap()).unwrap();
    second.fit(1, batches(60)).unwrap();
    let lines = lines(&path);
    assert_eq!(places(&lines), [(50, 0), (60, 0)]);
    assert_eq!(lines.len(), 3);
}
