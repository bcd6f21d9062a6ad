//! From a trained checkpoint to answers, for pictures of every form, and files that do not fit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::{DynamicImage, ImageBuffer, Rgb};
use mapsto_data::{ImageSet, Picture, Split, digits};
use mapsto_models::cnn::{CnnConfig, CnnPipeline, Recipe, Settings, cnn};
use mapsto_models::{Error, Options, Recipe as _, Report};
use mapsto_tensor::{Checkpoint, CheckpointError, DType, Device, ParamStore};
use mapsto_train::{RunFolder, Snapshot};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIDE: usize = 28;

/// A run of the recipe, trained once for all tests of this file.
struct Trained {
    folder: TempDir,
    report: Report,
}

impl Trained {
    fn best(&self) -> PathBuf {
        let checkpoints = self.folder.path().join("run/checkpoints");
        checkpoints.join("best.safetensors")
    }
}

fn settings() -> Settings {
    let text = r#"
        model = { preset = "lenet5" }
        data = { train_samples = 1000, test_samples = 100 }
        optim = { lr = 5e-3 }
        train = { epochs = 5, seed = 5 }
    "#;
    toml::from_str(text).unwrap()
}

fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::new(settings()).unwrap();
        let run =
            RunFolder::create::<mapsto_models::Error>(folder.path(), "cnn", Some("run"), |run| {
                recipe.record(run, "test")
            })
            .unwrap();
        let report = recipe.train(&run, false, Options::default()).unwrap();
        Trained { folder, report }
    })
}

fn pipeline() -> CnnPipeline {
    CnnPipeline::load(trained().best(), &Device::Cpu).unwrap()
}

fn top(pipeline: &CnnPipeline, picture: &Picture) -> String {
    pipeline.predict(picture).unwrap()[0].0.clone()
}

/// Test digits that the network reads right and is sure of, with their classes.
fn sure_digits(pipeline: &CnnPipeline) -> Vec<(Picture, String)> {
    let set: ImageSet = digits(Split::Test, 100, 5).unwrap();
    let picture = |i| (set.picture(i).unwrap(), set.labels()[i].to_string());
    let sure = |(picture, label): &(Picture, String)| {
        let best = &pipeline.predict(picture).unwrap()[0];
        best.0 == *label && best.1 > 0.9
    };
    let digits: Vec<_> = (0..100).map(picture).filter(sure).collect();
    let mut classes: Vec<&String> = digits.iter().map(|(_, label)| label).collect();
    classes.sort();
    classes.dedup();
    assert!(
        digits.len() >= 30 && classes.len() >= 8,
        "{classes:?} of {}",
        digits.len()
    );
    digits
}

fn inverted(digit: &Picture) -> Picture {
    let pixels = digit.pixels().iter().map(|value| 1.0 - value).collect();
    Picture::new(pixels, digit.height(), digit.width()).unwrap()
}

/// The digit five times as large, somewhere on a paper of 200 rows and 150 columns, with `ink`
/// and `paper` as its brightest and darkest grey.
fn on_paper(digit: &Picture, ink: f32, paper: f32) -> Picture {
    let large = digit.enlarge(5).unwrap();
    let mut pixels = vec![paper; 200 * 150];
    for (i, row) in large.pixels().chunks_exact(5 * SIDE).enumerate() {
        for (j, value) in row.iter().enumerate() {
            pixels[(i + 50) * 150 + j + 5] = paper + value * (ink - paper);
        }
    }
    Picture::new(pixels, 200, 150).unwrap()
}

