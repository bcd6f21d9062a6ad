//! The translator on the command line: files, lines, searches, and what is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod lines;
mod training;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use common::{Outcome, command, mapsto};
use serde_json::Value;
use tempfile::TempDir;

const SMALL: [&str; 7] = [
    "model.embedding=24",
    "model.encoder_hidden=24",
    "model.hidden=32",
    "model.attention_size=16",
    "optim.lr=0.01",
    "data.held_out=0.1",
    "search.max_len=20",
];

fn train(folder: &Path, name: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["train", "translate", "--json", "--name", name];
    arguments.extend(SMALL.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

/// Colours and things; in the other language the colour comes last.
fn pairs() -> Vec<(String, String)> {
    let colours = [
        ("red", "rouge"),
        ("green", "verte"),
        ("grey", "grise"),
        ("rare", "rare"),
    ];
    let things = [
        ("car", "voiture"),
        ("door", "porte"),
        ("table", "table"),
        ("key", "clé"),
    ];
    let articles = [("the", "la"), ("a", "une"), ("this", "cette"), ("my", "ma")];
    let mut pairs = vec![];
    for (i, (article, l_article)) in articles.iter().enumerate() {
        for (j, (colour, l_colour)) in colours.iter().enumerate() {
            for (k, (thing, l_thing)) in things.iter().enumerate() {
                let pair = (
                    format!("now I can see {article} {colour} {thing} ."),
                    format!("je vois maintenant {l_article} {l_thing} {l_colour} ."),
                );
                // Not in the order of the words, since the last are held out.
                pairs.push(((7 * i + 11 * j + 29 * k) % 64, pair));
            }
        }
    }
    pairs.sort();
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

fn write_pairs(folder: &Path) {
    let side = |of: fn(&(String, String)) -> &String| {
        let lines: Vec<&str> = pairs()
            .leak()
            .iter()
            .map(|pair| of(pair).as_str())
            .collect();
        lines.join("\n")
    };
    fs::write(folder.join("a.en"), side(|pair| &pair.0)).unwrap();
    fs::write(folder.join("a.fr"), side(|pair| &pair.1)).unwrap();
}

/// A folder with a run `runs/a` that knows the pairs, and its report.
fn trained() -> &'static (TempDir, Value) {
    static TRAINED: OnceLock<(TempDir, Value)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write_pairs(folder.path());
        let files = [
            "--src",
            "a.en",
            "--tgt",
            "a.fr",
            "--epochs",
            "60",
            "--batch-size",
            "8",
        ];
        let report = train(folder.path(), "a", &files).json();
        (folder, report)
    })
}

fn translate(input: &[u8], more: &[&str]) -> Outcome {
    let arguments = [&["translate", "runs/a"], more].concat();
    let mut child = command(trained().0.path(), &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
