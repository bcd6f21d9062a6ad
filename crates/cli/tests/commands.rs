//! What each command prints and writes.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{files, mapsto, train, write_set};

#[test]
fn train_then_eval_then_predict() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let trained = train(at, "a", &["--val-fraction", "0.25", "--epochs", "2"]).json();
    assert_eq!(trained["run"], "runs/a");
    assert_eq!(
        (&trained["epochs"], &trained["steps"]),
        (&2.into(), &16.into())
    );
    let accuracy = &trained["metrics"]["test"]["accuracy"];
    assert!(accuracy.as_f64().unwrap() > 0.15, "{accuracy}");
    for split in ["train", "val", "test"] {
        for name in ["loss", "accuracy", "top5_accuracy", "macro_f1"] {
            assert!(trained["metrics"][split][name].is_f64(), "{split}.{name}");
        }
    }
    let names: Vec<String> = files(&at.join("runs/a"))
        .iter()
        .map(|path| {
            path.strip_prefix(at.join("runs/a"))
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    let expected = [
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "config.toml",
        "data.json",
        "env.json",
        "log.txt",
        "metrics.csv",
        "metrics.jsonl",
        "result.json",
        "run.json",
        "summary.txt",
    ];
    assert_eq!(names, expected);

    let evaluated = mapsto(at, &["eval", "runs/a", "--json"]).json();
    assert_eq!(&evaluated["metrics"]["test"]["accuracy"], accuracy);
    assert_eq!(evaluated["run"], "runs/a");
    let gate = mapsto(at, &["eval", "runs/a", "--min", "accuracy=0.999"]);
    assert_eq!(gate.code, Some(6), "{}", gate.stderr);
    let gate = mapsto(at, &["eval", "runs/a", "--min", "accuracy=0.1"]);
    assert_eq!(gate.code, Some(0), "{}", gate.stderr);

    let sheet = [
        "data", "show", "digits", "-n", "1", "--out", "one.png", "--json",
    ];
    let label = mapsto(at, &sheet).json()["labels"][0].clone();
    assert!(label.is_u64());
    let answer = mapsto(
        at,
        &["predict", "runs/a", "one.png", "--json", "--top", "10"],
    )
    .json();
    let answer = &answer["predictions"][0];
    let classes = answer["classes"].as_array().unwrap();
    assert_eq!(
        (classes.len(), &classes[0]["class"]),
        (10, &answer["class"])
    );
    let total: f64 = classes
        .iter()
        .map(|c| c["probability"].as_f64().unwrap())
        .sum();
    assert!((total - 1.0).abs() < 1e-5);
}

#[test]
fn any_idx_set_works_like_mnist() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_set(&at.join("stripes"), 120, 12, 5);
    let checked = mapsto(at, &["data", "check", "stripes", "--json"]).json();
    assert_eq!(
        checked["train_counts"],
        serde_json::json!([24, 24, 24, 24, 24])
    );
    let arguments = [
        "train", "cnn", "--data", "stripes", "--json", "--epochs", "8", "--name", "s",
    ];
    let trained = mapsto(at, &arguments).json();
    assert_eq!(trained["metrics"]["test"]["accuracy"], 1.0, "{trained}");
    let elsewhere = at.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // The run knows its data by their full path, wherever it is used from.
    let evaluated = mapsto(&elsewhere, &["eval", "../runs/s", "--json"]).json();
    assert_eq!(evaluated["metrics"]["test"]["accuracy"], 1.0);
}

#[test]
fn settings_come_in_layers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(
        at.join("c.toml"),
        "[optim]\nlr = 0.5\n[train]\nepochs = 9\nseed = 1",
    )
    .unwrap();
    let arguments = ["train", "cnn", "--print-config", "--config", "c.toml"];
    let more = [
        "-o",
        "train.epochs=7",
        "-o",
        "train.batch_size=16",
        "--batch-size",
        "64",
    ];
    let output = common::command(at, &[&arguments[..], &more].concat())
        .env("MAPSTO_TRAIN_SEED", "2")
        .env("MAPSTO_TRAIN_EPOCHS", "8")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["lr = 0.5", "seed = 2", "epochs = 7", "batch_size = 64"] {
        assert!(text.lines().any(|l| l == line), "no {line} in {text}");
    }
    // Every section of a recipe can be set.
    let output = common::command(at, &["train", "translate", "--print-config"])
        .env("MAPSTO_SEARCH_BEAM", "7")
        .env("MAPSTO_FILTER_LOWERCASE", "true")
        .output()
        .unwrap();
    let of_sections = String::from_utf8(output.stdout).unwrap();
    for line in ["beam = 7", "lowercase = true"] {
        assert!(of_sections.lines().any(|l| l == line), "{of_sections}");
    }
    // What is printed is a config file that gives the same settings.
    std::fs::write(at.join("all.toml"), &text).unwrap();
    let again = ["train", "cnn", "--print-config", "--config", "all.toml"];
    assert_eq!(mapsto(at, &again).stdout, text);
    assert!(!at.join("runs").exists());
}

#[test]
fn lists_and_help() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let summary = mapsto(at, &["summary", "cnn", "--json"]).json();
    assert_eq!(summary["trainable"], 693_962);
    assert_eq!(summary["layers"].as_array().unwrap().len(), 7);
    let models = mapsto(at, &["models", "--json"]).json();
    assert_eq!(models["models"][0]["name"], "cnn");
    assert_eq!(mapsto(at, &["models", "show", "cnn"]).code, Some(0));
    let sources = mapsto(at, &["data", "list", "--json"]).json();
    assert_eq!(sources["recipes"][2]["recipe"], "lm");
    assert!(
        sources["recipes"][2]["data"]
            .as_str()
            .unwrap()
            .contains("Penn Treebank")
    );
    let help = mapsto(at, &["train", "--help"]).stdout;
    for word in [
        "--resume",
        "--save-every",
        "Examples:",
        "later ones winning",
    ] {
        assert!(help.contains(word), "no {word} in the help");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = mapsto(at, &["completions", shell]).stdout;
        assert!(script.contains("save-every"), "{shell}");
    }
}
