//! Run folders: names, the lock, which run is the newest, and what a kill leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use mapsto_train::{Error, RunFolder};
use serde_json::json;

/// An empty run folder.
fn create(root: &Path, recipe: &str, name: Option<&str>) -> Result<RunFolder, Error> {
    RunFolder::create::<Error>(root, recipe, name, |_| Ok(()))
}

/// A complete run folder of `recipe` whose config was written `seconds` after some moment.
fn run(root: &Path, recipe: &str, name: &str, seconds: u64) -> RunFolder {
    let run = create(root, recipe, Some(name)).unwrap();
    run.write_text("config.toml", "x = 1\n").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
    let config = File::options().append(true).open(run.file("config.toml"));
    config.unwrap().set_modified(time).unwrap();
    run
}

fn newest(root: &Path, recipe: &str) -> Option<String> {
    let path = RunFolder::newest_unfinished(root, recipe)?;
    assert_eq!(path.parent(), Some(root));
    Some(path.file_name().unwrap().to_str().unwrap().to_owned())
}

fn reason(error: Error) -> String {
    match error {
        Error::Run { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_are_the_recipe_a_time_and_an_id() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("made/too");
    let run = create(&root, "cnn", None).unwrap();
    let name = run.path().file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.split('-').collect();
    let [recipe, date, time, id] = parts[..] else {
        panic!("{name}");
    };
    let is_number =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    assert!(
        recipe == "cnn" && is_number(date, 8) && is_number(time, 6),
        "{name}"
    );
    assert!(
        id.len() == 4 && u16::from_str_radix(id, 16).is_ok(),
        "{name}"
    );
    assert_eq!(run.last(), run.path().join("checkpoints/last.safetensors"));
    assert_eq!(run.best(), run.path().join("checkpoints/best.safetensors"));
    assert!(run.path().join("checkpoints").is_dir());
    let named = create(&root, "cnn", Some("mine")).unwrap();
    assert_eq!(named.path(), root.join("mine"));
}

#[test]
fn a_name_is_used_once_and_is_no_path() {
    let root = tempfile::tempdir().unwrap();
    let first = create(root.path(), "cnn", Some("mine")).unwrap();
    first.write_text("config.toml", "x = 1\n").unwrap();
    drop(first);
    let error = create(root.path(), "cnn", Some("mine")).unwrap_err();
    assert!(reason(error).contains("exists already"));
    let outside = root.path().join("outside");
    let names = [
        "",
        ".",
        "..",
        "a/b",
        "../outside",
        "a/",
        outside.to_str().unwrap(),
    ];
    for name in names {
        let inner = root.path().join("inner");
        let error = create(&inner, "cnn", Some(name)).unwrap_err();
        assert!(reason(error).contains("not a path"), "{name}");
        assert!(!outside.exists() && !inner.exists(), "{name}");
    }
}

#[test]
fn one_holder_trains_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let first = run(root.path(), "cnn", "mine", 0);
    let path = first.path().to_owned();
    // The lock belongs to the open file, so a second holder in this process is one too.
    let error = RunFolder::resume(&path).unwrap_err();
    assert!(reason(error).contains("another process is training"));
    // Reading needs no lock.
    assert_eq!(RunFolder::open(&path).unwrap().path(), path);
    drop(first);
    let second = RunFolder::resume(&path).unwrap();
    assert!(RunFolder::resume(&path).is_err());
    drop(second);
    RunFolder::resume(&path).unwrap();
}

#[test]
fn a_folder_without_a_config_is_no_run() {
    let root = tempfile::tempdir().unwrap();
    let unfinished = create(root.path(), "cnn", Some("mine")).unwrap();
    for path in [root.path(), unfinished.path(), &root.path().join("missing")] {
        for result in [RunFolder::open(path), RunFolder::resume(path)] {
            assert!(reason(result.unwrap_err()).contains("no config.toml"));
        }
    }
}

#[test]
fn the_newest_unfinished_run_of_the_recipe_is_found() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert_eq!(newest(&root.join("missing"), "cnn"), None);
    assert_eq!(newest(root, "cnn"), None);
    run(root, "cnn", "cnn-b", 10);
    assert_eq!(newest(root, "cnn").as_deref(), Some("cnn-b"));
    // Newest by time, not by name.
    run(root, "cnn", "cnn-a", 20);
    assert_eq!(newest(root, "cnn").as_deref(), Some("cnn-a"));
    // A name of one's own is as good as an automatic one.
    run(root, "cnn", "my run", 30);
    assert_eq!(newest(root, "cnn").as_deref(), Some("my run"));
    // Another recipe whose name begins alike, or a run that is only called so.
    run(root, "cnn-other", "cnn-other-1", 40);
    run(root, "gan", "cnn-z", 50);
    assert_eq!(newest(root, "cnn").as_deref(), Some("my run"));
    assert_eq!(newest(root, "cnn-other").as_deref(), Some("cnn-other-1"));
    assert_eq!(newest(root, "cn"), None);
    // Finished runs, runs without a config, and other things do not count.
    let finished = run(root, "cnn", "finished", 60);
    finished.write_json("result.json", &json!({})).unwrap();
    create(root, "cnn", Some("cnn-no-config")).unwrap();
    std::fs::create_dir(root.join("cnn-no-run")).unwrap();
    std::fs::write(root.join("cnn-no-run/config.toml"), "").unwrap();
    std::fs::write(root.join("cnn-file"), "").unwrap();
    assert_eq!(newest(root, "cnn").as_deref(), Some("my run"));
}

