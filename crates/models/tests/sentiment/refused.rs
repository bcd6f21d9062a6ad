//! Checkpoints, settings and texts that do not fit.

use std::path::PathBuf;

use mapsto_data::Part;
use mapsto_models::cnn::CnnPipeline;
use mapsto_models::lstm::sentiment::{Recipe, SentimentPipeline, Settings};
use mapsto_models::{Error, Recipe as _, Settings as _, ZOO};
use mapsto_tensor::{Checkpoint, CheckpointError, Device};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{of_opinions, settings, trained};

/// The good checkpoint with another description.
fn described(folder: &TempDir, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut checkpoint = Checkpoint::load(&trained().best()).unwrap();
    change(&mut checkpoint.metadata["model"]);
    let path = folder.path().join("changed.safetensors");
    checkpoint.save(&path).unwrap();
    path
}

#[test]
fn checkpoints_of_other_models() {
    let folder = tempfile::tempdir().unwrap();
    let load = |change: &dyn Fn(&mut Value)| {
        SentimentPipeline::load(described(&folder, change), &Device::Cpu).unwrap_err()
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Value));
    let cases: [Change<'_>; 5] = [
        ("kind cnn, not sentiment", &|m| *m = json!({"kind": "cnn"})),
        ("does not describe its model", &|m| *m = Value::Null),
        ("missing field `config`", &|m| {
            *m = json!({"kind": "sentiment"})
        }),
        ("and 3 classes for a model", &|m| {
            m["classes"] = json!(["a", "b", "c"])
        }),
        ("words and 2 classes for a model of 99", &|m| {
            m["config"]["vocab"] = json!(99)
        }),
    ];
    for (reason, change) in cases {
        let error = load(change);
        assert!(matches!(error, Error::Incompatible { .. }), "{error:?}");
        let text = error.to_string();
        let named = text.contains("changed.safetensors");
        assert!(named && text.contains(reason), "no \"{reason}\" in {text}");
    }
    let error = load(&|m| m["config"]["encoder"]["lstm"]["hidden"] = json!(8));
    let mismatch = matches!(error, Error::Checkpoint(CheckpointError::Mismatch(_)));
    assert!(mismatch, "{error:?}");
    let error = CnnPipeline::load(trained().best(), &Device::Cpu).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("kind sentiment, not cnn"), "{text}");
}

#[test]
fn settings_out_of_range_are_named() {
    let cases: [(&str, &str); 19] = [
        (
            "model = { preset = \"gru\" }",
            "model.preset must be lstm or cnn, got gru",
        ),
        (
            "model = { embedding = 0 }",
            "model.embedding must be at least 1",
        ),
        ("model = { hidden = 0 }", "model.hidden must be at least 1"),
        ("model = { layers = 0 }", "model.layers must be at least 1"),
        (
            "model = { init = -0.1 }",
            "model.init must be 0 or more, got -0.1",
        ),
        (
            "model = { dropout = 2.0 }",
            "model.dropout must be in [0, 1], got 2",
        ),
        (
            "model = { input_dropout = -1.0 }",
            "model.input_dropout must be in [0, 1]",
        ),
        (
            "data = { train_samples = 0 }",
            "data.train_samples must be at least 2",
        ),
        (
            "data = { test_samples = 0 }",
            "data.test_samples must be at least 1",
        ),
        ("data = { max_len = 0 }", "data.max_len must be at least 1"),
        (
            "data = { folds = 1 }",
            "data.folds must be at least 2, got 1",
        ),
        (
            "data = { fold = 10 }",
            "data.fold must be below data.folds, 10, got 10",
        ),
        (
            "data = { val_fraction = 1.0 }",
            "data.val_fraction must be in [0, 1)",
        ),
        ("optim = { lr = 0.0 }", "optim.lr must be a positive number"),
        (
            "optim = { momentum = 1.0 }",
            "optim.momentum must be in [0, 1)",
        ),
        ("optim = { name = \"adagrad\" }", "optim.name must be adam"),
        ("train = { epochs = 0 }", "train.epochs must be at least 1"),
        (
            "train = { batch_size = 0 }",
            "train.batch_size must be at least 1",
        ),
        (
            "data = { val_fraction = 0.0 }\ntrain = { patience = 2 }",
            "train.patience must be 0 unless data.val_fraction is set",
        ),
    ];
    for (text, words) in cases {
        let Err(Error::Config(message)) = Recipe::new(settings(text)) else {
            panic!("{text} was accepted");
        };
        assert!(message.contains(words), "{text}: {message}");
    }
    assert!(toml::from_str::<Settings>("data = { encoding = \"klingon\" }").is_err());
    let Err(Error::Config(message)) = Settings::preset("gru") else {
        panic!("there is no preset gru");
    };
    assert!(message.contains("lstm or cnn, got gru"), "{message}");
    let entry = ZOO.iter().find(|entry| entry.name == "sentiment").unwrap();
    for preset in entry.presets {
        Settings::preset(preset).unwrap().validate().unwrap();
    }
}

/// What a recipe says of a table.
fn refused(table: &str, change: impl FnOnce(&mut Settings)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("films.csv");
    std::fs::write(&path, table).unwrap();
    let mut settings = Settings::default();
    settings.data.source = path.display().to_string();
    change(&mut settings);
    match Recipe::new(settings) {
        Err(error @ (Error::Data(_) | Error::Config(_))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_that_cannot_be_learned() {
    let rows = "id,review,stars\n1,dull,bad\n2,a joy,good\n";
    let own = |settings: &mut Settings| settings.data.label_column = "stars".to_owned();
    let missing = refused(rows, |_| ());
    for word in ["films.csv", "label", "id", "review", "stars"] {
        assert!(missing.contains(word), "no {word} in {missing}");
    }
    let missing = refused(rows, |s| s.data.text_column = "body".to_owned());
    assert!(missing.contains("no column `body`"), "{missing}");
    let few = refused(rows, own);
    assert!(
        few.contains("10 folds") && few.contains("smallest class"),
        "{few}"
    );
    let single = refused("review,stars\ndull,bad\nslow,bad\n", own);
    assert!(single.contains("of the class `bad`"), "{single}");
    let gone = refused(rows, |s| s.data.source += ".gz");
    assert!(gone.contains("films.csv.gz"), "{gone}");
}

#[test]
fn texts_of_other_classes_cannot_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.csv");
    let row = "dull,negative\na joy,positive\nso so,mixed\n";
    std::fs::write(&path, format!("text,label\n{}", row.repeat(10))).unwrap();
    let mut settings = of_opinions();
    settings.data.source = path.display().to_string();
    let pipeline = trained().pipeline();
    let Err(Error::Config(message)) = pipeline.evaluate(&settings, Part::Test, false) else {
        panic!("the class mixed was evaluated");
    };
    let named = message.contains("\"mixed\"") && message.contains("negative, positive");
    assert!(named, "{message}");
}
