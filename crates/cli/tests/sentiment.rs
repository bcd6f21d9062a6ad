//! The classifier of texts on the command line: tables, answers, and what is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use common::{Outcome, command, mapsto};
use serde_json::{Value, json};

const SMALL: [&str; 4] = [
    "model.embedding=16",
    "model.hidden=8",
    "optim.lr=0.02",
    "train.batch_size=10",
];

fn train(folder: &Path, name: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["train", "sentiment", "--json", "--name", name];
    arguments.extend(SMALL.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

/// Texts whose class a single word tells.
fn rows() -> Vec<(String, &'static str)> {
    let row = |i: usize| {
        let (word, class) = [("dull", "thumb down"), ("splendid", "thumb up")][i % 2];
        let thing = ["café", "play", "show"][i / 2 % 3];
        (format!("the {thing}, number {}, was {word}", i % 7), class)
    };
    (0..80).map(row).collect()
}

fn csv() -> String {
    rows()
        .iter()
        .fold("n,body,verdict\n".to_owned(), |mut table, (text, class)| {
            writeln!(table, "7,\"{text}\",{class}").unwrap();
            table
        })
}

const COLUMNS: [&str; 4] = ["--text-column", "body", "--label-column", "verdict"];

fn of_columns(name: &str, source: &str, folder: &Path, more: &[&str]) -> Outcome {
    let arguments = [&["--data", source, "--epochs", "4"], &COLUMNS[..], more].concat();
    train(folder, name, &arguments)
}

fn accuracy(outcome: &Outcome) -> f64 {
    let accuracy = outcome.json()["metrics"]["test"]["accuracy"].as_f64();
    accuracy.unwrap()
}

/// A folder with a run `runs/a` on the table.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("verdicts.csv"), csv()).unwrap();
    let outcome = of_columns("a", "verdicts.csv", folder.path(), &[]);
    assert_eq!(accuracy(&outcome), 1.0);
    folder
}

#[test]
fn the_embedded_opinions_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let samples = ["-o", "data.train_samples=300", "-o", "data.test_samples=60"];
    let outcome = train(at, "a", &[&samples[..], &["--epochs", "1"]].concat());
    let report = outcome.json();
    for split in ["train", "val", "test"] {
        let accuracy = report["metrics"][split]["accuracy"].as_f64().unwrap();
        assert!((0.2..=1.0).contains(&accuracy), "{split}: {accuracy}");
    }
    assert_eq!(report["steps"], 27);
    let evaluated = mapsto(at, &["eval", "runs/a", "--json"]).json();
    assert_eq!(evaluated["metrics"]["test"], report["metrics"]["test"]);
    assert_eq!(evaluated["samples"], 60);
    let held_out = mapsto(at, &["eval", "runs/a", "--split", "valid", "--json"]).json();
    assert_eq!(held_out["metrics"]["valid"], report["metrics"]["val"]);
    for preset in ["lstm", "cnn"] {
        let summary = ["summary", "sentiment", "--preset", preset, "--json"];
        let layers = mapsto(at, &summary).json()["layers"].clone();
        assert_eq!(layers[0]["name"], "embedding", "{layers}");
    }
}

#[test]
fn tables_of_every_form_give_the_same_model() {
    let folder = trained();
    let at = folder.path();
    let (mut tsv, mut lines) = ("verdict\tbody\n".to_owned(), String::new());
    for (text, class) in rows() {
        writeln!(tsv, "{class}\t{text}").unwrap();
        writeln!(lines, "{}", json!({"body": text, "verdict": class})).unwrap();
    }
    fs::write(at.join("verdicts.tsv"), tsv).unwrap();
    fs::write(at.join("verdicts.jsonl"), lines).unwrap();
    let latin1: Vec<u8> = csv().chars().map(|letter| letter as u8).collect();
    fs::write(at.join("latin1.csv"), latin1).unwrap();
    let result = fs::read_to_string(at.join("runs/a/result.json")).unwrap();
    let expected: Value = serde_json::from_str(&result).unwrap();
    let latin1 = ["--encoding", "latin1"];
    for (name, source, more) in [
        ("t", "verdicts.tsv", &[][..]),
        ("j", "verdicts.jsonl", &[]),
        ("l", "latin1.csv", &latin1),
    ] {
        let report = of_columns(name, source, at, more).json();
        let hash = &report["weights_sha256"];
        assert_eq!(hash, &expected["weights_sha256"], "{source}");
    }
    // The run knows its table by its full path, wherever it is used from.
    let elsewhere = at.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let evaluated = mapsto(&elsewhere, &["eval", "../runs/l", "--json"]).json();
    assert_eq!(evaluated["metrics"]["test"], expected["metrics"]["test"]);
    assert_eq!(evaluated["samples"], 8);
}

