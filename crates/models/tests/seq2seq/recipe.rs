//! The recipe on numbers: one seed one model, exact resume, evaluation, what a checkpoint holds.

use std::path::Path;

use mapsto_data::{Tokenizer, TokenizerKind};
use mapsto_models::seq2seq::{Architecture, Recipe, SampleConfig, Settings, Translator};
use mapsto_models::{Error, Options, Recipe as _, Report, Settings as _};
use mapsto_tensor::{Checkpoint, Device};
use mapsto_train::{RunFolder, StopReason};

use super::common::ending;

/// Takes a second or two: two epochs of ten steps.
fn settings() -> Settings {
    let text = r"
        model = { embedding = 8, encoder_hidden = 6, hidden = 10, attention_size = 7, dropout = 0.1 }
        data = { train_samples = 160, valid_samples = 10, test_samples = 20 }
        search = { beam = 2, max_len = 12 }
        train = { epochs = 2, batch_size = 16, seed = 3, save_every = 3 }
        filter = { drop_duplicates = false }
        ";
    toml::from_str(text).unwrap()
}

fn folder(root: &Path, recipe: &Recipe) -> RunFolder {
    RunFolder::create::<Error>(root, "translate", Some("run"), |run| {
        recipe.record(run, "test")?;
        Ok(run.write_text("config.toml", "")?)
    })
    .unwrap()
}

fn train(settings: Settings) -> (tempfile::TempDir, Report) {
    let recipe = Recipe::new(settings).unwrap();
    let root = tempfile::tempdir().unwrap();
    let run = folder(root.path(), &recipe);
    let report = recipe.train(&run, false, Options::default()).unwrap();
    (root, report)
}

/// Whole words, of each language its own, and in the second epoch half of the network's own.
fn of_words() -> Settings {
    let mut settings = settings();
    settings.data.tokenizer = TokenizerKind::Word;
    settings.data.joint = false;
    settings.data.vocab_size = 40;
    settings.model.coverage = true;
    settings.model.input_feeding = true;
    settings.model.teacher_forcing = 0.5;
    settings.optim.warmup = 0.5;
    settings
}

fn transformer() -> Settings {
    let mut settings = settings();
    settings.model.architecture = Architecture::Transformer;
    settings.model.layers = 2;
    settings.model.heads = 2;
    settings
}

#[test]
fn a_run_in_two_parts_is_the_whole_run() {
    for settings in [settings, of_words, transformer] {
        resumed(settings);
    }
}

fn resumed(settings: fn() -> Settings) {
    let (_whole, report) = train(settings());
    assert_eq!(report.steps, 20);
    for step in [4, 13] {
        let root = tempfile::tempdir().unwrap();
        let recipe = Recipe::new(settings()).unwrap();
        let run = folder(root.path(), &recipe);
        let path = run.path().to_owned();
        let first = recipe.train(&run, false, ending(step, true)).unwrap();
        assert_eq!(
            (first.steps, first.stopped),
            (step, StopReason::Interrupted)
        );
        drop(run);
        let run = RunFolder::resume(&path).unwrap();
        let recipe = Recipe::new(settings()).unwrap();
        let second = recipe.train(&run, true, Options::default()).unwrap();
        assert_eq!(second.weights_sha256, report.weights_sha256, "{step}");
        assert_eq!(second.metrics, report.metrics, "{step}");
    }
}

#[test]
fn the_pipeline_measures_what_the_run_measured() {
    let (root, report) = train(settings());
    let test = &report.metrics["test"];
    assert!(test.contains_key("greedy_bleu") && test.contains_key("exact_match"));
    let best = root.path().join("run/checkpoints/best.safetensors");
    let translator = Translator::load(&best, &Device::Cpu).unwrap();
    let scores = translator.evaluate(&settings(), false, false).unwrap();
    for name in ["loss", "bleu", "exact_match"] {
        assert_eq!(scores.values[name], test[name], "{name}");
    }
    // Two hundred pairs less the small numbers that come twice are still no test.
    assert_eq!(scores.samples, 20);
    let one = translator.translate("ninety-seven").unwrap();
    let search = translator.description.search;
    let all = translator
        .translate_batch(&["", "ninety-seven"], &search.into())
        .unwrap();
    assert_eq!(all[0][0].text, "");
    assert_eq!(all[1][0], one);
}

#[test]
fn words_of_each_language_are_its_own() {
    let (root, _) = train(of_words());
    let best = root.path().join("run/checkpoints/best.safetensors");
    let translator = Translator::load(&best, &Device::Cpu).unwrap();
    let tokenizers = translator.tokenizers();
    assert!(!tokenizers.is_joint());
    let id = |tokenizer: &Tokenizer, word: &str| tokenizer.encode(word).unwrap()[0];
    assert!(id(&tokenizers.source, "thousand") > 3 && id(&tokenizers.target, "mille") > 3);
    assert_eq!(id(&tokenizers.source, "mille"), Tokenizer::UNK);
    for name in ["source.tokenizer.json", "target.tokenizer.json"] {
        assert!(root.path().join("run").join(name).is_file());
    }
    // Other draws, other texts; the same again for the same seed.
    let draw = |seed| {
        let search = SampleConfig {
            seed,
            count: 3,
            max_len: 12,
            ..SampleConfig::default()
        };
        translator
            .translate_batch(&["one thousand"], &search.into())
            .unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn a_checkpoint_of_other_pieces_is_refused() {
    let (root, _) = train(settings());
    let best = root.path().join("run/checkpoints/best.safetensors");
    let stored = Checkpoint::load(&best).unwrap();
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 3] = [
        ("of kind lm", |model| model["kind"] = "lm".into()),
        ("damaged tokenizer", |model| {
            model["tokenizers"][0] = "{}".into()
        }),
        ("pieces for a model of [9, 9]", |model| {
            model["config"]["source_vocab"] = 9.into();
            model["config"]["target_vocab"] = 9.into();
        }),
    ];
    for (what, change) in changes {
        let mut metadata = stored.metadata.clone();
        change(&mut metadata["model"]);
        let path = root.path().join("changed.safetensors");
        let changed = Checkpoint {
            tensors: stored.tensors.clone(),
            metadata,
        };
        changed.save(&path).unwrap();
        let error = Translator::load(&path, &Device::Cpu).unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error:?}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}

#[test]
fn every_preset_is_valid() {
    for name in Settings::PRESETS {
        let settings = Settings::preset(name).unwrap();
        settings.validate().unwrap();
        assert_eq!(settings.model.preset, *name);
    }
    assert!(Settings::preset("klingon").is_err());
}
