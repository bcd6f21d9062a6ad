//! Generative adversarial networks on the command line: train, eval, generate, resume, bad input.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::fs;
use std::path::Path;

use common::{Outcome, mapsto, write_set};
use mapsto_data::Picture;

/// A training on points that takes about a second.
fn ring(folder: &Path, name: &str, more: &[&str]) -> Outcome {
    let settings = [
        "model.width=16",
        "data.train_samples=1280",
        "train.batch_size=64",
        "train.epochs=2",
        "optim.decay_after=1",
        "measure.samples=300",
        "measure.epoch_samples=100",
    ];
    let mut arguments = vec!["train", "gan", "--preset", "ring", "--json", "--name", name];
    arguments.extend(settings.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

/// A training on pictures of a set that takes about a second.
fn pictures(folder: &Path, name: &str, preset: &str, more: &[&str]) -> Outcome {
    let settings = [
        "model.width=4",
        "model.latent=8",
        "data.size=16",
        "train.batch_size=10",
        "train.epochs=1",
        "measure.samples=40",
        "measure.epoch_samples=20",
        "measure.judge_epochs=1",
    ];
    let mut arguments = vec!["train", "gan", "--preset", preset, "--json", "--name", name];
    arguments.extend(settings.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

#[test]
fn points_are_trained_measured_made_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let trained = ring(at, "a", &[]).json();
    let test = &trained["metrics"]["test"];
    for name in ["modes", "quality"] {
        assert!(test[name].is_f64(), "{name} of {test}");
    }
    for split in ["train", "val"] {
        assert!(trained["metrics"][split].is_object(), "{split}");
    }
    let evaluated = mapsto(at, &["eval", "runs/a", "--json"]).json();
    assert_eq!(evaluated["metrics"]["test"]["quality"], test["quality"]);
    let gate = mapsto(at, &["eval", "runs/a", "--min", "modes=9"]);
    assert_eq!(gate.code, Some(6), "{}", gate.stderr);

    let made = mapsto(at, &["generate", "runs/a", "-n", "5", "--json"]).json();
    assert_eq!(made["points"].as_array().unwrap().len(), 5);
    let lines = mapsto(at, &["generate", "runs/a", "-n", "3"]);
    assert_eq!(lines.stdout.lines().count(), 3, "{}", lines.stderr);
    let again = mapsto(at, &["generate", "runs/a", "-n", "3"]);
    assert_eq!(again.stdout, lines.stdout);
    let other = mapsto(at, &["generate", "runs/a", "-n", "3", "--seed", "1"]);
    assert_ne!(other.stdout, lines.stdout);

    // A limit that is the whole epoch, and checkpoints between, change nothing.
    let first = ring(
        at,
        "b",
        &["--limit-batches", "20", "-o", "train.save_every=7"],
    )
    .json();
    assert_eq!(first["weights_sha256"], trained["weights_sha256"]);
    let summary = mapsto(at, &["summary", "runs/a"]);
    assert!(summary.stdout.contains("generator.0"), "{}", summary.stderr);
}

#[test]
fn pictures_of_a_class_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let set = write_set(&at.join("set"), 60, 16, 3);
    let data = ["--data", set.to_str().unwrap()];
    let trained = pictures(at, "a", "conditional", &data).json();
    let test = &trained["metrics"]["test"];
    for name in ["frechet", "frechet_floor", "agreement"] {
        assert!(test[name].is_f64(), "{name} of {test}");
    }
    let made = [
        "generate", "runs/a", "-n", "10", "--class", "2", "--out", "two.png", "--json",
    ];
    let made = mapsto(at, &made).json();
    assert_eq!(
        (&made["pictures"], &made["class"]),
        (&10.into(), &"2".into())
    );
    let sheet = Picture::load(at.join("two.png")).unwrap();
    // Four columns, three rows of 16 pixels and lines between, twice as large.
    assert_eq!(
        (sheet.height(), sheet.width()),
        (2 * (3 * 17 + 1), 2 * (4 * 17 + 1))
    );
    let ways = mapsto(
        at,
        &["generate", "runs/a", "--interpolate", "--out", "ways.png"],
    );
    assert_eq!(ways.code, Some(0), "{}", ways.stderr);
    let evaluated = mapsto(at, &["eval", "runs/a", "--json"]).json();
    assert_eq!(evaluated["metrics"]["test"], *test);

    for (arguments, what) in [
        (
            &["generate", "runs/a", "--class", "9"][..],
            "there is no class 9",
        ),
        (&["generate", "runs/a", "--prompt", "the"], "--prompt"),
        (&["generate", "runs/a", "-n", "0"], "at least 1"),
        (
            &["generate", "runs/a", "-n", "0", "--interpolate"],
            "at least 1",
        ),
        (&["eval", "runs/a", "--split", "train"], "no --split"),
    ] {
        let refused = mapsto(at, arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
    }
    let nowhere = mapsto(at, &["generate", "runs/a", "--out", "missing/sheet.png"]);
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.stderr);
}

#[test]
fn bad_folders_and_settings_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("empty")).unwrap();
    fs::create_dir(at.join("files")).unwrap();
    for i in 0..40 {
        let pixels = (0..24 * 20).map(|j| ((i * j) % 7) as f32 / 7.0).collect();
        let picture = Picture::new(pixels, 24, 20).unwrap();
        picture.save_png(at.join(format!("files/{i}.png"))).unwrap();
    }
    let broken = at.join("files/broken.jpeg");
    fs::write(&broken, [0xff, 0xd8, 0xff, 0xe0, 0, 16]).unwrap();
    for (data, more, code, what) in [
        ("empty", &[][..], 3, "no picture is there"),
        ("missing", &[], 3, "missing"),
        ("files", &["-o", "data.strict=true"], 3, "broken.jpeg"),
        ("files", &["-o", "data.size=30"], 2, "multiples of 4"),
        ("ring", &[], 2, "--preset ring or grid"),
    ] {
        let arguments = [&["--data", data], more].concat();
        let refused = pictures(at, "x", "dcgan", &arguments);
        assert_eq!(
            refused.code,
            Some(code),
            "{data} {more:?}: {}",
            refused.stderr
        );
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
        assert!(!at.join("runs/x").exists(), "{data}");
    }
    let trained = pictures(at, "x", "dcgan", &["--data", "files"]).json();
    assert!(trained["metrics"]["test"]["diversity"].is_f64());
    let data = fs::read_to_string(at.join("runs/x/data.json")).unwrap();
    assert!(data.contains("broken.jpeg"), "{data}");
    let refused = mapsto(at, &["generate", "runs/x", "--class", "0"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}
