//! The recipe of the language model: training, exact resume, and texts that do not fit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;

use common::ending;
use mapsto_data::{Part, Unit, grammar};
use mapsto_models::lstm::language::{Recipe, Sampling, Settings, Writer};
use mapsto_models::{Error, Options, Recipe as _, Report, Settings as _};
use mapsto_tensor::Device;
use mapsto_train::{RunFolder, StopReason};
use serde_json::Value;
use tempfile::TempDir;

mod passed_on;

/// A small run of the embedded language.
fn settings() -> Settings {
    let mut settings = Settings::preset("grammar").unwrap();
    (settings.model.embedding, settings.model.hidden) = (16, 16);
    (settings.data.train_sentences, settings.data.seq_len) = (300, 10);
    (settings.train.epochs, settings.train.batch_size) = (2, 5);
    settings.train.seed = 5;
    settings
}

fn create(folder: &Path, recipe: &Recipe) -> RunFolder {
    let prepare = |run: &RunFolder| {
        recipe.record(run, "test")?;
        // A run can be resumed once its settings are there.
        Ok(run.write_text("config.toml", "")?)
    };
    RunFolder::create::<Error>(folder, "lm", Some("run"), prepare).unwrap()
}

fn train(settings: &Settings) -> (TempDir, RunFolder, Report) {
    train_with(settings, Options::default())
}

fn train_with(settings: &Settings, options: Options) -> (TempDir, RunFolder, Report) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::new(settings.clone()).unwrap();
    let run = create(folder.path(), &recipe);
    let report = recipe.train(&run, false, options).unwrap();
    (folder, run, report)
}

/// Everything that has a state: dropout of each kind, momentum, clipping, a schedule, validation.
fn stateful() -> Settings {
    let mut settings = settings();
    settings.train.save_every = 3;
    settings.train.limit_batches = 11;
    settings.train.patience = 5;
    settings.dropout = toml::from_str(
        "variational = true\nwords = 0.1\ninput = 0.2\nhidden = 0.2\noutput = 0.3\nweight = 0.2",
    )
    .unwrap();
    settings.model.layers = 2;
    settings.model.alpha = 1.0;
    settings.optim.clip_norm = 0.5;
    settings
}

#[test]
fn a_run_goes_on_to_the_same_bits() {
    let settings = stateful();
    let (_folder, run, expected) = train(&settings);
    assert_eq!((expected.epochs, expected.steps), (2, 22));
    let text = std::fs::read_to_string(run.file("metrics.csv")).unwrap();
    assert!(text.contains("val.perplexity"), "{text}");
    // In the middle of each epoch, between checkpoints, and at one.
    for (step, interrupted) in [(5, false), (7, true), (9, false), (11, true), (17, false)] {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::new(settings.clone()).unwrap();
        let run = create(folder.path(), &recipe);
        let path = run.path().to_owned();
        let first = recipe.train(&run, false, ending(step, interrupted));
        match first {
            Ok(report) => {
                assert!(interrupted);
                assert_eq!(report.stopped, StopReason::Interrupted);
                assert_eq!(report.steps, step);
                assert!(!report.metrics.contains_key("test"));
            }
            Err(error) => assert!(!interrupted && error.to_string().contains("killed")),
        }
        drop(run);
        let recipe = Recipe::new(settings.clone()).unwrap();
        let run = RunFolder::resume(&path).unwrap();
        let report = recipe.train(&run, true, Options::default()).unwrap();
        assert_eq!(
            report.weights_sha256, expected.weights_sha256,
            "after step {step}"
        );
        assert_eq!(report.metrics, expected.metrics, "after step {step}");
    }
}

#[test]
fn the_entropy_of_the_grammar_is_nearly_reached_and_not_beaten() {
    let mut settings = settings();
    settings.train.epochs = 3;
    settings.data.train_sentences = 6000;
    settings.model.hidden = 32;
    settings.model.embedding = 32;
    let (_folder, run, report) = train(&settings);
    let (test, exact) = (&report.metrics["test"], grammar::perplexity(Unit::Word));
    assert!((test["exact_perplexity"] - exact).abs() < 1e-12);
    assert!((test["loss"].exp() / test["perplexity"] - 1.0).abs() < 1e-4);
    // The same text: a tenth of the sentences to train on.
    let text = grammar::text(Part::Test, 600, settings.train.seed).unwrap();
    let tokens = (text.split_whitespace().count() + text.lines().count()) as f64;
    let best = grammar::surprise(&text).unwrap();
    // Who sees the last word alone is 1.11 times as far, or farther.
    let reached = test["perplexity"] / best.exp();
    assert!(
        reached < 1.08,
        "{reached} times the perplexity of the perfect model"
    );
    // Whoever does not know the text wins more than c nats with a probability of exp(-c) only;
    // the first token, at most ln 1000 nats, is not predicted.
    let won = best * tokens - test["loss"] * (tokens - 1.0);
    assert!(
        won < 12.0 + 1000f64.ln(),
        "{won} nats better than the perfect model"
    );

    let writer = Writer::load(run.best(), &Device::Cpu).unwrap();
    let again = writer.evaluate(&settings, Part::Test, false).unwrap();
    assert_eq!(again["perplexity"], test["perplexity"]);
    assert_eq!(again.samples as f64, tokens - 1.0);
    // Most sentences that it writes are of the language.
    let bold = Sampling {
        top_p: 0.9,
        ..Sampling::default()
    };
    let written = writer.generate("", &bold, 400, 1, |_| true).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    let lines = &lines[..lines.len() - 1];
    let right = lines
        .iter()
        .filter(|line| grammar::surprise(line).is_ok())
        .count();
    assert!(
        lines.len() > 20 && 10 * right >= 9 * lines.len(),
        "{right} of {}",
        lines.len()
    );
}

