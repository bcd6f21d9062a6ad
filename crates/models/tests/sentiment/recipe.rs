//! The recipe on the embedded opinions: it learns, repeats itself and goes on exactly.

use mapsto_data::Part;
use mapsto_models::lstm::sentiment::{ModelSettings, Recipe, Settings};
use mapsto_models::{Options, Recipe as _, Report, Settings as _};
use mapsto_tensor::{Checkpoint, Tensor};
use mapsto_train::{RunFolder, StopReason};
use serde_json::Value;

use super::common::ending;
use super::{folder, of_opinions, settings, train, trained};

#[test]
fn words_in_new_company_are_understood() {
    let report = &trained().report;
    // Single words tell next to nothing about the class.
    let accuracy = report.metrics["test"]["accuracy"];
    assert!(accuracy >= 0.9, "{accuracy}");
    assert_eq!((report.epochs, report.steps), (8, 8 * 180));
}

#[test]
fn the_convolutional_preset_learns_too() {
    let preset = Settings::preset("cnn").unwrap();
    assert_eq!(preset.model.preset, "cnn");
    let mut settings = of_opinions();
    settings.model = ModelSettings {
        embedding: 32,
        hidden: 32,
        ..settings.model
    };
    settings.model.preset = preset.model.preset;
    settings.optim.lr = 5e-3;
    settings.train.epochs = 6;
    let trained = train(settings).unwrap();
    let accuracy = trained.report.metrics["test"]["accuracy"];
    // Of 300 coins 195 fall on one side less than once in a million times.
    assert!(accuracy > 0.65, "{accuracy}");
    assert_eq!(largest(&trained.best(), 0), 0.0);
}

/// The largest value in the vector of a token.
fn largest(path: &std::path::Path, token: usize) -> f32 {
    let checkpoint = Checkpoint::load(path).unwrap();
    let table: &Tensor = &checkpoint.tensors["embedding.weight"];
    let largest = table.get(token).unwrap().abs().unwrap().max_all().unwrap();
    largest.to_scalar().unwrap()
}

#[test]
fn padding_stays_nothing() {
    assert_eq!(largest(&trained().best(), 0), 0.0);
}

#[test]
fn what_no_text_teaches_stays_nothing() {
    // Of many opinions every word comes twice, and none is unknown.
    assert_eq!(largest(&trained().best(), 1), 0.0);
    let mut settings = short();
    settings.data.min_count = 40;
    assert!(largest(&train(settings).unwrap().best(), 1) > 0.0);
}

#[test]
fn evaluation_of_the_pipeline_repeats_that_of_the_run() {
    let (trained, settings) = (trained(), of_opinions());
    let pipeline = trained.pipeline();
    let scores = pipeline.evaluate(&settings, Part::Test, false).unwrap();
    assert_eq!(scores.values, trained.report.metrics["test"]);
    assert_eq!(scores.samples, 300);
    let learned = pipeline.evaluate(&settings, Part::Train, false).unwrap();
    // A tenth was held out for validation.
    assert_eq!(learned.samples, 3600);
    assert!(learned["accuracy"] > scores["accuracy"] - 0.02);
}

#[test]
fn a_run_records_its_parts() {
    let run = trained().run();
    let summary = std::fs::read_to_string(run.join("summary.txt")).unwrap();
    for name in ["embedding", "lstm", "attention", "fc"] {
        assert!(summary.contains(name), "no {name} in {summary}");
    }
    let data: Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("data.json")).unwrap()).unwrap();
    assert_eq!(
        (&data["name"], &data["train"]),
        (&"sentiment".into(), &4000.into())
    );
    let description = trained().pipeline().description;
    assert_eq!(
        (&*description.kind, &*description.data),
        ("sentiment", "sentiment")
    );
    assert_eq!(description.classes, ["negative", "positive"]);
    assert_eq!(description.config.vocab, description.vocab.len());
    assert_eq!(description.max_len, 400);
}

/// Takes a second: two epochs of ten steps.
fn short() -> Settings {
    settings(
        r"
        model = { embedding = 8, hidden = 4 }
        data = { train_samples = 200, test_samples = 50 }
        train = { epochs = 2, batch_size = 18, seed = 9, save_every = 4 }
        ",
    )
}