#[test]
fn answers_name_class_probability_and_words() {
    let folder = trained();
    let at = folder.path();
    let text = "the café was splendid, honestly";
    let predict = [
        "predict",
        "runs/a",
        text,
        "the play was dull",
        "--json",
        "--top",
        "2",
    ];
    let answers = mapsto(at, &predict).json();
    let [good, bad] = answers["predictions"].as_array().unwrap().as_slice() else {
        unreachable!("{answers}")
    };
    assert_eq!(
        (&good["text"], &good["class"]),
        (&text.into(), &"thumb up".into())
    );
    assert_eq!(bad["class"], "thumb down");
    let of_classes = good["classes"].as_array().unwrap();
    let sum: f64 = of_classes
        .iter()
        .map(|c| c["probability"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5, "{good}");
    assert_eq!(of_classes[0]["probability"], good["probability"]);
    let words = good["words"].as_array().unwrap();
    let named: Vec<&str> = words.iter().map(|w| w["word"].as_str().unwrap()).collect();
    assert_eq!(named, ["the", "café", "was", "splendid", ",", "honestly"]);
    let share = |place: usize| words[place]["share"].as_f64().unwrap();
    assert!((0..6).all(|place| share(3) >= share(place)), "{good}");
    assert_eq!(good["unknown"], json!(["honestly"]));
    assert!(bad.get("unknown").is_none(), "{bad}");

    let outcome = mapsto(at, &["predict", "runs/a", text, "--top", "1"]);
    let line = &outcome.stdout;
    assert!(line.starts_with(&format!("{text}: thumb up 0.")), "{line}");
    assert!(line.contains("(what mattered: splendid +0."), "{line}");
    assert!(outcome.stderr.contains("honestly"), "{}", outcome.stderr);
}

#[test]
fn texts_come_from_standard_input_too() {
    let folder = trained();
    let mut child = command(folder.path(), &["predict", "runs/a", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(b"\xef\xbb\xbfa splendid show\r\na dull play\nna\xefve\n")
        .unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    // One line is no UTF-8; the others are answered.
    assert_eq!(output.status.code(), Some(3));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answer = |i: usize| &answers["predictions"][i];
    assert_eq!(
        [0, 1].map(|i| &answer(i)["class"]),
        ["thumb up", "thumb down"]
    );
    assert_eq!(answer(0)["text"], "a splendid show");
    let error = answer(2)["error"].as_str().unwrap();
    assert!(error.contains("line 3, is not UTF-8"), "{error}");
    assert_eq!(answers["predictions"].as_array().unwrap().len(), 3);
}

#[test]
fn texts_without_a_known_word_get_no_answer() {
    let folder = trained();
    let at = folder.path();
    for (text, words) in [
        ("", "no word"),
        ("Der Himmel", "none of the words der, himmel"),
    ] {
        let outcome = mapsto(at, &["predict", "runs/a", text]);
        assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    }
    // The others are answered.
    let outcome = mapsto(at, &["predict", "runs/a", "", "a dull play", "--json"]);
    assert_eq!(outcome.code, Some(3));
    let answers: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let [bad, good] = [0, 1].map(|i| answers["predictions"][i].clone());
    assert!(bad["error"].as_str().unwrap().contains("no word"), "{bad}");
    assert_eq!(good["class"], "thumb down");
}

/// Trains on this table, which must end with this code and these words, and leave no run.
fn fails(name: &str, table: &[u8], more: &[&str], code: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), table).unwrap();
    let outcome = train(folder.path(), "a", &[&["--data", name], more].concat());
    assert_eq!(outcome.code, Some(code), "{name}: {}", outcome.stderr);
    for word in words {
        let said = outcome.stderr.contains(word);
        assert!(said, "{name}: no \"{word}\" in {}", outcome.stderr);
    }
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    assert!(!folder.path().join("runs").exists(), "{name} left a run");
}

#[test]
fn tables_that_cannot_be_read() {
    let table = csv();
    let names = ["verdicts.csv", "n", "body", "verdict"];
    fails("verdicts.csv", table.as_bytes(), &[], 3, &names);
    let column = ["--text-column", "story"];
    let missing = [&["story"], &names[..]].concat();
    fails("verdicts.csv", table.as_bytes(), &column, 3, &missing);
    let open = table.replacen("was dull\"", "was dull", 40) + "7,\"the end,thumb up\n";
    fails(
        "open.csv",
        open.as_bytes(),
        &COLUMNS,
        3,
        &["open.csv", "line ", "the quote that"],
    );
    let number = ["-o", "data.text_column=1.10"];
    fails("verdicts.csv", table.as_bytes(), &number, 3, &["`1.10`"]);
    let latin1: Vec<u8> = table.chars().map(|letter| letter as u8).collect();
    fails(
        "latin1.csv",
        &latin1,
        &COLUMNS,
        3,
        &["latin1.csv", "latin1"],
    );
    let single = "body,verdict\nfine,good\nfair,good\n";
    fails(
        "one.csv",
        single.as_bytes(),
        &COLUMNS,
        3,
        &["one.csv", "`good`"],
    );
    fails("empty.csv", b"", &COLUMNS, 3, &["empty.csv", "empty"]);
    let xlsx = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xdf\xa4";
    fails("table.xlsx", xlsx, &COLUMNS, 3, &["table.xlsx", ".csv"]);
    let gone = ["--data", "gone.csv"];
    let folder = tempfile::tempdir().unwrap();
    let outcome = train(folder.path(), "a", &gone);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("gone.csv"), "{}", outcome.stderr);
}

#[test]
fn settings_that_cannot_be() {
    let table = csv();
    for (more, words) in [
        (
            ["--encoding", "klingon"],
            ["data.encoding", "klingon", "latin1"],
        ),
        (["--preset", "gru"], ["model.preset", "lstm or cnn", "gru"]),
        (
            ["-o", "data.fold=10"],
            ["data.fold", "below data.folds", "10"],
        ),
        (["-o", "data.folds=1"], ["data.folds", "at least 2", "1"]),
        (["-o", "model.dropout=2"], ["model.dropout", "[0, 1]", "2"]),
        (
            ["-o", "model.hiden=2"],
            ["model.hiden", "did you mean", "model.hidden"],
        ),
    ] {
        let more = [&more, &COLUMNS[..]].concat();
        fails("verdicts.csv", table.as_bytes(), &more, 2, &words);
    }
}
