//! The classifier of texts: its networks, its recipe on opinions and tables, its answers, and
//! what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

#[path = "../common/mod.rs"]
mod common;
mod network;
mod pipeline;
mod recipe;
mod refused;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mapsto_models::lstm::sentiment::{Recipe, SentimentPipeline, Settings};
use mapsto_models::{Options, Recipe as _, Report, Result};
use mapsto_tensor::Device;
use mapsto_train::RunFolder;
use tempfile::TempDir;

/// A run of the recipe.
struct Trained {
    folder: TempDir,
    report: Report,
}

impl Trained {
    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn best(&self) -> PathBuf {
        self.run().join("checkpoints/best.safetensors")
    }

    fn pipeline(&self) -> SentimentPipeline {
        SentimentPipeline::load(self.best(), &Device::Cpu).unwrap()
    }
}

/// Settings from TOML; what it does not name has its default.
fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

/// Few opinions and a small network, which yet learn the rule.
fn of_opinions() -> Settings {
    settings(
        r"
        model = { embedding = 24, hidden = 24, init = 1.0, input_dropout = 0.0, dropout = 0.1 }
        data = { train_samples = 4000, test_samples = 300 }
        optim = { lr = 1e-2, clip_norm = 1.0 }
        train = { epochs = 8, batch_size = 20, seed = 5 }
        ",
    )
}

/// A new run folder for this recipe.
fn folder(root: &Path, recipe: &Recipe) -> RunFolder {
    RunFolder::create::<mapsto_models::Error>(root, "sentiment", Some("run"), |run| {
        recipe.record(run, "test")?;
        Ok(run.write_text("config.toml", "")?)
    })
    .unwrap()
}

fn train(settings: Settings) -> Result<Trained> {
    let recipe = Recipe::new(settings)?;
    let folder = tempfile::tempdir().unwrap();
    let run = self::folder(folder.path(), &recipe);
    let report = recipe.train(&run, false, Options::default())?;
    Ok(Trained { folder, report })
}

/// The opinions, learned once for all tests.
fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| train(of_opinions()).unwrap())
}
