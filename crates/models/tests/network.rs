//! Networks from their lists of layers: names and shapes, misfits, configs and settings.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_models::cnn::{CnnConfig, Layer, PRESETS, Settings, cnn};
use mapsto_models::{Error, Settings as _, ZOO};
use mapsto_nn::{Activation, Sequential};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Result};
use serde_json::{Value, json};

fn store() -> ParamStore {
    ParamStore::new(DType::F32, &Device::Cpu)
}

fn build(config: &CnnConfig) -> Result<Sequential> {
    cnn(config, store().root())
}

/// Names and shapes of a preset for digits, in name order.
fn state_dict(preset: &str) -> Vec<(String, Vec<usize>)> {
    let store = store();
    let config = CnnConfig::preset(preset, 28, 28, 10).unwrap();
    cnn(&config, store.root()).unwrap();
    let shape = |(name, tensor): (String, mapsto_tensor::Tensor)| (name, tensor.dims().to_vec());
    store.state_dict().into_iter().map(shape).collect()
}

fn named(entries: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    let owned = |&(name, shape): &(&str, &[usize])| (name.to_owned(), shape.to_vec());
    entries.iter().map(owned).collect()
}

#[test]
fn names_and_shapes_of_the_mission_network() {
    let expected = named(&[
        ("conv.bias", &[32]),
        ("conv.weight", &[32, 1, 3, 3]),
        ("fc1.bias", &[128]),
        ("fc1.weight", &[128, 5408]),
        ("fc2.bias", &[10]),
        ("fc2.weight", &[10, 128]),
    ]);
    assert_eq!(state_dict("mission"), expected);
}

#[test]
fn names_and_shapes_of_lenet5() {
    let expected = named(&[
        ("conv1.bias", &[6]),
        ("conv1.weight", &[6, 1, 5, 5]),
        ("conv2.bias", &[16]),
        ("conv2.weight", &[16, 6, 5, 5]),
        ("fc1.bias", &[120]),
        ("fc1.weight", &[120, 400]),
        ("fc2.bias", &[84]),
        ("fc2.weight", &[84, 120]),
        ("fc3.bias", &[10]),
        ("fc3.weight", &[10, 84]),
    ]);
    assert_eq!(state_dict("lenet5"), expected);
}

#[test]
fn names_and_shapes_of_the_dropout_network() {
    let expected = named(&[
        ("conv1.bias", &[32]),
        ("conv1.weight", &[32, 1, 3, 3]),
        ("conv2.bias", &[64]),
        ("conv2.weight", &[64, 32, 3, 3]),
        ("fc1.bias", &[128]),
        ("fc1.weight", &[128, 9216]),
        ("fc2.bias", &[10]),
        ("fc2.weight", &[10, 128]),
    ]);
    assert_eq!(state_dict("dropout"), expected);
}

#[test]
fn the_zoo_lists_the_presets() {
    let entry = ZOO.iter().find(|entry| entry.name == "cnn").unwrap();
    assert_eq!(entry.presets, PRESETS);
    for preset in PRESETS {
        assert!(CnnConfig::preset(preset, 28, 28, 10).is_some(), "{preset}");
    }
    assert_eq!(CnnConfig::preset("lenet", 28, 28, 10), None);
    assert_eq!(Settings::default().model.preset, PRESETS[0]);
}

#[test]
fn pictures_of_other_sizes_and_other_classes() {
    for preset in PRESETS {
        for (height, width, classes) in [(28, 28, 2), (32, 32, 10), (16, 40, 26), (33, 21, 3)] {
            let config = CnnConfig::preset(preset, height, width, classes).unwrap();
            assert_eq!(config.input_dims(), [1, height, width]);
            let model = build(&config).unwrap();
            let x = wave((2, 1, height, width), 0.2)
                .to_dtype(DType::F32)
                .unwrap();
            let y = model.forward_t(&x, true).unwrap();
            assert_eq!(y.dims(), [2, classes], "{preset} {height}x{width}");
        }
    }
}

