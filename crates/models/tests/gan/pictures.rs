//! The recipe on pictures: embedded digits, and a folder of files.

use std::sync::OnceLock;

use mapsto_data::Picture;
use mapsto_models::gan::{Condition, Settings};
use mapsto_models::{Recipe as _, Settings as _};
use mapsto_train::RunFolder;
use serde_json::Value;

use super::{Trained, train};

fn digits() -> Settings {
    let mut settings = Settings::preset("conditional").unwrap();
    settings.data.train_samples = 1000;
    settings.data.test_samples = 200;
    settings.model.width = 8;
    settings.model.latent = 16;
    settings.train.epochs = 2;
    settings.train.batch_size = 50;
    settings.measure.samples = 200;
    settings.measure.epoch_samples = 100;
    settings.measure.judge_epochs = 2;
    settings
}

fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| train(digits()).unwrap())
}

#[test]
fn a_run_measures_and_shows_what_it_made() {
    let trained = trained();
    let test = &trained.report.metrics["test"];
    for name in [
        "frechet",
        "frechet_floor",
        "frechet_floors",
        "confident",
        "entropy",
        "least_class",
        "most_class",
        "agreement",
        "precision",
        "recall",
        "diversity",
    ] {
        assert!(test[name].is_finite(), "{name}");
    }
    let floors = test["frechet"] / test["frechet_floor"];
    assert!((test["frechet_floors"] - floors).abs() < 1e-9);
    assert!(test["frechet_floors"] > 1.0);
    let size = |name: &str| {
        let picture = Picture::load(trained.run().join(name)).unwrap();
        (picture.height(), picture.width())
    };
    // A column a class.
    assert_eq!(size("samples.png"), (2 * (8 * 29 + 1), 2 * (10 * 29 + 1)));
    assert_eq!(size("samples/epoch_0002.png"), size("samples.png"));
    assert_eq!(
        size("interpolation.png"),
        (2 * (8 * 29 + 1), 2 * (8 * 29 + 1))
    );
    assert_eq!(size("real.png"), size("interpolation.png"));
    assert!(trained.run().join("samples.gif").exists());
    assert!(trained.run().join("judge.safetensors").exists());
}

#[test]
fn evaluation_of_the_pipeline_repeats_that_of_the_run() {
    let trained = trained();
    let run = RunFolder::open(&trained.run()).unwrap();
    let scores = trained.pipeline().evaluate(&digits(), &run).unwrap();
    assert_eq!(scores.values, trained.report.metrics["test"]);
    let mut other = digits();
    other.data.source = "ring".to_owned();
    other.model.condition = Condition::None;
    assert!(trained.pipeline().evaluate(&other, &run).is_err());
}

#[test]
fn a_sample_depends_on_seed_place_and_class_alone() {
    let pipeline = trained().pipeline();
    let few = pipeline.pictures(3, Some(7), 1).unwrap();
    let many = pipeline.pictures(260, Some(7), 1).unwrap();
    assert_eq!(few, many[..3]);
    assert_ne!(few[0], many[259]);
    assert_ne!(pipeline.pictures(3, Some(7), 2).unwrap(), few);
    let turns = pipeline.pictures(12, None, 1).unwrap();
    assert_eq!(turns[7].height(), 28);
    assert_eq!(pipeline.class("7").unwrap(), 7);
    assert!(pipeline.class("ten").is_err() && pipeline.class("10").is_err());
    let ways = pipeline.interpolate(2, 5, 3).unwrap();
    assert_eq!(ways.len(), 10);
    // The ends are samples of their own, the steps between them different pictures.
    assert!(ways.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn pictures_of_a_folder_in_colour_with_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (class, base) in [("dark", 0.2f32), ("light", 0.8)] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..40 {
            let pixel = |j: usize| base + 0.1 * ((i * 7 + j) as f32).sin();
            let picture = Picture::of_planes((0..3 * 20 * 24).map(pixel).collect(), 3, 20, 24);
            let path = folder.path().join(class).join(format!("{i}.png"));
            picture.unwrap().save_png(path).unwrap();
        }
    }
    std::fs::write(folder.path().join("dark/broken.png"), "no picture").unwrap();
    let mut settings = digits();
    settings.data.source = folder.path().display().to_string();
    settings.data.size = 16;
    settings.train.batch_size = 20;
    settings.model.augment = "translation,colour,cutout".to_owned();
    let run = train(settings.clone()).unwrap();
    assert_eq!(run.pipeline().description.class_names, ["dark", "light"]);
    assert_eq!(run.pipeline().class("light").unwrap(), 1);
    assert_eq!(
        run.pipeline().sample(4, None, 1).unwrap().dims(),
        [4, 3, 16, 16]
    );
    assert!(run.report.metrics["test"].contains_key("agreement"));
    let data: Value =
        serde_json::from_str(&std::fs::read_to_string(run.run().join("data.json")).unwrap())
            .unwrap();
    assert_eq!(data["pictures"], 80);
    let skipped = data["skipped"][0]["file"].as_str().unwrap();
    assert!(skipped.ends_with("dark/broken.png"), "{skipped}");
    // The run goes on with these pictures, and with no others of the same names.
    let check = || {
        let recipe = mapsto_models::gan::Recipe::new(settings.clone()).unwrap();
        recipe.check_data(&RunFolder::open(&run.run()).unwrap())
    };
    check().unwrap();
    let other = folder.path().join("light/7.png");
    std::fs::copy(folder.path().join("light/8.png"), other).unwrap();
    assert!(check().unwrap_err().to_string().contains("data.json"));
    settings.data.strict = true;
    let error = mapsto_models::gan::Recipe::new(settings).unwrap_err();
    assert!(error.to_string().contains("broken.png"), "{error}");
}

#[test]
fn pictures_without_classes_are_learned_without_a_judge() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..30 {
        let pixel = |j: usize| 0.5 + 0.4 * ((i * 5 + j) as f32 * 0.3).sin();
        let picture = Picture::new((0..256).map(pixel).collect(), 16, 16).unwrap();
        picture
            .save_png(folder.path().join(format!("{i}.png")))
            .unwrap();
    }
    let mut settings = digits();
    settings.data.source = folder.path().display().to_string();
    (settings.data.size, settings.data.channels) = (16, 1);
    settings.train.batch_size = 8;
    settings.model.condition = Condition::None;
    let run = train(settings).unwrap();
    assert!(run.figure("diversity") > 0.0);
    assert!(!run.report.metrics["test"].contains_key("frechet"));
    assert!(!run.run().join("judge.safetensors").exists());
    assert!(run.pipeline().class("0").is_err());
}
