//! Runs the program, and makes the folders and files it is given.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses some of these, and they are parts of tests"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mapsto_data::Idx;
use serde_json::Value;

/// What a command did.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The program in `folder`, free of settings from the environment.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mapsto"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("MAPSTO_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Runs the program in `folder` to its end.
pub(crate) fn mapsto(folder: &Path, arguments: &[&str]) -> Outcome {
    let output = command(folder, arguments).output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that must fail with this code, these words in its error, one line of it, and
/// no file made or changed.
pub(crate) fn fails(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let contents = || {
        let files = files(folder).into_iter();
        files
            .map(|path| (std::fs::read(&path).unwrap(), path))
            .collect::<Vec<_>>()
    };
    let before = contents();
    let had_runs = folder.join("runs").exists();
    let outcome = mapsto(folder, arguments);
    assert_eq!(
        outcome.code,
        Some(code),
        "{arguments:?}: {}",
        outcome.stderr
    );
    for word in words {
        assert!(
            outcome.stderr.contains(word),
            "{arguments:?}: no \"{word}\" in: {}",
            outcome.stderr
        );
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    assert!(contents() == before, "{arguments:?} left or changed files");
    assert_eq!(
        folder.join("runs").exists(),
        had_runs,
        "{arguments:?} left a run"
    );
}

/// A training that takes about a second: `name` is that of the run folder.
pub(crate) fn train(folder: &Path, name: &str, more: &[&str]) -> Outcome {
    // Settings rather than flags, so that `more` may hold the flags.
    let settings = [
        "model.preset=lenet5",
        "data.train_samples=320",
        "data.test_samples=80",
        "train.epochs=1",
        "train.seed=7",
    ];
    let mut arguments = vec!["train", "cnn", "--json", "--name", name];
    arguments.extend(settings.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

/// A folder in MNIST's form: `count` pictures of `side` squared in `classes` classes, each
/// class a bright row of its own.
pub(crate) fn write_set(folder: &Path, count: usize, side: usize, classes: usize) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    for split in ["train", "t10k"] {
        let labels: Vec<u8> = (0..count).map(|i| (i % classes) as u8).collect();
        let mut pixels = vec![0; count * side * side];
        for (picture, &label) in pixels.chunks_exact_mut(side * side).zip(&labels) {
            picture[(1 + usize::from(label)) * side..][..side].fill(255);
        }
        let write = |name: &str, dims: Vec<usize>, data: Vec<u8>| {
            let path = folder.join(format!("{split}-{name}"));
            Idx { dims, data }.write(path).unwrap();
        };
        write("images-idx3-ubyte.gz", vec![count, side, side], pixels);
        write("labels-idx1-ubyte.gz", vec![count], labels);
    }
    folder.to_owned()
}

/// Every file below `folder`, without the lock files.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().unwrap() != "LOCK" {
            found.push(path);
        }
    }
    found.sort();
    found
}
