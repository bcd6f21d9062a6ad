//! The language model on the command line: train, eval, predict, generate, and bad input.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{Outcome, command, fails, mapsto};

/// A training that takes about a second, in `runs/a`.
fn train(folder: &Path, more: &[&str]) -> Outcome {
    let settings = [
        "model.embedding=16",
        "model.hidden=16",
        "data.train_sentences=300",
        "data.seq_len=10",
        "train.epochs=2",
        "train.batch_size=5",
    ];
    let mut arguments = vec!["train", "lm", "--json", "--name", "a"];
    arguments.extend(settings.iter().flat_map(|setting| ["-o", setting]));
    arguments.extend(more);
    mapsto(folder, &arguments)
}

/// Lines of six words and their ends, none of them twice in a line.
fn lines(count: usize) -> String {
    let words = ["red", "green", "blue", "one", "two", "three"];
    let line = |i: usize| {
        let at = |j: usize| words[(i + j * (1 + i % 2 * 4)) % 6];
        (0..6).map(at).collect::<Vec<_>>().join(" ") + "\n"
    };
    (0..count).map(line).collect()
}

fn gzip(path: &Path, text: &str) {
    let file = fs::File::create(path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

#[test]
fn train_then_eval_predict_and_generate() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let trained = train(at, &[]).json();
    let test = &trained["metrics"]["test"];
    let [reached, exact] =
        ["perplexity", "exact_perplexity"].map(|name| test[name].as_f64().unwrap());
    assert!(
        (5.0..50.0).contains(&exact) && reached > 0.9 * exact,
        "{test}"
    );
    // Far below the number of words, which is that of a model that knows nothing.
    let vocabulary = mapsto(at, &["summary", "runs/a", "--json"]).json()["layers"][0]["parameters"]
        .as_f64()
        .unwrap()
        / 16.0;
    assert!(reached < vocabulary / 2.0, "{reached} of {vocabulary}");
    for split in ["train", "val", "test"] {
        assert!(trained["metrics"][split]["perplexity"].is_f64(), "{split}");
    }

    let evaluated = mapsto(at, &["eval", "runs/a", "--json"]).json();
    assert_eq!(
        evaluated["metrics"]["test"]["perplexity"],
        test["perplexity"]
    );
    let valid = mapsto(at, &["eval", "runs/a", "--split", "valid", "--json"]).json();
    assert_ne!(valid["metrics"]["valid"]["perplexity"], test["perplexity"]);

    let answers = mapsto(
        at,
        &[
            "predict", "runs/a", "the dog", "the", "--json", "--top", "4",
        ],
    )
    .json();
    let predictions = answers["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 2);
    assert_eq!(predictions[0]["text"], "the dog");
    assert_eq!(predictions[0]["classes"].as_array().unwrap().len(), 4);
    assert_eq!(
        predictions[0]["class"],
        predictions[0]["classes"][0]["class"]
    );
    let mut child = command(at, &["predict", "runs/a", "--json", "--top", "4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"the dog\nthe\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["predictions"], answers["predictions"]);

    let generate = |seed: &str, more: &[&str]| {
        let arguments = [
            "generate", "runs/a", "--prompt", "the dog", "-n", "40", "--seed", seed,
        ];
        mapsto(at, &[&arguments[..], more].concat())
    };
    let first = generate("1", &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stdout.starts_with("the dog "), "{}", first.stdout);
    assert_eq!(generate("1", &[]).stdout, first.stdout);
    assert_ne!(generate("2", &[]).stdout, first.stdout);
    let json = generate("1", &["--json"]).json();
    let text = json["text"].as_str().unwrap();
    assert_eq!(format!("the dog{text}\n"), first.stdout);
    assert_eq!(
        (&json["prompt"], &json["seed"]),
        (&"the dog".into(), &1.into())
    );
    let bold = |seed| generate(seed, &["--temperature", "0"]).stdout;
    assert_eq!(bold("1"), bold("2"));
}

#[test]
fn texts_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = at.join("my texts");
    fs::create_dir(&text).unwrap();
    fs::write(text.join("README"), "not a part").unwrap();
    gzip(&text.join("my-TRAIN_part.txt.gz"), &lines(300));
    fs::write(text.join("x.dev"), lines(20)).unwrap();
    fs::write(text.join("a_test_of.colours"), lines(30)).unwrap();
    let trained = train(at, &["--data", "my texts"]).json();
    let perplexity = |json: &serde_json::Value, split: &str| {
        json["metrics"][split]["perplexity"].as_f64().unwrap()
    };
    // 6 words and the line end, mostly told by the word before.
    let reached = perplexity(&trained, "test");
    assert!((1.0..4.0).contains(&reached), "{reached}");
    assert!(trained["metrics"]["test"]["exact_perplexity"].is_null());
    let data: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at.join("runs/a/data.json")).unwrap()).unwrap();
    let names: Vec<&str> = data["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["my-TRAIN_part.txt.gz", "x.dev", "a_test_of.colours"]
    );

    // A single file that it did not learn from is measured whole, with the words it knows.
    fs::write(at.join("single.txt"), lines(200)).unwrap();
    let evaluated = mapsto(at, &["eval", "runs/a", "--data", "single.txt", "--json"]).json();
    assert_eq!(evaluated["samples"], 200 * 7 - 1);
    assert_eq!(evaluated["metrics"]["test"]["unknown_tokens"], 0.0);
    assert!((perplexity(&evaluated, "test") / reached - 1.0).abs() < 0.3);
    // So is the only file of a folder.
    fs::create_dir(at.join("folder")).unwrap();
    fs::copy(at.join("single.txt"), at.join("folder/single.txt")).unwrap();
    let of_folder = mapsto(at, &["eval", "runs/a", "--data", "folder", "--json"]).json();
    assert_eq!(of_folder["metrics"], evaluated["metrics"]);
    // Without parts to measure by, or to wait for.
    fs::create_dir(at.join("train only")).unwrap();
    fs::write(at.join("train only/train.txt"), lines(30)).unwrap();
    let refused = mapsto(at, &["train", "lm", "--data", "train only"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("a valid and a test part"),
        "{}",
        refused.stderr
    );
    fs::write(at.join("train only/test.txt"), lines(30)).unwrap();
    let refused = mapsto(
        at,
        &["train", "lm", "--data", "train only", "--patience", "2"],
    );
    assert!(
        refused.stderr.contains("no valid part"),
        "{}",
        refused.stderr
    );
    // Chosen by the valid part, it is measured on nothing else.
    fs::rename(
        at.join("train only/test.txt"),
        at.join("train only/valid.txt"),
    )
    .unwrap();
    let arguments = [
        "train",
        "lm",
        "--json",
        "-o",
        "model.hidden=16",
        "--data",
        "train only",
    ];
    let unmeasured = [
        &arguments[..],
        &["--name", "v", "--epochs", "1", "--batch-size", "4"],
    ]
    .concat();
    let metrics = mapsto(at, &unmeasured).json()["metrics"].clone();
    assert!(
        metrics["val"]["perplexity"].is_f64() && metrics["test"].is_null(),
        "{metrics}"
    );
    fs::write(at.join("other.txt"), "qua re\n".repeat(20)).unwrap();
    fails(
        at,
        &["eval", "runs/a", "--data", "other.txt"],
        2,
        &["knows none of the 40 tokens"],
    );
    let single = [
        "--data",
        "single.txt",
        "--name",
        "b",
        "--unit",
        "char",
        "--epochs",
        "1",
    ];
    let arguments = [
        "train",
        "lm",
        "--json",
        "-o",
        "model.hidden=16",
        "--batch-size",
        "4",
    ];
    let trained = mapsto(at, &[&arguments[..], &single].concat()).json();
    assert!(perplexity(&trained, "test") < 20.0);
    // The same words that began it go on with it.
    let again = ["train", "lm", "--resume", "runs/b", "--data", "single.txt"];
    let again = mapsto(at, &again);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let written = mapsto(at, &["generate", "runs/b", "-n", "30", "--json"]).json();
    assert_eq!(written["text"].as_str().unwrap().chars().count(), 30);
    let resume = ["train", "lm", "--resume", "runs/b"];
    fails(
        at,
        &[&resume[..], &["--name", "c"]].concat(),
        2,
        &["--name", "--resume"],
    );
    fails(
        at,
        &["summary", "runs/b", "--preset", "char"],
        2,
        &["settings of its run"],
    );
    // Not with other texts of the same name, which leaves the run as it was.
    let stored = fs::read_to_string(at.join("runs/b/config.toml")).unwrap();
    fs::write(at.join("single.txt"), lines(201)).unwrap();
    let more = [&resume[..], &["--save-every", "3"]].concat();
    fails(at, &more, 5, &["data.json", "the data are not those"]);
    assert_eq!(
        fs::read_to_string(at.join("runs/b/config.toml")).unwrap(),
        stored
    );
    fs::write(at.join("single.txt"), lines(200)).unwrap();
    let data = at.join("runs/b/data.json");
    let whole = fs::read(&data).unwrap();
    fs::write(&data, &whole[..whole.len() / 2]).unwrap();
    fails(at, &more, 5, &["data.json", "nobody knows the data"]);
    fs::write(&data, whole).unwrap();
    // Nor from a damaged checkpoint; once it goes on, it has the new settings.
    let last = at.join("runs/b/checkpoints/last.safetensors");
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..whole.len() / 2]).unwrap();
    fails(at, &more, 5, &["last.safetensors"]);
    assert_eq!(
        fs::read_to_string(at.join("runs/b/config.toml")).unwrap(),
        stored
    );
    fs::write(&last, whole).unwrap();
    assert_eq!(mapsto(at, &more).code, Some(0));
    let changed = fs::read_to_string(at.join("runs/b/config.toml")).unwrap();
    assert!(changed.contains("save_every = 3"), "{changed}");
}

