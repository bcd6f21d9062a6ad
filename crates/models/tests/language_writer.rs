//! What a language model writes and answers, and files that hold none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use std::path::{Path, PathBuf};

use mapsto_data::{Part, Unit, Vocab, VocabConfig};
use mapsto_models::Cell;
use mapsto_models::cnn::{CnnConfig, CnnPipeline, cnn};
use mapsto_models::lstm::language::{
    Description, LanguageDropout, LanguageModel, LanguageModelConfig, Sampling, Settings, Writer,
};
use mapsto_models::{Error, kind_of};
use mapsto_tensor::{Checkpoint, CheckpointError, DType, Device, ParamStore, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

const WORDS: [&str; 6] = ["<eos>", "the", "dog", "cat", "sleeps", "sees"];
const CHARS: [&str; 6] = ["\n", " ", "a", "b", "é", "z"];

fn config(vocab: usize) -> LanguageModelConfig {
    LanguageModelConfig {
        vocab,
        cell: Cell::Lstm,
        embedding: 8,
        hidden: 8,
        layers: 2,
        tied: true,
        mixture: 1,
        // Writing must not drop anything.
        dropout: LanguageDropout {
            output: 0.5,
            weight: 0.5,
            ..LanguageDropout::default()
        },
    }
}

/// A file with a model that has not learned anything, so its words are all about as probable.
fn checkpoint(folder: &Path, tokens: &[&str], unit: Unit, unk: Option<&str>) -> PathBuf {
    let unk = unk.map(str::to_owned);
    let vocab = Vocab::build(
        tokens,
        &VocabConfig {
            unk,
            ..VocabConfig::default()
        },
    )
    .unwrap();
    let config = config(vocab.len());
    let store = ParamStore::new(DType::F32, &Device::Cpu).with_seed(4);
    LanguageModel::new(&config, &store.root()).unwrap();
    let kind = "lm".to_owned();
    let description = Description {
        kind,
        config,
        vocab,
        unit,
        data: "a test".to_owned(),
    };
    save(folder, &store, json!(description))
}

fn save(folder: &Path, store: &ParamStore, model: Value) -> PathBuf {
    let path = folder.join("model.safetensors");
    let (tensors, metadata) = (store.state_dict(), json!({"model": model}));
    Checkpoint { tensors, metadata }.save(&path).unwrap();
    path
}

fn load(path: &Path) -> Writer {
    Writer::load(path, &Device::Cpu).unwrap()
}

/// Knows its words and has none for others.
fn writer() -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let writer = load(&checkpoint(folder.path(), &WORDS, Unit::Word, None));
    (folder, writer)
}

fn text(writer: &Writer, prompt: &str, sampling: &Sampling, seed: u64) -> String {
    writer
        .generate(prompt, sampling, 60, seed, |_| true)
        .unwrap()
}

#[test]
fn the_seed_decides_the_text() {
    let (_folder, writer) = writer();
    let write = |seed| text(&writer, "the", &Sampling::default(), seed);
    assert_eq!(write(1), write(1));
    assert_ne!(write(1), write(2));
    let words: Vec<String> = write(1).split_whitespace().map(str::to_owned).collect();
    assert!(words.len() > 20, "{words:?}");
    let known = |word: &String| WORDS[1..].contains(&word.as_str());
    assert!(words.iter().all(known), "{words:?}");
    assert!(
        write(1).starts_with([' ', '\n']),
        "a word goes on after a space"
    );
    assert!(!write(1).contains("<eos>") && write(1).contains('\n'));
    for line in write(1).lines() {
        assert_eq!(line.trim_end(), line);
        assert!(!line.contains("  "), "{line:?}");
    }
}

#[test]
fn without_temperature_the_most_probable_follows() {
    let (_folder, writer) = writer();
    let bold = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let written = text(&writer, "the cat", &bold, 1);
    assert_eq!(text(&writer, "the cat", &bold, 2), written);
    // One token at a time, each after the whole text before: the states carry all of it.
    let mut prompt = "the cat".to_owned();
    for _ in 0..8 {
        let piece = match writer.next(&prompt, 1).unwrap().remove(0).0 {
            // A prompt's own last line end is no token.
            end if end == "<eos>" => break,
            word => format!(" {word}"),
        };
        prompt += &piece;
    }
    assert!(
        format!("the cat{written}").starts_with(&prompt),
        "{prompt:?} {written:?}"
    );
    assert!(prompt.len() > "the cat".len());
    // So does a draw from one token.
    let one = Sampling {
        top_k: 1,
        ..Sampling::default()
    };
    assert_eq!(text(&writer, "the cat", &one, 3), written);
}

