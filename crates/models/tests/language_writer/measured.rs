//! How a language model measures texts.

use mapsto_data::Part;
use mapsto_models::Error;
use mapsto_models::lstm::language::Settings;

use super::*;

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