/// Written in blue on yellowish paper, and read again from a file of the name's format.
fn in_colour(digit: &Picture, name: &str) -> Picture {
    let grey = on_paper(digit, 1.0, 0.0);
    let (height, width) = (grey.height() as u32, grey.width() as u32);
    let image = ImageBuffer::from_fn(width, height, |x, y| {
        let ink = grey.pixels()[(y * width + x) as usize];
        let mix = |paper: f32, blue: f32| (paper + ink * (blue - paper)) as u8;
        Rgb([mix(250.0, 20.0), mix(245.0, 30.0), mix(210.0, 150.0)])
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    DynamicImage::from(image).save(&path).unwrap();
    Picture::load(&path).unwrap()
}

#[test]
fn the_network_has_learned() {
    let report = &trained().report;
    let accuracy = report.metrics["test"]["accuracy"];
    assert!(accuracy > 0.6, "{accuracy}");
    assert_eq!((report.epochs, report.steps), (5, 5 * 32));
}

/// Another picture of the same digit.
type Form = fn(&Picture) -> Picture;

#[test]
fn the_same_digit_in_every_form_has_the_same_class() {
    let pipeline = pipeline();
    let digits = sure_digits(&pipeline);
    let forms: [(&str, Form); 5] = [
        ("inverted", inverted),
        ("large", |digit| on_paper(digit, 1.0, 0.0)),
        ("large, dark on light", |digit| on_paper(digit, 0.1, 0.9)),
        ("PNG", |digit| in_colour(digit, "digit.png")),
        ("JPEG", |digit| in_colour(digit, "digit.jpg")),
    ];
    for (name, form) in forms {
        let same = |(digit, label): &&(Picture, String)| top(&pipeline, &form(digit)) == *label;
        let agreed = digits.iter().filter(same).count();
        // Fitting moves and scales a digit a little, which so small a training does not always
        // bear.
        let all = digits.len();
        assert!(10 * agreed >= 9 * all, "{name}: {agreed} of {all}");
    }
}

#[test]
fn a_picture_of_the_set_is_taken_as_it_is() {
    let pipeline = pipeline();
    let digit = digits(Split::Test, 1, 5).unwrap().picture(0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digit.png");
    digit.save_png(&path).unwrap();
    let answer = pipeline.predict(&digit).unwrap();
    let reread = pipeline.predict(&Picture::load(&path).unwrap()).unwrap();
    assert_eq!(reread, answer);
}

#[test]
fn answers_are_probabilities_in_falling_order() {
    let pipeline = pipeline();
    let digit = digits(Split::Test, 1, 5).unwrap().picture(0).unwrap();
    let answer = pipeline.predict(&digit).unwrap();
    let sum: f32 = answer.iter().map(|(_, p)| p).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert!(answer.is_sorted_by(|a, b| a.1 >= b.1), "{answer:?}");
    let mut names: Vec<String> = answer.into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, pipeline.description.class_names);
}

#[test]
fn a_blank_picture_is_an_error() {
    let pipeline = pipeline();
    for (value, height, width) in [(0.0, SIDE, SIDE), (1.0, SIDE, SIDE), (0.5, 40, 30)] {
        let blank = Picture::new(vec![value; height * width], height, width).unwrap();
        let Err(Error::Data(error)) = pipeline.predict(&blank) else {
            panic!("a picture of {value} was answered");
        };
        assert!(error.to_string().contains("blank"), "{error}");
    }
}

#[test]
fn last_and_best_give_the_same_answers_without_validation() {
    let best = pipeline();
    let last = trained().best().with_file_name("last.safetensors");
    let last = CnnPipeline::load(last, &Device::Cpu).unwrap();
    assert_eq!(last.description, best.description);
    let digit = digits(Split::Test, 1, 5).unwrap().picture(0).unwrap();
    assert_eq!(last.predict(&digit).unwrap(), best.predict(&digit).unwrap());
}

#[test]
fn a_checkpoint_describes_itself() {
    let description = pipeline().description;
    assert_eq!(description.kind, "cnn");
    assert_eq!(description.data, "digits");
    assert_eq!(
        Some(description.config),
        CnnConfig::preset("lenet5", SIDE, SIDE, 10)
    );
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    assert_eq!(description.class_names, digits);
}

#[test]
fn evaluation_of_the_pipeline_repeats_that_of_the_run() {
    let scores = pipeline().evaluate(&settings(), Split::Test).unwrap();
    assert_eq!(scores.values, trained().report.metrics["test"]);
}

#[test]
fn a_run_records_its_parts() {
    let run = trained().folder.path().join("run");
    let summary = std::fs::read_to_string(run.join("summary.txt")).unwrap();
    assert!(
        summary.contains("parameters: 61,706 trainable"),
        "{summary}"
    );
    for name in ["data.json", "env.json", "result.json"] {
        let text = std::fs::read_to_string(run.join(name)).unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
    }
}

/// The good checkpoint with another description.
fn described(folder: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut checkpoint = Checkpoint::load(&trained().best()).unwrap();
    change(&mut checkpoint.metadata["model"]);
    let path = folder.join("changed.safetensors");
    checkpoint.save(&path).unwrap();
    path
}

#[test]
fn descriptions_of_other_models_are_incompatible() {
    let folder = tempfile::tempdir().unwrap();
    let gan = json!({"kind": "gan", "latent": 64});
    let cases: [(&str, Value); 4] = [
        ("kind gan, not cnn", gan),
        ("does not describe its model", Value::Null),
        ("kind unknown", json!({"name": "mine"})),
        ("missing field `config`", json!({"kind": "cnn"})),
    ];
    for (reason, model) in cases {
        let path = described(folder.path(), |old| *old = model);
        let error = CnnPipeline::load(&path, &Device::Cpu).unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(reason) && text.contains("changed.safetensors"),
            "{text}"
        );
    }
    let path = described(folder.path(), |model| {
        model["class_names"] = json!(["zero", "one"]);
    });
    let error = CnnPipeline::load(&path, &Device::Cpu).unwrap_err();
    assert!(
        error.to_string().contains("2 classes for a model of 10"),
        "{error}"
    );
}

#[test]
fn another_architecture_is_a_mismatch() {
    let folder = tempfile::tempdir().unwrap();
    let path = described(folder.path(), |model| {
        model["config"] = json!(CnnConfig::preset("mission", SIDE, SIDE, 10));
    });
    match CnnPipeline::load(&path, &Device::Cpu).unwrap_err() {
        Error::Checkpoint(CheckpointError::Mismatch(report)) => {
            assert_eq!(report.missing, ["conv.bias", "conv.weight"]);
            assert!(report.unexpected.contains(&"conv1.weight".to_owned()));
            assert_eq!(report.mismatched[0].0, "fc1.bias");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damaged_and_missing_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    let bytes = std::fs::read(trained().best()).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = CnnPipeline::load(&path, &Device::Cpu).unwrap_err();
        let corrupt = matches!(&error, Error::Checkpoint(CheckpointError::Corrupt { .. }));
        assert!(corrupt, "{length} bytes: {error:?}");
    }
    let error = CnnPipeline::load(folder.path().join("none"), &Device::Cpu).unwrap_err();
    let missing = matches!(&error, Error::Checkpoint(CheckpointError::Io { .. }));
    assert!(missing, "{error:?}");
}

#[test]
fn a_state_dict_alone_loads_with_no_map_and_is_no_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state_dict.safetensors");
    let trained = pipeline();
    let tensors = trained.store.state_dict();
    let metadata = Value::Null;
    Checkpoint { tensors, metadata }.save(&path).unwrap();

    let config = CnnConfig::preset("lenet5", SIDE, SIDE, 10).unwrap();
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    cnn(&config, store.root()).unwrap();
    let file = Checkpoint::load(&path).unwrap();
    assert!(file.metadata.is_null());
    assert!(
        store
            .load_state_dict(&file.tensors, true)
            .unwrap()
            .is_exact()
    );
    let hash = mapsto_train::weights_sha256(&store.state_dict()).unwrap();
    assert_eq!(hash, self::trained().report.weights_sha256);
    // As a pipeline it lacks its description.
    let error = CnnPipeline::load(&path, &Device::Cpu).unwrap_err();
    assert!(
        error.to_string().contains("does not describe its model"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_without_its_training_keeps_weights_and_description() {
    let last = trained().best().with_file_name("last.safetensors");
    let whole = Snapshot::load(&last).unwrap();
    let slim = whole.without_training();
    assert!(slim.tensors.keys().all(|name| !name.contains('/')));
    assert!(slim.metadata.get("training").is_none());
    assert_eq!(&slim.metadata["model"], whole.model());
}

#[test]
fn pictures_of_another_size_cannot_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let path = described(folder.path(), |model| {
        model["config"]["height"] = json!(SIDE + 1)
    });
    // Height 29 pools to the same sizes, so that only the description differs.
    let pipeline = CnnPipeline::load(&path, &Device::Cpu).unwrap();
    let Err(Error::Config(message)) = pipeline.evaluate(&settings(), Split::Test) else {
        panic!("digits of 28x28 were evaluated");
    };
    assert!(
        message.contains("29x28") && message.contains("28x28 in 10"),
        "{message}"
    );
}