#[test]
fn evaluation_reads_as_many_words_as_the_run() {
    let mut settings = short();
    settings.data.max_len = 5;
    let trained = train(settings).unwrap();
    // The settings of another run, or the default ones of a checkpoint without its folder.
    let scores = trained
        .pipeline()
        .evaluate(&short(), Part::Test, false)
        .unwrap();
    assert_eq!(scores.values, trained.report.metrics["test"]);
}

#[test]
fn foreign_texts_are_measured_whole() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("other.csv");
    let row = |i: usize| ["a fine film,positive\n", "a dull film,negative\n"][i % 2];
    let rows: String = (0..40).map(row).collect();
    std::fs::write(&file, format!("text,label\n{rows}")).unwrap();
    let mut settings = short();
    settings.data.source = file.display().to_string();
    let pipeline = trained().pipeline();
    let samples = |foreign| {
        let scores = pipeline.evaluate(&settings, Part::Test, foreign).unwrap();
        scores.samples
    };
    assert_eq!(samples(true), 40);
    // As texts to learn from they are cut into folds.
    assert_eq!(samples(false), 4);
    // With parts, the one that is asked for.
    for (name, rows) in [("train", 40), ("valid", 6)] {
        let rows: String = (0..rows).map(row).collect();
        std::fs::write(
            data.path().join(format!("{name}.csv")),
            format!("text,label\n{rows}"),
        )
        .unwrap();
    }
    std::fs::remove_file(&file).unwrap();
    settings.data.source = data.path().display().to_string();
    let measure = |part| pipeline.evaluate(&settings, part, true);
    assert_eq!(measure(Part::Valid).unwrap().samples, 6);
    assert_eq!(measure(Part::Train).unwrap().samples, 40);
    let error = measure(Part::Test).unwrap_err().to_string();
    assert!(error.contains("no part of this name"), "{error}");
}

#[test]
fn a_share_that_holds_out_nothing_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rows = "a fine film,positive\na dull film,negative\n".repeat(3);
    for name in ["train", "test"] {
        std::fs::write(
            data.path().join(format!("{name}.csv")),
            format!("text,label\n{rows}"),
        )
        .unwrap();
    }
    let mut settings = short();
    settings.data.source = data.path().display().to_string();
    let Err(error) = train(settings) else {
        panic!("trained with nothing held out");
    };
    assert!(
        error
            .to_string()
            .contains("data.val_fraction, 0.1, of 6 texts"),
        "{error}"
    );
}

#[test]
fn one_seed_gives_one_model() {
    let hash = |settings| train(settings).unwrap().report.weights_sha256;
    let once = hash(short());
    assert_eq!(hash(short()), once);
    let mut other = short();
    other.train.seed = 10;
    assert_ne!(hash(other), once);
}

/// The report of a run that ended after `step` and went on with everything built anew.
fn in_two_parts(step: u64, interrupted: bool) -> Report {
    let root = tempfile::tempdir().unwrap();
    let recipe = Recipe::new(short()).unwrap();
    let run = folder(root.path(), &recipe);
    let path = run.path().to_owned();
    match recipe.train(&run, false, ending(step, interrupted)) {
        Ok(report) => {
            assert!(interrupted);
            assert_eq!(report.steps, step.min(20));
            assert_eq!(report.stopped, StopReason::Interrupted);
            assert!(!report.metrics.contains_key("test"));
        }
        Err(error) => assert!(!interrupted, "{error}"),
    }
    drop(run);
    let run = RunFolder::resume(&path).unwrap();
    let recipe = Recipe::new(short()).unwrap();
    recipe.train(&run, true, Options::default()).unwrap()
}

#[test]
fn a_run_interrupted_in_its_test_is_tested_when_it_goes_on() {
    let whole = train(short()).unwrap().report;
    // No step has this number: the flag is set once training is over.
    let parts = in_two_parts(21, true);
    assert_eq!(parts.weights_sha256, whole.weights_sha256);
    assert_eq!(parts.metrics, whole.metrics);
}

#[test]
fn a_run_goes_on_exactly_in_the_middle_of_an_epoch() {
    let whole = train(short()).unwrap().report;
    assert_eq!(whole.steps, 20);
    for (step, interrupted) in [(7, true), (7, false), (13, true), (15, false)] {
        let parts = in_two_parts(step, interrupted);
        assert_eq!(
            parts.weights_sha256, whole.weights_sha256,
            "{step} {interrupted}"
        );
        assert_eq!(parts.metrics, whole.metrics, "{step} {interrupted}");
        assert_eq!(parts.steps, whole.steps);
    }
}
