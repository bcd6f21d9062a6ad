//! A killed run goes on to the same bits.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use common::{command, files, mapsto, train};
use rand::{Rng, SeedableRng};

const KILLS: usize = 10;

/// Dropout, shuffling, validation and early stopping, so that every kind of state is at stake.
const SETTINGS: [&str; 22] = [
    "--preset",
    "dropout",
    "-o",
    "data.train_samples=320",
    "-o",
    "data.test_samples=40",
    "--val-fraction",
    "0.2",
    "--patience",
    "3",
    "--epochs",
    "3",
    "--batch-size",
    "8",
    "--save-every",
    "1",
    "--clip-norm",
    "1",
    "--seed",
    "3",
    "--workers",
    "2",
];

/// A run under way in `runs/killed`.
struct Run {
    child: Child,
    checkpoints: PathBuf,
}

impl Run {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            child: command.spawn().unwrap(),
            checkpoints: folder.join("runs/killed/checkpoints"),
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until `condition` holds; whether it did before the run ended.
    fn wait_until(&mut self, mut condition: impl FnMut(&Path) -> bool) -> bool {
        let started = Instant::now();
        while !condition(&self.checkpoints) {
            if self.has_ended() {
                return false;
            }
            assert!(started.elapsed() < Duration::from_secs(120), "no progress");
            sleep(Duration::from_micros(50));
        }
        true
    }

    /// SIGKILL: nothing in the program can react to it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn written(checkpoints: &Path) -> Option<SystemTime> {
    let last = fs::metadata(checkpoints.join("last.safetensors"));
    last.and_then(|last| last.modified()).ok()
}

fn is_writing(checkpoints: &Path) -> bool {
    fs::read_dir(checkpoints).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().ends_with(".writing"))
    })
}

#[test]
fn ten_kills_change_no_bit_of_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let start = |name| [&["train", "cnn", "--json", "--name", name], &SETTINGS[..]].concat();
    let expected = mapsto(at, &start("whole")).json();

    let resume = ["train", "cnn", "--json", "--resume", "runs/killed"];
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let (mut arguments, mut while_writing) = (start("killed"), 0);
    for kill in 0..KILLS {
        let mut run = Run::start(at, &arguments);
        let before = written(&run.checkpoints);
        let moved_on = run.wait_until(|checkpoints| written(checkpoints) > before);
        assert!(moved_on, "the run ended before kill {kill}");
        if kill % 2 == 0 {
            assert!(run.wait_until(is_writing), "the run ended at kill {kill}");
        } else {
            sleep(Duration::from_millis(random.random_range(0..60)));
        }
        let checkpoints = run.checkpoints.clone();
        run.kill();
        while_writing += usize::from(is_writing(&checkpoints));
        arguments = resume.to_vec();
    }
    assert!(
        while_writing > 0,
        "no kill came while a checkpoint was written"
    );

    let result = mapsto(at, &resume).json();
    assert_eq!(result["weights_sha256"], expected["weights_sha256"]);
    assert_eq!(result["metrics"], expected["metrics"]);
    assert_eq!(result["steps"], expected["steps"]);
    let left = files(&at.join("runs/killed"));
    let leftover = left
        .iter()
        .find(|path| path.to_string_lossy().ends_with(".writing"));
    assert_eq!(leftover, None);
    let lines = |name: &str| {
        let text = fs::read_to_string(at.join("runs").join(name).join("metrics.jsonl")).unwrap();
        text.lines()
            .map(|line| line[..line.find("\"time\"").unwrap_or(line.len())].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(lines("killed"), lines("whole"));
}

#[test]
fn more_epochs_continue_a_finished_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let two = train(at, "two", &["--epochs", "2"]).json();
    train(at, "one", &["--progress", "none"]).json();
    let arguments = [
        "train", "cnn", "--json", "--resume", "runs/one", "--epochs", "2",
    ];
    let resumed = mapsto(at, &arguments).json();
    assert_eq!(resumed["weights_sha256"], two["weights_sha256"]);
    let stored = fs::read_to_string(at.join("runs/one/config.toml")).unwrap();
    assert!(stored.contains("epochs = 2"), "{stored}");
}

#[test]
fn workers_and_threads_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let sha = |name: &str, workers: &str, threads: &str| {
        let more = [
            "--preset",
            "dropout",
            "--workers",
            workers,
            "--threads",
            threads,
        ];
        train(folder.path(), name, &more).json()["weights_sha256"].clone()
    };
    let expected = sha("a", "0", "1");
    assert_eq!(sha("b", "0", "1"), expected, "the same run again");
    assert_eq!(sha("c", "1", "2"), expected);
    assert_eq!(sha("d", "3", "2"), expected);
    let other = ["--preset", "dropout", "--seed", "8"];
    let other = train(folder.path(), "e", &other).json();
    assert_ne!(other["weights_sha256"], expected, "another seed");
}