#[test]
fn bad_texts_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let train = |more: &[&str], code, words: &[&str]| {
        fails(at, &[&["train", "lm"], more].concat(), code, words);
    };
    train(
        &["--data", "nowhere"],
        3,
        &["nowhere", "does not exist", "train.txt"],
    );
    train(&["--preset", "ptb"], 2, &["model.preset", "ptb-small"]);
    train(
        &["-o", "model.hiden=3"],
        2,
        &["did you mean \"model.hidden\""],
    );
    train(
        &["-o", "dropout.output=1.5"],
        2,
        &["dropout.output", "[0, 1]"],
    );
    train(&["--unit", "line"], 2, &["line", "word"]);
    train(&["--seq-len", "0"], 2, &["data.seq_len", "at least 1"]);
    train(
        &["-o", "data.max_vocab=1"],
        2,
        &["data.max_vocab", "at least 2"],
    );
    let tied = ["-o", "model.tied=true", "-o", "model.hidden=512"];
    train(&tied, 2, &["model.hidden", "model.embedding, 64", "512"]);
    fs::write(at.join("latin.txt"), b"caf\xe9 au lait\nb\nc\n").unwrap();
    train(
        &["--data", "latin.txt"],
        3,
        &["latin.txt", "UTF-8", "--encoding"],
    );
    fs::write(at.join("empty.txt"), "").unwrap();
    train(&["--data", "empty.txt"], 3, &["empty.txt", "is empty"]);
    fs::write(at.join("short.txt"), "a\nb\nc d\n").unwrap();
    train(&["--data", "short.txt"], 3, &["too few", "batch size"]);
}

