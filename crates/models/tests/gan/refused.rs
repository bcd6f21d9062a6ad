//! Settings and sources that cannot be, each refused by name before anything is made.

use mapsto_models::gan::{GanPipeline, Recipe, Settings};
use mapsto_models::{Error, Recipe as _, Settings as _};
use mapsto_tensor::{Checkpoint, Device};

fn refused(preset: &str, change: impl Fn(&mut Settings), what: &str) {
    let mut settings = Settings::preset(preset).unwrap();
    settings.data.train_samples = 300;
    settings.data.test_samples = 50;
    change(&mut settings);
    let error = Recipe::new(settings).unwrap_err();
    assert!(error.to_string().contains(what), "expected {what}: {error}");
}

#[test]
fn settings_out_of_range_are_named() {
    refused("dcgan", |s| s.model.preset = "gan".into(), "model.preset");
    refused("dcgan", |s| s.model.latent = 0, "model.latent");
    refused("dcgan", |s| s.model.smoothing = 1.0, "model.smoothing");
    refused("dcgan", |s| s.model.ema = 1.0, "model.ema");
    refused(
        "dcgan",
        |s| s.model.slope_penalty = -1.0,
        "model.slope_penalty",
    );
    refused(
        "dcgan",
        |s| s.model.clip_weights = f64::NAN,
        "model.clip_weights",
    );
    refused(
        "dcgan",
        |s| s.model.augment = "flip".into(),
        "model.augment",
    );
    refused("dcgan", |s| s.data.channels = 2, "data.channels");
    refused(
        "dcgan",
        |s| s.optim.discriminator_lr = 0.0,
        "optim.discriminator_lr",
    );
    refused("dcgan", |s| s.optim.beta1 = 1.0, "optim.beta1");
    refused("dcgan", |s| s.optim.critic_steps = 0, "optim.critic_steps");
    for few in [0, 3] {
        refused("dcgan", |s| s.measure.samples = few, "measure.samples");
    }
    refused(
        "dcgan",
        |s| s.measure.epoch_samples = 1,
        "measure.epoch_samples",
    );
    refused("dcgan", |s| s.data.size = 1_000_000, "data.size");
    refused(
        "dcgan",
        |s| s.train.batch_size = 301,
        "fewer than one batch",
    );
    refused("ring", |s| s.model.pack = 200, "train.batch_size");
    refused(
        "dcgan",
        |s| (s.train.patience, s.measure.epoch_samples) = (2, 0),
        "train.patience",
    );
    refused(
        "ring",
        |s| s.train.patience = 2,
        "train.patience: without classes",
    );
    assert!(Settings::preset("stylegan").is_err());
}

#[test]
fn networks_that_do_not_fit_the_data_are_named() {
    refused(
        "ring",
        |s| s.data.source = "digits".into(),
        "--preset dcgan",
    );
    refused(
        "dcgan",
        |s| s.data.source = "grid".into(),
        "--preset ring or grid",
    );
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().display().to_string();
    refused(
        "dcgan",
        |s| s.data.source.clone_from(&source),
        "no picture is there",
    );
    for i in 0..100 {
        let picture = mapsto_data::Picture::new(vec![0.5; 64], 8, 8).unwrap();
        picture
            .save_png(folder.path().join(format!("{i}.png")))
            .unwrap();
    }
    refused(
        "conditional",
        |s| s.data.source.clone_from(&source),
        "has no classes",
    );
    let odd = |s: &mut Settings| {
        s.data.source.clone_from(&source);
        s.data.size = 30;
    };
    refused("dcgan", odd, "multiples of 4");
    let waiting = |s: &mut Settings| {
        s.data.source.clone_from(&source);
        s.train.patience = 2;
    };
    refused("dcgan", waiting, "train.patience: without classes");
    refused(
        "dcgan",
        |s| s.data.source = source.clone() + "/missing",
        "not found",
    );
}

#[test]
fn checkpoints_of_other_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (model, what) in [
        (serde_json::Value::Null, "does not describe its model"),
        (serde_json::json!({"kind": "cnn"}), "of kind cnn, not gan"),
        (
            serde_json::json!({"kind": "gan"}),
            "is no checkpoint of kind gan",
        ),
    ] {
        let checkpoint = Checkpoint {
            metadata: serde_json::json!({"model": model}),
            ..Checkpoint::default()
        };
        checkpoint.save(&path).unwrap();
        let error = GanPipeline::load(&path, &Device::Cpu).unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}