#[test]
fn a_run_records_its_parts() {
    let mut settings = settings();
    (settings.train.epochs, settings.train.limit_batches) = (1, 2);
    let recipe = Recipe::new(settings).unwrap();
    let summary = recipe.summary().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = create(folder.path(), &recipe);
    recipe.train(&run, false, Options::default()).unwrap();
    let vocab = Writer::load(run.best(), &Device::Cpu)
        .unwrap()
        .description
        .vocab
        .len();
    // Embedding, four gates of two matrices and two biases, softmax.
    let lstm = 4 * 16 * (16 + 16 + 2);
    assert_eq!(summary.trainable, vocab * 16 + lstm + vocab * 17);
    let rows: Vec<(&str, usize, u64)> = summary
        .layers
        .iter()
        .map(|row| (row.name.as_str(), row.parameters, row.multiply_adds))
        .collect();
    let expected = [
        ("encoder", vocab * 16, 0),
        ("rnn", lstm, 4 * 16 * (16 + 16)),
        ("decoder", vocab * 17, vocab as u64 * 16),
    ];
    assert_eq!(rows, expected);
    for name in ["data.json", "env.json", "result.json"] {
        let text = std::fs::read_to_string(run.file(name)).unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
    }
    let data: Value =
        serde_json::from_str(&std::fs::read_to_string(run.file("data.json")).unwrap()).unwrap();
    assert_eq!(
        (&data["name"], &data["train"]["lines"]),
        (&"grammar".into(), &300.into())
    );
}

#[test]
fn a_perfect_model_is_no_measure_of_one_that_reads_less() {
    let mut settings = settings();
    (settings.train.epochs, settings.train.limit_batches) = (1, 2);
    let (_folder, _, report) = train(&settings);
    assert!(report.metrics["test"].contains_key("exact_perplexity"));
    settings.data.max_vocab = 10_000;
    let (_folder, _, report) = train(&settings);
    assert!(report.metrics["test"].contains_key("exact_perplexity"));
    settings.data.max_vocab = 10;
    let (_folder, _, report) = train(&settings);
    assert!(!report.metrics["test"].contains_key("exact_perplexity"));
}

/// Writes the file as a single text, and gives the settings to learn it.
fn of_file(folder: &Path, bytes: &[u8]) -> Settings {
    let path = folder.join("text.txt");
    std::fs::write(&path, bytes).unwrap();
    let mut settings = settings();
    settings.data.source = path.display().to_string();
    settings
}

#[test]
fn texts_that_cannot_be_learned_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let refused = |settings: Settings, words: &[&str]| {
        let error = Recipe::new(settings).unwrap_err();
        assert!(matches!(&error, Error::Data(_)), "{error:?}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    refused(of_file(at, b""), &["text.txt", "is empty"]);
    refused(of_file(at, b" \n\n"), &["text.txt", "is empty"]);
    refused(of_file(at, b"word\n"), &["text.txt", "single token"]);
    refused(of_file(at, b"two words\n"), &["text.txt", "2 tokens"]);
    refused(
        of_file(at, b"caf\xe9 au lait\na\nb\n"),
        &["text.txt", "encoding", "line 1"],
    );
    refused(
        of_file(at, b"a b\nc\nd e\n"),
        &["too few", "streams", "batch size"],
    );
    let mut settings = settings();
    settings.data.source = at.join("none").display().to_string();
    refused(settings, &["none", "does not exist"]);
}

#[test]
fn any_text_can_be_learned() {
    let folder = tempfile::tempdir().unwrap();
    let line = "caf\u{e9} au lait\n"
        .chars()
        .map(|c| c as u8)
        .collect::<Vec<u8>>();
    let mut settings = of_file(folder.path(), &line.repeat(60));
    settings.data.encoding = mapsto_data::Encoding::Latin1;
    settings.train.epochs = 1;
    for unit in [Unit::Word, Unit::Char] {
        settings.data.unit = unit;
        let (_run_folder, run, report) = train(&settings);
        assert!(!report.metrics["test"].contains_key("exact_perplexity"));
        let writer = Writer::load(run.best(), &Device::Cpu).unwrap();
        assert_eq!(writer.description.unit, unit);
        let accent = if unit == Unit::Word { "café" } else { "é" };
        assert!(writer.description.vocab.id(accent).is_some());
        assert!(writer.description.vocab.unk().is_none(), "all is known");
    }
    // A word that is too rare is unknown, and so are those of the held-out parts.
    settings.data.unit = Unit::Word;
    let mut text = line.repeat(60);
    text.extend(b"zebra\n");
    std::fs::write(&settings.data.source, text).unwrap();
    let (_run_folder, run, _) = train(&settings);
    let writer = Writer::load(run.best(), &Device::Cpu).unwrap();
    assert_eq!(writer.read("zebra au").unwrap().1, ["zebra"]);
    // Then those that came only once are as unknown, or nothing would be learned of unknown ones.
    let mut text = line.repeat(60);
    text.splice(0..0, *b"once\n");
    text.extend(b"zebra\n");
    std::fs::write(&settings.data.source, text).unwrap();
    let (_run_folder, run, _) = train(&settings);
    let writer = Writer::load(run.best(), &Device::Cpu).unwrap();
    assert_eq!(writer.read("once au").unwrap().1, ["once"]);
    // A line has an end only where the prompt says so.
    let end = writer.description.vocab.id(mapsto_data::EOS).unwrap();
    let (open, _) = writer.read("au lait").unwrap();
    assert_eq!(
        writer.read("au lait\n").unwrap().0,
        [&open[..], &[end]].concat()
    );
}
