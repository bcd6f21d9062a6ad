//! Bad input gets an error that says what, where and what to do, its own exit code, and leaves
//! nothing half-written behind.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::fs;

use common::{fails, mapsto, train, write_set};

#[test]
fn arguments_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let train = |more: &[&str], words: &[&str]| {
        fails(at, &[&["train", "cnn"], more].concat(), 2, words);
    };
    train(&["--epoch", "3"], &["--epoch", "similar", "--epochs"]);
    train(&["--lr", "nan"], &["optim.lr", "positive", "NaN"]);
    train(&["--lr", "-1"], &["optim.lr", "-1"]);
    train(&["--lr", "fast"], &["fast", "--lr"]);
    train(
        &["--batch-size", "0"],
        &["train.batch_size", "at least 1", "0"],
    );
    train(&["--epochs", "0"], &["train.epochs", "at least 1"]);
    train(&["--val-fraction", "1"], &["data.val_fraction", "[0, 1)"]);
    train(
        &["--patience", "2"],
        &["train.patience", "data.val_fraction"],
    );
    train(&["--momentum", "1"], &["optim.momentum", "[0, 1)"]);
    train(&["--name", "a/b"], &["a/b", "name of a folder"]);
    train(&["--optimizer", "adamm"], &["optim.name", "adamm", "adamw"]);
    train(&["--preset", "lenet"], &["model.preset", "lenet5"]);
    train(
        &["-o", "optim.le=1"],
        &["optim.le", "did you mean \"optim.lr\""],
    );
    train(&["-o", "optim.lr"], &["KEY=VALUE"]);
    train(&["-o", "train.epochs=many"], &["train.epochs", "many"]);
    train(&["--config", "none.toml"], &["none.toml"]);
    fs::write(at.join("broken.toml"), "[train\nepochs = 3").unwrap();
    train(&["--config", "broken.toml"], &["broken.toml", "line 1"]);
    fs::write(at.join("unknown.toml"), "[train]\nepoch = 3").unwrap();
    train(
        &["--config", "unknown.toml"],
        &[
            "unknown.toml",
            "train.epoch",
            "did you mean \"train.epochs\"",
        ],
    );
    fails(at, &["train", "cn"], 2, &["\"cn\"", "did you mean \"cnn\""]);
    fails(at, &["trian"], 2, &["trian", "train"]);
    fails(at, &["eval", "x", "--split", "dev"], 2, &["dev", "test"]);
}

#[test]
fn devices() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fails(
        at,
        &["train", "cnn", "--device", "gpu"],
        7,
        &["\"gpu\"", "cuda"],
    );
    if cfg!(not(feature = "cuda")) {
        let arguments = ["train", "cnn", "--device", "cuda:0"];
        fails(at, &arguments, 7, &["cuda:0", "--device cpu"]);
    }
}

#[test]
fn data_folders() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let train = |data: &str, words: &[&str]| {
        fails(at, &["train", "cnn", "--data", data], 3, words);
        fails(at, &["data", "check", data], 3, words);
    };
    train("nowhere", &["nowhere", "does not exist"]);
    fs::create_dir(at.join("empty")).unwrap();
    train("empty", &["empty", "train-images"]);

    let damage = |name: &str, file: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let set = write_set(&at.join(name), 20, 9, 4);
        let path = set.join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    };
    damage("cut", "train-images-idx3-ubyte.gz", &|b| {
        b.truncate(b.len() / 2)
    });
    train("cut", &["train-images-idx3-ubyte.gz", "cut"]);

    let plain = |name: &str, file: &str, change: &dyn Fn(&mut Vec<u8>)| {
        damage(name, file, &|bytes| {
            let mut read = vec![];
            let mut decoder = flate2::bufread::GzDecoder::new(&bytes[..]);
            std::io::Read::read_to_end(&mut decoder, &mut read).unwrap();
            change(&mut read);
            *bytes = read;
        });
    };
    let images = "train-images-idx3-ubyte.gz";
    plain("magic", images, &|b| b[2] = 0x0d);
    train("magic", &[images, "0x0d"]);
    plain("count", images, &|b| b[7] = 21);
    train("count", &[images]);
    plain("labels", "train-labels-idx1-ubyte.gz", &|b| b[7] = 19);
    train("labels", &["train-labels-idx1-ubyte.gz"]);
    plain("class", "t10k-labels-idx1-ubyte.gz", &|b| b[8] = 9);
    train("class", &["t10k-labels-idx1-ubyte.gz", "9"]);
}