#[test]
fn colour_pictures() {
    let mut config = CnnConfig::preset("mission", 8, 8, 4).unwrap();
    config.channels = 3;
    let store = store();
    let model = cnn(&config, store.root()).unwrap();
    assert_eq!(store.get("conv.weight").unwrap().dims(), [32, 3, 3, 3]);
    let x = wave((2, 3, 8, 8), 0.2).to_dtype(DType::F32).unwrap();
    assert_eq!(model.forward_t(&x, false).unwrap().dims(), [2, 4]);
}

fn small(layers: Value) -> CnnConfig {
    serde_json::from_value(json!({
        "channels": 1, "height": 6, "width": 5, "classes": 3, "layers": layers,
    }))
    .unwrap()
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let conv = |channels: usize, kernel: usize| json!({"conv": {"name": "c", "channels": channels, "kernel": kernel}});
    let out = json!({"linear": {"name": "out", "units": 0}});
    let cases = [
        (
            json!([conv(2, 7)]),
            "layer 0, Conv { name: \"c\"",
            "kernel of 7",
        ),
        (
            json!([conv(2, 0)]),
            "layer 0, Conv { name: \"c\"",
            "at least 1, got 0",
        ),
        (
            json!([conv(0, 3)]),
            "layer 0, Conv { name: \"c\"",
            "at least 1, got 0",
        ),
        (
            json!([conv(2, 3), {"max_pool": 4}]),
            "layer 1, MaxPool(4)",
            "window of 4",
        ),
        (json!([{"avg_pool": 0}]), "layer 0, AvgPool(0)", "kernel 0"),
        (
            json!(["flatten", conv(2, 3)]),
            "layer 1, Conv",
            "gets 30 numbers",
        ),
        (
            json!(["flatten", {"max_pool": 2}]),
            "layer 1, MaxPool(2)",
            "gets 30 numbers",
        ),
        (
            json!([out]),
            "layer 0, Linear { name: \"out\"",
            "Flatten before",
        ),
        (
            json!(["flatten", {"dropout": 1.5}]),
            "layer 1, Dropout(1.5)",
            "[0, 1], got 1.5",
        ),
        (
            json!(["flatten", out, out]),
            "layer 2, Linear",
            "got \"out\"",
        ),
    ];
    for (layers, layer, reason) in cases {
        let error = build(&small(layers)).unwrap_err().to_string();
        assert!(error.contains(layer), "{layer} is not in {error}");
        assert!(error.contains(reason), "{reason} is not in {error}");
    }
}

#[test]
fn the_last_layer_must_give_the_classes() {
    for (layers, given) in [
        (json!(["flatten"]), "30 numbers for 3 classes"),
        (json!([]), "30 numbers for 3 classes"),
        (
            json!(["flatten", {"linear": {"name": "fc", "units": 4}}]),
            "4 numbers for 3 classes",
        ),
    ] {
        let error = build(&small(layers)).unwrap_err().to_string();
        assert!(error.contains(given), "{error}");
    }
}

#[test]
fn a_network_needs_classes_and_pictures() {
    let good = CnnConfig::preset("mission", 8, 8, 2).unwrap();
    assert!(build(&good).is_ok());
    for bad in [
        CnnConfig {
            classes: 1,
            ..good.clone()
        },
        CnnConfig {
            channels: 0,
            ..good.clone()
        },
        CnnConfig {
            width: 0,
            ..good.clone()
        },
        CnnConfig {
            width: usize::MAX / 4,
            ..good
        },
    ] {
        let error = build(&bad).unwrap_err().to_string();
        assert!(
            error.contains("at least 2 classes and a picture size"),
            "{error}"
        );
    }
}

#[test]
fn configs_survive_json() {
    for preset in PRESETS {
        let config = CnnConfig::preset(preset, 20, 30, 7).unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CnnConfig>(&text).unwrap(), config);
    }
    // The form that checkpoints hold must stay readable.
    let config = small(json!([
        {"conv": {"name": "c", "channels": 2, "kernel": 3}},
        {"activation": "relu"},
        {"activation": {"leaky_relu": 0.2}},
        {"max_pool": 2},
        "flatten",
        {"dropout": 0.5},
        {"linear": {"name": "out", "units": 0}},
    ]));
    let conv = Layer::Conv {
        name: "c".to_owned(),
        channels: 2,
        kernel: 3,
        padding: 0,
    };
    assert_eq!(config.layers[0], conv);
    assert_eq!(
        config.layers[2],
        Layer::Activation(Activation::LeakyRelu(0.2))
    );
    assert_eq!(build(&config).unwrap().len(), 7);
}