#[test]
fn bad_runs_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(train(at, &["--epochs", "1", "--out", "."]).code, Some(0));
    let generate = |more: &[&str], code, words: &[&str]| {
        fails(at, &[&["generate", "a"], more].concat(), code, words);
    };
    generate(&["--temperature", "-1"], 2, &["temperature", "-1"]);
    generate(&["--top-p", "0"], 2, &["top-p", "0"]);
    generate(&["--top-p", "1.5"], 2, &["top-p", "1.5"]);
    fails(at, &["generate", "nothing"], 2, &["nothing"]);
    fails(at, &["eval", "a", "--data", "nowhere"], 3, &["nowhere"]);
    // The rate falls towards the last epoch, which therefore stays where it was.
    let longer = ["train", "lm", "--resume", "a", "--epochs", "3"];
    fails(at, &longer, 2, &["train.epochs cannot change", "new run"]);
    fs::write(at.join("text.txt"), lines(20)).unwrap();
    assert_eq!(common::train(at, "c", &["--out", "."]).code, Some(0));
    fails(at, &["generate", "c"], 5, &["kind cnn, not lm"]);
    fails(
        at,
        &["predict", "a/none.safetensors", "the"],
        2,
        &["none.safetensors"],
    );
    let best = fs::read(at.join("a/checkpoints/best.safetensors")).unwrap();
    fs::write(at.join("half.safetensors"), &best[..best.len() / 2]).unwrap();
    fails(
        at,
        &["generate", "half.safetensors"],
        5,
        &["half.safetensors", "cut off"],
    );

    // Each prompt with a word that the model cannot read is an error or named.
    let outcome = mapsto(at, &["predict", "a", "the xyzzy"]);
    assert!(outcome.stderr.contains("xyzzy"), "{}", outcome.stderr);
}
