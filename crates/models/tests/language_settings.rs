//! Settings of the language model: presets, and values out of range.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use mapsto_models::lstm::language::{PRESETS, Recipe, Settings};
use mapsto_models::{Error, Recipe as _, Settings as _, ZOO};

#[test]
fn every_preset_is_valid_and_known_to_the_zoo() {
    let entry = ZOO.iter().find(|entry| entry.name == "lm").unwrap();
    assert_eq!(entry.presets, PRESETS);
    for name in PRESETS {
        let settings = Settings::preset(name).unwrap();
        settings.validate().unwrap();
        assert_eq!(settings.model.preset, name);
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
    }
    assert_eq!(Settings::default(), Settings::preset("grammar").unwrap());
    let error = Settings::preset("ptb").unwrap_err().to_string();
    assert!(
        error.contains("model.preset") && error.contains("ptb-small"),
        "{error}"
    );
}

#[test]
fn the_presets_have_the_figures_of_the_paper() {
    // Units, dropout, initial bound, steps, epochs, and when and how the rate falls.
    for (name, units, p, init, steps, epochs, after, decay, norm) in [
        ("ptb-small", 200, 0.0, 0.1, 20, 13, 4, 0.5, 5.0),
        ("ptb-medium", 650, 0.5, 0.05, 35, 39, 6, 1.0 / 1.2, 5.0),
        ("ptb-large", 1500, 0.65, 0.04, 35, 55, 14, 1.0 / 1.15, 10.0),
    ] {
        let Settings {
            model,
            dropout,
            data,
            optim,
            train,
        } = Settings::preset(name).unwrap();
        assert_eq!(
            (model.layers, model.embedding, model.hidden, model.init),
            (2, units, units, init)
        );
        assert_eq!([dropout.input, dropout.hidden, dropout.output], [p; 3]);
        assert!(!dropout.variational && !model.tied);
        assert_eq!(
            (train.batch_size, data.seq_len, train.epochs),
            (20, steps, epochs)
        );
        assert_eq!(
            (optim.name.as_str(), optim.decay_after, optim.decay),
            ("sgd", after, decay)
        );
        // Rate 1 on the loss summed over steps is the number of steps on its mean.
        assert_eq!(
            (optim.lr, optim.clip_norm * steps as f64),
            (steps as f64, norm)
        );
    }
}

#[test]
fn bad_settings_name_key_value_and_range() {
    let cases = [
        ("model.preset", "\"ptb\"", "grammar"),
        ("model.embedding", "0", "at least 1"),
        ("model.hidden", "0", "at least 1"),
        ("model.layers", "0", "at least 1"),
        ("model.mixture", "0", "at least 1"),
        ("model.init", "-0.1", "0 or more"),
        ("model.alpha", "-1.5", "0 or more"),
        ("model.beta", "nan", "0 or more"),
        ("data.train_sentences", "0", "at least 1"),
        ("data.seq_len", "0", "at least 1"),
        ("dropout.words", "1.5", "in [0, 1]"),
        ("dropout.input", "-0.1", "in [0, 1]"),
        ("dropout.hidden", "2.5", "in [0, 1]"),
        ("dropout.output", "nan", "in [0, 1]"),
        ("dropout.weight", "-0.5", "in [0, 1]"),
        ("optim.lr", "-0.5", "a positive number"),
        ("optim.decay", "1.5", "in [0, 1]"),
        ("train.epochs", "0", "at least 1"),
        ("train.batch_size", "0", "at least 1"),
    ];
    for (path, value, range) in cases {
        let (table, key) = path.split_once('.').unwrap();
        let settings: Settings = toml::from_str(&format!("[{table}]\n{key} = {value}")).unwrap();
        let Err(Error::Config(message)) = Recipe::new(settings) else {
            panic!("{path} = {value} was accepted");
        };
        let value = value.trim_matches('"').replace("nan", "NaN");
        assert!(
            message.starts_with(&format!("{path} must be {range}")),
            "{message}"
        );
        assert!(message.contains(&format!("got {value}")), "{message}");
    }
    for text in [
        "[model]\ncell = \"mlp\"",
        "[data]\nunit = \"line\"",
        "[data]\nencoding = \"x\"",
        "[model]\nunits = 3",
    ] {
        assert!(toml::from_str::<Settings>(text).is_err(), "{text}");
    }
}
