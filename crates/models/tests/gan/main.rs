//! Generative adversarial networks: both networks, the game, the recipe on points and pictures, and
//! what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

#[path = "../common/mod.rs"]
mod common;
mod golden;
mod networks;
mod pictures;
mod points;
mod refused;

use std::path::{Path, PathBuf};

use mapsto_models::gan::{GanPipeline, Recipe, Settings};
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

    fn figure(&self, name: &str) -> f64 {
        self.report.metrics["test"][name]
    }

    fn pipeline(&self) -> GanPipeline {
        let best = self.run().join("checkpoints/best.safetensors");
        GanPipeline::load(best, &Device::Cpu).unwrap()
    }
}

/// A new run folder for this recipe.
fn folder(root: &Path, recipe: &Recipe) -> RunFolder {
    RunFolder::create::<mapsto_models::Error>(root, "gan", Some("run"), |run| {
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