#[test]
fn pieces_make_the_text_and_false_ends_it() {
    let (_folder, writer) = writer();
    let mut pieces = vec![];
    let mut keep = |piece: &str| {
        pieces.push(piece.to_owned());
        true
    };
    let sampling = Sampling::default();
    let whole = writer.generate("the", &sampling, 20, 5, &mut keep).unwrap();
    assert_eq!((pieces.len(), pieces.concat()), (20, whole));
    let mut left = 3;
    let stop = |_: &str| {
        left -= 1;
        left > 0
    };
    let cut = writer.generate("the", &sampling, 20, 5, stop).unwrap();
    assert_eq!(cut, pieces[..3].concat());
    assert_eq!(
        writer.generate("the", &sampling, 0, 5, |_| true).unwrap(),
        ""
    );
}

#[test]
fn answers_are_probabilities_in_falling_order() {
    let (_folder, writer) = writer();
    let answers = writer.next("the dog\nthe", 10).unwrap();
    assert_eq!(answers.len(), WORDS.len(), "no more than there are");
    assert!(answers.is_sorted_by(|a, b| a.1 >= b.1), "{answers:?}");
    let sum: f32 = answers.iter().map(|(_, p)| p).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert_eq!(writer.next("the dog\nthe", 2).unwrap(), answers[..2]);
    assert_ne!(
        writer.next("the dog the", 10).unwrap(),
        answers,
        "a line end is read"
    );
}

#[test]
fn nothing_before_is_the_start_of_a_line() {
    let (_folder, writer) = writer();
    let start = writer.next("", 10).unwrap();
    assert_eq!(writer.next(" \t", 10).unwrap(), start);
    // As after a line end: the only token before is that one.
    let model = writer.model();
    let end = writer.description.vocab.id("<eos>").unwrap();
    let end = Tensor::new(&[[end]], &Device::Cpu).unwrap();
    let hidden = model.hidden(&end, None, false).unwrap().dropped;
    let best = model.log_probabilities(&hidden).unwrap().flatten_all();
    let best = best.unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    assert!((start[0].1 - best.exp()).abs() < 1e-6);
    let written = text(
        &writer,
        "",
        &Sampling {
            top_k: 3,
            ..Sampling::default()
        },
        1,
    );
    assert!(!written.starts_with(' '), "{written:?}");
    assert!(!text(&writer, "the\n", &Sampling::default(), 1).starts_with(' '));
}

#[test]
fn unknown_words_are_named() {
    let (_folder, writer) = writer();
    let (ids, unknown) = writer.read("the dog sees\nthe cat").unwrap();
    assert_eq!((ids.len(), unknown.len()), (6, 0));
    for error in [
        writer.read("the zebra").unwrap_err(),
        writer.next("the zebra", 1).unwrap_err(),
        writer
            .generate("the zebra", &Sampling::default(), 3, 1, |_| true)
            .unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Data(_)), "{error:?}");
        assert!(error.to_string().contains("`zebra`"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, Some("<unk>"));
    let writer = load(&path);
    let (ids, unknown) = writer.read("zebra the gnu").unwrap();
    let unk = writer.description.vocab.unk().unwrap();
    assert_eq!((ids[0], ids[2], ids.len()), (unk, unk, 3));
    assert_eq!(unknown, ["zebra", "gnu"]);
    assert_eq!(
        writer.next("the zebra", 3).unwrap(),
        writer.next("the gnu", 3).unwrap()
    );
}

#[test]
fn characters_are_written_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let writer = load(&checkpoint(
        folder.path(),
        &CHARS,
        Unit::Char,
        Some("\u{fffd}"),
    ));
    let written = text(&writer, "é a\n", &Sampling::default(), 1);
    assert_eq!(written.chars().count(), 60);
    assert!(
        written.contains('é') && written.contains(' '),
        "{written:?}"
    );
    let (ids, unknown) = writer.read("aé\n?").unwrap();
    assert_eq!((ids.len(), unknown), (4, vec!["?".to_owned()]));
    assert_eq!(writer.next("", 2).unwrap(), writer.next("\n", 2).unwrap());
    // A text whose lines never end has nothing to begin with.
    let writer = load(&checkpoint(folder.path(), &CHARS[2..], Unit::Char, None));
    let error = writer.next("", 1).unwrap_err().to_string();
    assert!(error.contains("give a prompt"), "{error}");
}

#[test]
fn long_prompts_and_options_out_of_range() {
    let (_folder, writer) = writer();
    let long = "the dog sees the cat\n".repeat(500);
    assert_eq!(writer.next(&long, 3).unwrap().len(), 3);
    let sampling = Sampling {
        temperature: -1.0,
        ..Sampling::default()
    };
    let error = writer
        .generate("the", &sampling, 3, 1, |_| panic!("written"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Config(text) if text.contains("temperature")),
        "{error:?}"
    );
}

/// The settings of an evaluation of a text with these parts.
fn of_text(folder: &Path, train: &str, test: Option<&str>) -> Settings {
    std::fs::write(folder.join("my.train.txt"), train).unwrap();
    if let Some(test) = test {
        std::fs::write(folder.join("my.test.txt"), test).unwrap();
    }
    let mut settings = Settings::default();
    settings.data.source = folder.display().to_string();
    settings
}