#[test]
fn unknown_keys_of_configs_are_rejected() {
    let mut config = serde_json::to_value(CnnConfig::preset("mission", 8, 8, 2).unwrap()).unwrap();
    config["depth"] = json!(3);
    let error = serde_json::from_value::<CnnConfig>(config.clone()).unwrap_err();
    assert!(error.to_string().contains("`depth`"), "{error}");
    config.as_object_mut().unwrap().remove("depth");
    config["layers"][0]["conv"]["strides"] = json!(2);
    let error = serde_json::from_value::<CnnConfig>(config).unwrap_err();
    assert!(error.to_string().contains("`strides`"), "{error}");
}

#[test]
fn settings_survive_toml_and_reject_unknown_keys() {
    let settings = Settings::default();
    let text = toml::to_string(&settings).unwrap();
    assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
    assert_eq!(toml::from_str::<Settings>("").unwrap(), settings);
    for (text, key) in [
        ("[optim]\nlearning_rate = 1.0", "`learning_rate`"),
        ("[train]\nepoch = 1", "`epoch`"),
        ("[data]\nfolder = \"x\"", "`folder`"),
        ("[model]\nname = \"x\"", "`name`"),
        ("[trainer]", "`trainer`"),
    ] {
        let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field {key}")), "{error}");
    }
}

#[test]
fn bad_settings_name_key_value_and_range() {
    assert!(Settings::default().validate().is_ok());
    let cases = [
        ("model.preset", "\"resnet\"", "mission, lenet5 or dropout"),
        ("data.train_samples", "0", "at least 1"),
        ("data.test_samples", "0", "at least 1"),
        ("data.val_fraction", "1.0", "in [0, 1)"),
        ("data.val_fraction", "-0.1", "in [0, 1)"),
        ("data.workers", "65", "at most 64"),
        ("optim.name", "\"lbfgs\"", "adam, adamw or sgd"),
        ("optim.lr", "0.0", "a positive number"),
        ("optim.lr", "nan", "a positive number"),
        ("optim.lr", "inf", "a positive number"),
        ("optim.momentum", "1.0", "in [0, 1)"),
        ("optim.momentum", "0.5", "0 for adam"),
        ("optim.weight_decay", "-0.1", "0 or more"),
        ("optim.clip_norm", "-1.0", "0 or more"),
        ("optim.clip_norm", "nan", "0 or more"),
        ("train.epochs", "0", "at least 1"),
        ("train.batch_size", "0", "at least 1"),
        ("train.patience", "3", "0 unless data.val_fraction is set"),
    ];
    for (path, value, range) in cases {
        let (table, key) = path.split_once('.').unwrap();
        let text = format!("[{table}]\n{key} = {value}");
        let settings: Settings = toml::from_str(&text).unwrap();
        let Err(Error::Config(message)) = settings.validate() else {
            panic!("{text} was accepted");
        };
        // A whole number may be written without its fraction.
        let value = value.trim_matches('"').trim_end_matches(".0");
        let value = if value == "nan" { "NaN" } else { value };
        assert!(
            message.starts_with(&format!("{path} must be {range}")),
            "{message}"
        );
        assert!(message.contains(&format!("got {value}")), "{message}");
    }
    // A step to nothing from the first epoch on would train nothing.
    let stopped: Settings = toml::from_str("[optim]\nschedule = \"step\"").unwrap();
    let error = stopped.validate().unwrap_err().to_string();
    assert!(error.contains("optim.decay must be above 0"), "{error}");
    let watched = "[data]\nval_fraction = 0.2\n[train]\npatience = 3";
    assert!(
        toml::from_str::<Settings>(watched)
            .unwrap()
            .validate()
            .is_ok()
    );
}