#[test]
fn output_folders() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("file"), "x").unwrap();
    let arguments = ["train", "cnn", "--out", "file/runs"];
    fails(at, &arguments, 1, &["file/runs"]);
    let reason = mapsto(at, &arguments).stderr;
    assert_eq!(reason.matches("os error").count(), 1, "{reason}");
    if cfg!(target_os = "linux") {
        // Nobody may make a folder there, not even root.
        let arguments = ["train", "cnn", "--out", "/proc/mapsto"];
        fails(at, &arguments, 1, &["/proc/mapsto"]);
    }
    fails(
        at,
        &["data", "show", "digits", "-n", "4", "--out", "file/x.png"],
        1,
        &["file/x.png"],
    );
}

#[test]
fn runs_and_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(train(at, "a", &["--out", "."]).code, Some(0));
    let best = fs::read(at.join("a/checkpoints/best.safetensors")).unwrap();
    fs::write(at.join("half.safetensors"), &best[..best.len() / 2]).unwrap();
    fs::write(at.join("text.safetensors"), "no tensors").unwrap();
    let mut other = best.clone();
    let place = best.windows(5).position(|w| w == b"\\\"cnn").unwrap();
    other[place + 2..place + 5].copy_from_slice(b"rnn");
    fs::write(at.join("rnn.safetensors"), &other).unwrap();
    let mut other = best;
    let place = other.windows(3).position(|w| w == b"fc1").unwrap();
    other[place..place + 3].copy_from_slice(b"fx1");
    fs::write(at.join("names.safetensors"), &other).unwrap();

    for (file, words) in [
        ("half.safetensors", ["half.safetensors", "cut off"]),
        ("text.safetensors", ["text.safetensors", "safetensors"]),
        ("rnn.safetensors", ["rnn", "cnn"]),
        ("names.safetensors", ["missing", "fx1"]),
    ] {
        fails(at, &["eval", file, "--data", "digits"], 5, &words);
        fails(at, &["predict", file, "x.png"], 5, &words);
        fails(at, &["summary", file], 5, &words);
    }
    fails(at, &["eval", "nothing"], 2, &["nothing"]);
    fs::copy(
        at.join("a/checkpoints/best.safetensors"),
        at.join("alone.safetensors"),
    )
    .unwrap();
    fails(
        at,
        &["eval", "alone.safetensors"],
        2,
        &["alone.safetensors", "--data"],
    );
    fs::remove_file(at.join("alone.safetensors")).unwrap();
    fails(at, &["predict", "nothing", "x.png"], 2, &["nothing"]);
    fails(
        at,
        &["train", "cnn", "--resume", "nothing"],
        2,
        &["nothing"],
    );
    fails(at, &["train", "cnn", "--resume"], 2, &["no unfinished run"]);
    let again = ["train", "cnn", "--out", ".", "--name", "a"];
    fails(at, &again, 2, &["exists already", "--resume"]);
    let other = ["train", "cnn", "--resume", "a", "--seed", "8"];
    fails(at, &other, 2, &["train.seed", "new run"]);
    let gate = ["eval", "a", "--min", "acuracy=0.9"];
    fails(at, &gate, 2, &["did you mean \"accuracy\""]);

    write_set(&at.join("small"), 20, 9, 4);
    let arguments = ["eval", "a", "--data", "small"];
    fails(at, &arguments, 2, &["28x28", "9x9"]);

    // The last checkpoint damaged: the run cannot go on, and says from what it could.
    let last = at.join("a/checkpoints/last.safetensors");
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..100]).unwrap();
    let resume = ["train", "cnn", "--resume", "a", "--epochs", "2"];
    fails(at, &resume, 5, &["last.safetensors", "cut off"]);
}

#[test]
fn pictures() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(train(at, "a", &["--out", "."]).code, Some(0));
    fs::write(at.join("note.png"), "a text, not a picture").unwrap();
    fails(at, &["predict", "a", "note.png"], 3, &["note.png"]);
    fails(
        at,
        &["predict", "a", "gone.png"],
        3,
        &["gone.png", "not found"],
    );

    let gone = mapsto(at, &["predict", "a", "gone.png"]).stderr;
    assert_eq!(gone.matches("gone.png").count(), 1, "{gone}");

    // A bad file among good ones: the others are answered, and the exit code tells.
    let sheet = ["data", "show", "digits", "-n", "1", "--out", "one.png"];
    assert_eq!(mapsto(at, &sheet).code, Some(0));
    let outcome = mapsto(at, &["predict", "a", "note.png", "one.png"]);
    assert_eq!(outcome.code, Some(3));
    assert!(
        outcome.stdout.starts_with("one.png: "),
        "{}",
        outcome.stdout
    );
}