#[test]
fn evaluation_knows_the_text_it_is_given() {
    let (_folder, writer) = writer();
    let data = tempfile::tempdir().unwrap();
    // Longer than any window.
    let text = "the dog sees the cat\n".repeat(200);
    let mut settings = of_text(data.path(), &text, Some("the cat sleeps\n"));
    let scores = writer.evaluate(&settings, Part::Train, false).unwrap();
    assert_eq!(scores.samples, 200 * 6 - 1);
    assert!((scores["perplexity"] - scores["loss"].exp()).abs() < 1e-6);
    // The windows' length does not matter, since states are carried; nor does dropout.
    settings.data.seq_len = 7;
    let short = writer.evaluate(&settings, Part::Train, false).unwrap();
    assert!((short["loss"] - scores["loss"]).abs() < 1e-6);
    assert_eq!(
        writer
            .evaluate(&settings, Part::Test, false)
            .unwrap()
            .samples,
        3
    );
    let error = writer
        .evaluate(&settings, Part::Valid, false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no part"), "{error}");
    let settings = of_text(data.path(), &text, Some("the zebra sleeps\n"));
    let error = writer.evaluate(&settings, Part::Test, false).unwrap_err();
    assert!(matches!(&error, Error::Data(_)), "{error:?}");
    assert!(error.to_string().contains("`zebra`"), "{error}");
}

#[test]
fn a_foreign_file_is_measured_whole() {
    let (_folder, writer) = writer();
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("other.txt");
    std::fs::write(&file, "the dog sees the cat\n".repeat(40)).unwrap();
    let mut settings = Settings::default();
    settings.data.source = file.display().to_string();
    let samples = |foreign| {
        let scores = writer.evaluate(&settings, Part::Test, foreign).unwrap();
        scores.samples
    };
    assert_eq!(samples(true), 40 * 6 - 1);
    // As a text to learn from it is cut: a twentieth is its test part.
    assert_eq!(samples(false), 2 * 6 - 1);
}

#[test]
fn each_kind_of_model_refuses_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, None);
    assert_eq!(kind_of(&path).unwrap(), "lm");
    let error = CnnPipeline::load(&path, &Device::Cpu).unwrap_err();
    assert!(matches!(&error, Error::Incompatible { .. }), "{error:?}");
    assert!(error.to_string().contains("kind lm, not cnn"), "{error}");
    let network = CnnConfig::preset("lenet5", 28, 28, 10).unwrap();
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    cnn(&network, store.root()).unwrap();
    let path = save(
        folder.path(),
        &store,
        json!({"kind": "cnn", "config": network}),
    );
    assert_eq!(kind_of(&path).unwrap(), "cnn");
    incompatible(&path, "kind cnn, not lm");
}

/// The file is refused, naming itself and the reason.
fn incompatible(path: &Path, reason: &str) {
    let error = Writer::load(path, &Device::Cpu).unwrap_err();
    assert!(matches!(&error, Error::Incompatible { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(reason) && text.contains("model.safetensors"),
        "{text}"
    );
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, None);
    let writer = load(&path);
    let good = json!(writer.description);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut model = good.clone();
        change(&mut model);
        save(folder.path(), &writer.store, model)
    };
    incompatible(&with(&|m| *m = Value::Null), "does not describe its model");
    incompatible(&with(&|m| *m = json!({"name": "mine"})), "kind unknown");
    incompatible(&with(&|m| *m = json!({"kind": "lm"})), "missing field");
    incompatible(&with(&|m| m["unit"] = json!("syllable")), "syllable");
    let fewer = json!({"tokens": ["<eos>", "the"]});
    incompatible(
        &with(&|m| m["vocab"] = fewer.clone()),
        "vocabulary of 2 tokens for a model of 6",
    );
    let other = with(&|m| m["config"]["hidden"] = json!(16));
    match Writer::load(&other, &Device::Cpu).unwrap_err() {
        Error::Checkpoint(CheckpointError::Mismatch(report)) => {
            assert!(report.missing.is_empty(), "{report:?}");
            assert!(!report.mismatched.is_empty());
        }
        other => panic!("{other:?}"),
    }
    let none = with(&|m| m["config"]["layers"] = json!(0));
    assert!(Writer::load(&none, &Device::Cpu).is_err());
}

#[test]
fn damaged_and_missing_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, None);
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Writer::load(&path, &Device::Cpu).unwrap_err();
        let corrupt = matches!(&error, Error::Checkpoint(CheckpointError::Corrupt { .. }));
        assert!(corrupt, "{length} bytes: {error:?}");
    }
    let error = Writer::load(folder.path().join("none"), &Device::Cpu).unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::Io { .. })),
        "{error:?}"
    );
}
