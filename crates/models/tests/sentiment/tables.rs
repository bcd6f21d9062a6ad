//! Labelled texts of one's own: columns, classes, parts and folds.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use mapsto_data::{LabelledText, Part, sentiment};
use mapsto_models::lstm::sentiment::Settings;

use super::{settings, train, trained};

/// Opinions with the classes that the trained model knows.
fn opinions(path: &Path, count: usize) -> String {
    let mut table = "text,label\n".to_owned();
    for (text, positive) in sentiment::texts(Part::Valid, count, 8).unwrap() {
        let class = sentiment::CLASSES[usize::from(positive)];
        writeln!(table, "\"{text}\",{class}").unwrap();
    }
    fs::write(path, &table).unwrap();
    path.display().to_string()
}

fn of_source(source: &str) -> Settings {
    let mut settings = settings("train = { batch_size = 7, seed = 3 }");
    source.clone_into(&mut settings.data.source);
    settings.data.val_fraction = 0.0;
    settings
}

#[test]
fn folds_test_every_text_exactly_once() {
    const TEXTS: usize = 47;
    const FOLDS: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    let source = opinions(&folder.path().join("opinions.csv"), TEXTS);
    let pipeline = trained().pipeline();
    // The sum of the losses tells whether these are the same texts.
    let measure = |settings: &Settings, part| {
        let scores = pipeline.evaluate(settings, part, false).unwrap();
        (scores.samples, scores["loss"] * scores.samples as f64)
    };
    let mut settings = of_source(&source);
    settings.data.folds = FOLDS;
    let (mut samples, mut losses) = (0, vec![]);
    for fold in 0..FOLDS {
        settings.data.fold = fold;
        let (tested, loss) = measure(&settings, Part::Test);
        let (learned, rest) = measure(&settings, Part::Train);
        assert!((9..=10).contains(&tested), "{tested}");
        assert_eq!(tested + learned, TEXTS);
        samples += tested;
        losses.push((loss, loss + rest));
    }
    assert_eq!(samples, TEXTS);
    let whole = folder.path().join("whole");
    fs::create_dir(&whole).unwrap();
    for part in ["train.csv", "test.csv"] {
        fs::copy(&source, whole.join(part)).unwrap();
    }
    let (all, expected) = measure(&of_source(&whole.display().to_string()), Part::Test);
    assert_eq!(all, TEXTS);
    let once: f64 = losses.iter().map(|pair| pair.0).sum();
    let close = |sum: f64| (sum - expected).abs() < 1e-4 * expected;
    assert!(close(once), "{once}, not {expected}");
    for (_, of_both) in &losses {
        assert!(close(*of_both), "{of_both}, not {expected}");
    }
    let different = losses.windows(2).all(|pair| pair[0].0 != pair[1].0);
    assert!(different, "{losses:?}");

    let set = LabelledText::open(&source, &mapsto_data::LabelledTextConfig::default()).unwrap();
    let folds = set.folds(FOLDS, 3).unwrap();
    let mut tested: Vec<usize> = folds.into_iter().flat_map(|fold| fold.test).collect();
    tested.sort_unstable();
    assert!(tested.into_iter().eq(0..TEXTS));
}

#[test]
fn parts_of_the_source_are_used_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    opinions(&folder.path().join("train.csv"), 60);
    opinions(&folder.path().join("test.csv"), 25);
    let source = folder.path().display().to_string();
    let mut settings = of_source(&source);
    let pipeline = trained().pipeline();
    let samples = |settings: &Settings, part| {
        let scores = pipeline.evaluate(settings, part, false).unwrap();
        scores.samples
    };
    assert_eq!(samples(&settings, Part::Test), 25);
    settings.data.val_fraction = 0.0;
    assert_eq!(samples(&settings, Part::Train), 60);
    settings.data.fold = 9;
    let error = pipeline.evaluate(&settings, Part::Test, false).unwrap_err();
    assert!(
        error.to_string().contains("data.fold must be 0, got 9"),
        "{error}"
    );
    settings.data.fold = 0;
    settings.data.val_fraction = 0.25;
    assert_eq!(samples(&settings, Part::Test), 25);
    let kept = samples(&settings, Part::Train);
    assert!((44..=46).contains(&kept), "{kept}");
    // A valid part of the source is held out in place of a share.
    opinions(&folder.path().join("valid.csv"), 10);
    assert_eq!(samples(&settings, Part::Train), 60);
    assert_eq!(samples(&settings, Part::Valid), 10);
    settings.model.embedding = 8;
    settings.model.hidden = 4;
    settings.train.epochs = 1;
    let report = train(settings).unwrap().report;
    assert!(report.metrics["val"].contains_key("accuracy"));
    assert_eq!(report.steps, 9);
}

#[test]
fn a_table_with_columns_and_classes_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("animals.csv");
    let mut table = "id,what it does,animal\n".to_owned();
    let kinds = [
        ("swims in the deep sea", "fish"),
        ("flies over the wide land", "bird"),
        ("crawls below some old stone", "beetle"),
    ];
    for (i, (deed, animal)) in (0..60).zip(kinds.into_iter().cycle()) {
        let when = ["by day", "by night", "now and then"][i % 5 % 3];
        writeln!(table, "{i},\"It {deed}, {when}.\",{animal}").unwrap();
    }
    fs::write(&path, table).unwrap();
    let mut settings = of_source(&path.display().to_string());
    settings.data.text_column = "what it does".to_owned();
    settings.data.label_column = "animal".to_owned();
    settings.model.embedding = 16;
    settings.model.hidden = 8;
    settings.optim.lr = 0.02;
    settings.train.epochs = 4;
    let trained = train(settings).unwrap();
    // A tenth of 60 is judged by, the rest learned in batches of 7.
    assert_eq!(trained.report.steps, 4 * 8);
    assert_eq!(trained.report.metrics["test"]["accuracy"], 1.0);
    assert!(!trained.report.metrics.contains_key("val"));
    let pipeline = trained.pipeline();
    assert_eq!(pipeline.description.classes, ["beetle", "bird", "fish"]);
    assert_eq!(pipeline.description.data, "animals.csv");
    for (deed, animal) in kinds {
        let answer = pipeline.predict(deed).unwrap();
        assert_eq!((&*answer.classes[0].0, answer.classes.len()), (animal, 3));
    }
}