#[test]
fn resuming_removes_what_was_half_written() {
    let root = tempfile::tempdir().unwrap();
    let first = run(root.path(), "cnn", "mine", 0);
    let path = first.path().to_owned();
    let leftovers = [
        path.join(".metrics.jsonl-123.writing"),
        path.join("checkpoints/.last.safetensors-123.writing"),
    ];
    let kept = [
        path.join("checkpoints/last.safetensors"),
        path.join("notes.writing"),
        path.join("config.toml"),
    ];
    for file in leftovers.iter().chain(&kept[..2]) {
        std::fs::write(file, "half").unwrap();
    }
    // Not while another holder may be writing them.
    RunFolder::resume(&path).unwrap_err();
    assert!(leftovers.iter().all(|file| file.exists()));
    drop(first);
    RunFolder::resume(&path).unwrap();
    assert!(leftovers.iter().all(|file| !file.exists()));
    assert!(kept.iter().all(|file| file.exists()));
}

#[test]
fn files_are_replaced_whole() {
    let root = tempfile::tempdir().unwrap();
    let run = create(root.path(), "cnn", Some("mine")).unwrap();
    run.write_json("result.json", &json!({"a": 1, "b": [2]}))
        .unwrap();
    run.write_text("summary.txt", "long text\n").unwrap();
    run.write_text("summary.txt", "short\n").unwrap();
    let read = |name: &str| std::fs::read_to_string(run.file(name)).unwrap();
    assert_eq!(read("summary.txt"), "short\n");
    let result: serde_json::Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!(result, json!({"a": 1, "b": [2]}));
    assert!(read("result.json").ends_with("}\n"));
    let error = run.write_text("missing/file.txt", "x").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Io {
                action: "write",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_folder_appears_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let failed = RunFolder::create::<Error>(root.path(), "cnn", Some("mine"), |run| {
        run.write_text("config.toml", "x = 1\n")?;
        assert!(!root.path().join("mine").exists());
        Err(Error::NoBatches { what: "a test" })
    });
    assert!(matches!(failed, Err(Error::NoBatches { .. })));
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let made = RunFolder::create::<Error>(root.path(), "cnn", Some("mine"), |run| {
        run.write_text("config.toml", "x = 1\n")
    });
    let made = made.unwrap();
    assert_eq!(made.path(), root.path().join("mine"));
    assert!(made.file("config.toml").is_file());
    let error = RunFolder::resume(made.path()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
}

#[test]
fn a_finished_run_that_goes_on_is_unfinished_again() {
    let root = tempfile::tempdir().unwrap();
    let run = run(root.path(), "cnn", "a", 1);
    run.write_json("result.json", &json!({})).unwrap();
    assert_eq!(newest(root.path(), "cnn"), None);
    for _ in 0..2 {
        run.remove_result().unwrap();
        assert_eq!(newest(root.path(), "cnn").as_deref(), Some("a"));
    }
}
